"""Scores, kinds of error, and significance, from gold and predicted tags."""
