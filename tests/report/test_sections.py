import shlex

from training_runs import run  # type: ignore[import-not-found]
from twinner.report.sections import command_again, sections_of


def test_runs_are_ranked_best_first_and_the_unfinished_follow() -> None:
    runs = [run("failed", status="FAILED"), run("low", 0.7), run("high", 0.9), run("going", 0.99, status="RUNNING")]
    (section,) = sections_of(runs, "test_f1")
    assert [r.name for r in section.ranked] == ["high", "low"]
    assert {r.name for r in section.unranked} == {"failed", "going"}
    assert section.winner is not None
    assert section.winner.name == "high"
    assert section.margin(section.ranked[1]) == "20.0 points"


def test_runs_of_different_test_sets_are_never_ranked_together() -> None:
    runs = [run("a", 0.7), run("b", 0.6), run("c", 0.99, digest="d2"), run("d", 0.98, digest="")]
    sections = sections_of(runs, "test_f1")
    assert [(s.digest, [r.name for r in s.ranked]) for s in sections] == [("d1", ["a", "b"]), ("d2", ["c"]), ("", [])]


def test_of_costs_the_lowest_wins() -> None:
    runs = [run("slow", metrics={"training_time": 90.0}), run("fast", metrics={"training_time": 30.0})]
    (section,) = sections_of(runs, "training_time")
    assert [r.name for r in section.ranked] == ["fast", "slow"]
    assert section.margin(section.ranked[1]) == "60"


def test_of_equal_runs_the_earlier_goes_first() -> None:
    (section,) = sections_of([run("later", 0.8, minute=5), run("earlier", 0.8)], "test_f1")
    assert [r.name for r in section.ranked] == ["earlier", "later"]
    assert section.margin(section.ranked[1]) == "the same value"


def test_parameters_that_all_share_are_told_once_and_the_others_are_columns() -> None:
    runs = [
        run("a", 0.8, params={"lr": "0.001", "lang": "de", "batch_size": "1000", "limit": "0", "test": ""}),
        run("b", 0.7, params={"lr": "0.001", "lang": "de", "batch_size": "1000", "limit": "9", "test": ""}),
        run("c", 0.6, framework="sparknlp", params={"lr": "0.003", "lang": "de", "batch_size": "32", "limit": "0"}),
    ]
    (section,) = sections_of(runs, "test_f1")
    assert section.shared == {
        "All runs": {"lang": "de"},
        "Spark NLP runs": {"batch_size": "32"},
        "spaCy runs": {"batch_size": "1000"},
    }
    assert section.differing == ["limit"]
    titles = [column.title for column in section.columns]
    assert titles == ["Framework", "lr", "limit", "F1", "Started (UTC)"]


def test_a_failed_run_that_lacks_a_parameter_does_not_make_it_differ() -> None:
    params = {"lang": "de"}
    runs = [run("a", 0.8, params=params), run("b", 0.7, params=params), run("c", status="FAILED")]
    assert sections_of(runs, "test_f1")[0].shared == {"All runs": params}
    (section,) = sections_of([run("a", 0.8, params=params), run("b", 0.7)], "test_f1")
    assert section.differing == ["lang"]


def test_the_command_makes_the_run_again_from_a_shell() -> None:
    params = {
        "lr": "0.001",
        "corpus": "/a b/it's.txt",
        "test": "",
        "model_name": "m",
        "test_size": "500",
        "spacy_version": "3",
    }
    words = shlex.split(command_again(run("a", params=params)))
    assert words == ["mlflow", "run", ".", "-e", "spacy_train", "-P", "corpus=/a b/it's.txt", "-P", "lr=0.001"]
