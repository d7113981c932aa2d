import math
import shlex
from dataclasses import replace

from training_runs import run  # type: ignore[import-not-found]
from twinner.report.sections import rerun_command, split_into_sections
from twinner.tracking.read import Run


def test_ranks_best_first_and_unfinished_last() -> None:
    runs = [run("failed", status="FAILED"), run("low", 0.7), run("high", 0.9), run("going", 0.99, status="RUNNING")]
    (section,) = split_into_sections(runs, "test_f1")
    assert [r.name for r in section.ranked] == ["high", "low"]
    assert {r.name for r in section.unranked} == {"failed", "going"}
    assert section.winner is not None
    assert section.winner.name == "high"
    assert section.margin(section.ranked[1]) == "20.0 points"


def test_ranks_each_test_set_separately() -> None:
    runs = [run("a", 0.7), run("b", 0.6), run("c", 0.99, digest="d2"), run("d", 0.98, digest="")]
    sections = split_into_sections(runs, "test_f1")
    assert [(s.digest, [r.name for r in s.ranked]) for s in sections] == [("d1", ["a", "b"]), ("d2", ["c"]), ("", [])]


def test_lowest_cost_wins() -> None:
    runs = [run("slow", metrics={"training_time": 90.0}), run("fast", metrics={"training_time": 30.0})]
    (section,) = split_into_sections(runs, "training_time")
    assert [r.name for r in section.ranked] == ["fast", "slow"]
    assert section.margin(section.ranked[1]) == "60"


def test_earlier_run_wins_ties() -> None:
    (section,) = split_into_sections([run("later", 0.8, minute=5), run("earlier", 0.8)], "test_f1")
    assert [r.name for r in section.ranked] == ["earlier", "later"]
    assert section.margin(section.ranked[1]) == "the same value"


def test_separates_shared_and_differing_parameters() -> None:
    runs = [
        run("a", 0.8, params={"lr": "0.001", "lang": "de", "batch_size": "1000", "limit": "0", "test": ""}),
        run("b", 0.7, params={"lr": "0.001", "lang": "de", "batch_size": "1000", "limit": "9", "test": ""}),
        run("c", 0.6, framework="sparknlp", params={"lr": "0.003", "lang": "de", "batch_size": "32", "limit": "0"}),
    ]
    (section,) = split_into_sections(runs, "test_f1")
    assert section.shared == {
        "All runs": {"lang": "de"},
        "Spark NLP runs": {"batch_size": "32"},
        "spaCy runs": {"batch_size": "1000"},
    }
    assert section.differing == ["limit"]
    titles = [column.title for column in section.columns]
    assert titles == ["Framework", "lr", "limit", "F1", "Started (UTC)"]


def test_failed_runs_may_lack_parameters() -> None:
    params = {"lang": "de"}
    runs = [run("a", 0.8, params=params), run("b", 0.7, params=params), run("c", status="FAILED")]
    assert split_into_sections(runs, "test_f1")[0].shared == {"All runs": params}
    (section,) = split_into_sections([run("a", 0.8, params=params), run("b", 0.7)], "test_f1")
    assert section.differing == ["lang"]


def test_rerun_command_is_quoted_for_the_shell() -> None:
    params = {
        "lr": "0.001",
        "corpus": "/a b/it's.txt",
        "test": "",
        "model_name": "m",
        "test_size": "500",
        "spacy_version": "3",
    }
    words = shlex.split(rerun_command(run("a", params=params)))
    assert words == ["mlflow", "run", ".", "-e", "spacy_train", "-P", "corpus=/a b/it's.txt", "-P", "lr=0.001"]


def foreign(name: str, experiment: str = "theirs", **metrics: float) -> Run:
    return replace(run(name, metrics=metrics), tags={}, experiment=experiment)


def test_runs_of_other_tools_form_a_section_per_experiment() -> None:
    runs = [run("ours", 0.7), foreign("a", test_f1=0.9), foreign("b", test_f1=0.8), foreign("c", "more", test_f1=0.6)]
    sections = split_into_sections([*runs, foreign("d", test_f1=math.nan)], "test_f1")
    found = [(s.digest, s.experiment, [r.name for r in s.ranked], [r.name for r in s.unranked]) for s in sections]
    assert found[0] == ("", "theirs", ["a", "b"], ["d"])
    assert sorted(found[1:]) == [("", "more", ["c"], []), ("d1", "", ["ours"], [])]


def test_runs_of_other_tools_with_the_test_digest_are_compared() -> None:
    theirs = replace(foreign("theirs", test_f1=0.9), tags={"twinner.test_digest": "d1"})
    (section,) = split_into_sections([run("ours", 0.7), theirs], "test_f1")
    assert [r.name for r in section.ranked] == ["theirs", "ours"]


def test_runs_of_other_tools_are_ranked_by_their_last_dev_score() -> None:
    ours = run("ours", metrics={"best_dev_f1": 0.5, "dev_f1": 0.9})
    sections = split_into_sections([ours, foreign("theirs", dev_f1=0.8)], "best_dev_f1")
    assert {s.winner.name: s.metric for s in sections if s.winner} == {"ours": "best_dev_f1", "theirs": "dev_f1"}


def test_runs_of_other_tools_have_no_rerun_command() -> None:
    source = {"mlflow.source.name": "https://example.org/other.git", "mlflow.project.entryPoint": "train"}
    assert rerun_command(replace(foreign("theirs"), tags=source), "conda") == ""


def test_rerun_command_names_the_environment_manager() -> None:
    assert rerun_command(run("a"), "uv") == "mlflow run . -e spacy_train --env-manager uv"


def test_table_has_a_limited_number_of_parameters() -> None:
    common = {f"common_{number}": "x" for number in range(20)}
    runs = [
        run("a", 0.8, params=common | {f"rare_{number}": "1" for number in range(50)}),
        run("b", 0.7, params=dict.fromkeys(common, "y")),
    ]
    (section,) = split_into_sections(runs, "test_f1")
    names = [column.key for column in section.columns if column.kind == "param"]
    assert len(section.differing) == 70
    assert len(names) == 30
    assert {*common} <= {*names}
