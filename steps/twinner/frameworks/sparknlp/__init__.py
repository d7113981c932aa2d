"""Training with Spark NLP."""
