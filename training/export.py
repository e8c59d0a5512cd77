"""Write a checkpoint as the int8 folder that the translator serves.

    python -m training.export --run ../lab/training/run --prepared ../lab/training/data --out models/ar-en --name NAME

The CTranslate2 specification is filled here tensor by tensor: CTranslate2 knows both architectures (T5Gemma 2 and
Gemma 3), but its converters start from transformers' classes, which we do not train. `--check` compares the folder's
greedy output in float32 with that of PyTorch. `evaluate.py` adds the scores to the manifest afterwards.
"""

import argparse
import hashlib
import json
import shutil
from pathlib import Path

import ctranslate2
import numpy as np
import sentencepiece
import torch
import yaml
from ctranslate2.specs import attention_spec, common_spec, transformer_spec
from torch import nn

from services.translator import adequacy
from training.model import EPSILON, Layer, Model, Norm, Shape, Sizes

BOS, EOS, UNK = "<bos>", "<eos>", "<unk>"
LICENCE = "Gemma Terms of Use; training texts under the licences listed in README.md"
NOTICE = "Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms\n"
"""Section 3.1 of the terms wants this sentence in every copy of a derivative."""


def engine_spec(model: Model, vocabulary: list[str]) -> transformer_spec.TransformerSpec:
    """Return the model as CTranslate2 describes models."""
    shape, options = model.shape, _layer_options(model.shape.sizes)
    decoder = transformer_spec.TransformerDecoderSpec(
        num_layers=len(shape.decoder_periods),
        with_encoder_attention=shape.has_encoder,
        merged_encoder_attention=shape.has_encoder,
        **options,
    )
    # A copy: quantization writes into the arrays that it is given, which would be the weights in training.
    embeddings = model.embed_tokens.weight.detach().numpy().copy()
    decoder.embeddings.weight = embeddings
    decoder.projection.weight = embeddings
    decoder.scale_embeddings = shape.sizes.width**0.5
    _fill(decoder, model.decoder, shape.decoder_periods, model.norm, reads_memory=shape.has_encoder)
    if shape.has_encoder:
        encoder = transformer_spec.TransformerEncoderSpec(num_layers=len(shape.encoder_periods), **options)
        encoder.embeddings[0].weight = embeddings
        encoder.scale_embeddings = shape.sizes.width**0.5
        _fill(encoder, model.encoder, shape.encoder_periods, model.encoder_norm, reads_memory=False)
        spec = transformer_spec.TransformerSpec(encoder, decoder)
        spec.register_source_vocabulary(vocabulary)
        spec.register_target_vocabulary(vocabulary)
        spec.config.decoder_start_token = BOS
    else:
        spec = transformer_spec.TransformerDecoderModelSpec(decoder)
        spec.register_vocabulary(vocabulary)
    spec.config.bos_token, spec.config.eos_token, spec.config.unk_token = BOS, EOS, UNK
    spec.config.layer_norm_epsilon = EPSILON
    return spec


def _layer_options(sizes: Sizes) -> dict[str, object]:
    return {
        "num_heads": sizes.heads,
        "num_heads_kv": 1,
        "head_dim": sizes.head,
        "pre_norm": True,
        "pre_post_layer_norm": True,
        "activation": common_spec.Activation.GELUTanh,
        "ffn_glu": True,
        "rms_norm": True,
        "qk_norm": True,
        "rotary_dim": sizes.head,
        "rotary_interleave": False,
        "rotary_scaling_type": attention_spec.RotaryScalingType.Linear,
        "rotary_scaling_factor": 1,
    }


def _fill(
    spec: transformer_spec.TransformerEncoderSpec | transformer_spec.TransformerDecoderSpec,
    layers: nn.ModuleList,
    periods: tuple[float, ...],
    norm: Norm,
    *,
    reads_memory: bool,
) -> None:
    _set_norm(spec.layer_norm, norm)
    for layer_spec, layer, period in zip(spec.layer, layers, periods, strict=True):
        _fill_layer(layer_spec, layer, reads_memory=reads_memory)
        layer_spec.self_attention.rotary_base = np.float32(period)


