import math
from dataclasses import replace

from training_runs import run  # type: ignore[import-not-found]
from twinner.report.sections import rank_on_dev, split_into_sections
from twinner.tracking.run import Run


def test_ranks_best_first_and_unfinished_last() -> None:
    runs = [run("failed", status="FAILED"), run("low", 0.7), run("high", 0.9), run("going", 0.99, status="RUNNING")]
    (section,) = split_into_sections(runs, "test_f1")
    assert [r.name for r in section.ranked] == ["high", "low"]
    assert {r.name for r in section.unranked} == {"failed", "going"}
    assert section.winner is not None
    assert section.winner.best.name == "high"
    assert section.margin(section.settings[1]) == "20.0 points"


def test_ranks_each_test_set_separately() -> None:
    runs = [run("a", 0.7), run("b", 0.6), run("c", 0.99, digest="d2"), run("d", 0.98, digest="")]
    sections = split_into_sections(runs, "test_f1")
    assert [(s.digest, [r.name for r in s.ranked]) for s in sections] == [("d1", ["a", "b"]), ("d2", ["c"]), ("", [])]


def test_lowest_cost_wins() -> None:
    runs = [run("slow", metrics={"training_time": 90.0}), run("fast", metrics={"training_time": 30.0})]
    (section,) = split_into_sections(runs, "training_time")
    assert [r.name for r in section.ranked] == ["fast", "slow"]
    assert section.margin(section.settings[1]) == "60"


def test_earlier_run_wins_ties() -> None:
    (section,) = split_into_sections([run("later", 0.8, minute=5), run("earlier", 0.8)], "test_f1")
    assert [r.name for r in section.ranked] == ["earlier", "later"]
    assert section.margin(section.settings[1]) == "the same value"


def test_settings_are_ranked_by_their_mean_over_seeds() -> None:
    runs = [
        run("a0", 0.9, params={"lr": "1", "seed": "0"}),
        run("a1", 0.6, params={"lr": "1", "seed": "1"}),
        run("b0", 0.8, params={"lr": "2", "seed": "0"}),
        run("b1", 0.76, params={"lr": "2", "seed": "1"}),
        run("b0 again", 0.99, params={"lr": "2", "seed": "0"}, minute=5),
    ]
    (section,) = split_into_sections(runs, "best_dev_f1")
    assert [[one.name for one in setting.runs] for setting in section.settings] == [["b0", "b1"], ["a0", "a1"]]
    assert [one.name for one in section.ranked] == ["b0", "b1", "b0 again", "a0", "a1"]
    assert section.ranks == {"b0": 1, "b1": 1, "b0 again": 1, "a0": 2, "a1": 2}
    assert section.margin(section.settings[1]) == "1.5 points"  # half of 0.78 - 0.75: dev F1 is half of test F1
    assert [section.describe(setting) for setting in section.settings] == ["lr 2", "lr 1"]


def test_runs_without_a_dev_score_are_ranked_on_test_where_none_has_one() -> None:
    old = [replace(run(name, f1), metrics={"test_f1": f1}) for name, f1 in (("low", 0.6), ("high", 0.7))]
    (section,) = split_into_sections(old, "best_dev_f1")
    assert (section.metric, section.asked) == ("test_f1", "best_dev_f1")
    assert [one.name for one in section.ranked] == ["high", "low"]
    assert rank_on_dev(section).winner is None
    (section,) = split_into_sections([*old, run("new", 0.5)], "best_dev_f1")
    assert section.metric == "best_dev_f1"
    assert [one.name for one in section.ranked] == ["new"]
    assert {one.name for one in section.unranked} == {"low", "high"}


def test_a_section_can_be_ranked_on_dev_again() -> None:
    runs = [run("a", 0.9, metrics={"best_dev_f1": 0.5}), run("b", 0.8, metrics={"best_dev_f1": 0.6})]
    (section,) = split_into_sections(runs, "test_f1")
    assert [one.name for one in section.ranked] == ["a", "b"]
    assert [one.name for one in rank_on_dev(section).ranked] == ["b", "a"]


def test_sweep_is_a_column_and_no_parameter() -> None:
    params = {"lr": "1", "sweep": "demo"}
    runs = [run("a", 0.8, params=params), replace(run("b", 0.7), tags={"twinner.sweep": "other", **run("b").tags})]
    (section,) = split_into_sections(runs, "test_f1")
    assert [(one.title, [one.cell(each)[0] for each in section.ranked]) for one in section.columns][1] == (
        "Sweep",
        ["demo", "other"],
    )
    assert "sweep" not in {*section.differing, *section.shared.get("All runs", {})}


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
    assert {s.winner.best.name: s.metric for s in sections if s.winner} == {"ours": "best_dev_f1", "theirs": "dev_f1"}


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
