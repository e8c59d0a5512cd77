"""Read a folder that `export.py` wrote back into a `Model` that can be trained on.

CTranslate2 reads its files into its engine only, so `model.bin` is read here: the version of the format, the name and
revision of the specification, the variables (name, shape, type, bytes), then the aliases. All integers are
little-endian and unsigned. What was rounded to int8 comes back rounded; a short training heals that.
"""

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from ctranslate2.specs.model_spec import CURRENT_BINARY_VERSION
from torch import Tensor, nn

from services.translator.model import BadModel, read_vocabulary
from training.export import engine_spec
from training.model import Layer, Model, Norm, Shape, Sizes

_TYPES = {0: "<f4", 1: "i1", 2: "<i2", 3: "<i4"}
"""The numbers that CTranslate2 gives to the types which `export.py` writes; it has two more, float16 and bfloat16."""


class CannotRestore(Exception):
    """A folder that holds another kind of model than `export.py` writes, or a broken file."""


def restore(folder: Path) -> tuple[Model, list[str]]:
    """Return the model and its tokens in the order of their ids. Raises CannotRestore."""
    path = folder / "model.bin"
    variables = read_variables(path)
    try:
        vocabulary = read_vocabulary(folder)
    except BadModel as error:
        raise CannotRestore(f"{error} {_ONLY_OURS}") from None
    try:
        model = Model(_shape(variables))
        _restore_side(model.decoder, model.norm, variables, "decoder")
        if model.encoder_norm is not None:
            _restore_side(model.encoder, model.encoder_norm, variables, "encoder")
        model.embed_tokens.load_state_dict({"weight": _matrix(variables, "decoder/embeddings")})
    except KeyError as error:
        raise CannotRestore(f"{path} has no {error.args[0]!r}. {_ONLY_OURS}") from None
    if len(vocabulary) != model.shape.vocabulary_size:
        raise CannotRestore(
            f"{folder} names {len(vocabulary)} tokens, its model has {model.shape.vocabulary_size}. Copy it again."
        )
    _check_architecture(model, vocabulary, variables, path)
    return model, vocabulary


_ONLY_OURS = "Only models that training/export.py wrote can be trained on."


