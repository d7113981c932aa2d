"""Training with spaCy."""
