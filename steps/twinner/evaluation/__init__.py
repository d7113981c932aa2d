"""Scores, kinds of mistakes, and significance, computed from gold and predicted tags for both frameworks alike."""

from twinner.evaluation.scores import Evaluation, dev_scores, entity_scores, evaluate, token_scores

__all__ = ["Evaluation", "dev_scores", "entity_scores", "evaluate", "token_scores"]
