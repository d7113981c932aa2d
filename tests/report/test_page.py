import json

import mlflow
import numpy as np
import pytest
from page_parser import Page  # type: ignore[import-not-found]
from training_runs import (  # type: ignore[import-not-found]
    BEST,
    BEST_COUNTS,
    EVIL,
    GOLD,
    LOSSES,
    NEXT_COUNTS,
    TOKENS,
    log_training,
    log_two_with_predictions,
)
from twinner.evaluation.significance import compare, f1_interval
from twinner.frameworks import FRAMEWORKS, Framework
from twinner.report import Selection, build_report


def test_shows_winner_margin_model_and_command(experiment: str) -> None:
    log_training("spacy", name="second", test_f1=0.81, params={"drop_rate": ".10"})
    winner = log_training("sparknlp", name="first", test_f1=0.832, params={"lr": "3e-3", "spark_master": "'local[*]'"})
    log_training("sparknlp", name="third", test_f1=0.79)
    built = build_report()
    page = Page(built.html)
    assert (built.runs_count, built.winner.id) == (3, winner)
    assert page.headings[0] == "Spark NLP leads on demo, chosen on dev: test_f1 0.832"
    assert "best_dev_f1 0.4050: 1.1 points behind" in page.text  # 100 * (0.832 - 0.81) / 2
    assert "kept): chosen on dev, told on test." in page.text
    assert f"runs:/{winner}/model" in page.text
    command = (
        "mlflow run . -e sparknlp_train -P corpus=demo -P drop_rate=0.2 -P epochs=3 -P lr=0.003 -P seed=0 "
        "-P 'spark_master=local[*]'"
    )
    assert command in page.text


def test_table_shows_logged_values(experiment: str) -> None:
    log_training(
        name="one",
        test_f1=0.75,
        params={"drop_rate": ".10"},
        metrics={
            "training_time": 12.34,
            "train_words_per_second": 10432.4,
            "test_f1_DRUG": 0.5,
            "test_partial_f1": 0.8,
        },
        tags={"mlflow.source.git.commit": "0123456789abcdef"},
    )
    log_training("sparknlp", name="two", test_f1=0.8, params={"embeddings": "word2vec"}, metrics={"test_f1_DRUG": 0.6})
    log_training(name="three", test_f1=None, status="FAILED", tags={"twinner.test_digest": "aaaa000011112222"})
    page = Page(build_report().html)
    assert page.column("Rank") == ["1", "2", "–"]
    assert [cell.split()[0] for cell in page.column("Run")] == ["two", "one", "three"]
    assert page.column("Run")[2].split()[1] == "failed"
    assert page.column("drop_rate") == ["0.2", "0.1", "0.2"]
    assert page.column("embeddings") == ["word2vec", "–", "–"]
    assert page.column("F1") == ["0.800", "0.750", "–"]
    assert page.column("Precision") == ["0.820", "0.770", "–"]
    assert page.column("Partial F1") == ["–", "0.800", "–"]
    assert page.column("DRUG") == ["0.600", "0.500", "–"]
    assert page.column("Training (s)") == ["–", "12.3", "–"]
    assert page.column("Words/s, train") == ["–", "10,432", "–"]
    assert page.column("Commit") == ["–", "0123456789", "–"]
    lengths = {sum(int(row.get("colspan") or 1) for row in head) for head in _header_rows(page)}
    assert lengths == {len(page.tables[0][1])}


def _header_rows(page: Page) -> list[list[dict[str, str | None]]]:
    rows: list[list[dict[str, str | None]]] = []
    begin = next(place for place, (_, attributes) in enumerate(page.tags) if "data-runs" in attributes)
    for tag, attributes in page.tags[begin:]:
        if tag == "tr":
            rows.append([])
        elif tag in ("th", "td") and rows:
            rows[-1].append(attributes)
    return rows[:2]


