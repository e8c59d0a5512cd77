"""The smallest real models: CTranslate2 folders of both kinds with random weights. They decode, but say nothing."""

from pathlib import Path

import numpy as np
import sentencepiece
from ctranslate2.specs import TransformerDecoderModelSpec, TransformerSpec
from ctranslate2.specs.model_spec import LanguageModelSpec, ModelSpec

from tests.conftest import write_manifest

WIDTH = 16


def write_encoder_decoder(folder: Path, tokenizer: Path, *, seed: int = 7) -> None:
    """Write an encoder-decoder that uses the tokenizer; another seed is another model."""
    pieces = _copy_tokenizer(folder, tokenizer)
    spec = TransformerSpec.from_config((1, 1), 2)
    _fill(
        spec,
        {"encoder/embeddings_0": len(pieces), "decoder/embeddings": len(pieces), "decoder/projection": len(pieces)},
        seed,
    )
    spec.register_source_vocabulary(pieces)
    spec.register_target_vocabulary(pieces)
    spec.config.decoder_start_token = "<s>"
    _save(spec, folder)
    write_manifest(folder, name="tiny-encoder-decoder", max_target_tokens=16)


def write_decoder_only(folder: Path, tokenizer: Path) -> None:
    """Write a decoder-only model that uses the tokenizer."""
    pieces = _copy_tokenizer(folder, tokenizer)
    spec = TransformerDecoderModelSpec.from_config(1, 2)
    _fill(spec, {"decoder/embeddings": len(pieces), "decoder/projection": len(pieces)})
    spec.register_vocabulary(pieces)
    _save(spec, folder)
    write_manifest(
        folder,
        name="tiny-decoder-only",
        kind="decoder-only",
        source_prefix=["<s>"],
        source_suffix=["▁"],
        max_target_tokens=16,
    )


def _copy_tokenizer(folder: Path, tokenizer: Path) -> list[str]:
    folder.mkdir()
    (folder / "tokenizer.model").write_bytes(tokenizer.read_bytes())
    processor = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer))
    return [processor.id_to_piece(number) for number in range(processor.get_piece_size())]


def _fill(spec: ModelSpec, vocabularies: dict[str, int], seed: int = 7) -> None:
    """Set every weight that is not set: square layers of WIDTH, four times as wide within, keys and values joined."""
    random = np.random.default_rng(seed)

    def weights(*shape: int) -> np.ndarray:
        return random.normal(0, 0.3, shape).astype(np.float32)

    def set_layer(layer: object, scope: str) -> None:
        if hasattr(layer, "gamma"):
            layer.gamma, layer.beta = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)
        elif hasattr(layer, "weight") and scope in vocabularies:
            layer.weight = weights(vocabularies[scope], WIDTH)
        elif hasattr(layer, "weight"):
            rows, columns = WIDTH, WIDTH
            if scope.endswith("self_attention/linear_0"):
                rows = 3 * WIDTH
            elif scope.endswith("decoder/layer_0/attention/linear_1"):
                rows = 2 * WIDTH
            elif scope.endswith("ffn/linear_0"):
                rows = 4 * WIDTH
            elif scope.endswith("ffn/linear_1"):
                columns = 4 * WIDTH
            layer.weight = weights(rows, columns)

    for scope in {name.rpartition("/")[0] for name in spec.variables()}:
        layer: object = spec
        for part in scope.split("/"):
            name, _, number = part.rpartition("_")
            values = getattr(layer, name, None)
            layer = values[int(number)] if number.isdigit() and isinstance(values, list) else getattr(layer, part)
        set_layer(layer, scope)


def _save(spec: ModelSpec | LanguageModelSpec, folder: Path) -> None:
    spec.config.unk_token, spec.config.bos_token, spec.config.eos_token = "<unk>", "<s>", "</s>"
    spec.validate()
    spec.optimize()
    spec.save(str(folder))
