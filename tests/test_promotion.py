"""The gate before the alias `champion`: by plain predictions, and as the step decides on versions in a registry."""

import shutil
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import mlflow
import pytest
from promote import promote
from training_runs import log_training  # type: ignore[import-not-found]
from twinner import cli
from twinner.promotion import Decision, LabelScore, judge, label_scores
from twinner.report.predictions import Predictions
from twinner.tracking.registry import Version

CHAMPION, RIVAL = Version(1, "a"), Version(2, "b")
PEOPLE, PLACES, FORMS = 100, 40, 29  # mentions in test, one a sentence

Counts = dict[str, int]
OLD: Counts = {"PER": 70, "LOC": 36, "FORM": 29}
BETTER: Counts = {"PER": 95, "LOC": 36, "FORM": 29}
SLIGHTLY_BETTER: Counts = {"PER": 72, "LOC": 36, "FORM": 29}
WORSE: Counts = {"PER": 40, "LOC": 36, "FORM": 29}
PLACES_FALL: Counts = {"PER": 95, "LOC": 30, "FORM": 29}  # F1 from 0.947 to 0.857
FORMS_FALL: Counts = {"PER": 95, "LOC": 36, "FORM": 0}


def tags_of(found: Counts) -> tuple[list[str], list[str]]:
    """Gold and predicted tags of sentences with one entity each; of each label a model finds the first ones."""
    gold, predicted = [], []
    for label, mentions in {"PER": PEOPLE, "LOC": PLACES, "FORM": FORMS}.items():
        gold += [f"O B-{label}"] * mentions
        predicted += [f"O B-{label}"] * found[label] + ["O O"] * (mentions - found[label])
    return gold, predicted


def predictions(found: Counts) -> Predictions:
    gold, predicted = ([tuple(tags.split()) for tags in side] for side in tags_of(found))
    return Predictions(gold, predicted, None, {})


def judged(before: Counts, after: Counts, max_drop: float = 0.02) -> Decision:
    return judge(RIVAL, CHAMPION, predictions(before), predictions(after), max_drop)


def test_a_significant_gain_promotes() -> None:
    decision = judged(OLD, BETTER)
    assert (decision.promoted, decision.refused) == (RIVAL, False)
    assert decision.why.startswith("a significant gain, and no label falls: version 2, the best on dev, against")
    assert "F1 on test 0.8882 → 0.9726, p = " in decision.why


@pytest.mark.parametrize(
    ("after", "why"),
    [
        (SLIGHTLY_BETTER, "no significant gain: "),
        (OLD, "no gain: "),
        (WORSE, "no gain: "),
        (PLACES_FALL, "F1 falls by more than 0.02 for LOC 0.9474 → 0.8571: "),
    ],
)
def test_the_champion_stays(after: Counts, why: str) -> None:
    decision = judged(OLD, after)
    assert (decision.promoted, decision.refused) == (None, True)
    assert decision.why.startswith(why)


def test_a_greater_drop_may_be_allowed() -> None:
    assert judged(OLD, PLACES_FALL, max_drop=0.1).promoted == RIVAL


def test_a_label_with_few_mentions_may_fall() -> None:
    few = {**OLD, "PER": 30}
    decision = judged(few, {**FORMS_FALL, "PER": 100})
    assert decision.promoted == RIVAL
    assert [(one.label, one.mentions) for one in decision.labels] == [("PER", 100), ("LOC", 40), ("FORM", 29)]


def test_a_fall_by_exactly_the_limit_is_none() -> None:
    at_limit = LabelScore("LOC", 30, 0.9, 0.88)
    assert at_limit.before - at_limit.after > 0.02  # in binary
    assert not at_limit.falls(0.02)
    assert LabelScore("LOC", 30, 0.9, 0.8799).falls(0.02)
    assert not LabelScore("LOC", 29, 0.9, 0.1).falls(0.02)


def test_label_scores_count_spurious_entities() -> None:
    gold = [("B-PER", "O"), ("B-LOC", "O")]
    before = Predictions(gold, [("B-PER", "O"), ("B-PER", "O")], None, {})
    after = Predictions(gold, [("B-LOC", "O"), ("B-LOC", "O")], None, {})
    scores = [(one.label, one.mentions, one.before, one.after) for one in label_scores(before, after)]
    assert scores == [("LOC", 1, 0.0, pytest.approx(2 / 3)), ("PER", 1, pytest.approx(2 / 3), 0.0)]


