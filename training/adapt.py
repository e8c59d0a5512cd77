"""Train a finished model folder on with a user's own pairs: what `khulasa train` does.

    khulasa train --pairs mine.tsv --init models/ar-en --out models/mine

The int8 weights are read back (`restore.py`), trained with a small rate by the same `Run` as a new model, and written
as a folder of the same form. A few pairs are held out, and the translator is asked for them before and after. While it
works, and if it was stopped, everything is in a folder beside the new one, `models/mine.run`: the same command goes on
from the checkpoint there. At the end the log and the report stay in it.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from services.translator import confidence
from services.translator.model import BadModel
from services.translator.model import Model as ModelFolder
from services.translator.normalize import SCHEMES
from training.config import RunConfig
from training.evaluate import corpus_scores
from training.export import BOS, EOS, write_folder, write_manifest
from training.model import Model
from training.restore import CannotRestore, restore
from training.served import ServedModel
from training.train import Batches, Fields, Run, compile_layers, encode_pairs, mean_loss
from training.user_pairs import BadPairs, UserPairs, read_user_pairs

ROWS, ROW_TOKENS = 8, 256  # as in configs/*.yaml
SEED = 1


def _config(*, learning_rate: float, threads: int, steps: int) -> RunConfig:
    return RunConfig(
        rows=ROWS,
        row_tokens=ROW_TOKENS,
        seed=SEED,
        threads=threads,
        learning_rate=learning_rate,
        warmup_steps=10,
        decay_share=1.0,  # the rate falls from the start: the length is known
        betas=(0.9, 0.98),
        weight_decay=0.01,
        clip_norm=1.0,
        steps=steps,
        checkpoint_minutes=5,
        probe_minutes=5,
    )


class CannotAdapt(Exception):
    """The new folder, or an unfinished run beside it, is of something else."""


REFUSALS = (BadModel, BadPairs, CannotAdapt, CannotRestore)
"""What `adapt` raises for wrong input, each with a message that says what to do."""


@dataclass(frozen=True, slots=True)
class Quality:
    """How good a model is on the held-out pairs."""

    chrf: float
    bleu: float
    """Of the int8 folder, as the translator serves it."""
    loss: float
    """Mean cross-entropy of the English tokens, in PyTorch."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it."""

    name: str
    folder: Path
    trained: int
    held_out: int
    before: Quality
    after: Quality


def adapt(
    pairs_file: Path,
    init: Path,
    out: Path,
    *,
    epochs: int,
    learning_rate: float,
    threads: int,
    compiled: bool,
    tell: Callable[[str], None],
    stopping: Callable[[], bool],
) -> Report | None:
    """Return the report of the finished folder `out`, or None if `stopping` ended the run before.

    `tell` gets a line for people now and then. Raises one of REFUSALS.
    """
    if out.exists():
        raise CannotAdapt(f"{out} exists already. Remove it or choose another --out.")
    original = ModelFolder.open(init)
    _check_frame(original)
    pairs = read_user_pairs(pairs_file, SCHEMES[original.manifest.normalization], seed=SEED)
    model, vocabulary = restore(init)
    tokenizer = init / original.manifest.source_tokenizer

    def batches(texts: list[tuple[str, str]]) -> tuple[Batches, int]:
        encoded = encode_pairs(texts, tokenizer, vocabulary)
        limit = original.manifest.max_source_tokens
        fitting = [pair for pair in encoded if len(pair[0]) <= limit]
        try:
            made = Batches.for_model(model, vocabulary, fitting, rows=ROWS, row_tokens=ROW_TOKENS, seed=SEED)
        except ValueError:
            raise CannotAdapt(
                f"No pair of {pairs_file} is short enough: {limit} tokens of Arabic and {ROW_TOKENS} in all are the "
                "most. Give a sentence a line."
            ) from None
        return made, len(texts) - len(fitting) + made.dropped

    (train, too_long), (held_out, _) = batches(pairs.train), batches(pairs.held_out)
    steps = train.steps(epochs)
    tell(_opening(pairs, too_long, steps))
    if compiled:
        compile_layers()

    folder = out.with_name(f"{out.name}.run")
    identity = {"init": original.digest, "pairs": pairs.digest, "epochs": epochs, "learning_rate": learning_rate}
    before = _begin(folder, identity, lambda: _measure(init, model, pairs, held_out))
    run = Run(
        model,
        train,
        _config(learning_rate=learning_rate, threads=threads, steps=steps),
        folder,
        probe=lambda: {"held_out_loss": round(mean_loss(model, held_out), 4)},
        report=lambda fields: tell(_progress(fields, steps)),
    )
    if run.step:
        tell(f"goes on from step {run.step}")
    if not run.train(stopping):
        tell(f"stopped after step {run.step} of {steps}; the same command goes on")
        return None

    name = f"{original.manifest.name}+{pairs_file.stem}"
    unfinished = folder / "model"
    write_folder(
        model, vocabulary, tokenizer, unfinished, name=name, max_source_tokens=original.manifest.max_source_tokens
    )
    _describe(unfinished, original, name, pairs_file, pairs, len(pairs.train) - too_long)
    after = _measure(unfinished, model, pairs, held_out)
    report = Report(name, out, len(pairs.train) - too_long, len(pairs.held_out), before, after)
    (folder / "report.json").write_text(json.dumps(asdict(report) | {"folder": str(out)}, indent=1) + "\n")
    unfinished.rename(out)
    run.checkpoint.unlink()
    return report


