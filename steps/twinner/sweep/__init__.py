"""Search the parameters of a training step for the best score on dev."""