def read_variables(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a `model.bin` by their names, each alias as the array it stands for. Raises
    CannotRestore."""
    try:
        return _parse(memoryview(path.read_bytes()))
    except OSError as error:
        raise CannotRestore(f"{path} cannot be read: {error.strerror}.") from None
    except KeyError as error:
        raise CannotRestore(f"{path} has variables of type {error.args[0]}. {_ONLY_OURS}") from None
    except (struct.error, ValueError) as error:
        raise CannotRestore(f"{path} is cut or no CTranslate2 file: {error}. Copy the model again.") from None


def _parse(data: memoryview) -> dict[str, np.ndarray]:
    offset = 0

    def number(code: str) -> int:
        nonlocal offset
        (value,) = struct.unpack_from(f"<{code}", data, offset)
        offset += struct.calcsize(f"<{code}")
        return value

    def take(length: int) -> memoryview:
        nonlocal offset
        if offset + length > len(data):
            raise ValueError(f"{length} bytes are announced at {offset}, the file has {len(data)}")
        offset += length
        return data[offset - length : offset]

    def string() -> str:
        return bytes(take(number("H"))).rstrip(b"\0").decode()

    if (version := number("I")) != CURRENT_BINARY_VERSION:
        raise ValueError(f"its format is {version}, not {CURRENT_BINARY_VERSION}")
    string(), number("I")  # name and revision of the specification: the variables tell more
    variables = {}
    for _ in range(number("I")):
        name = string()
        shape = [number("I") for _ in range(number("B"))]
        kind = _TYPES[number("B")]
        variables[name] = np.frombuffer(take(number("I")), kind).reshape(shape)
    for _ in range(number("I")):
        alias = string()
        variables[alias] = variables[string()]
    return variables


def _shape(variables: Mapping[str, np.ndarray]) -> Shape:
    first = "decoder/layer_0"
    size, width = variables["decoder/embeddings/weight"].shape
    sizes = Sizes(
        width=width,
        heads=int(variables["decoder/num_heads"]),
        head=int(variables[f"{first}/self_attention/head_dim"]),
    )
    return Shape(
        size,
        _periods(variables, "encoder"),
        _periods(variables, "decoder"),
        sizes,
        encoder_inner=_inner(variables, "encoder"),
        decoder_inner=_inner(variables, "decoder"),
    )


def _inner(variables: Mapping[str, np.ndarray], side: str) -> int:
    weight = variables.get(f"{side}/layer_0/ffn/linear_0/weight")
    return 0 if weight is None else weight.shape[0]


def _periods(variables: Mapping[str, np.ndarray], side: str) -> tuple[float, ...]:
    found = []
    while (base := variables.get(f"{side}/layer_{len(found)}/self_attention/rotary_base")) is not None:
        found.append(float(base))
    return tuple(found)


def _restore_side(layers: nn.ModuleList, norm: Norm, variables: Mapping[str, np.ndarray], side: str) -> None:
    _restore_norm(norm, variables, f"{side}/layer_norm")
    for index, layer in enumerate(layers):
        _restore_layer(layer, variables, f"{side}/layer_{index}")


def _restore_layer(layer: Layer, variables: Mapping[str, np.ndarray], scope: str) -> None:
    """The reverse of `_fill_layer` in `export.py`. An encoder's memory is read with the same keys and values."""
    _restore_norm(layer.input_layernorm, variables, f"{scope}/input_layer_norm")
    _restore_norm(layer.post_attention_layernorm, variables, f"{scope}/post_attention_layer_norm")
    _restore_norm(layer.pre_feedforward_layernorm, variables, f"{scope}/pre_feedforward_layer_norm")
    _restore_norm(layer.post_feedforward_layernorm, variables, f"{scope}/post_feedforward_layer_norm")
    attention = layer.self_attn
    _restore_norm(attention.q_norm, variables, f"{scope}/self_attention/q_norm")
    _restore_norm(attention.k_norm, variables, f"{scope}/self_attention/k_norm")
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    _restore_linear(projections, variables, f"{scope}/self_attention/linear_0")
    _restore_linear([attention.o_proj], variables, f"{scope}/self_attention/linear_1")
    _restore_linear([layer.mlp.gate_proj], variables, f"{scope}/ffn/linear_0")
    _restore_linear([layer.mlp.up_proj], variables, f"{scope}/ffn/linear_0_noact")
    _restore_linear([layer.mlp.down_proj], variables, f"{scope}/ffn/linear_1")


def _restore_norm(norm: Norm, variables: Mapping[str, np.ndarray], scope: str) -> None:
    # A weight of less than 1e-7 is lost in the file, where 1 was added; 1 + weight is exactly what it was.
    norm.load_state_dict({"weight": torch.from_numpy(variables[f"{scope}/gamma"] - np.float32(1))})


def _restore_linear(
    parts: tuple[nn.Linear, ...] | list[nn.Linear], variables: Mapping[str, np.ndarray], scope: str
) -> None:
    joined = _matrix(variables, scope)
    for part, weight in zip(parts, joined.split([part.out_features for part in parts]), strict=True):
        part.load_state_dict({"weight": weight})


def _matrix(variables: Mapping[str, np.ndarray], scope: str) -> Tensor:
    weight = variables[f"{scope}/weight"].astype(np.float32)
    scale = variables.get(f"{scope}/weight_scale")
    if scale is not None:
        weight /= scale[:, None]
    return torch.from_numpy(weight)


def _check_architecture(model: Model, vocabulary: list[str], variables: Mapping[str, np.ndarray], path: Path) -> None:
    """Raise CannotRestore unless `export.py` would write the same variables, and the same settings among them."""
    spec = engine_spec(model, vocabulary)
    spec.validate()
    expected = {name: value.numpy() for name, value in spec.variables().items()}
    found = {name for name in variables if not name.endswith("/weight_scale")}
    for name in sorted(found ^ expected.keys()):
        raise CannotRestore(f"{path} {'has' if name in found else 'lacks'} {name!r}. {_ONLY_OURS}")
    for name, value in expected.items():
        if value.ndim == 0 and value != variables[name]:
            raise CannotRestore(f"{path} has {variables[name]} for {name!r}, not {value}. {_ONLY_OURS}")