def _fill_layer(spec: transformer_spec.TransformerDecoderLayerSpec, layer: Layer, *, reads_memory: bool) -> None:
    _set_norm(spec.input_layer_norm, layer.input_layernorm)
    _set_norm(spec.post_attention_layer_norm, layer.post_attention_layernorm)
    _set_norm(spec.pre_feedforward_layer_norm, layer.pre_feedforward_layernorm)
    _set_norm(spec.post_feedforward_layer_norm, layer.post_feedforward_layernorm)
    attention = layer.self_attn
    _set_norm(spec.self_attention.q_norm, attention.q_norm)
    _set_norm(spec.self_attention.k_norm, attention.k_norm)
    _set_linear(spec.self_attention.linear[0], attention.q_proj, attention.k_proj, attention.v_proj)
    _set_linear(spec.self_attention.linear[1], attention.o_proj)
    if reads_memory:
        _set_linear(spec.self_attention.memory_kv, attention.k_proj, attention.v_proj)
    _set_linear(spec.ffn.linear_0, layer.mlp.gate_proj)
    _set_linear(spec.ffn.linear_0_noact, layer.mlp.up_proj)
    _set_linear(spec.ffn.linear_1, layer.mlp.down_proj)


def _set_norm(spec: common_spec.LayerNormSpec, norm: Norm) -> None:
    spec.gamma = (1 + norm.weight.detach()).numpy()


def _set_linear(spec: common_spec.LinearSpec, *parts: nn.Linear) -> None:
    spec.weight = torch.cat([part.weight.detach() for part in parts]).numpy()


