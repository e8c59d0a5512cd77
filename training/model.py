"""Gemma 3 in two shapes, encoder-decoder and decoder-only, small enough to train on two cores.

Written out here, not taken from transformers, because its T5Gemma 2 cannot be built without a vision tower, and because
a layer that sees nothing but tensors compiles once for all layers. The shapes are those of the Gemma 3 report
(arXiv:2503.19786) and of T5Gemma 2 (arXiv:2512.14856), whose decoder attends to its own past and to the encoder's
output in one softmax with one set of projections, so that every weight can come from a decoder-only teacher.
`export.py` checks that CTranslate2 computes the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-6
GLOBAL_LAYERS = (5, 11, 17)
"""Teacher layers with the long rotary period. Their window has no effect: no sentence reaches its 512 tokens."""
GLOBAL_PERIOD, LOCAL_PERIOD = 1_000_000.0, 10_000.0
TEACHER_INNER = 2048
_BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16")
"""What processors call their instructions for products of bfloat16: two of x86-64, one of ARM."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """The measures that all layers share; the defaults are the teacher's."""

    width: int = 640
    heads: int = 4
    head: int = 256


@dataclass(frozen=True, slots=True)
class Shape:
    """The layers of a model, each by its rotary period. Without encoder layers it is a decoder-only model."""

    vocabulary_size: int
    encoder_periods: tuple[float, ...]
    decoder_periods: tuple[float, ...]
    sizes: Sizes = Sizes()
    encoder_inner: int = 0
    """Units of each of the encoder's feed-forward layers, 0 without an encoder."""
    decoder_inner: int = TEACHER_INNER

    @classmethod
    def from_layers(
        cls,
        vocabulary_size: int,
        encoder_layers: Sequence[int],
        decoder_layers: Sequence[int],
        *,
        encoder_inner: int = TEACHER_INNER,
        decoder_inner: int = TEACHER_INNER,
    ) -> "Shape":
        """Return the shape of a model that is made of these layers of the teacher."""
        encoder, decoder = (tuple(map(rotary_period, layers)) for layers in (encoder_layers, decoder_layers))
        if not encoder:
            encoder_inner = 0
        return cls(vocabulary_size, encoder, decoder, encoder_inner=encoder_inner, decoder_inner=decoder_inner)

    @property
    def has_encoder(self) -> bool:
        return bool(self.encoder_periods)

    @property
    def kind(self) -> str:
        return "encoder-decoder" if self.has_encoder else "decoder-only"


def rotary_period(teacher_layer: int) -> float:
    return GLOBAL_PERIOD if teacher_layer in GLOBAL_LAYERS else LOCAL_PERIOD


class Norm(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + EPSILON)
        return (wide * (1 + self.weight)).to(x.dtype)


