"""Training runs with numbers chosen by hand, logged to a store with MLflow itself."""

from collections.abc import Mapping, Sequence
from typing import Any

import mlflow

LOSSES = {"spacy": (900.0, 400.0, 250.0), "sparknlp": (30.0, 12.0, 8.0)}


def log_training(
    framework: str = "spacy",
    *,
    name: str = "a-run",
    test_f1: float | None = 0.8,
    params: Mapping[str, str] | None = None,
    metrics: Mapping[str, float] | None = None,
    tags: Mapping[str, str] | None = None,
    token_f1: Sequence[float] = (0.5, 0.7, 0.75),
    support: Mapping[str, int] | None = None,
    status: str = "FINISHED",
) -> str:
    """Log one training run to the store that is set and return its id; test_f1 None: it did not get to the test."""
    step = f"{framework}_train"
    with mlflow.start_run(run_name=name) as run:
        mlflow.log_params(
            {"corpus": "demo", "drop_rate": "0.2", "epochs": "3", "lr": "0.001", "seed": "0", **(params or {})}
        )
        all_tags: dict[str, Any] = {"twinner.step": step, "twinner.framework": framework, "twinner.corpus": "demo"}
        if test_f1 is not None:
            all_tags["twinner.test_digest"] = "aaaa000011112222"
            for epoch, (loss, f1) in enumerate(zip(LOSSES[framework], token_f1, strict=False), 1):
                mlflow.log_metrics({"ner.losses": loss, "dev_token_f1": f1}, step=epoch)
                if framework == "spacy":
                    mlflow.log_metric("dev_f1", f1 - 0.05, step=epoch)
            mlflow.log_metrics({"test_f1": test_f1, "test_precision": test_f1 + 0.02, "test_recall": test_f1 - 0.02})
        mlflow.log_metrics({**(metrics or {})})
        if support:
            by_label = {label: {"support": count} for label, count in {"": sum(support.values()), **support}.items()}
            mlflow.log_dict({"schemes": {"strict": by_label}}, "entity_report.json")
        mlflow.set_tags({**all_tags, **(tags or {})})
    if status != "FINISHED":
        mlflow.MlflowClient().set_terminated(run.info.run_id, status)
    return str(run.info.run_id)
