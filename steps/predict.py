"""Find the entities in many texts: `predict.py --model models:/NER@champion --input FILES --output FOLDER`."""

from typing import TYPE_CHECKING, Literal

from twinner import cli
from twinner.errors import BadInput
from twinner.parameters import check_parameters

if TYPE_CHECKING:
    from twinner.prediction import Predicted

YesNo = Literal["yes", "no"]


def predict(
    model: str = "",
    input: str = "",
    output: str = "",
    text_column: str = "text",
    compare: str = "",
    spark_master: str = "local[*]",
    driver_memory: str = "auto",
    spark_conf: str = "",
    overwrite: YesNo = "no",
    log_text: YesNo = "yes",
) -> "Predicted":
    """Find the entities in many texts with a logged or registered model of either framework.

    model: `runs:/ID/model`, `models:/NAME@champion`, or a folder. input: a file, folder, glob or URI of txt (a text a
    line), csv, jsonl or parquet. output: a folder for the same rows with their entities; if its name ends in
    `.jsonl`, JSON lines, else parquet. text_column: of the texts. compare: another model for the same texts. overwrite:
    replace an earlier output. log_text: `no` keeps the page, which shows some of the texts, out of MLflow.
    An interrupted job goes on where it was when the same command is given again.
    Errors: BadInput for what can't be used; Failure if Spark gives up.
    """
    settings = locals()
    check_parameters(settings)
    for name in ("model", "input", "output"):
        if not settings[name].strip():
            raise BadInput(f"{name} is empty", "give it")

    from twinner.frameworks import FRAMEWORKS
    from twinner.prediction import AGAIN, Output, page_of, predict_texts, summary_of
    from twinner.spark.files import is_on_s3
    from twinner.spark.session import claim_session, java_failures, spark_session, stop_session
    from twinner.spark.settings import check_settings, optimized
    from twinner.temporary import remove_folder, temporary_folder
    from twinner.tracking.address import where_to_look
    from twinner.tracking.registry import fetch_model
    from twinner.tracking.store import check_store
    from twinner.tracking.write import tracked_run

    check_settings(spark_master, driver_memory, spark_conf)
    check_store()
    folder = temporary_folder("predict")
    starts_session = False
    try:
        with tracked_run("predict") as run:
            run.log_params(settings)
            run.log_code()
            names = {"model": model, **({"compare": compare} if compare else {})}
            models = [fetch_model(uri, folder / name, name) for name, uri in names.items()]
            needs_spark_nlp = any(FRAMEWORKS[found.framework].frame_loader for found in models)
            starts_session = claim_session()
            s3 = any(map(is_on_s3, (input, output)))
            settings_of_spark = optimized(spark_conf) if needs_spark_nlp else spark_conf
            session = spark_session(spark_master, driver_memory, settings_of_spark, needs_spark_nlp, s3)
            with java_failures(AGAIN):
                place = Output(session, output)
                found = predict_texts(session, models, input, place, text_column, overwrite == "yes")
                summary = summary_of(found, settings)
                page = page_of(found, list(names.values()))
                place.finish(page, summary.json)
            run.log_texts(input, found.digest, found.rows)
            run.log_metrics(summary.metrics, 0)
            files = {"summary.json": summary.json, **({"predictions.html": page} if log_text == "yes" else {})}
            run.log_pages(files, description=summary.markdown)
    finally:
        if starts_session:
            stop_session()
        remove_folder(folder)
    print(summary.markdown)
    print()
    print(f"{'output':<11}{output}")
    print(f"{'look':<11}{where_to_look(run.experiment_id, run.run_id)}")
    return found


if __name__ == "__main__":
    cli.run(predict)
