"""A model that both Khulasa and Argos Translate can load, with answers of known length: a copying Transformer.

Argos loads `ctranslate2.Translator` only, so not the shipped decoder; and it asks for attention (`replace_unknowns`),
which CTranslate2 does not return of our own encoder-decoder, whose decoder attends to source and target at once
("Gather: rank of data"). What is compared is software, so the model need only cost what a usual one costs: 6 and 6
layers of 512, as in Argos' own packages, int8. Its weights are set and not trained: the last layer of the decoder looks
at the source position of its own number and writes the token that stands there, an Arabic one as the Latin one of its
pair. So every answer is as long as its sentence, whatever the beam and whoever asks.
"""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
from ctranslate2.specs import transformer_spec

from services.translator.model import read_vocabulary

LAYERS, WIDTH, HEADS, INNER = 6, 512, 8, 2048
HALF = WIDTH // 2
"""Each vector is the code of a token and, behind it, the code of a position."""
HEAD = WIDTH // HEADS
POSITIONS = 512
SHARPNESS = 4.0
"""How much nearer a position is to itself than to others, in the attention's softmax; at 4 by about twenty."""
EMPHASIS = 4.0
"""The token that is written against the one before it, in the last vector of the decoder."""

BOS, EOS, UNK = "<bos>", "<eos>", "<unk>"

Array = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


def write(folder: Path, tokenizer_of: Path, *, beam_size: int) -> None:
    """Write the model as a folder of Khulasa, with the tokenizer and tokens of the model folder `tokenizer_of`."""
    folder.mkdir(parents=True)
    vocabulary = read_vocabulary(tokenizer_of)
    spec = _spec(vocabulary)
    spec.validate()
    spec.optimize(quantization="int8")
    spec.save(str(folder))
    shutil.copy(tokenizer_of / "tokenizer.model", folder)
    manifest = {
        "format": 1,
        "name": "copying-6-6-512",
        "kind": "encoder-decoder",
        "source_language": "ar",
        "target_language": "en",
        "normalization": "plain-1",
        "source_tokenizer": "tokenizer.model",
        "target_tokenizer": "tokenizer.model",
        "source_prefix": [],
        "source_suffix": [EOS],
        "target_prefix": [],
        "end_token": EOS,
        "max_source_tokens": 160,
        "max_target_tokens": 256,
        "beam_size": beam_size,
        "licence": "none",
        "sources": [],
        "scores": {},
        "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1))


def write_argos_packages(folder: Path, model: Path) -> None:
    """Write the same model as two Argos packages, Arabic to English and back.

    LibreTranslate wants at least two, or it looks for more on the internet. Argos adds no end to a sentence, so the
    model's own settings have to.
    """
    for source, target in (("ar", "en"), ("en", "ar")):
        package = folder / f"copying-{source}_{target}"
        (package / "model").mkdir(parents=True)
        for name in ("model.bin", "shared_vocabulary.json"):
            shutil.copy(model / name, package / "model")
        settings = json.loads((model / "config.json").read_text()) | {"add_source_eos": True}
        (package / "model" / "config.json").write_text(json.dumps(settings))
        shutil.copy(model / "tokenizer.model", package / "sentencepiece.model")
        names = {"from_code": source, "from_name": source, "to_code": target, "to_name": target}
        (package / "metadata.json").write_text(json.dumps(names | {"package_version": "1.0", "argos_version": "1.11"}))


def _spec(vocabulary: list[str]) -> transformer_spec.TransformerSpec:
    spec = transformer_spec.TransformerSpec.from_config((LAYERS, LAYERS), HEADS, pre_norm=True)
    random = np.random.default_rng(1)
    tokens, positions = _codes(len(vocabulary), random), _codes(POSITIONS, random)
    embeddings = np.concatenate([tokens, np.zeros_like(tokens)], axis=1)
    encodings = np.concatenate([np.zeros_like(positions), positions], axis=1)

    for side in (spec.encoder, spec.decoder):
        side.scale_embeddings = False
        side.position_encodings.encodings = encodings
        _set_norm(side.layer_norm)
        for layer in side.layer:
            for block in (layer.self_attention, layer.ffn, getattr(layer, "attention", None)):
                if block is not None:
                    _set_norm(block.layer_norm)
            _set_linear(layer.self_attention.linear[0], _weightless((3 * WIDTH, WIDTH), random))
            _set_linear(layer.self_attention.linear[1], _weightless((WIDTH, WIDTH), random))
            _set_linear(layer.ffn.linear_0, _weightless((INNER, WIDTH), random))
            _set_linear(layer.ffn.linear_1, _weightless((WIDTH, INNER), random))
    spec.encoder.embeddings[0].weight = embeddings
    spec.decoder.embeddings.weight = embeddings
    for layer in spec.decoder.layer:
        last = layer is spec.decoder.layer[-1]
        for linear, weight in zip(layer.attention.linear, _attention(), strict=True):
            _set_linear(linear, weight if last else _weightless(weight.shape, random))
    projection = np.empty_like(embeddings)
    projection[_written(vocabulary)] = embeddings
    _set_linear(spec.decoder.projection, projection)

    spec.register_source_vocabulary(vocabulary)
    spec.register_target_vocabulary(vocabulary)
    spec.config.decoder_start_token = BOS
    spec.config.bos_token, spec.config.eos_token, spec.config.unk_token = BOS, EOS, UNK
    spec.config.layer_norm_epsilon = 1e-6
    return spec


def _codes(count: int, random: np.random.Generator) -> Array:
    """Return vectors of as many 1 as -1 in random order, any two nearly at a right angle."""
    half = np.repeat(np.array([1, -1], np.float32), HALF // 2)
    return random.permuted(np.tile(half, (count, 1)), axis=1)


def _weightless(shape: tuple[int, ...], random: np.random.Generator) -> Array:
    """Return weights too small to change anything. Zeros would be kept once for all layers, and so be read faster."""
    return random.normal(scale=1e-4, size=shape).astype(np.float32)


def _attention() -> tuple[Array, Array, Array]:
    """Return the weights for queries, for keys and values, and for the output: by position, of tokens."""
    queries, keys = np.zeros((WIDTH, WIDTH), np.float32), np.zeros((WIDTH, WIDTH), np.float32)
    values, output = np.zeros((WIDTH, WIDTH), np.float32), np.zeros((WIDTH, WIDTH), np.float32)
    share = HALF // HEADS
    for head in range(HEADS):
        for place in range(HEAD):
            position = HALF + (head * HEAD + place) % HALF
            queries[head * HEAD + place, position] = SHARPNESS
            keys[head * HEAD + place, position] = 1
        for place in range(share):
            values[head * HEAD + place, head * share + place] = 1
            output[head * share + place, head * HEAD + place] = EMPHASIS
    return queries, np.concatenate([keys, values]), output


def _written(vocabulary: list[str]) -> Array:
    """Return for each token the one that is written for it: Arabic and Latin pieces trade places, in pairs."""
    written = np.arange(len(vocabulary))
    arabic = [i for i, piece in enumerate(vocabulary) if any("\u0600" <= sign <= "\u06ff" for sign in piece)]
    latin = [i for i, piece in enumerate(vocabulary) if piece.strip("▁").isalpha() and piece.strip("▁").isascii()]
    for one, other in zip(arabic, latin, strict=False):
        written[one], written[other] = other, one
    return written


def _set_norm(spec: object) -> None:
    spec.gamma, spec.beta = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)  # type: ignore[attr-defined]


def _set_linear(spec: object, weight: Array) -> None:
    spec.weight, spec.bias = weight, np.zeros(len(weight), np.float32)  # type: ignore[attr-defined]
