"""Gemma 3: decoder-only, so what it is asked to do stands in the prompt around the sentence.

The prompt is not part of the model. The default is an instruction for models that were tuned to chat, and for others
"the sentence and a line break", which is how `training/` tunes them.
"""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
from ctranslate2.specs.attention_spec import RotaryScalingType

from services.translator.conversion.family import MAX_TOKENS, CannotConvert, Card, Recipe
from services.translator.conversion.hugging_face import Converter, HuggingFaceFolder, Vocabulary, write_weights

BOS, EOS, UNK, END_OF_TURN = "<bos>", "<eos>", "<unk>", "<end_of_turn>"
TOKENIZER = "tokenizer.model"
TEXT = "{text}"
PLAIN_PROMPT = f"{TEXT}\n"
CHAT_PROMPT = (
    "<start_of_turn>user\n"
    f"Translate this sentence of Arabic news into English. Answer with the translation alone.\n\n{TEXT}{END_OF_TURN}\n"
    "<start_of_turn>model\n"
)
NOTICE = "Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms\n"
"""Section 3.1 of the terms wants this sentence in every copy of a derivative."""

_MARKER = re.compile(r"(<[^<>\s]+>)")


@dataclass(frozen=True, slots=True)
class Gemma3:
    """A Gemma 3 model and the prompt to use it with."""

    folder: HuggingFaceFolder
    text_config: dict[str, Any]
    chat: bool
    prompt: str

    @classmethod
    def open(cls, folder: HuggingFaceFolder) -> "Gemma3":
        """Look for a chat template and check the architecture. Raises CannotConvert."""
        # The larger models wrap the language model together with one for images, which is left out.
        text_config = folder.config.get("text_config") or folder.config
        for option in ("final_logit_softcapping", "attn_logit_softcapping", "use_bidirectional_attention"):
            if text_config.get(option):
                raise CannotConvert(f"{folder.path} uses {option}, which CTranslate2 does not have for Gemma 3.")
        folder.processor(TOKENIZER)
        chat = bool(folder.tokenizer_config.get("chat_template")) or (folder.path / "chat_template.jinja").is_file()
        return cls(folder, text_config, chat, CHAT_PROMPT if chat else PLAIN_PROMPT)

    @property
    def found(self) -> str:
        tuned = "tuned to chat" if self.chat else "without a chat template"
        return f"a Gemma 3 model ({self.text_config.get('num_hidden_layers')} layers, {tuned})"

    @property
    def card(self) -> Card:
        return self.folder.card

    def write(self, folder: Path, quantization: str | None) -> Recipe:
        processor = self.folder.processor(TOKENIZER)
        before, after = _split_prompt(self.prompt)
        vocabulary = _vocabulary(processor)
        write_weights(_GemmaConverter(self.folder, vocabulary), folder, quantization)
        shutil.copyfile(self.folder.path / TOKENIZER, folder / TOKENIZER)
        self.folder.copy_papers(folder)
        if not (folder / "NOTICE").exists():
            (folder / "NOTICE").write_text(NOTICE)
        prefix = [BOS, *_tokens(processor, before.removeprefix(BOS))]
        suffix = _tokens(processor, after)
        positions = int(self.text_config.get("max_position_embeddings", 32768))
        tokens = min(MAX_TOKENS, (positions - len(prefix) - len(suffix)) // 2)
        if tokens < 1:
            raise CannotConvert(
                f"The prompt leaves no room in the {positions} tokens of the model. Give a shorter one."
            )
        return Recipe(
            kind="decoder-only",
            source_tokenizer=TOKENIZER,
            target_tokenizer=TOKENIZER,
            source_prefix=prefix,
            source_suffix=suffix,
            target_prefix=[],
            end_token=END_OF_TURN if END_OF_TURN in after else EOS,
            max_source_tokens=tokens,
            max_target_tokens=tokens,
        )


class _GemmaConverter(Converter):
    """Corrects what CTranslate2 4.8 takes for granted of Gemma 3, which its larger sizes and fine-tunings are not.

    It reads the periods of the rotation where transformers 4 kept them, and drops the scaling of the rotation (4B and
    larger) and of the queries (27B).
    """

    def load_model(self, model_class: Any, model_name_or_path: str, **options: Any) -> Any:
        model = super().load_model(model_class, model_name_or_path, **options)
        self._config = getattr(model.config, "text_config", model.config)
        return model

    def _load(self) -> Any:
        spec = super()._load()
        config = self._config
        spec.config.layer_norm_epsilon = config.rms_norm_eps
        for layer, kind in zip(spec.decoder.layer, config.layer_types, strict=True):
            rotation = config.rope_parameters[kind]
            attention = layer.self_attention
            attention.rotary_base = np.float32(rotation["rope_theta"])
            attention.queries_scale = np.float32(config.query_pre_attn_scalar**-0.5)
            if rotation["rope_type"] == "linear":
                # A specification takes no new attributes once it is made, but is saved with all that it has.
                object.__setattr__(attention, "rotary_scaling_type", np.int8(RotaryScalingType.Linear))
                object.__setattr__(attention, "rotary_scaling_factor", np.float32(rotation["factor"]))
            elif rotation["rope_type"] != "default":
                raise NotImplementedError(f"rotation of type {rotation['rope_type']!r}")
        return spec


def _vocabulary(processor: sentencepiece.SentencePieceProcessor) -> Vocabulary:
    """Return the pieces in their order; the converter fills up to the size of the model's matrix."""
    numbers = {processor.id_to_piece(number): number for number in range(processor.get_piece_size())}
    return Vocabulary(numbers, bos_token=BOS, eos_token=EOS, unk_token=UNK)


def _split_prompt(prompt: str) -> tuple[str, str]:
    if prompt.count(TEXT) != 1:
        raise CannotConvert(f"The prompt {prompt!r} must have {TEXT} once, where the sentence goes.")
    before, _, after = prompt.partition(TEXT)
    if not after:
        raise CannotConvert(f"The prompt {prompt!r} ends with {TEXT}: the model would go on with the Arabic.")
    return before, after


def _tokens(processor: sentencepiece.SentencePieceProcessor, text: str) -> list[str]:
    """Return the tokens of a part of the prompt, its markers ("<start_of_turn>") as one token each."""
    tokens: list[str] = []
    for part in _MARKER.split(text):
        if _MARKER.fullmatch(part) and processor.piece_to_id(part) != processor.unk_id():
            tokens.append(part)
        else:
            tokens.extend(processor.encode(part, out_type=str))
    return tokens
