"""Pairs → checkpoint, by the clock: the learning rate falls to zero when the time is up.

    python -m training.train training/configs/interim.yaml --prepared DIR --teacher teacher.pt --minutes 45

`teacher.pt` is the teacher as a state dict (`to_torch.py` beside it makes it). The same command goes on from the last
checkpoint after a stop. Progress is a JSON line every ten steps in `log.jsonl`.
"""

import argparse
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

import sentencepiece
import torch
import torch._dynamo
import yaml
from transformers import Gemma3ForCausalLM, Gemma3TextConfig

from training.prepare import PROMPT_PIECES

CHECKPOINT_EVERY_S = 300
IGNORED = -100


def main() -> None:
    """Read the arguments, build the student, train it until the time is up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--prepared", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True, help="state dict; gemma_config.json lies beside it")
    parser.add_argument("--minutes", type=float, required=True)
    args = parser.parse_args()
    config = yaml.safe_load(args.config.read_text())
    torch.manual_seed(config["seed"])
    torch.set_num_threads(2)
    # One entry for each layer and shape; the default of 8 would fall back to eager after two shapes.
    torch._dynamo.config.recompile_limit = 200
    torch._dynamo.config.accumulated_recompile_limit = 1000

    student = cut_student(args.teacher, config["layers"], args.prepared / "tokens.json")
    optimizer = torch.optim.AdamW(student.parameters(), lr=config["learning_rate"], betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    step, spent_s = resume(args.prepared / "checkpoint.pt", student, optimizer)
    for layer in student.model.layers:
        layer.compile(dynamic=False)

    batches = endless_batches(args.prepared, config, skip=step)
    budget_s = args.minutes * 60
    started, saved = time.monotonic() - spent_s, time.monotonic()
    losses: list[float] = []
    while (elapsed_s := time.monotonic() - started) < budget_s:
        rate = config["learning_rate"] * min(1.0, (step + 1) / config["warmup_steps"]) * (1 - elapsed_s / budget_s)
        for group in optimizer.param_groups:
            group["lr"] = rate
        losses.append(train_step(student, optimizer, *next(batches)))
        step += 1
        if step % 10 == 0:
            line = {"step": step, "minutes": round(elapsed_s / 60, 2), "loss": round(sum(losses) / len(losses), 4), "rate": rate}
            line["minutes_left"] = round((budget_s - elapsed_s) / 60, 1)
            with (args.prepared / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            losses.clear()
        if time.monotonic() - saved > CHECKPOINT_EVERY_S:
            save(args.prepared / "checkpoint.pt", student, optimizer, step, elapsed_s)
            saved = time.monotonic()
    save(args.prepared / "checkpoint.pt", student, optimizer, step, budget_s)
    print(f"done: {step} steps")


def cut_student(teacher: Path, layers: list[int], tokens: Path) -> Gemma3ForCausalLM:
    """Return the teacher with only `layers` and the tokens of `tokens.json`, untrained since the cut."""
    state = torch.load(teacher, map_location="cpu")
    settings = json.loads((teacher.parent / "gemma_config.json").read_text())
    settings["layer_types"] = [settings["layer_types"][layer] for layer in layers]
    rows = torch.tensor([row for _, row in json.loads(tokens.read_text())])
    embeddings = state["model.embed_tokens.weight"]
    # A byte that the teacher never had starts as the mean of all tokens: neutral, learned if it occurs.
    embeddings = torch.where((rows >= 0)[:, None], embeddings[rows.clamp(min=0)], embeddings.mean(0))
    settings |= {"num_hidden_layers": len(layers), "vocab_size": len(rows), "attn_implementation": "sdpa"}
    student = Gemma3ForCausalLM(Gemma3TextConfig(**settings)).float()
    cut = {"model.embed_tokens.weight": embeddings, "lm_head.weight": embeddings, "model.norm.weight": state["model.norm.weight"]}
    for ours, theirs in enumerate(layers):
        prefix = f"model.layers.{theirs}."
        cut |= {f"model.layers.{ours}.{k.removeprefix(prefix)}": v for k, v in state.items() if k.startswith(prefix)}
    student.load_state_dict(cut)
    student.tie_weights()
    return student.train()


def train_step(student: Gemma3ForCausalLM, optimizer: torch.optim.Optimizer, tokens: torch.Tensor, labels: torch.Tensor) -> float:
    """Take one step on the English tokens of a batch; padding is on the right, so causal attention needs no mask."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = student.model(input_ids=tokens[:, :-1], use_cache=False).last_hidden_state
        wanted = labels[:, 1:]
        chosen = wanted != IGNORED
        logits = student.lm_head(hidden[chosen])  # the vocabulary is the dearest layer: English positions only
    loss = torch.nn.functional.cross_entropy(logits.float(), wanted[chosen])
    loss.backward()
    torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss.item()


def endless_batches(prepared: Path, config: dict, *, skip: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield (tokens, labels) in the fixed shapes, in a new order in every pass; the first `skip` are passed over."""
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(prepared / "tokenizer.model"))
    piece_id = tokenizer.piece_to_id
    prompt = [piece_id(piece) for piece in PROMPT_PIECES]
    shapes = [tuple(shape) for shape in config["shapes"]]
    buckets: dict[tuple[int, int], list[tuple[list[int], int]]] = {shape: [] for shape in shapes}
    for line in (prepared / "pairs.tsv").read_text().splitlines():
        arabic, english = line.split("\t")
        source = [piece_id("<bos>"), *tokenizer.encode(arabic), *prompt]
        example = (source + tokenizer.encode(english) + [piece_id("<eos>")], len(source))
        shape = next((shape for shape in shapes if len(example[0]) <= shape[1] + 1), None)
        if shape:
            buckets[shape].append(example)
    print({f"{rows}x{length}": len(examples) for (rows, length), examples in buckets.items()})
    count = 0
    for number in range(1_000_000):
        order = random.Random(config["seed"] + number)
        batches = []
        for shape, examples in buckets.items():
            order.shuffle(examples)
            batches += [(shape, examples[i : i + shape[0]]) for i in range(0, len(examples) - shape[0] + 1, shape[0])]
        order.shuffle(batches)
        for (rows, length), examples in batches:
            count += 1
            if count <= skip:
                continue
            tokens = torch.zeros(rows, length + 1, dtype=torch.long)
            labels = torch.full((rows, length + 1), IGNORED)
            for row, (example, start) in enumerate(examples):
                tokens[row, : len(example)] = torch.tensor(example)
                labels[row, start : len(example)] = torch.tensor(example[start:])
            yield tokens, labels


def resume(checkpoint: Path, student: torch.nn.Module, optimizer: torch.optim.Optimizer) -> tuple[int, float]:
    """Load the last checkpoint if there is one; return its step and the seconds spent."""
    if not checkpoint.exists():
        return 0, 0.0
    saved = torch.load(checkpoint)
    student.load_state_dict(saved["student"])
    optimizer.load_state_dict(saved["optimizer"])
    return saved["step"], saved["spent_s"]


def save(checkpoint: Path, student: torch.nn.Module, optimizer: torch.optim.Optimizer, step: int, spent_s: float) -> None:
    """Write a checkpoint beside the old one and then put it in its place."""
    new = checkpoint.with_suffix(".new")
    torch.save({"student": student.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "spent_s": spent_s}, new)
    new.rename(checkpoint)


if __name__ == "__main__":
    main()
