import pytest
from twinner.tracking.params import plain_params, step_settings


@pytest.mark.parametrize(
    ("name", "logged", "plain"),
    [
        ("test", "''", ""),
        ("spark_master", "'local[*]'", "local[*]"),
        ("corpus", "'/data/my corpus'", "/data/my corpus"),
        ("corpus", "/data/my corpus", "/data/my corpus"),  # logged by a step run without `mlflow run`
        ("corpus", "Peter's", "Peter's"),
        ("corpus", "'Peter'\"'\"'s'", "Peter's"),
        ("drop_rate", ".20", "0.2"),
        ("lr", "1e-3", "0.001"),
        ("epochs", "10", "10"),
        ("epochs", "1_000", "1_000"),
        ("epochs", "abc", "abc"),
        ("drop_rate", "nan", "nan"),
        ("training_size", "0300", "300"),
        ("spacy_version", "3.10", "3.10"),
    ],
)
def test_plain_params_unquotes_and_normalizes_numbers(name: str, logged: str, plain: str) -> None:
    assert plain_params({name: logged}) == {name: plain}


def test_step_settings_are_typed_and_ordered() -> None:
    logged = {"lr": "1e-3", "spacy_version": "3.8", "epochs": "7", "corpus": "'/a b'", "drop_rate": ".5", "test": "''"}
    settings = step_settings(logged)
    assert settings == {"corpus": "/a b", "test": "", "drop_rate": 0.5, "epochs": 7, "lr": 0.001}
    assert [type(value) for value in settings.values()] == [str, str, float, int, float]
    assert list(settings) == ["corpus", "test", "drop_rate", "epochs", "lr"]  # declaration order


def test_value_of_the_wrong_type_stays_text() -> None:
    assert step_settings({"epochs": "many", "lr": "inf"}) == {"epochs": "many", "lr": "inf"}
