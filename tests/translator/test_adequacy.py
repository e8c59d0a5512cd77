"""The lexicon's opinion of a translation: right words are explained, other words are not."""

import json
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.translator.adequacy import FILE, Lexicon
from services.translator.model import VOCABULARIES

PIECES = ["<pad>", "▁قال", "▁الوزير", "▁المدرسة", "▁said", "▁minister", "▁school", "▁the", "▁river"]
NUMBER = {piece: number for number, piece in enumerate(PIECES)}


def lexicon() -> Lexicon:
    """Three Arabic words with one translation each; "the" comes of nothing."""
    english = np.zeros((len(PIECES), 2), dtype=np.uint16)
    probability = np.zeros((len(PIECES), 2), dtype=np.float16)
    for arabic, word in ((0, "▁the"), (1, "▁said"), (2, "▁minister"), (3, "▁school")):
        english[arabic, 0], probability[arabic, 0] = NUMBER[word], 0.5
    return Lexicon(PIECES, english, probability)


def test_the_right_words_are_better_explained_than_others() -> None:
    """A translation of the sentence scores above one of another sentence, in both directions."""
    source = ["▁قال", "▁الوزير"]
    right = lexicon().adequacy(source, ["▁the", "▁minister", "▁said"])
    wrong = lexicon().adequacy(source, ["▁the", "▁river", "▁school"])
    assert right.english_explained > wrong.english_explained
    assert right.arabic_carried > wrong.arabic_carried


def test_a_lost_word_shows_on_the_arabic_side() -> None:
    """English that is right but leaves a word out is explained; the Arabic is not carried over."""
    source = ["▁قال", "▁الوزير", "▁المدرسة"]
    whole = lexicon().adequacy(source, ["▁minister", "▁said", "▁school"])
    part = lexicon().adequacy(source, ["▁minister", "▁said"])
    assert part.english_explained == whole.english_explained
    assert part.arabic_carried < whole.arabic_carried


def test_articles_prove_nothing() -> None:
    """Words that come of nothing neither help nor harm."""
    source = ["▁قال", "▁الوزير"]
    bare = lexicon().adequacy(source, ["▁minister", "▁said"])
    assert lexicon().adequacy(source, ["▁the", "▁minister", "▁the", "▁said"]) == bare


@given(source=st.lists(st.sampled_from([*PIECES, "▁غريب"])), target=st.lists(st.sampled_from([*PIECES, "▁odd"])))
def test_any_sentence_has_an_opinion_within_bounds(source: list[str], target: list[str]) -> None:
    """Unknown pieces, empty sentences and repeats are all judged, never above 0."""
    adequacy = lexicon().adequacy(source, target)
    assert np.log(1e-3) - 1e-6 <= adequacy.english_explained <= 0
    assert np.log(1e-3) - 1e-6 <= adequacy.arabic_carried <= 0


def test_a_folder_without_a_lexicon_has_no_opinion(tmp_path: Path) -> None:
    """A converted model brings no lexicon, and that is no error; one with it reads back."""
    assert Lexicon.open(tmp_path) is None
    (tmp_path / VOCABULARIES[0]).write_text(json.dumps(PIECES))
    np.savez_compressed(
        tmp_path / FILE,
        english=np.full((len(PIECES), 1), NUMBER["▁said"], dtype=np.uint16),
        probability=np.full((len(PIECES), 1), 0.001, dtype=np.float16),
    )
    opened = Lexicon.open(tmp_path)
    assert opened is not None
    assert (
        opened.adequacy(["▁قال"], ["▁said"]).english_explained
        > opened.adequacy(["▁قال"], ["▁river"]).english_explained - 1e-3
    )
