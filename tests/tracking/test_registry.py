import mlflow
import pytest
from mlflow.exceptions import MlflowException
from twinner.errors import BadInput
from twinner.tracking.registry import check_model_name

NAMES = ["new-ner", "a.b c_d", "模型", "a/b:c", "a/b", "a:b", " ", "\t", ".", "..", "x" * 200]


@pytest.mark.parametrize("name", NAMES)
def test_accepts_exactly_the_names_that_mlflow_registers(name: str, tracked: mlflow.MlflowClient) -> None:
    try:
        tracked.create_registered_model(name)
    except MlflowException:
        registered = False
    else:
        tracked.delete_registered_model(name)
        registered = True
    if registered and name.strip():
        check_model_name(name)
    else:  # MLflow registers a blank name, which no URI can name
        with pytest.raises(BadInput, match=r"^model_name .*; give a name without / and :, or leave it empty$"):
            check_model_name(name)


def test_an_empty_name_registers_nothing() -> None:
    check_model_name("")