class Attention(nn.Module):
    """Query heads over one key and value head; `memory`, if given, is attended to beside the text itself."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width, head, self.heads = sizes.width, sizes.head, sizes.heads
        self.q_proj = nn.Linear(width, self.heads * head, bias=False)
        self.k_proj = nn.Linear(width, head, bias=False)
        self.v_proj = nn.Linear(width, head, bias=False)
        self.o_proj = nn.Linear(self.heads * head, width, bias=False)
        self.q_norm, self.k_norm = Norm(head), Norm(head)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor, mask: Tensor, memory: Tensor | None) -> Tensor:
        batch, length, _ = x.shape
        query = self.q_norm(self.q_proj(x).view(batch, length, self.heads, -1)).transpose(1, 2)
        key = self.k_norm(self.k_proj(x)).unsqueeze(1)
        value = self.v_proj(x).unsqueeze(1)
        query, key = rotate(query, cosine, sine), rotate(key, cosine, sine)
        if memory is not None:
            # No positions on the encoder's keys, as in T5Gemma 2.
            key = torch.cat([key, self.k_norm(self.k_proj(memory)).unsqueeze(1)], dim=2)
            value = torch.cat([value, self.v_proj(memory).unsqueeze(1)], dim=2)
        mixed = functional.scaled_dot_product_attention(
            query, key.expand(-1, self.heads, -1, -1), value.expand(-1, self.heads, -1, -1), attn_mask=mask
        )
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, length, -1))


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return (x * cosine + torch.cat([-second, first], dim=-1) * sine).to(x.dtype)


def rotary(positions: Tensor, period: float, head: int) -> tuple[Tensor, Tensor]:
    """Return cosines and sines, each batch × 1 × length × head, for positions of batch × length."""
    frequencies = period ** (-torch.arange(0, head, 2) / head)
    angles = (positions[..., None] * frequencies).repeat(1, 1, 2).unsqueeze(1)
    return angles.cos(), angles.sin()


def positions_in_sentence(sentences: Tensor) -> Tensor:
    """Count from zero within each run of equal numbers of a batch × length tensor."""
    index = torch.arange(sentences.shape[1]).expand_as(sentences)
    starts = torch.ones_like(sentences, dtype=torch.bool)
    starts[:, 1:] = sentences[:, 1:] != sentences[:, :-1]
    return index - torch.where(starts, index, 0).cummax(dim=1).values


class FeedForward(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(functional.gelu(self.gate_proj(x), approximate="tanh") * self.up_proj(x))


class Layer(nn.Module):
    """Names are those of transformers' Gemma 3, so that the teacher's state dict loads without a map."""

    def __init__(self, sizes: Sizes, inner: int) -> None:
        super().__init__()
        self.self_attn, self.mlp = Attention(sizes), FeedForward(sizes.width, inner)
        self.input_layernorm, self.post_attention_layernorm = Norm(sizes.width), Norm(sizes.width)
        self.pre_feedforward_layernorm, self.post_feedforward_layernorm = Norm(sizes.width), Norm(sizes.width)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor, mask: Tensor, memory: Tensor | None) -> Tensor:
        attended = self.self_attn(self.input_layernorm(x), cosine, sine, mask, memory)
        x = x + self.post_attention_layernorm(attended)
        return x + self.post_feedforward_layernorm(self.mlp(self.pre_feedforward_layernorm(x)))


class Model(nn.Module):
    """Rows of ids in, hidden states of the target positions out; `logits` makes tokens of those that matter.

    A row holds several sentences, so that little of it is padding: beside the ids go `sentences`, the number of the
    sentence that each position belongs to, 0 at padding. No sentence sees another; a target sees the source of its
    number.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.sizes.width
        self.embed_tokens = nn.Embedding(shape.vocabulary_size, width)
        self.encoder = nn.ModuleList(Layer(shape.sizes, shape.encoder_inner) for _ in shape.encoder_periods)
        self.encoder_norm = Norm(width) if shape.has_encoder else None
        self.decoder = nn.ModuleList(Layer(shape.sizes, shape.decoder_inner) for _ in shape.decoder_periods)
        self.norm = Norm(width)

    def embed(self, ids: Tensor) -> Tensor:
        return self.embed_tokens(ids) * self.shape.sizes.width**0.5

    def encode(self, source: Tensor, sentences: Tensor) -> Tensor:
        if self.encoder_norm is None:
            raise TypeError("A decoder-only model has no encoder.")
        mask = sentences[:, None, :, None] == sentences[:, None, None, :]
        layers, periods = self.encoder, self.shape.encoder_periods
        return self.encoder_norm(self._run(layers, periods, self.embed(source), sentences, mask, None)[-1])

    def decode(
        self, target: Tensor, sentences: Tensor, memory: Tensor | None = None, memory_sentences: Tensor | None = None
    ) -> Tensor:
        return self.norm(self.decode_by_layer(target, sentences, memory, memory_sentences)[-1])

    def decode_by_layer(
        self, target: Tensor, sentences: Tensor, memory: Tensor | None = None, memory_sentences: Tensor | None = None
    ) -> list[Tensor]:
        """Return what each decoder layer hands on, the last one's before `norm`: batch × length × width each."""
        own = sentences[:, None, :, None]
        mask = (own == sentences[:, None, None, :]).tril()
        if memory_sentences is not None:
            mask = torch.cat([mask, own == memory_sentences[:, None, None, :]], dim=-1)
        layers, periods = self.decoder, self.shape.decoder_periods
        return self._run(layers, periods, self.embed(target), sentences, mask, memory)

    def logits(self, hidden: Tensor) -> Tensor:
        return functional.linear(hidden, self.embed_tokens.weight)

    def _run(
        self,
        layers: nn.ModuleList,
        periods: Sequence[float],
        x: Tensor,
        sentences: Tensor,
        mask: Tensor,
        memory: Tensor | None,
    ) -> list[Tensor]:
        places = positions_in_sentence(sentences)
        positions = {period: rotary(places, period, self.shape.sizes.head) for period in set(periods)}
        outputs = []
        for layer, period in zip(layers, periods, strict=True):
            x = layer(x, *positions[period], mask, memory)
            outputs.append(x)
        return outputs


