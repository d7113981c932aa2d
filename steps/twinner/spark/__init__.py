"""Spark with Spark NLP in it: the session, its Java and jars, and paths that executors can reach.

Use `session` to start and stop it and for paths, `settings` to check what a user asked for, and `jars` to fetch the
jars and to see whether they run on this machine. The other modules serve these three.
"""
