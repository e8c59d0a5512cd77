"""Train a small model that starts from the teacher's layers; stop it at any time, the same command goes on.

    python -m training.train --config training/configs/interim.yaml --prepared ../lab/training/data \
        --teacher teacher.pt --out ../lab/training/run

`--prepared` is what `prepare.py` wrote; `teacher.pt` comes from `to_torch.py` beside the teacher. The loss is on the
English side only. `log.jsonl` in `--out` has one line per ten steps and one per probe.
"""

import argparse
import json
import random
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import sentencepiece
import torch
import yaml
from torch import Tensor
from torch.nn import functional

from training.evaluate import corpus_scores, read_set, translate
from training.export import write_folder
from training.model import Layer, Model, Shape, from_teacher

PAD, EOS, BOS = 0, 1, 2
"""Ids of the first tokens of `vocabulary.json`, the same as in the teacher."""
TokenPair = tuple[list[int], list[int]]


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded ids; `labels` are the target shifted by one, with PAD where nothing is to be learnt."""

    source: Tensor
    target: Tensor
    labels: Tensor


def read_pairs(prepared: Path, vocabulary: list[str]) -> list[TokenPair]:
    """Return every pair as ids, as often as its source's weight says."""
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(prepared / "tokenizer.model"))
    # The tokenizer's own ids count its unused merge steps; the model's do not.
    ids = {piece: index for index, piece in enumerate(vocabulary)}
    to_model = [ids.get(tokenizer.id_to_piece(index), -1) for index in range(tokenizer.get_piece_size())]
    rows = [line.rstrip("\n").split("\t") for line in (prepared / "pairs.tsv").open()]
    sides = [
        [[to_model[token] for token in text] for text in tokenizer.encode([row[column] for row in rows])]
        for column in (2, 3)
    ]
    return [pair for row, *pair in zip(rows, *sides, strict=True) for _ in range(int(row[1]))]


class Batches:
    """Endless batches in fixed shapes, in an order that follows from the seed: a resumed run sees what is next."""

    def __init__(
        self, pairs: list[TokenPair], shapes: list[tuple[int, int, int]], *, kind: str, newline: int, seed: int
    ) -> None:
        self._shapes, self._kind, self._newline, self._seed = shapes, kind, newline, seed
        self._buckets: list[list[TokenPair]] = [[] for _ in shapes]
        self.dropped = 0
        for source, target in pairs:
            fitting = (
                index
                for index, (_, source_size, target_size) in enumerate(shapes)
                if len(source) < source_size and len(target) < target_size
            )
            index = next(fitting, None)
            if index is None:
                self.dropped += 1
            else:
                self._buckets[index].append((source, target))

    def from_number(self, first: int) -> Iterator[Batch]:
        number, epoch = 0, 0
        while True:
            plan = self._plan(epoch)
            for shape, pairs in plan[max(0, first - number) :]:
                yield self._pad(shape, pairs)
            number, epoch = number + len(plan), epoch + 1

    def _plan(self, epoch: int) -> list[tuple[tuple[int, int, int], list[TokenPair]]]:
        order = random.Random(f"{self._seed} {epoch}")
        plan = []
        for shape, bucket in zip(self._shapes, self._buckets, strict=True):
            shuffled = order.sample(bucket, len(bucket))
            # The last few pairs that would not fill a batch wait for another epoch's shuffle.
            plan += [
                (shape, shuffled[start : start + shape[0]])
                for start in range(0, len(shuffled) - shape[0] + 1, shape[0])
            ]
        order.shuffle(plan)
        return plan

    def _pad(self, shape: tuple[int, int, int], pairs: list[TokenPair]) -> Batch:
        size, source_size, target_size = shape
        source = torch.full((size, source_size), PAD)
        if self._kind == "decoder-only":
            target_size += source_size
        target, labels = torch.full((size, target_size), PAD), torch.full((size, target_size), PAD)
        for row, (arabic, english) in enumerate(pairs):
            prompt = [BOS]
            if self._kind == "decoder-only":
                prompt = [BOS, *arabic, self._newline]
            else:
                source[row, : len(arabic) + 1] = torch.tensor([BOS, *arabic])
            end = len(prompt) + len(english)
            target[row, :end] = torch.tensor(prompt + english)
            labels[row, len(prompt) - 1 : end] = torch.tensor([*english, EOS])
        return Batch(source, target, labels)


def loss_of(model: Model, batch: Batch) -> Tensor:
    """Mean cross-entropy of the target tokens."""
    with torch.autocast("cpu", torch.bfloat16):
        if model.shape.encoder_layers:
            source_mask = batch.source != PAD
            hidden = model.decode(batch.target, model.encode(batch.source, source_mask), source_mask)
        else:
            hidden = model.decode(batch.target)
        # 28,000 logits for each padding position would cost more than the layers.
        wanted = batch.labels != PAD
        logits = model.logits(hidden[wanted])
    return functional.cross_entropy(logits.float(), batch.labels[wanted])