class Registry:
    """A registered model of its own, whose versions come from runs with chosen predictions."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.client = mlflow.MlflowClient()
        self.client.create_registered_model(name)

    def add(self, found: Counts | None, dev_f1: float | None = 0.8, digest: str = "d1") -> str:
        """Register a version of a new run and return the run's id; found None: it logged no predictions."""
        gold, predicted = tags_of(found or OLD)
        texts = ["in X"] * len(gold)
        run_id: str = log_training(
            dev_f1=dev_f1,
            tags={"twinner.test_digest": digest},
            sentences=list(zip(texts, gold, predicted, strict=True)) if found else None,
        )
        self.client.create_model_version(self.name, f"runs:/{run_id}/model", run_id)
        return run_id

    def crown(self, number: int) -> None:
        self.client.set_registered_model_alias(self.name, "champion", str(number))

    @property
    def aliases(self) -> dict[str, int]:
        found = self.client.get_registered_model(self.name).aliases
        return {alias: int(number) for alias, number in found.items()}

    def tags(self, number: int) -> dict[str, str]:
        return dict(self.client.get_model_version(self.name, str(number)).tags)


Step = Callable[..., tuple[int, str]]


@pytest.fixture
def registry(experiment: str) -> Registry:
    return Registry(experiment)


@pytest.fixture
def step(registry: Registry, capsys: pytest.CaptureFixture[str]) -> Step:
    """Return a function that runs the step with options; it gives the exit status and what was printed."""

    def run(*options: str) -> tuple[int, str]:
        capsys.readouterr()
        status = cli.exit_status(promote, [f"--model-name={registry.name}", *options])
        out, err = capsys.readouterr()
        assert err.count("\n") == (status != 0), err
        return status, out + err

    return run


def promotions() -> Sequence[mlflow.entities.Run]:
    return mlflow.search_runs(filter_string="tags.twinner.step = 'promote'", output_format="list")


def test_without_a_champion_the_best_on_dev_becomes_it(registry: Registry, step: Step) -> None:
    registry.add(BETTER, 0.7)
    registry.add(OLD, 0.8)
    registry.add(BETTER, 0.99, digest="d2")
    registry.add(OLD, 0.6)
    status, told = step()
    assert status == 0
    assert registry.aliases == {"champion": 2}
    assert "version 2 has the best F1 on dev, and there is no champion" in told
    assert registry.tags(2) == {}


def test_a_better_version_is_promoted_and_the_former_kept(registry: Registry, step: Step) -> None:
    registry.add(OLD, 0.8)
    registry.crown(1)
    registry.add(BETTER, 0.9)
    status, told = step()
    assert status == 0
    assert registry.aliases == {"champion": 2, "previous": 1}
    assert f"promoted models:/{registry.name}@champion: a significant gain" in told
    (run,) = promotions()
    assert run.info.status == "FINISHED"
    page = mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/promotion.md")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| ")]
    versions = [row for row in rows if row[0] in ("1", "2")]
    assert [(row[0], row[1], row[2], row[3], row[5], row[7]) for row in versions] == [
        ("2", "–", "spaCy", "0.9000", "d1", "best on dev"),
        ("1", "champion", "spaCy", "0.8000", "d1", ""),
    ]
    assert ["PER", "100", "0.8235", "0.9744", "+0.1508", ""] in rows
    assert ["FORM", "29", "1.0000", "1.0000", "+0.0000", "under 30 mentions: not judged"] in rows
    assert all(line in told for line in page.splitlines())
    assert step()[0] == 0
    assert registry.aliases == {"champion": 2, "previous": 1}


@pytest.mark.parametrize(
    ("after", "why"),
    [(SLIGHTLY_BETTER, "no significant gain"), (WORSE, "no gain"), (OLD, "no gain"), (PLACES_FALL, "F1 falls by more")],
    ids=["not significant", "worse", "the same", "a label falls"],
)
def test_a_refusal_is_a_failure_that_changes_nothing(registry: Registry, step: Step, after: Counts, why: str) -> None:
    registry.add(OLD, 0.8)
    registry.crown(1)
    registry.add(after, 0.9)
    status, told = step("--dry-run=yes")
    assert status == 0
    assert f"dry run, it would not be promoted: {why}" in told
    status, told = step()
    assert status == 1
    assert told.splitlines()[-1].startswith(f"error: not promoted: {why}")
    assert registry.aliases == {"champion": 1}
    failed, dry = promotions()
    assert (failed.info.status, dry.info.status) == ("FAILED", "FINISHED")
    assert failed.data.tags["twinner.error"].startswith(f"not promoted: {why}")


