import json

import mlflow
import pytest
from pages import Page  # type: ignore[import-not-found]
from training_runs import log_training  # type: ignore[import-not-found]
from twinner.errors import BadInput
from twinner.report import Choice, build_report

EVIL = '"><img src=x onerror=alert(1)></script><script>alert(1)</script>'


def test_the_answer_comes_first_with_its_margin_model_and_command(experiment: str) -> None:
    log_training("spacy", name="second", test_f1=0.81, params={"drop_rate": ".10"})
    winner = log_training("sparknlp", name="first", test_f1=0.832, params={"lr": "3e-3", "spark_master": "'local[*]'"})
    log_training("sparknlp", name="third", test_f1=0.79)
    built = build_report()
    page = Page(built.html)
    assert (built.runs_count, built.winner.id) == (3, winner)
    assert page.headings[0] == "Spark NLP leads on demo with test_f1 0.832"
    assert "second : 2.2 points behind" in page.text  # 100 * (0.832 - 0.81)
    assert f"runs:/{winner}/model" in page.text
    command = (
        "mlflow run . -e sparknlp_train -P corpus=demo -P drop_rate=0.2 -P epochs=3 -P lr=0.003 -P seed=0 "
        "-P 'spark_master=local[*]'"
    )
    assert command in page.text


def test_the_table_holds_what_was_logged(experiment: str) -> None:
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
    for tag, attributes in page.tags:
        if tag == "tr":
            rows.append([])
        elif tag in ("th", "td") and rows:
            rows[-1].append(attributes)
    return rows[:2]


def test_the_curves_and_bars_show_what_was_logged(experiment: str) -> None:
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


def test_runs_of_another_test_set_get_a_section_of_their_own(experiment: str) -> None:
    log_training(name="a", test_f1=0.7)
    log_training(name="b", test_f1=0.6)
    log_training(name="c", test_f1=0.99, tags={"twinner.test_digest": "ffff", "twinner.corpus": "med-de"})
    log_training(name="d", test_f1=None, status="FAILED", tags={"twinner.error": "lr is 0; it must be above 0"})
    built = build_report()
    page = Page(built.html)
    assert built.winner.name == "a"
    assert [[cell.split()[0] for cell in page.column("Run", table)] for table in range(3)] == [["a", "b"], ["c"], ["d"]]
    assert [page.column("Rank", table) for table in range(3)] == [["1", "2"], ["1"], ["–"]]
    assert "lr is 0; it must be above 0" in page.text


def test_only_the_chosen_runs_are_covered_and_the_page_says_which(experiment: str) -> None:
    for rate in ("0.1", "0.2", "0.5"):
        log_training(name=f"rate {rate}", params={"drop_rate": rate})
    built = build_report(Choice(drop_rate="0.1:0.3"))
    assert built.runs_count == 2
    assert "Only drop_rate 0.1:0.3" in Page(built.html).text


def test_another_metric_ranks_and_gets_a_column(experiment: str) -> None:
    log_training(name="slow", test_f1=0.9, metrics={"test_time": 9})
    log_training(name="fast", test_f1=0.8, metrics={"test_time": 3})
    built = build_report(metric="test_time")
    assert built.winner.name == "fast"
    assert Page(built.html).column("test_time") == ["3.000", "9.000"]


def test_missing_parts_are_left_out_and_said_so(experiment: str) -> None:
    with mlflow.start_run(run_name="bare"):
        mlflow.set_tags({"twinner.step": "other_train", "twinner.test_digest": "1"})
        mlflow.log_metric("test_f1", 0.5)
    page = Page(build_report().html)
    assert page.figures == {}
    assert "No curve of ner.losses, which they did not log, for: bare." in page.text
    assert "No bars by label" in page.text
    assert page.column("Framework") == ["other"]


def test_hostile_names_values_and_errors_are_text_alone(experiment: str) -> None:
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


def test_only_our_own_scripts_may_run_and_nothing_may_be_fetched(experiment: str) -> None:
    log_training()
    page = Page(build_report().html)
    policy = next(
        attributes["content"] for tag, attributes in page.tags if tag == "meta" and "http-equiv" in attributes
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'sha256-")
    assert not [attributes for _, attributes in page.tags if (attributes.get("src") or "").startswith("http")]


def test_a_server_run_is_linked_without_the_password_of_its_address(
    experiment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = log_training()
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: "http://me:secret@127.0.0.1:5000/")
    page = Page(build_report().html)
    (link,) = {attributes["href"] for tag, attributes in page.tags if tag == "a" and "target" in attributes}
    assert link is not None
    assert link.startswith("http://127.0.0.1:5000/#/experiments/")
    assert link.endswith(f"/runs/{identity}")


def test_forty_labels_and_forty_runs_more_than_are_drawn(experiment: str) -> None:
    labels = {f"test_f1_LABEL_{number:02}": number / 40 for number in range(40)}
    for number in range(42):
        params = {"lr": str(number)}
        log_training(name=f"run {number}", test_f1=number / 50, params=params, metrics=labels, token_f1=(0.5,))
    page = Page(build_report().html)
    assert len(page.tables[0]) == 2 + 42
    assert len(page.figures["Token F1 on dev by epoch"]["data"]) == 40
    assert "The curves show the 40 best of 42 settings." in page.text
    assert len(json.dumps(page.figures["Test F1 by label"]["data"][0]["x"])) > 40


def test_what_can_not_be_reported_is_bad_input(experiment: str) -> None:
    with pytest.raises(BadInput, match="no training runs"):
        build_report()
    log_training()
    with pytest.raises(BadInput, match="'much' is neither a number nor a range"):
        build_report(Choice(lr="much"))
    with pytest.raises(BadInput, match="no finished run has the metric 'test_f2'"):
        build_report(metric="test_f2")
