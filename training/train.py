"""Train a small model that starts from the teacher's layers; stop it at any time, the same command goes on.

    python -m training.train --config training/configs/interim.yaml --prepared ../lab/training/data \
        --teacher teacher.pt --out ../lab/training/run
    … the same with --cooldown 40: what the run has come to, made fit for use in 40 minutes

`--prepared` is what `prepare.py` wrote; `teacher.pt` comes from `to_torch.py` beside the teacher. The loss is on the
English side only. `log.jsonl` in `--out` has one line per ten steps and one per probe; `plot.py` draws it. `adapt.py`
trains a finished model on with the same `Run`.

With `imitate` in the config a model learns from the teacher itself beside the texts (`imitation.py`). Where nobody
knows how long a run may last, its config has no `decay_share`: the learning rate stays, and `--cooldown` lets it fall
to zero in a folder of its own, from the latest checkpoint; the run can go on afterwards as if nothing had been.
"""

import argparse
import json
import random
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import sentencepiece
import torch
from torch import Tensor
from torch.nn import functional

from training.batch import BOS, EOS, PAD, Batch
from training.config import Config, RunConfig
from training.distill import read_distilled
from training.evaluate import corpus_scores, read_set
from training.export import write_folder
from training.imitation import Imitation
from training.model import Layer, Model, fast_products, from_teacher
from training.served import ServedModel

TokenPair = tuple[list[int], list[int]]
_OPEN_ROWS = 64
"""With this many rows to choose from, about one token in twenty is padding."""
_LONGEST_STEP_SECONDS = 60.0
"""More is not counted: the process was stopped for a while, and its budget is for work."""


class Framed(NamedTuple):
    """A pair as the model sees it: the marks around it are in place, and the labels say what follows each token."""

    source: list[int]
    target: list[int]
    labels: list[int]


Prompt = Callable[[list[int], list[int]], Framed]


def frame_encoder_decoder(source: list[int], target: list[int]) -> Framed:
    return Framed([BOS, *source], [BOS, *target], [*target, EOS])


def frame_decoder_only(newline: int) -> Prompt:
    """Return a framing that puts the source before the target; nothing is learnt from it."""

    def frame(source: list[int], target: list[int]) -> Framed:
        return Framed([], [BOS, *source, newline, *target], [PAD] * (len(source) + 1) + [*target, EOS])

    return frame


def framing(kind: str, vocabulary: list[str]) -> Prompt:
    """Return how pairs are put before a model of this kind."""
    return frame_encoder_decoder if kind == "encoder-decoder" else frame_decoder_only(vocabulary.index("\n"))


def encode_pairs(texts: list[tuple[str, str]], tokenizer_file: Path, vocabulary: list[str]) -> list[TokenPair]:
    """Return cleaned pairs as ids of the model."""
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer_file))
    # The tokenizer's own ids count its unused merge steps; the model's do not.
    ids = {piece: index for index, piece in enumerate(vocabulary)}
    to_model = [ids.get(tokenizer.id_to_piece(index), -1) for index in range(tokenizer.get_piece_size())]
    source, target = (
        [[to_model[token] for token in text] for text in tokenizer.encode([pair[side] for pair in texts])]
        for side in (0, 1)
    )
    return list(zip(source, target, strict=True))


def read_pairs(
    prepared: Path,
    vocabulary: list[str],
    weights: Mapping[str, float] = MappingProxyType({}),
    distilled: Path | None = None,
) -> list[TokenPair]:
    """Return every pair as ids, as often as its source's weight says: that of `data.yaml`, or the one in `weights`.

    With a weight of 1.5 every second pair comes twice. `distilled` is what `distill.py` wrote, a source of that name
    and of weight 1. Raises ValueError if `weights` names a source of no pair.
    """
    with (prepared / "pairs.tsv").open() as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    if distilled is not None:
        rows += [["distilled", "1", arabic, english] for arabic, english in read_distilled(distilled)]
    if unknown := weights.keys() - {row[0] for row in rows}:
        raise ValueError(f"The config weighs {', '.join(sorted(unknown))}, of which {prepared} has no pairs.")
    encoded = encode_pairs([(row[2], row[3]) for row in rows], prepared / "tokenizer.model", vocabulary)
    number: Counter[str] = Counter()
    weighted = []
    for (source, standard, *_), pair in zip(rows, encoded, strict=True):
        weight, before = weights.get(source, int(standard)), number[source]
        number[source] += 1
        weighted += [pair] * (int((before + 1) * weight) - int(before * weight))
    return weighted


