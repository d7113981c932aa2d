import mlflow
import pytest
from mlflow.exceptions import MlflowException
from twinner.errors import BadInput
from twinner.tracking.registry import check_model_name

NAMES = ["small-ner", "a.b c_d", "模型", "a/b:c", "a/b", "a:b", " ", "\t", ".", "..", "x" * 200]


@pytest.mark.parametrize("name", NAMES)
def test_accepts_exactly_the_names_that_mlflow_registers(name: str, tracked: mlflow.MlflowClient) -> None:
    try:
        tracked.create_registered_model(name)
    except MlflowException:
        registered = False
    else:
        tracked.delete_registered_model(name)
        registered = True
    try:
        check_model_name(name)
    except BadInput as error:
        accepted = False
        assert str(error).startswith(f"model_name {name!r} ")
        assert str(error).endswith("; give a name without / and :, or leave it empty")
    else:
        accepted = True
    assert accepted == registered or not name.strip()  # MLflow registers a blank name, which no URI can name


def test_an_empty_name_registers_nothing() -> None:
    check_model_name("")
