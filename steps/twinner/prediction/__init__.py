"""Find the entities in many texts with Spark, for models of every framework."""

from twinner.prediction.job import AGAIN, Predicted, predict_texts
from twinner.prediction.output import Output
from twinner.prediction.results import page_of, summary_of

__all__ = ["AGAIN", "Output", "Predicted", "page_of", "predict_texts", "summary_of"]