class Batches:
    """Batches of one fixed size, in an order that follows from the seed: a resumed run sees what is next.

    Raises ValueError if no pair fits into a row.
    """

    def __init__(
        self, pairs: list[TokenPair], *, rows: int, source_size: int, target_size: int, prompt: Prompt, seed: int
    ) -> None:
        self._rows, self._source_size, self._target_size, self._seed = rows, source_size, target_size, seed
        framed = [prompt(source, target) for source, target in pairs]
        self._pairs = [pair for pair in framed if len(pair.source) <= source_size and len(pair.target) <= target_size]
        self.dropped = len(pairs) - len(self._pairs)
        if not self._pairs:
            raise ValueError(f"None of {len(pairs)} pairs fits into a row of {source_size} and {target_size} tokens.")

    @classmethod
    def for_model(
        cls, model: Model, vocabulary: list[str], pairs: list[TokenPair], *, rows: int, row_tokens: int, seed: int
    ) -> "Batches":
        """Return the batches that a model of this kind is trained on."""
        return cls(
            pairs,
            rows=rows,
            source_size=row_tokens if model.shape.has_encoder else 0,
            target_size=row_tokens,
            prompt=framing(model.shape.kind, vocabulary),
            seed=seed,
        )

    def from_number(self, first: int) -> Iterator[Batch]:
        """Yield batches without end, from the one with this number."""
        number = 0
        for epoch in count():
            plan = self._plan(epoch)
            for rows in plan[max(0, first - number) :]:
                yield self._fill(rows)
            number += len(plan)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of one epoch: every pair that fits into a row, once."""
        return map(self._fill, self._plan(number))

    def steps(self, epochs: int) -> int:
        """Return how many batches the first epochs have."""
        return sum(len(self._plan(epoch)) for epoch in range(epochs))

    def _plan(self, epoch: int) -> list[list[list[Framed]]]:
        """Put each pair into the first of a few open rows where it fits; rows are full to about 95 %."""
        order = random.Random(f"{self._seed} {epoch}")
        done: list[list[Framed]] = []
        still_open: deque[tuple[list[Framed], list[int]]] = deque()  # each with the room left on its two sides
        for pair in order.sample(self._pairs, len(self._pairs)):
            size = (len(pair.source), len(pair.target))
            fitting = (it for it in still_open if size[0] <= it[1][0] and size[1] <= it[1][1])
            row, room = next(fitting, ([], [self._source_size, self._target_size]))
            if not row:
                if len(still_open) == _OPEN_ROWS:
                    done.append(still_open.popleft()[0])
                still_open.append((row, room))
            row.append(pair)
            room[0] -= size[0]
            room[1] -= size[1]
        order.shuffle(done)
        # The rows that stayed open come last. Of a few hundred pairs that is all of them.
        done += [row for row, _ in still_open]
        return [done[start : start + self._rows] for start in range(0, len(done), self._rows)]

    def _fill(self, rows: list[list[Framed]]) -> Batch:
        # The last batch of an epoch may have empty rows, since another shape would be compiled anew.
        source, source_sentences = (torch.full((self._rows, self._source_size), PAD) for _ in range(2))
        target, target_sentences, labels = (torch.full((self._rows, self._target_size), PAD) for _ in range(3))
        for index, row in enumerate(rows):
            start = [0, 0]
            for number, pair in enumerate(row, 1):
                end = [start[0] + len(pair.source), start[1] + len(pair.target)]
                source[index, start[0] : end[0]] = torch.tensor(pair.source)
                source_sentences[index, start[0] : end[0]] = number
                target[index, start[1] : end[1]] = torch.tensor(pair.target)
                target_sentences[index, start[1] : end[1]] = number
                labels[index, start[1] : end[1]] = torch.tensor(pair.labels)
                start = end
        return Batch(source, source_sentences, target, target_sentences, labels)


def loss_of(model: Model, batch: Batch, *, exact: bool = False) -> Tensor:
    """Mean cross-entropy of the target tokens; `exact` in float32 on every processor."""
    with fast_products(exact=exact):
        memory, memory_sentences = None, None
        if model.shape.has_encoder:
            memory_sentences = batch.source_sentences
            memory = model.encode(batch.source, memory_sentences)
        hidden = model.decode(batch.target, batch.target_sentences, memory, memory_sentences)
        # 28,000 logits for each position without a label would cost more than the layers.
        wanted = batch.labels != PAD
        logits = model.logits(hidden[wanted])
    return functional.cross_entropy(logits.float(), batch.labels[wanted])


Objective = Callable[[Model, Batch], tuple[Tensor, dict[str, Tensor]]]
"""What a step makes smaller, and what the log tells of it: `loss` is the cross-entropy in every run."""


def cross_entropy_alone(model: Model, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    loss = loss_of(model, batch)
    return loss, {"loss": loss.detach()}


@torch.no_grad()
def mean_loss(model: Model, batches: Batches) -> float:
    """Return the mean cross-entropy of all target tokens, each seen once."""
    total, tokens = 0.0, 0
    for batch in batches.epoch(0):
        labels = int((batch.labels != PAD).sum())
        total += loss_of(model, batch).item() * labels
        tokens += labels
    return total / tokens


Fields = dict[str, float | str]


def print_as_json(fields: Fields) -> None:
    print(json.dumps(fields), flush=True)


class Run:
    """A training run and all that is needed to go on with it.

    `probe` says now and then how good the model is; what it returns is logged. `report` is told every line of the log.
    A checkpoint in `out` is gone on with. `seconds` is time spent on steps.
    """

    def __init__(
        self,
        model: Model,
        batches: Batches,
        config: RunConfig,
        out: Path,
        *,
        probe: Callable[[], Fields],
        objective: Objective = cross_entropy_alone,
        report: Callable[[Fields], None] = print_as_json,
    ) -> None:
        self.model, self.batches, self.config, self.out = model, batches, config, out
        self._probe, self._objective, self._report = probe, objective, report
        out.mkdir(parents=True, exist_ok=True)
        torch.set_num_threads(config.threads)
        self.optimizer = torch.optim.AdamW(
            model.parameters(),
            lr=config.learning_rate,
            betas=config.betas,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.step, self.seconds = 0, 0.0
        if self.checkpoint.exists():
            state = torch.load(self.checkpoint)
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.seconds = state["step"], state["seconds"]

    @property
    def checkpoint(self) -> Path:
        return self.out / "checkpoint.pt"

    @property
    def progress(self) -> float:
        """How much of its steps or minutes is spent, 1 at the end."""
        if self.config.minutes is None:
            return self.step / self.config.steps
        return self.seconds / (60 * self.config.minutes)

    def save(self) -> None:
        """Write the checkpoint so that a crash in the middle leaves the one before."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "config": self.config.model_dump(),
        }
        torch.save(state, self.checkpoint.with_suffix(".part"))
        self.checkpoint.with_suffix(".part").rename(self.checkpoint)

    def log(self, fields: Fields) -> None:
        fields = {"step": self.step, "minutes": round(self.seconds / 60, 2), **fields}
        with (self.out / "log.jsonl").open("a") as file:
            file.write(json.dumps(fields) + "\n")
        self._report(fields)

    def train(self, stopping: Callable[[], bool] = lambda: False) -> bool:
        """Train to the end, or until `stopping` after some step; save, and return whether it was the end."""
        saved_at = probed_at = self.seconds
        losses: deque[dict[str, float]] = deque(maxlen=100)
        tokens, tokens_since = 0, self.seconds
        for batch in self.batches.from_number(self.step):
            if self.progress >= 1 or stopping():
                break
            started = time.monotonic()
            rate = self.config.learning_rate * min(1, (self.step + 1) / self.config.warmup_steps)
            if self.config.decay_share is not None:
                rate *= min(1, (1 - self.progress) / self.config.decay_share)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            objective, told = self._objective(self.model, batch)
            objective.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.step += 1
            self.seconds += min(time.monotonic() - started, _LONGEST_STEP_SECONDS)
            losses.append({name: value.item() for name, value in told.items()})
            tokens += int((batch.target != PAD).sum() + (batch.source != PAD).sum())
            if self.step % 10 == 0:
                self.log(
                    {
                        **{name: round(sum(loss[name] for loss in losses) / len(losses), 4) for name in told},
                        "lr": round(rate, 7),
                        "tokens_per_s": round(tokens / (self.seconds - tokens_since)),
                        "eta_minutes": round((1 / self.progress - 1) * self.seconds / 60, 1),
                    }
                )
                tokens, tokens_since = 0, self.seconds
            if self.seconds - saved_at > 60 * self.config.checkpoint_minutes:
                self.save()
                saved_at = self.seconds
            if self.seconds - probed_at > 60 * self.config.probe_minutes:
                self.log(self._probe())
                probed_at = self.seconds
        self.save()
        if self.progress < 1:
            return False
        self.log(self._probe())
        return True