def test_plots_show_logged_values(experiment: str) -> None:
    labels = {"test_f1_DRUG": 0.5, "test_f1_FORM": 0.9}
    log_training(
        "spacy", name="a", test_f1=0.7, token_f1=(0.5, 0.6, 0.65), metrics=labels, support={"DRUG": 40, "FORM": 7}
    )
    log_training("sparknlp", name="b", test_f1=0.8, token_f1=(0.4, 0.7), metrics={"test_f1_DRUG": 0.6})
    figures = Page(build_report().html).figures
    losses = figures["Loss by epoch, spaCy"]["data"]
    assert [(trace["x"], trace["y"]) for trace in losses] == [([1, 2, 3], [900, 400, 250])]
    shared = {trace["name"]: (trace["x"], trace["y"]) for trace in figures["Token F1 on dev by epoch"]["data"]}
    assert shared == {"a (spaCy)": ([1, 2, 3], [0.5, 0.6, 0.65]), "b (Spark NLP)": ([1, 2], [0.4, 0.7])}
    entities = figures["Entity F1 on dev by epoch"]["data"]
    assert [trace["y"] for trace in entities] == [pytest.approx([0.45, 0.55, 0.6])]
    bars = figures["Test F1 by label"]
    assert {bar["name"]: bar["x"] for bar in bars["data"]} == {"spaCy: a": [0.5, 0.9], "Spark NLP: b": [0.6, None]}
    assert bars["layout"]["yaxis"]["ticktext"] == ["DRUG (n = 40)", "FORM (n = 7)"]


def test_each_test_set_has_a_section(experiment: str) -> None:
    log_training(name="a", test_f1=0.7)
    log_training(name="b", test_f1=0.6, params={"lr": "1"})
    log_training(name="c", test_f1=0.99, tags={"twinner.test_digest": "ffff", "twinner.corpus": "med-de"})
    log_training(name="d", test_f1=None, status="FAILED", tags={"twinner.error": "lr is 0; it must be above 0"})
    built = build_report()
    page = Page(built.html)
    assert built.winner.name == "a"
    assert [[cell.split()[0] for cell in page.column("Run", table)] for table in range(3)] == [["a", "b"], ["c"], ["d"]]
    assert [page.column("Rank", table) for table in range(3)] == [["1", "2"], ["1"], ["–"]]
    assert "lr is 0; it must be above 0" in page.text


def test_states_selection(experiment: str) -> None:
    for rate in ("0.1", "0.2", "0.5"):
        log_training(name=f"rate {rate}", params={"drop_rate": rate})
    built = build_report(Selection(drop_rate="0.1:0.3"))
    assert built.runs_count == 2
    assert "Only drop_rate 0.1:0.3" in Page(built.html).text


def test_notes_missing_parts(experiment: str) -> None:
    with mlflow.start_run(run_name="bare"):
        mlflow.set_tags({"twinner.step": "other_train", "twinner.test_digest": "1"})
        mlflow.log_metric("test_f1", 0.5)
    page = Page(build_report().html)
    assert page.figures == {}
    assert "No curve of ner.losses, which was not logged, for: bare." in page.text
    assert "No scores by label" in page.text
    assert page.column("Framework") == ["other"]


def test_hostile_text_is_escaped(experiment: str) -> None:
    plain = Page(_report_of_one("a-run"))
    hostile = Page(_report_of_one(EVIL))
    kinds = [[tag for tag, _ in page.tags if tag in ("script", "img", "a", "b", "bdi")] for page in (plain, hostile)]
    assert kinds[0] == kinds[1]
    assert not [attributes for _, attributes in hostile.tags if "onerror" in attributes]
    assert f"vectors {EVIL}" in hostile.text
    assert EVIL in hostile.column("Run")[0]
    name = hostile.figures["Loss by epoch, spaCy"]["data"][0]["name"]
    assert name == '"&gt;&lt;img src=x onerror=alert(1)&gt;&lt;…'  # Plotly reads entities, and would read tags


def _report_of_one(text: str) -> str:
    tags = {"twinner.corpus": text, "mlflow.source.git.commit": text, "twinner.test_digest": "1"}
    log_training(name=text, params={"vectors": text, "lr": text}, tags=tags)
    log_training(name=text, test_f1=None, status="FAILED", tags={**tags, "twinner.error": text})
    return build_report(filter=f"tags.twinner.corpus = '{text}'".replace("twinner.corpus", "`twinner.corpus`")).html