def fast_products(*, exact: bool = False) -> torch.autocast:
    """Return a context that multiplies in bfloat16 where the processor has instructions for it, unless `exact`.

    Where it had none, float32 did 79 billion operations a second and bfloat16 nine, on two cores that were shared.
    """
    found = torch.cpu.get_capabilities()
    enabled = not exact and any(found.get(name, False) for name in _BFLOAT16)
    return torch.autocast("cpu", torch.bfloat16, enabled=enabled)


def from_teacher(
    encoder_layers: Sequence[int],
    decoder_layers: Sequence[int],
    state: dict[str, Tensor],
    rows: Sequence[int],
    narrow: Mapping[str, Mapping[str, Tensor]] = MappingProxyType({}),
) -> Model:
    """Return a model whose every weight is the teacher's; `rows` are the teacher's ids of our tokens.

    `narrow` has, for "encoder" and "decoder", weights to be taken in the place of the teacher's (`pruning.py`).
    """
    states = [{**state, **narrow.get(side, {})} for side in ("encoder", "decoder")]
    encoder_inner, decoder_inner = (len(of_side["model.layers.0.mlp.up_proj.weight"]) for of_side in states)
    model = Model(
        Shape.from_layers(
            len(rows), encoder_layers, decoder_layers, encoder_inner=encoder_inner, decoder_inner=decoder_inner
        )
    )
    model.embed_tokens.weight.data.copy_(state["model.embed_tokens.weight"][list(rows)])
    sides = (model.encoder, encoder_layers), (model.decoder, decoder_layers)
    for (layers, origins), of_side in zip(sides, states, strict=True):
        for layer, origin in zip(layers, origins, strict=True):
            prefix = f"model.layers.{origin}."
            layer.load_state_dict(
                {name.removeprefix(prefix): tensor for name, tensor in of_side.items() if name.startswith(prefix)}
            )
    model.norm.weight.data.copy_(state["model.norm.weight"])
    if model.encoder_norm is not None:
        # The decoder's projections read the memory without their own input norm, so the encoder ends with the norm of
        # the layer that would have come next, not with the teacher's last one, which prepares for the vocabulary.
        following = max(encoder_layers) + 1
        model.encoder_norm.weight.data.copy_(state[f"model.layers.{following}.input_layernorm.weight"])
    return model


def whole_teacher(state: dict[str, Tensor], rows: Sequence[int]) -> Model:
    """Return the teacher itself, a decoder-only model with all its layers and of its tokens ours."""
    depth = 1 + max(int(name.split(".")[2]) for name in state if name.startswith("model.layers."))
    return from_teacher([], range(depth), state, rows).eval()