@contextmanager
def stop_requests() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C or SIGTERM sets, so that a run ends between two steps, with a checkpoint."""
    asked = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: asked.set()) for number in numbers]
    try:
        yield asked
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def compile_layers() -> None:
    """Compile one layer for each shape, shared by all layers. Needs a C++ compiler and a minute.

    Without this 540 tokens/s, with it 870 for the teacher.
    """
    torch._dynamo.config.recompile_limit = 64
    Layer.forward = torch.compile(Layer.forward, dynamic=False)


def begin_cooldown(run: Path) -> Path:
    """Return the folder in which the checkpoint of `run` is cooled down, named by its step.

    A copy is put there, with none of its time spent: the budget there is the cooldown's. One that is there already is
    gone on with. Raises ValueError if `run` has no checkpoint.
    """
    if not (run / "checkpoint.pt").exists():
        raise ValueError(f"{run} has no checkpoint to cool down. Train first.")
    state = torch.load(run / "checkpoint.pt", mmap=True)
    out = run / f"cooldown-{state['step']}"
    if not (out / "checkpoint.pt").exists():
        out.mkdir(exist_ok=True)
        torch.save(state | {"seconds": 0.0}, out / "checkpoint.part")
        (out / "checkpoint.part").rename(out / "checkpoint.pt")
    return out


def main(
    config: Config,
    prepared: Path,
    teacher: Path,
    out: Path,
    dev: Path,
    *,
    distilled: Path | None = None,
    narrow: Path | None = None,
    cooldown: float | None = None,
) -> None:
    """Train a model of the teacher's layers.

    `distilled` is what `distill.py` wrote, `narrow` what `pruning.py` did. With `cooldown` the run is not gone on with
    but finished in this many minutes, in a folder in `out`.
    """
    if cooldown is not None:
        config = config.model_copy(update={"minutes": cooldown, "steps": None, "decay_share": 1.0})
        out = begin_cooldown(out)
    vocabulary: list[str] = json.loads((prepared / "vocabulary.json").read_text())
    rows = json.loads((prepared / "teacher_rows.json").read_text())
    pairs = read_pairs(prepared, vocabulary, config.weights, distilled)
    arabic, english = read_set(dev, "flores_dev", limit=100)
    state = torch.load(teacher, mmap=True)
    layers = config.decoder_layers
    model = from_teacher(config.encoder_layers, layers, state, rows, torch.load(narrow) if narrow else {})
    batches = Batches.for_model(
        model, vocabulary, pairs, rows=config.rows, row_tokens=config.row_tokens, seed=config.seed
    )
    print(f"{len(layers)} decoder layers; {len(pairs)} weighted pairs, {batches.dropped} too long", flush=True)

    objective: Objective = cross_entropy_alone
    if config.imitate is not None:
        weights = config.imitate.model_dump()
        objective = Imitation(state, rows, layers, newline=vocabulary.index("\n"), weights=weights)

    def probe() -> Fields:
        """Translate a few sentences with the int8 export, since that is what will be shipped."""
        folder = out / "probe"
        limit = config.max_source_tokens
        write_folder(model, vocabulary, prepared / "tokenizer.model", folder, max_source_tokens=limit)
        translations = [answer.translation for answer in ServedModel(folder).translate(arabic)]
        scores = corpus_scores(translations, english)
        return {"bleu": scores["bleu"], "chrf": scores["chrf"], "sample": translations[0]}

    with stop_requests() as asked:
        Run(model, batches, config, out, probe=probe, objective=objective).train(asked.is_set)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--prepared", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True, help="teacher.pt")
    parser.add_argument("--distilled", type=Path, help="the file distill.py wrote, to train on as well")
    parser.add_argument("--narrow", type=Path, help="the file pruning.py wrote")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--dev", type=Path, default=Path("../shared/data/dev"))
    parser.add_argument("--minutes", type=float, help="instead of the config's")
    parser.add_argument(
        "--cooldown", type=float, metavar="MINUTES", help="finish a copy of the run in OUT/cooldown-STEP"
    )
    arguments = parser.parse_args()
    settings = Config.read(arguments.config)
    if arguments.minutes:
        settings = settings.model_copy(update={"minutes": arguments.minutes, "steps": None})
    compile_layers()
    main(
        settings,
        arguments.prepared,
        arguments.teacher,
        arguments.out,
        arguments.dev,
        distilled=arguments.distilled,
        narrow=arguments.narrow,
        cooldown=arguments.cooldown,
    )