def test_policy_allows_own_scripts_only(experiment: str) -> None:
    log_training()
    page = Page(build_report().html)
    policy = next(
        attributes["content"] for tag, attributes in page.tags if tag == "meta" and "http-equiv" in attributes
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'sha256-")
    assert not [attributes for _, attributes in page.tags if (attributes.get("src") or "").startswith("http")]


def test_run_links_omit_password(experiment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = log_training()
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: "http://me:secret@127.0.0.1:5000/")
    page = Page(build_report().html)
    (link,) = {attributes["href"] for tag, attributes in page.tags if tag == "a" and "target" in attributes}
    assert link is not None
    assert link.startswith("http://127.0.0.1:5000/#/experiments/")
    assert link.endswith(f"/runs/{identity}")


def test_limits_drawn_curves(experiment: str) -> None:
    labels = {f"test_f1_LABEL_{number:02}": number / 40 for number in range(40)}
    for number in range(42):
        params = {"lr": str(number)}
        log_training(name=f"run {number}", test_f1=number / 50, params=params, metrics=labels, token_f1=(0.5,))
    page = Page(build_report().html)
    assert len(page.tables[0]) == 2 + 42
    assert len(page.figures["Token F1 on dev by epoch"]["data"]) == 40
    covered = (
        "The table of settings, the curves and the comparisons cover the 40 best of 42 settings; runs.csv ranks all."
    )
    assert covered in page.text
    assert len(page.settings[0]) == 1 + 40
    assert len(json.dumps(page.figures["Test F1 by label"]["data"][0]["x"])) > 40


def test_shows_interval_and_significance(experiment: str) -> None:
    log_two_with_predictions()
    page = Page(build_report().html)
    interval = f1_interval([np.array(BEST_COUNTS * 10)])
    assert interval is not None
    ends = f"between {interval.low:.3f} and {interval.high:.3f} (95 % interval over 40 sentences)"
    assert f"test F1 {ends}" in page.text
    p_value = compare([np.array(BEST_COUNTS * 10)], [np.array(NEXT_COUNTS * 10)]).p_value
    assert p_value < 0.001
    assert "Significant on test: 25.5 points behind, p < 0.001 corrected for 1 comparison; uncorrected" in page.text
    assert "uncorrected p < 0.001; the two differ on 20 of 40 sentences" in page.text


def test_shows_errors_by_kind_slice_and_label(experiment: str) -> None:
    log_two_with_predictions()
    page = Page(build_report().html)
    kinds, parts, frequent = page.tables[1:4]
    assert [row[0].split()[0] for row in kinds[1:]] == ["correct", "missed", "spurious", "wrong", "wrong", "wrong"]
    assert [row[1:] for row in kinds[1:]] == [
        ["40", "30"],
        ["0", "0"],
        ["0", "10"],
        ["10", "10"],
        ["0", "10"],
        ["0", "0"],
    ]
    by_part = {row[0]: row[1:] for row in parts[1:]}
    assert by_part["Entities seen in training recall"] == ["30", "1.000", "1.000"]
    assert by_part["Entities not seen in training recall"] == ["20", "0.500", "0.000"]  # New York; none
    assert frequent[1] == ["LOC", "PER", "wrong type", "10", "10"]
    matrix = page.figures["Confusion matrix: best"]["data"][0]
    assert matrix["text"] == [["30", "10", ""], ["", "10", ""], ["", "", ""]]  # LOC, PER, nothing
    assert matrix["z"][0] == [0.75, 0.25, 0]


def test_shows_disagreements_unless_text_is_excluded(experiment: str) -> None:
    log_two_with_predictions()
    page = Page(build_report().html)
    assert "Where the two best settings disagree: 20 of 40 sentences" in page.headings
    kinds = [attributes["data-kinds"] for tag, attributes in page.tags if tag == "article"]
    assert sorted(map(str, kinds)) == ["spurious"] * 10 + ["wrong border"] * 10
    assert "Anna" in page.text
    silent = Page(build_report(log_text=False).html)
    assert not [tag for tag, _ in silent.tags if tag == "article"]
    assert "log_text=no leaves the corpus's text out" in silent.text
    for word in ("Anna", "York", "regnet"):
        assert word not in silent.text


def test_compares_runs_without_text(experiment: str) -> None:
    log_two_with_predictions(["", "", "", ""])
    page = Page(build_report().html)
    assert "Sentences are not shown: the runs did not log the corpus's text." in page.text
    assert "Significant on test: 25.5 points behind, p < 0.001" in page.text


def test_notes_score_that_differs_from_predictions(experiment: str) -> None:
    log_training(name="odd", test_f1=0.9, sentences=list(zip(TOKENS, GOLD, BEST, strict=True)))
    assert "odd logged test_f1 0.9000, but its predictions give 0.8000." in Page(build_report().html).text


def test_notes_run_without_predictions(experiment: str) -> None:
    log_training(name="bare")
    page = Page(build_report().html)
    assert "No interval, comparison or errors for bare: it has no inference.parquet." in page.text
    assert "Errors" not in page.headings


def test_averages_seeds(experiment: str) -> None:
    for seed, f1, curve in (("0", 0.8, (0.5, 0.6)), ("1", 0.7, (0.7, 0.8))):
        log_training(name=f"seed {seed}", test_f1=f1, params={"seed": seed}, token_f1=curve)
    page = Page(build_report().html)
    assert page.headings[0] == "spaCy leads on demo, chosen on dev: test_f1 0.750"
    assert "test_f1 , mean of 2 seeds ± 0.0707; the best one on dev is seed 0" in page.text
    assert "best_dev_f1 0.3750 ± 0.0354" in page.text  # 0.05 / sqrt(2)
    assert page.column("Rank") == ["1", "1"]
    band, line = page.figures["Token F1 on dev by epoch"]["data"]
    assert line["name"] == "seed 0 (2 seeds)"
    assert line["y"] == pytest.approx([0.6, 0.7])
    spread = 0.2 / 2**0.5
    assert band["y"] == pytest.approx([0.6 + spread, 0.7 + spread, 0.7 - spread, 0.6 - spread])


def test_plots_sweep(experiment: str) -> None:
    for rate, lr, f1, seconds in (("0.1", "0.1", 0.7, 10), ("0.3", "0.1", 0.9, 30), ("0.3", "0.2", 0.8, 40)):
        params, metrics = {"drop_rate": rate, "lr": lr}, {"training_time": seconds}
        log_training(name=f"{rate} {lr}", test_f1=f1, params=params, metrics=metrics)
    page = Page(build_report().html)
    dots, line = page.figures["Effect of drop_rate"]["data"]
    # The score on dev is half of that on test.
    assert sorted(zip(dots["x"], dots["y"], strict=True)) == [(0.1, 0.35), (0.3, 0.4), (0.3, 0.45)]
    assert (line["x"], line["y"]) == ([0.1, 0.3], pytest.approx([0.35, 0.425]))
    front, marks = page.figures["Score against training time"]["data"]
    assert (front["x"], front["y"]) == ([10, 30], [0.35, 0.45])
    assert sorted(zip(marks["x"], marks["y"], strict=True)) == [(10, 0.35), (30, 0.45), (40, 0.4)]
    others, best = page.figures["All settings at once"]["data"]
    # drop_rate 0.1 to 0.3, lr 0.1 to 0.2, time 10 to 40, F1 0.7 to 0.9, each from 0 to 1.
    assert best["y"] == pytest.approx([1, 0, 2 / 3, 1, None])
    assert others["y"] == pytest.approx([1, 1, 1, 0.5, None, 0, 0, 0, 0, None])


def test_details_only_largest_sections(experiment: str) -> None:
    for number in range(8):
        log_training(name=f"run {number}", tags={"twinner.test_digest": f"digest {number}"})
    page = Page(build_report().html)
    assert len(page.tables) == 8
    assert page.headings.count("Plots") == 6
    assert page.text.count("shown only for the 6 sections with the most runs") == 2


def test_new_framework_gets_its_colour_everywhere(experiment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    toy = Framework("Toy", "#123456", "#abcdef", "toy", "toy", "toy", ())
    monkeypatch.setitem(FRAMEWORKS, "toy", toy)
    monkeypatch.setitem(LOSSES, "toy", (3.0, 2.0, 1.0))
    log_training("toy", name="a", test_f1=0.9)
    html = build_report().html
    page = Page(html)
    assert page.headings[0] == "Toy leads on demo, chosen on dev: test_f1 0.900"
    (line,) = page.figures["Loss by epoch, Toy"]["data"]
    assert line["line"]["color"] == "#123456"
    assert page.dark_colours["#123456"] == "#abcdef"
    (number,) = {
        name.removeprefix("mark-")
        for _, attributes in page.tags
        for name in (attributes.get("class") or "").split()
        if name.startswith("mark-")
    }
    assert f".mark-{number} {{ background: #123456 }}" in html
    assert f"(prefers-color-scheme: dark) {{ .mark-{number} {{ background: #abcdef }} }}" in html