def write_folder(
    model: Model,
    vocabulary: list[str],
    tokenizer: Path,
    folder: Path,
    *,
    max_source_tokens: int,
    quantization: str = "int8",
    name: str = "unnamed",
    lexicon: Path | None = None,
) -> None:
    """Write everything but the card, the scores and the calibration, which is fitted on the folder's own answers."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    spec = engine_spec(model, vocabulary)
    spec.validate()
    spec.optimize(quantization=quantization)
    spec.save(str(folder))
    shutil.copy(tokenizer, folder / "tokenizer.model")
    if lexicon is not None:
        shutil.copy(lexicon, folder / adequacy.FILE)
    (folder / "NOTICE").write_text(NOTICE)
    data = yaml.safe_load((Path(__file__).parent / "data.yaml").read_text())
    texts = [*data["parallel"], *(text for text in data["mono"] if "distilled" in text)]
    sources = [f"{Path(text['file']).name.split('.')[0]}: {text['licence']}" for text in texts]
    manifest = {
        "format": 1,
        "name": name,
        "kind": model.shape.kind,
        "source_language": "ar",
        "target_language": "en",
        "normalization": "plain-1",
        "source_tokenizer": "tokenizer.model",
        "target_tokenizer": "tokenizer.model",
        "source_prefix": [BOS],
        "source_suffix": [] if model.shape.has_encoder else ["\n"],
        "target_prefix": [],
        "end_token": EOS,
        "max_source_tokens": max_source_tokens,
        "max_target_tokens": 256,
        "beam_size": 1,
        "licence": LICENCE,
        "sources": ["Gemma 3 270M: Gemma Terms of Use", *sources],
        "scores": {},
        "files": {},
    }
    write_manifest(folder, manifest)


def write_manifest(folder: Path, manifest: dict) -> None:
    """Write `manifest.json` with the digests of the files that are in the folder now."""
    manifest["files"] = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.name != "manifest.json"
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n")


def load_model(checkpoint: Path, vocabulary: list[str]) -> tuple[Model, dict]:
    """Return the model of a checkpoint and the settings it was trained with."""
    state = torch.load(checkpoint, mmap=True)
    config = state["config"]
    encoder_inner, decoder_inner = (
        len(state["model"].get(f"{side}.0.mlp.up_proj.weight", ())) for side in ("encoder", "decoder")
    )
    shape = Shape.from_layers(
        len(vocabulary),
        config["encoder_layers"],
        config["decoder_layers"],
        encoder_inner=encoder_inner,
        decoder_inner=decoder_inner,
    )
    model = Model(shape)
    model.load_state_dict(state["model"])
    return model.eval(), config


@torch.no_grad()
def greedy(model: Model, source: list[int], *, newline: int, limit: int) -> list[int]:
    """Decode one sentence the slow and simple way, for `compare_greedy`. Ids 1 and 2 are `<eos>` and `<bos>`."""
    memory = memory_sentences = None
    prompt = [2, *source, newline]
    if model.shape.has_encoder:
        memory_sentences = torch.ones(1, len(source) + 1, dtype=torch.long)
        memory, prompt = model.encode(torch.tensor([[2, *source]]), memory_sentences), [2]
    written: list[int] = []
    while len(written) < limit:
        target = torch.tensor([prompt + written])
        hidden = model.decode(target, torch.ones_like(target), memory, memory_sentences)
        token = int(model.logits(hidden[0, -1]).argmax())
        if token == 1:
            break
        written.append(token)
    return written


def compare_greedy(
    model: Model, vocabulary: list[str], tokenizer_path: Path, folder: Path, texts: list[str], *, limit: int = 60
) -> list[tuple[bool, str]]:
    """Write `folder` in float32; return for each text whether CTranslate2 writes the tokens that PyTorch writes, and
    what it writes."""
    write_folder(model, vocabulary, tokenizer_path, folder, max_source_tokens=160, quantization="float32")
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer_path))
    ids = {piece: index for index, piece in enumerate(vocabulary)}
    options = {"compute_type": "float32", "inter_threads": 1, "intra_threads": 1}
    engine_class = ctranslate2.Translator if model.shape.has_encoder else ctranslate2.Generator
    engine = engine_class(str(folder), **options)
    compared = []
    for text in texts:
        pieces = tokenizer.encode(text, out_type=str)
        if model.shape.has_encoder:
            result = engine.translate_batch([[BOS, *pieces]], beam_size=1, max_decoding_length=limit)[0].hypotheses[0]
        else:
            result = engine.generate_batch(
                [[BOS, *pieces, "\n"]], max_length=limit, end_token=EOS, include_prompt_in_result=False
            )[0].sequences[0]
        expected = greedy(model, [ids[piece] for piece in pieces], newline=ids["\n"], limit=limit)
        compared.append(([ids[piece] for piece in result] == expected, tokenizer.decode(result)))
    return compared


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="the folder train.py wrote")
    parser.add_argument("--prepared", type=Path, required=True, help="the folder prepare.py wrote")
    parser.add_argument("--lexicon", type=Path, help="the file lexicon.py wrote")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", default="khulasa-ar-en")
    parser.add_argument("--check", type=Path, help="Arabic sentences, one a line; writes float32 to --out")
    arguments = parser.parse_args()
    tokens = json.loads((arguments.prepared / "vocabulary.json").read_text())
    trained, settings = load_model(arguments.run / "checkpoint.pt", tokens)
    tokenizer_file = arguments.prepared / "tokenizer.model"
    if arguments.check:
        lines = arguments.check.read_text().splitlines()[:8]
        for same, text in compare_greedy(trained, tokens, tokenizer_file, arguments.out, lines):
            print("same" if same else "DIFFERENT", text, sep="\t")
    else:
        write_folder(
            trained,
            tokens,
            tokenizer_file,
            arguments.out,
            name=arguments.name,
            lexicon=arguments.lexicon,
            max_source_tokens=settings["max_source_tokens"],
        )
