"""Both kinds of engine, with the smallest real models."""

from collections.abc import Callable
from pathlib import Path

import pytest

from services.translator import engine
from services.translator.model import Model, Tokenizer
from tests.tiny_models import write_decoder_only, write_encoder_decoder

WRITERS = [write_encoder_decoder, write_decoder_only]


@pytest.mark.parametrize("write", WRITERS)
def test_every_sentence_has_an_answer(model_folder: Path, tmp_path: Path, write: Callable[[Path, Path], None]) -> None:
    """One answer for each sentence, none longer than the model's limit, with a log-probability, and cut ones marked."""
    write(tmp_path / "model", model_folder / "tokenizer.model")
    model = Model.open(tmp_path / "model")
    tokenizer = Tokenizer(model)
    sentences = [tokenizer.encode(text) for text in ("نعم", "قال الوزير إن الخطة جاهزة.", "لا" * 40)]
    answers = engine.load(model, workers=2, threads_per_worker=1).decode(sentences)
    assert len(answers) == 3
    for answer in answers:
        assert len(answer.tokens) <= model.manifest.max_target_tokens
        assert answer.log_probability < 0
        assert answer.truncated == (len(answer.tokens) == model.manifest.max_target_tokens)
        assert isinstance(tokenizer.decode(answer.tokens), str)
