"""Build a run's `errors.html`: its wrong sentences, gold and predicted side by side, by kind of error."""

from collections import Counter
from collections.abc import Sequence

from twinner.corpus.sentence import Sentence, entities_of
from twinner.evaluation.mistakes import KINDS, Mistake, errors_by_kind
from twinner.frameworks.contract import Prediction
from twinner.pages.highlight import pieces_of
from twinner.pages.rendering import FOLDER, render

MAX_SENTENCES = 500  # on a page, to keep browsers responsive


def errors_page(sentences: Sequence[Sentence], predictions: Sequence[Prediction], title: str) -> str:
    """Return the page for n sentences and their n predictions as HTML; title: the run's name.

    All errors are counted; only the first 500 sentences with errors are shown.
    """
    counts = Counter(dict.fromkeys(KINDS, 0))
    correct = 0
    shown: list[dict[str, object]] = []
    with_errors = 0
    for number, (sentence, prediction) in enumerate(zip(sentences, predictions, strict=True), 1):
        mistakes = errors_by_kind(sentence.tags, prediction.tags)
        counts.update(mistake.kind for mistake in mistakes)
        correct += len({*sentence.entities} & {*entities_of(prediction.tags)})
        if mistakes:
            with_errors += 1
            if len(shown) < MAX_SENTENCES:
                shown.append(_view(number, sentence, prediction, mistakes))
    return render(
        FOLDER / "errors.html.j2",
        title=f"Errors on test: {title}",
        kinds=[(kind, meaning, counts[kind]) for kind, meaning in KINDS.items()],
        correct=correct,
        gold=sum(len(sentence.entities) for sentence in sentences),
        sentences=len(sentences),
        with_errors=with_errors,
        shown=shown,
    )


def _view(number: int, sentence: Sentence, prediction: Prediction, mistakes: Sequence[Mistake]) -> dict[str, object]:
    """Return what the template shows of one sentence."""
    wrong = {mistake.gold for mistake in mistakes}, {mistake.predicted for mistake in mistakes}
    counts = Counter(mistake.kind for mistake in mistakes)
    return {
        "number": number,
        "kinds": [(kind, counts[kind]) for kind in KINDS if kind in counts],
        "gold": pieces_of(sentence, sentence.entities, wrong[0]),
        "predicted": pieces_of(sentence, list(entities_of(prediction.tags)), wrong[1]),
    }
