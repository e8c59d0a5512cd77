"""What a model thinks of English that it did not write."""

from collections.abc import Sequence

import ctranslate2
import torch

from benchmarks.doubts.labelled import Score
from services.translator.model import Model
from training.batch import BOS, EOS, PAD
from training.restore import CannotRestore, restore

BATCH = 16


def scorer(model: Model) -> Score:
    """Return a function that scores by force: the mean log-probability over the tokens and the end token.

    CTranslate2 scores wrongly where encoder and decoder share their attention: the log-probabilities that `score_batch`
    of 4.8.5 gives to an answer of such a model are not those of decoding it. So our own kind is scored in PyTorch.
    """
    if model.manifest.kind == "decoder-only":
        return _of_generator(model)
    try:
        return _of_restored(model)
    except CannotRestore:
        return _of_translator(model)


def _of_generator(model: Model) -> Score:
    manifest = model.manifest
    generator = ctranslate2.Generator(str(model.folder), inter_threads=2, intra_threads=1, compute_type="int8")

    def score(sources: Sequence[list[str]], answers: Sequence[list[str]]) -> list[float]:
        prompts = [[*manifest.source_prefix, *source, *manifest.source_suffix] for source in sources]
        texts = [[*prompt, *answer, manifest.end_token] for prompt, answer in zip(prompts, answers, strict=True)]
        results = generator.score_batch(texts, max_batch_size=BATCH, max_input_length=0)
        # A text's first token has no probability: what belongs to the answer begins one earlier than in the text.
        logs = [result.log_probs[len(prompt) - 1 :] for prompt, result in zip(prompts, results, strict=True)]
        return [sum(each) / len(each) for each in logs]

    return score


def _of_translator(model: Model) -> Score:
    manifest = model.manifest
    translator = ctranslate2.Translator(str(model.folder), inter_threads=2, intra_threads=1, compute_type="int8")

    def score(sources: Sequence[list[str]], answers: Sequence[list[str]]) -> list[float]:
        results = translator.score_batch(
            [[*manifest.source_prefix, *source, *manifest.source_suffix] for source in sources],
            [[*manifest.target_prefix, *answer] for answer in answers],
            max_batch_size=BATCH,
            max_input_length=0,
        )
        logs = [result.log_probs[len(manifest.target_prefix) :] for result in results]
        return [sum(each) / len(each) for each in logs]

    return score


def _of_restored(model: Model) -> Score:
    restored, vocabulary = restore(model.folder)
    restored.eval()
    ids = {piece: number for number, piece in enumerate(vocabulary)}
    unknown = ids["<unk>"]

    def padded(rows: Sequence[list[int]]) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=PAD)

    @torch.inference_mode()
    def score(sources: Sequence[list[str]], answers: Sequence[list[str]]) -> list[float]:
        pairs = [
            [[ids.get(piece, unknown) for piece in side] for side in pair]
            for pair in zip(sources, answers, strict=True)
        ]
        order = sorted(range(len(pairs)), key=lambda index: len(pairs[index][0]) + len(pairs[index][1]))
        means: dict[int, float] = {}
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            source = padded([[BOS, *pairs[index][0]] for index in batch])
            target = padded([[BOS, *pairs[index][1]] for index in batch])
            labels = padded([[*pairs[index][1], EOS] for index in batch])
            with torch.autocast("cpu", torch.bfloat16):
                memory = restored.encode(source, (source != PAD).long())
                hidden = restored.decode(target, (target != PAD).long(), memory, (source != PAD).long())
            logs = restored.logits(hidden.float()).log_softmax(-1).gather(-1, labels[..., None])[..., 0]
            there = labels != PAD
            for row, index in enumerate(batch):
                means[index] = float(logs[row][there[row]].mean())
        return [means[index] for index in range(len(pairs))]

    return score
