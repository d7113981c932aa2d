"""The only code that talks to MLflow, apart from `twinner.serving`: writing and reading apart."""