def test_max_drop_allows_a_label_to_fall(registry: Registry, step: Step) -> None:
    registry.add(OLD, 0.8)
    registry.crown(1)
    registry.add(PLACES_FALL, 0.9)
    assert step("--max-drop=.1")[0] == 0
    assert registry.aliases == {"champion": 2, "previous": 1}


def test_a_dry_run_changes_nothing(registry: Registry, step: Step) -> None:
    registry.add(OLD, 0.8)
    registry.crown(1)
    registry.add(BETTER, 0.9)
    status, told = step("--dry-run=yes")
    assert (status, registry.aliases) == (0, {"champion": 1})
    assert "dry run, version 2 would be promoted: a significant gain" in told
    status, told = step("--dry-run=yes", "--force=yes", "--reason=demo")
    assert (status, registry.aliases, registry.tags(2)) == (0, {"champion": 1}, {})
    assert "version 2 would be promoted: " in told


def test_the_choice_is_made_on_dev_and_a_tie_is_the_champions(registry: Registry, step: Step) -> None:
    registry.add(OLD, 0.8)
    registry.crown(1)
    registry.add(BETTER, 0.8)
    status, told = step()
    assert (status, registry.aliases) == (0, {"champion": 1})
    assert "version 1 is champion already, and has the best F1 on dev" in told
    assert "nothing to do: version 1" in step("--dry-run=yes")[1]
    registry.add(WORSE, 0.95)  # best on dev, so that it is what is compared, though version 2 is better on test
    assert "version 3, the best on dev, against version 1" in step()[1]


def test_versions_that_cannot_be_chosen_are_named(registry: Registry, step: Step) -> None:
    registry.add(OLD, 0.8)
    registry.crown(1)
    gone = registry.add(BETTER, 0.97)
    registry.client.delete_run(gone)
    registry.add(BETTER, None)
    registry.add(BETTER, 0.98, digest="d2")
    registry.client.create_model_version(registry.name, "s3://elsewhere/model")
    registry.add(BETTER, 0.85)
    status, told = step()
    assert (status, registry.aliases) == (0, {"champion": 6, "previous": 1})
    notes = {line.split("|")[1].strip(): line.split("|")[-2].strip() for line in told.splitlines() if " | " in line}
    expected = {"6": "best on dev", "5": "its run is gone", "4": "another test set", "2": "its run is gone"}
    assert expected | {"3": "its run has no scores, or is unfinished", "1": ""} == {n: notes[n] for n in "123456"}


def test_another_test_set_needs_force(registry: Registry, step: Step) -> None:
    registry.add(OLD, 0.8)
    registry.crown(1)
    registry.add(BETTER, 0.9, digest="d2")
    status, told = step()
    assert (status, registry.aliases) == (2, {"champion": 1})
    assert "was tested on the champion's test set d1; tested on others: version 2; train with" in told
    assert step("--force=yes", "--reason=the old test set was wrong")[0] == 0
    assert registry.aliases == {"champion": 2, "previous": 1}
    assert registry.tags(2) == {"twinner.force_reason": "the old test set was wrong"}


@pytest.mark.parametrize("number", [1, 2], ids=["the champion's", "the other's"])
def test_lost_predictions_need_force(registry: Registry, step: Step, number: int) -> None:
    run_ids = [registry.add(OLD, 0.8), registry.add(BETTER, 0.9)]
    registry.crown(1)
    place = registry.client.get_run(run_ids[number - 1]).info.artifact_uri
    shutil.rmtree(url2pathname(urlsplit(place).path))
    status, told = step()
    assert (status, registry.aliases) == (2, {"champion": 1})
    role = "the champion, " if number == 1 else ""
    assert f"error: {role}version {number} can't be compared: its run {run_ids[number - 1]} has no inference" in told
    assert step("--force=yes", "--reason=lost")[0] == 0
    assert registry.aliases == {"champion": 2, "previous": 1}


def test_other_gold_tags_under_the_same_digest_are_not_compared(registry: Registry, step: Step) -> None:
    registry.add(OLD, 0.8)
    registry.crown(1)
    run_id = log_training(dev_f1=0.9, tags={"twinner.test_digest": "d1"}, sentences=[("in X", "O B-PER", "O B-PER")])
    registry.client.create_model_version(registry.name, f"runs:/{run_id}/model", run_id)
    status, told = step()
    assert (status, registry.aliases) == (2, {"champion": 1})
    assert "was scored on other gold tags" in told