def _check_frame(original: ModelFolder) -> None:
    """Raise CannotAdapt if the translator puts other tokens around a sentence than `train.py` does."""
    manifest = original.manifest
    expected = ([BOS], [] if manifest.kind == "encoder-decoder" else ["\n"], [], EOS)
    if (manifest.source_prefix, manifest.source_suffix, manifest.target_prefix, manifest.end_token) != expected:
        raise CannotAdapt(
            f"{original.folder} wants other tokens around a sentence than training/export.py writes. "
            "Only models of that form can be trained on."
        )


def _begin(folder: Path, identity: dict[str, object], measure: Callable[[], Quality]) -> Quality:
    """Return the quality before the training, measured when the run was begun. Raises CannotAdapt."""
    begun = folder / "begun.json"
    if begun.exists():
        stored = json.loads(begun.read_text())
        for key, value in identity.items():
            if stored["identity"][key] != value:
                raise CannotAdapt(
                    f"{folder} has an unfinished run with another {key} ({stored['identity'][key]}, now {value}). "
                    "Give the same command again, remove the folder, or choose another --out."
                )
        return Quality(**stored["before"])
    before = measure()
    folder.mkdir(parents=True, exist_ok=True)
    begun.write_text(json.dumps({"identity": identity, "before": asdict(before)}, indent=1) + "\n")
    return before


def _measure(folder: Path, model: Model, pairs: UserPairs, batches: Batches) -> Quality:
    arabic, english = (list(side) for side in zip(*pairs.held_out, strict=True))
    scores = corpus_scores([answer.translation for answer in ServedModel(folder).translate(arabic)], english)
    return Quality(chrf=scores["chrf"], bleu=scores["bleu"], loss=round(mean_loss(model, batches), 3))


def _describe(folder: Path, original: ModelFolder, name: str, pairs_file: Path, pairs: UserPairs, trained: int) -> None:
    """Make manifest, notice and card those of the original, with what has changed."""
    source = f"{pairs_file.name}: of the user, sha256 {pairs.digest}"
    manifest = asdict(original.manifest) | {
        "name": name,
        "source_tokenizer": "tokenizer.model",
        "target_tokenizer": "tokenizer.model",
        "sources": [*original.manifest.sources, source],
        "scores": {},  # those of the original would not be true
    }
    for file in original.manifest.files:
        # Besides the notice of the original, whatever else the translator finds in a model's folder.
        # Not the calibration: it was fitted on answers of the original.
        if file == "NOTICE" or (file != confidence.FILE and not (folder / file).exists()):
            shutil.copy(original.folder / file, folder / file)
    (folder / "README.md").write_text(
        f"# {name}\n\n"
        f"`{original.manifest.name}` (digest {original.digest}), changed by training on {trained} pairs of "
        f"{pairs_file.name} with `khulasa train`. Licence of the original: {original.manifest.licence}.\n"
    )
    write_manifest(folder, manifest)


def _opening(pairs: UserPairs, too_long: int, steps: int) -> str:
    reasons = pairs.dropped | ({"too long": too_long} if too_long else {})
    dropped = ", ".join(f"{number} {reason}" for reason, number in sorted(reasons.items()))
    line = f"{len(pairs.train) - too_long} pairs to train on in {steps} steps, {len(pairs.held_out)} held out"
    return f"{line} to compare before and after" + (f"; not used: {dropped}" if dropped else "")


def _progress(fields: Fields, steps: int) -> str:
    line = f"step {fields['step']} of {steps}"
    if "held_out_loss" in fields:
        return f"{line}, loss on held-out pairs {fields['held_out_loss']:.3f}"
    left = f"{fields['eta_minutes']:.1f} minutes left"
    return f"{line}, loss {fields['loss']:.3f}, {fields['tokens_per_s']} tokens/s, {left}"
