"""A smaller student learns from the teacher's own state at every English token, not only from its words.

Where the decoder has lost two layers of three, a layer that stays gets what it never saw, and cross-entropy alone must
find out from one token at a time what is missing. The teacher knows: it is asked the same pairs, and of the student are
wanted

- its distribution over the next token (soft targets; Hinton et al. 2015), and
- between its layers the hidden state that the next kept layer was given in the teacher (TinyBERT, arXiv:1909.10351).
  To stand where the teacher stands, a layer of a student with an encoder has to read from the memory what the teacher
  has read from the source.

States are compared as the next layer reads them, after its input norm: of the raw ones a few giant components would be
all that counts.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from training.batch import PAD, Batch
from training.model import Model, Norm, fast_products, whole_teacher


class Imitation:
    """The objective of a step, for `train.Run`.

    `state` is the teacher's, `rows` its ids of our tokens, `layers` its layers that the student's decoder has kept,
    `newline` our id of the token that parts source and target in its prompt. `weights` has one number for each of
    `cross_entropy`, `soft_targets` and `hidden_states`.
    """

    def __init__(
        self,
        state: dict[str, Tensor],
        rows: Sequence[int],
        layers: Sequence[int],
        *,
        newline: int,
        weights: Mapping[str, float],
    ) -> None:
        self._teacher = whole_teacher(state, rows).requires_grad_(False)
        self._newline, self._weights = newline, weights
        self._wanted = [layer - 1 for layer in layers[1:]] + [len(self._teacher.decoder) - 1]
        """For each layer of the student the one of the teacher whose output it has to give."""
        self._norms: list[Norm] = [self._teacher.decoder[layer].input_layernorm for layer in layers[1:]]
        self._norms.append(self._teacher.norm)

    def __call__(self, model: Model, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum, and its three parts for the log."""
        learnt = batch.labels != PAD
        labels = batch.labels[learnt]
        with fast_products():
            wanted = self.states(batch)
            soft = self._teacher.logits(self._teacher.norm(wanted[-1])).float().log_softmax(-1)
            memory, memory_sentences = None, None
            if model.shape.has_encoder:
                memory_sentences = batch.source_sentences
                memory = model.encode(batch.source, memory_sentences)
            outputs = model.decode_by_layer(batch.target, batch.target_sentences, memory, memory_sentences)
            given = [output[learnt] for output in outputs]
            logits = model.logits(model.norm(given[-1])).float()
        parts = {
            "loss": functional.cross_entropy(logits, labels),
            "soft_targets": functional.kl_div(logits.log_softmax(-1), soft, reduction="batchmean", log_target=True),
            "hidden_states": torch.stack(
                [_distance(norm(one), norm(other)) for norm, one, other in zip(self._norms, given, wanted, strict=True)]
            ).mean(),
        }
        objective = (
            self._weights["cross_entropy"] * parts["loss"]
            + self._weights["soft_targets"] * parts["soft_targets"]
            + self._weights["hidden_states"] * parts["hidden_states"]
        )
        return objective, {name: part.detach() for name, part in parts.items()}

    @torch.no_grad()
    def states(self, batch: Batch) -> list[Tensor]:
        """Return for each layer of the student what the teacher has in its place, at the positions with a label:
        labels × width, in the order of the rows."""
        learnt = batch.labels != PAD
        if not batch.source.numel():  # of a decoder-only student, which reads what the teacher reads
            outputs = self._teacher.decode_by_layer(batch.target, batch.target_sentences)
            return [outputs[layer][learnt] for layer in self._wanted]
        ids, sentences, places = join_sides(batch, self._newline)
        outputs = self._teacher.decode_by_layer(ids, sentences)
        rows = torch.arange(len(places))[:, None].expand_as(places)[learnt]
        return [outputs[layer][rows, places[learnt]] for layer in self._wanted]


def join_sides(batch: Batch, newline: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the rows as a decoder-only model reads them, each source before its target: ids, sentences, and for each
    target position its place in them. The newline stands where the student's target has its first mark."""
    rows, source_size = batch.source.shape
    target_size = batch.target.shape[1]
    ids, sentences = (torch.full((rows, source_size + target_size), PAD) for _ in range(2))
    places = torch.zeros_like(batch.target)
    for row in range(rows):
        end = 0
        for sentence in range(1, int(batch.target_sentences[row].max()) + 1):
            in_target = batch.target_sentences[row] == sentence
            source, target = batch.source[row][batch.source_sentences[row] == sentence], batch.target[row][in_target]
            start, middle, end = end, end + len(source), end + len(source) + len(target)
            ids[row, start:middle] = source
            ids[row, middle] = newline
            ids[row, middle + 1 : end] = target[1:]
            sentences[row, start:end] = sentence
            places[row, in_target] = torch.arange(middle, end)
    return ids, sentences, places


def _distance(given: Tensor, wanted: Tensor) -> Tensor:
    """Mean square of the difference, as a share of what is wanted: 1 where nothing is given."""
    return (given.float() - wanted.float()).pow(2).mean() / wanted.float().pow(2).mean()