def test_a_champion_whose_run_is_gone_needs_force(registry: Registry, step: Step) -> None:
    registry.client.delete_run(registry.add(OLD, 0.8))
    registry.crown(1)
    registry.add(BETTER, 0.9)
    status, told = step()
    assert (status, registry.aliases) == (2, {"champion": 1})
    assert "version 1, is gone or has no scores; restore the run" in told
    assert step("--force=yes", "--reason=gone")[0] == 0
    assert registry.aliases == {"champion": 2, "previous": 1}


def test_force_promotes_what_the_gate_refuses(registry: Registry, step: Step) -> None:
    registry.add(OLD, 0.8)
    registry.crown(1)
    registry.add(WORSE, 0.9)
    assert step("--force=yes", "--reason=it is smaller")[0] == 0
    assert registry.aliases == {"champion": 2, "previous": 1}
    assert registry.tags(2) == {"twinner.force_reason": "it is smaller"}
    assert "version 2 is champion already" in step("--force=yes", "--reason=again")[1]
    assert registry.tags(2) == {"twinner.force_reason": "it is smaller"}


def test_rollback_brings_the_former_champion_back(registry: Registry, step: Step) -> None:
    registry.add(OLD, 0.8)
    registry.crown(1)
    status, told = step("--rollback=yes")
    assert status == 2
    assert "has no version with the alias previous; there is nothing to go back to" in told
    registry.add(BETTER, 0.9)
    step()
    assert step("--rollback=yes", "--dry-run=yes")[0] == 0
    assert registry.aliases == {"champion": 2, "previous": 1}
    status, told = step("--rollback=yes")
    assert (status, registry.aliases) == (0, {"champion": 1, "previous": 2})
    assert "version 1 is champion again, and version 2 is previous" in told


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--model-name="], "model_name is empty; give the name of a registered model"),
        (["--max-drop=1"], "max_drop is 1.0; it must be at least 0 and below 1"),
        (["--max-drop=-.1"], "max_drop is -0.1; it must be at least 0 and below 1"),
        (["--max-drop=nan"], "max_drop is nan; it must be at least 0 and below 1"),
        (["--force=yes"], "force=yes has no reason; say why with reason"),
        (["--force=yes", "--reason= "], "force=yes has no reason; say why with reason"),
        (["--reason=why"], "reason is given, but force is not; give force=yes too, or leave reason out"),
        (["--force=yes", "--reason=why", "--rollback=yes"], "force and rollback are both yes; give one of them"),
        (["--dry-run=maybe"], "'maybe' is not one of 'yes', 'no'"),
    ],
)
def test_bad_parameters_are_refused_before_a_run_is_made(
    registry: Registry, step: Step, options: list[str], told: str
) -> None:
    status, line = step(*options)
    assert status == 2
    assert told in line
    assert promotions() == []


def test_an_unknown_model_is_answered_with_similar_names(registry: Registry, step: Step) -> None:
    for name in (f"{registry.name}s", "a/b"):
        status, told = step(f"--model-name={name}")
        assert status == 2
        assert f"there is no registered model {name!r}; use one of these: " in told
    assert f"{registry.name!r}" in step(f"--model-name={registry.name}s")[1]


def test_a_model_without_versions_or_scores_is_bad_input(registry: Registry, step: Step) -> None:
    status, told = step()
    assert status == 2
    assert f"{registry.name!r} has no version; train one with `mlflow run . -e spacy_train -P model_name=" in told
    registry.add(OLD, None)
    status, told = step()
    assert status == 2
    assert "no version of the registered model" in told
    assert registry.aliases == {}


@pytest.mark.parametrize("name", ["it's one", 'the "best"', "a@b c|d"])
def test_odd_names_can_be_promoted(
    experiment: str, name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    registry = Registry(name)
    registry.add(OLD, 0.8)
    assert cli.exit_status(promote, [f"--model-name={name}"]) == 0
    assert registry.aliases == {"champion": 1}


def test_an_unreachable_store_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:  # bound, but not listening
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
        mlflow.set_tracking_uri(f"http://me:secret@127.0.0.1:{taken.getsockname()[1]}")
        assert cli.exit_status(promote, ["--model-name=x"]) == 2
    error = capsys.readouterr().err
    assert "can't be used (connection refused)" in error
    assert "secret" not in error
    assert error.count("\n") == 1