class Run:
    """A training run and all that is needed to go on with it."""

    def __init__(self, config: dict, prepared: Path, teacher: Path, out: Path, dev: Path) -> None:
        self.config, self.prepared, self.out, self.dev = config, prepared, out, dev
        out.mkdir(parents=True, exist_ok=True)
        torch.set_num_threads(config["threads"])
        torch.manual_seed(config["seed"])
        self.vocabulary: list[str] = json.loads((prepared / "vocabulary.json").read_text())
        shape = Shape(len(self.vocabulary), tuple(config["encoder_layers"]), tuple(config["decoder_layers"]))
        rows = json.loads((prepared / "teacher_rows.json").read_text())
        self.model = from_teacher(shape, torch.load(teacher, mmap=True), rows)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=config["learning_rate"],
            betas=tuple(config["betas"]),
            weight_decay=config["weight_decay"],
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

    def save(self) -> None:
        """Write the checkpoint so that a crash in the middle leaves the one before."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "config": self.config,
        }
        torch.save(state, self.checkpoint.with_suffix(".part"))
        self.checkpoint.with_suffix(".part").rename(self.checkpoint)

    def log(self, **fields: float | str) -> None:
        line = json.dumps({"step": self.step, "minutes": round(self.seconds / 60, 2), **fields})
        print(line, flush=True)
        with (self.out / "log.jsonl").open("a") as file:
            file.write(line + "\n")

    def probe(self) -> None:
        """Translate a few sentences with the int8 export, since that is what will be shipped."""
        folder = self.out / "probe"
        write_folder(
            self.model,
            self.vocabulary,
            self.prepared / "tokenizer.model",
            folder,
            max_source_tokens=self.config["max_source_tokens"],
        )
        arabic, english = read_set(self.dev, "flores_dev", limit=100)
        translations, _ = translate(folder, arabic)
        scores = corpus_scores(translations, english)
        self.log(bleu=scores["bleu"], chrf=scores["chrf"], sample=translations[0])

    def train(self) -> None:
        shapes = [tuple(shape) for shape in self.config["shapes"]]
        pairs = read_pairs(self.prepared, self.vocabulary)
        batches = Batches(
            pairs, shapes, kind=self.model.shape.kind, newline=self.vocabulary.index("\n"), seed=self.config["seed"]
        )
        print(f"{len(pairs)} weighted pairs, {batches.dropped} longer than every shape", flush=True)
        budget = self.config["minutes"] * 60
        saved_at = probed_at = self.seconds
        losses: deque[float] = deque(maxlen=100)
        tokens, tokens_since = 0, self.seconds
        for batch in batches.from_number(self.step):
            if self.seconds >= budget:
                break
            started = time.monotonic()
            rate = self.config["learning_rate"] * min(1, (self.step + 1) / self.config["warmup_steps"])
            rate *= 1 - self.seconds / budget
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            loss = loss_of(self.model, batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config["clip_norm"])
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.step += 1
            self.seconds += time.monotonic() - started
            losses.append(loss.item())
            tokens += batch.target.numel() + (batch.source.numel() if self.model.shape.encoder_layers else 0)
            if self.step % 10 == 0:
                self.log(
                    loss=round(sum(losses) / len(losses), 4),
                    lr=round(rate, 7),
                    padded_tokens_per_s=round(tokens / (self.seconds - tokens_since)),
                    eta_minutes=round((budget - self.seconds) / 60, 1),
                )
                tokens, tokens_since = 0, self.seconds
            if self.seconds - saved_at > 60 * self.config["checkpoint_minutes"]:
                self.save()
                saved_at = self.seconds
            if self.seconds - probed_at > 60 * self.config["probe_minutes"]:
                self.probe()
                probed_at = self.seconds
        self.save()
        self.probe()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--prepared", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True, help="teacher.pt")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--dev", type=Path, default=Path("../shared/data/dev"))
    parser.add_argument("--minutes", type=float, help="instead of the config's")
    arguments = parser.parse_args()
    settings = yaml.safe_load(arguments.config.read_text())
    if arguments.minutes:
        settings["minutes"] = arguments.minutes
    # One compiled layer for each shape, shared by all layers: without this 540 tokens/s, with it 870 for the teacher.
    torch._dynamo.config.recompile_limit = 64
    Layer.forward = torch.compile(Layer.forward, dynamic=False)
    Run(settings, arguments.prepared, arguments.teacher, arguments.out, arguments.dev).train()
