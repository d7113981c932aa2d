"""Spark NLP: its trainer, and entities in raw text with a saved pipeline."""
