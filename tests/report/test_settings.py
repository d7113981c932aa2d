import statistics
from dataclasses import replace

import pytest
from training_runs import run  # type: ignore[import-not-found]
from twinner.report.settings import rank_settings
from twinner.tracking.run import Run


def test_groups_runs_that_differ_only_in_seed() -> None:
    runs = [
        run("a", 0.8, params={"lr": "1", "seed": "0", "export": "/x"}),
        run("b", 0.9, params={"lr": "1", "seed": "1"}),
        run("c", 0.7, params={"lr": "2", "seed": "2"}),
        run("d", 0.99, params={"lr": "1", "seed": "1"}, minute=1),  # the same seed again: b counts
        run("e", 0.5, framework="sparknlp", params={"lr": "1", "seed": "3"}),
    ]
    settings = rank_settings(runs, "test_f1")
    assert [[one.name for one in setting.runs] for setting in settings] == [["b", "a"], ["c"], ["e"]]
    assert [[one.name for one in setting.repeats] for setting in settings] == [["d"], [], []]
    assert settings[0].best.name == "b"
    assert settings[0].mean("test_f1") == pytest.approx(0.85)
    assert settings[0].spread("test_f1") == pytest.approx(statistics.stdev([0.9, 0.8]))
    assert settings[0].seeds == "2 seeds"
    assert (settings[1].spread("test_f1"), settings[1].seeds) == (None, "1 seed")


def test_metric_is_averaged_over_the_seeds_that_have_it() -> None:
    runs = [run("a", 0.8, params={"seed": "0"}, metrics={"training_time": 9}), run("b", 0.9, params={"seed": "1"})]
    (setting,) = rank_settings(runs, "test_f1")
    assert (setting.mean("training_time"), setting.spread("training_time")) == (9, None)
    assert not setting.has("peak_memory_mb")


def test_runs_that_do_not_say_their_seed_stand_alone() -> None:
    runs = [run("a", 0.8, params={"lr": "1"}), run("b", 0.7, params={"lr": "1"})]
    assert [[one.name for one in setting.runs] for setting in rank_settings(runs, "test_f1")] == [["a"], ["b"]]


def with_tags(one: Run, **tags: str) -> Run:
    return replace(one, tags={**one.tags, **{f"twinner.{name}": text for name, text in tags.items()}})


def test_settings_share_code_corpus_and_language() -> None:
    first, second = (run(seed, 0.8, params={"seed": seed, "lang": lang}) for seed, lang in (("0", "auto"), ("1", "de")))
    for name in ("code", "corpus_digest", "lang"):
        other = [with_tags(first, **{"lang": "de", name: "x"}), with_tags(second, **{"lang": "de", name: "y"})]
        assert len(rank_settings(other, "test_f1")) == 2
    assert len(rank_settings([with_tags(first, lang="de"), with_tags(second, lang="de")], "test_f1")) == 1
    # The code decides where it is known, as a commit may only have changed the documentation.
    commits = [
        replace(with_tags(one, code="c", lang="de"), tags={**one.tags, "mlflow.source.git.commit": one.name})
        for one in (first, second)
    ]
    assert len(rank_settings(commits, "test_f1")) == 2
    commits = [with_tags(one, code="c", lang="de") for one in commits]
    assert len(rank_settings(commits, "test_f1")) == 1


def test_lowest_mean_cost_ranks_first_and_ties_go_to_the_earlier_setting() -> None:
    runs = [
        run(name, metrics={"training_time": seconds}, params={"lr": lr, "seed": seed}, minute=minute)
        for name, lr, seed, seconds, minute in (
            ("a", "1", "0", 10, 3),
            ("b", "1", "1", 30, 4),
            ("c", "2", "0", 20, 1),
            ("d", "3", "0", 19, 9),
        )
    ]
    ranked = rank_settings(runs, "training_time")
    assert [[one.name for one in setting.runs] for setting in ranked] == [["d"], ["c"], ["a", "b"]]
