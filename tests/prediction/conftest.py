"""Fixtures of the tests of predictions: the session of all tests with Spark."""

from spark_cache import spark, spark_cache  # type: ignore[import-not-found]  # noqa: F401
