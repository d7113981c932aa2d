"""Build `predictions.html`: texts with their entities, or two models' entities side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinner.pages.highlight import Piece, pieces_of_text
from twinner.pages.rendering import render

ROWS = 200  # on a page, to keep browsers responsive
CHARACTERS = 3000  # of a text
DIFFERENCES = "differences"  # what texts can be filtered by, besides labels
TEMPLATE = Path(__file__).parent / "templates" / "predictions.html.j2"
Entities = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Row:
    """One text. place: its file and row. entities: for each model."""

    place: str
    text: str
    entities: Sequence[Entities]


def predictions_page(
    rows: Sequence[Row], models: Sequence[str], counts: Sequence[Mapping[str, int]], texts: int, differing: int
) -> str:
    """Return the page as HTML.

    rows: those to show. models: one or two names. counts: of the entities by label, for each model. texts: all that
    were predicted. differing: those on which the models differ.
    """
    labels = sorted({label for count in counts for label in count})
    return render(
        TEMPLATE,
        title="Entities in " + (f"{texts:,} texts" if texts != 1 else "1 text"),
        models=models,
        kinds=[*([DIFFERENCES] if len(models) > 1 else []), *labels],
        labels=[(label, [count.get(label, 0) for count in counts]) for label in labels],
        texts=texts,
        differing=differing,
        rows=[_view(row, models) for row in rows],
    )


def _view(row: Row, models: Sequence[str]) -> dict[str, object]:
    spans = [[(one["start"], one["end"], one["label"]) for one in found] for found in row.entities]
    common = set.intersection(*map(set, spans))
    text = row.text[:CHARACTERS]
    sides: list[tuple[str, list[Piece]]] = []
    for model, found in zip(models, spans, strict=True):
        shown = [span for span in found if span[1] <= len(text)]
        sides.append((model, pieces_of_text(text, shown, set(shown) - common)))
    differs = any(set(found) != common for found in spans)
    return {
        "place": row.place,
        "kinds": [*sorted({label for found in spans for _, _, label in found}), *([DIFFERENCES] if differs else [])],
        "differs": differs,
        "is_cut": len(row.text) > CHARACTERS,
        "sides": sides,
    }
