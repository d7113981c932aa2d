from pathlib import Path

import pytest
from twinner.errors import BadInput
from twinner.spark.settings import optimized, session_settings


def java_options(spark_conf: str, folder: Path) -> list[str]:
    with_jars = f"{spark_conf} spark.jars=/jars/spark-nlp.jar"  # else they would be fetched
    return session_settings("local[1]", "1g", with_jars, folder)["spark.driver.extraJavaOptions"].split()


def last(options: list[str], start: str) -> str:
    """Return the option that counts: Java takes the last of a kind."""
    return [option for option in options if option.startswith(start)][-1]


def test_java_saves_compile_time_unless_optimized(tmp_path: Path) -> None:
    assert last(java_options("", tmp_path), "-XX:TieredStopAtLevel") == "-XX:TieredStopAtLevel=1"
    assert last(java_options(optimized(""), tmp_path), "-XX:TieredStopAtLevel") == "-XX:TieredStopAtLevel=4"


def test_java_starts_with_a_part_of_its_memory(tmp_path: Path) -> None:
    assert last(java_options("", tmp_path), "-Xms") == "-Xms256m"
    given = java_options("spark.driver.memory=700m", tmp_path)  # a larger start would be refused
    assert not [option for option in given if option.startswith("-Xms")]


def test_optimized_keeps_the_users_settings(tmp_path: Path) -> None:
    conf = optimized("spark.driver.extraJavaOptions='-Da=b c -XX:TieredStopAtLevel=2' spark.ui.enabled='very true'")
    options = java_options(conf, tmp_path)
    assert last(options, "-XX:TieredStopAtLevel") == "-XX:TieredStopAtLevel=2"
    assert "-Da=b" in options
    assert "'spark.ui.enabled=very true'" in conf


def test_optimized_refuses_what_is_no_setting() -> None:
    with pytest.raises(BadInput, match=r"'ui=1' in spark_conf is not a Spark setting"):
        optimized("ui=1")
