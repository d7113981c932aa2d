import math
from collections.abc import Iterable

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from twinner.frameworks.spacy.confidence import entity_confidence, with_confidence

TEXTS = ["Anna wohnt in Bad Aibling .", "Heute regnet es .", "", " ", "In Ulm traf Anna Béla", "Ulm", "New York \n"]
LABELLED = [
    ("Anna wohnt in Bad Aibling .", [(0, 4, "PER"), (14, 25, "LOC")]),
    ("In Ulm regnet es .", [(3, 6, "LOC")]),
    ("Béla traf in New York niemanden .", [(0, 4, "PER"), (13, 21, "LOC")]),
]


def train(nlp: Language, factory: str) -> Language:
    """Add a NER that is half trained, so that it is not sure."""
    nlp.add_pipe(factory, name="ner")
    examples = [Example.from_dict(nlp.make_doc(text), {"entities": entities}) for text, entities in LABELLED]
    nlp.initialize(lambda: examples)
    for _ in range(15):
        nlp.update(examples)
    return nlp


@pytest.fixture(scope="module")
def nlp() -> Language:
    spacy.util.fix_random_seed(1)
    return train(spacy.blank("de"), "ner")


def found(doc: Doc) -> list[tuple[int, int, str]]:
    return [(entity.start, entity.end, entity.label_) for entity in doc.ents]


def by_brute_force(nlp: Language, text: str) -> list[float]:
    """Step through a text, and ask spaCy at each token which actions are valid."""
    ner = nlp.get_pipe("ner")
    doc = nlp.make_doc(text)
    names = [ner.moves.get_class_name(action) for action in range(ner.moves.n_moves)]
    [state] = ner.moves.init_batch([doc])
    model = ner.model.predict([doc])
    probabilities = []
    while not state.is_final():
        scores = model.predict([state])
        valid = [place for place, name in enumerate(names) if name != "U-" and ner.moves.is_valid(state, name)]
        weights = {place: math.exp(scores[0][place]) for place in valid}
        best = max(valid, key=lambda place: scores[0][place])
        probabilities.append(weights[best] / sum(weights.values()))
        ner.transition_states([state], scores)
    return probabilities


def test_finds_what_the_pipeline_finds(nlp: Language) -> None:
    plain = [found(doc) for doc in nlp.pipe(TEXTS)]
    assert [found(doc) for doc, _ in with_confidence(nlp, TEXTS)] == plain
    assert sum(map(len, plain)) >= 5


def test_confidence_is_the_probability_of_each_action(nlp: Language) -> None:
    for doc, confidence in with_confidence(nlp, TEXTS):
        assert len(confidence) == len(doc)
        assert confidence == pytest.approx(by_brute_force(nlp, doc.text), abs=1e-5)
    assert min(min(confidence, default=1.0) for _, confidence in with_confidence(nlp, TEXTS)) < 0.9


def test_an_untrained_ner_whose_actions_are_all_but_equal_is_followed() -> None:
    nlp = spacy.blank("de")
    nlp.add_pipe("ner")
    nlp.initialize(lambda: [Example.from_dict(nlp.make_doc(text), {"entities": found}) for text, found in LABELLED])
    plain = [found(doc) for doc in nlp.pipe(TEXTS)]
    for (doc, confidence), entities in zip(with_confidence(nlp, TEXTS), plain, strict=True):
        assert found(doc) == entities
        assert len(confidence) == len(doc)


def test_an_entity_has_the_probability_of_all_its_actions() -> None:
    assert entity_confidence([0.5, 0.8]) == pytest.approx(0.4)


def test_entities_of_other_components_are_certain(nlp: Language) -> None:
    ruler = nlp.add_pipe("entity_ruler", last=True, config={"overwrite_ents": True})
    try:
        ruler.add_patterns([{"label": "TIME", "pattern": "Heute"}])
        [(doc, confidence)] = with_confidence(nlp, ["Heute regnet es in Ulm ."])
        assert found(doc)[0] == (0, 1, "TIME")
        assert confidence[0] == 1
        assert confidence[4] < 1
    finally:
        nlp.remove_pipe("entity_ruler")


def test_rules_alone_are_certain() -> None:
    rules = spacy.blank("de")
    rules.add_pipe("entity_ruler").add_patterns([{"label": "TIME", "pattern": "Heute"}])
    [(doc, confidence)] = with_confidence(rules, ["Heute regnet es ."])
    assert found(doc) == [(0, 1, "TIME")]
    assert confidence == [1, 1, 1, 1]


def test_a_ner_with_a_beam_gives_the_shares_of_its_beam() -> None:
    spacy.util.fix_random_seed(1)
    nlp = train(spacy.blank("de"), "beam_ner")
    ner = nlp.get_pipe("ner")
    texts = [text for text in TEXTS if text.strip()]
    plain: Iterable[Doc] = nlp.pipe(texts)
    answers = list(with_confidence(nlp, texts))
    assert [found(doc) for doc, _ in answers] == [found(doc) for doc in plain]
    for doc, confidence in answers:
        beams = ner.beam_parse([nlp.make_doc(doc.text)], beam_width=32, beam_density=ner.cfg["beam_density"])
        [shares] = ner.scored_ents(beams)
        for entity in doc.ents:
            score = entity_confidence(confidence[entity.start : entity.end])
            assert score == pytest.approx(shares[entity.start, entity.end, entity.label_], abs=1e-4)
            assert 0 <= score <= 1 + 1e-6
    assert np.ptp([one for _, confidence in answers for one in confidence]) > 0
