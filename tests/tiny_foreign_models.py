"""The smallest real models of other projects, with random weights, as their authors would publish them.

Every writer makes a folder in the layout of Hugging Face and returns what transformers itself makes of a text:
tokenizer and greedy search of that library, nothing of ours. Their tokenizers are trained on our articles.
"""

import json
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sentencepiece

from tests.conftest import ARTICLES

WRITTEN = 20


@dataclass(frozen=True, slots=True)
class Written:
    """What transformers writes for a text: at most `WRITTEN` tokens."""

    tokens: list[str]
    """Without the end token."""
    log_probability: float
    """Mean natural log over the tokens, the end token included."""


Reference = Callable[[str], Written]
CARD = """---
language:
- ar
- en
license: cc-by-4.0
datasets:
- opus100
base_model: "example/base"
---
# A model
"""


def train_tokenizer(prefix: Path, *, size: int = 400, kind: str = "bpe", **options: Any) -> Path:
    """Train a SentencePiece model on the articles; return its file."""
    text = prefix.with_suffix(".txt")
    text.write_text("\n".join(path.read_text() for path in sorted(ARTICLES.glob("*.txt"))))
    sentencepiece.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(prefix),
        vocab_size=size,
        model_type=kind,
        character_coverage=1.0,
        minloglevel=2,
        **options,
    )
    text.unlink()
    prefix.with_suffix(".vocab").unlink()
    return prefix.with_suffix(".model")


def write_marian(folder: Path) -> Reference:
    """Write an OPUS-MT model: unigram pieces, vocab.json, a bias on the answer, <pad> last and never written."""
    import torch
    from transformers import MarianConfig, MarianMTModel, MarianTokenizer

    tokens = write_marian_tokenizer(folder)
    pad = len(tokens) - 1
    torch.manual_seed(5)
    config = MarianConfig(
        **_SHAPE,
        vocab_size=len(tokens),
        pad_token_id=pad,
        eos_token_id=0,
        decoder_start_token_id=pad,
        activation_function="swish",
        scale_embedding=True,
        forced_eos_token_id=None,
    )
    model = _randomized(MarianMTModel(config))
    model.final_logits_bias.normal_(0, 0.1)
    model.final_logits_bias[0, 0] = 0.8  # so that some answers end
    model.get_input_embeddings().weight[pad] = 0  # as Marian itself starts, which has no token to start with
    model.generation_config.bad_words_ids = [[pad]]
    _save(model, folder)
    with warnings.catch_warnings():
        # It recommends a package that cleans punctuation, which our own normalization has done.
        warnings.filterwarnings("ignore", message="Recommended: pip install sacremoses")
        tokenizer = MarianTokenizer.from_pretrained(str(folder))
    # CTranslate2's encoder-decoders write one token at least, where a language tag is one.
    return lambda text: _greedy(model, tokenizer(text).input_ids, 0, tokenizer.convert_ids_to_tokens, shortest=1)


def write_marian_tokenizer(folder: Path, *, target: str = "en") -> list[str]:
    """Write all of an OPUS-MT model but its configuration and weights; return its tokens."""
    pieces = _pieces(_tokenizer(folder, "source.spm", kind="unigram"))
    (folder / "target.spm").write_bytes((folder / "source.spm").read_bytes())
    tokens = ["</s>", "<unk>", *pieces[3:], "<pad>"]
    _write_json(folder / "vocab.json", {token: number for number, token in enumerate(tokens)})
    _write_json(folder / "tokenizer_config.json", {"source_lang": "ar", "target_lang": target})
    return tokens


def write_m2m100(folder: Path) -> Reference:
    """Write an M2M100 model: vocab.json, its hundred language tags behind it, a few numbers without a token."""
    import torch
    from transformers import M2M100Config, M2M100ForConditionalGeneration, M2M100Tokenizer

    pieces = _pieces(_tokenizer(folder, "sentencepiece.bpe.model"))
    tokens = [*_FAIRSEQ, *pieces[3:]]
    _write_json(folder / "vocab.json", {token: number for number, token in enumerate(tokens)})
    torch.manual_seed(6)
    config = M2M100Config(**_SHAPE, vocab_size=len(tokens) + 100 + 8)
    model = _randomized(M2M100ForConditionalGeneration(config))
    _save(model, folder)
    tokenizer = M2M100Tokenizer.from_pretrained(str(folder), src_lang="ar", tgt_lang="en")
    english = tokenizer.get_lang_id("en")

    return lambda text: _greedy(model, tokenizer(text).input_ids, 2, tokenizer.convert_ids_to_tokens, first=english)


def write_nllb(folder: Path) -> Reference:
    """Write an NLLB model: its tokenizer in tokenizer.json, with 202 language tags behind the pieces."""
    import torch
    from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer
    from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES

    pieces = _pieces(_tokenizer(folder, "sentencepiece.bpe.model"))
    tokens = [*_FAIRSEQ, *pieces[3:], *FAIRSEQ_LANGUAGE_CODES]
    numbers = {token: number for number, token in enumerate(tokens)}
    halves = ((piece[:cut], piece[cut:]) for piece in pieces for cut in range(1, len(piece)))
    merges = [(left, right) for left, right in halves if left in numbers and right in numbers]
    tokenizer = NllbTokenizer(vocab=numbers, merges=merges, src_lang="arb_Arab", tgt_lang="eng_Latn")
    tokenizer.save_pretrained(str(folder))
    torch.manual_seed(7)
    config = M2M100Config(**_SHAPE, vocab_size=len(tokenizer) + 2)
    model = _randomized(M2M100ForConditionalGeneration(config))
    _save(model, folder)
    english = tokenizer.convert_tokens_to_ids("eng_Latn")

    return lambda text: _greedy(model, tokenizer(text).input_ids, 2, tokenizer.convert_ids_to_tokens, first=english)


def write_gemma(folder: Path, *, chat: bool = False, wrapped: bool = False, **options: Any) -> Reference:
    """Write a Gemma 3 model; `wrapped` together with one for images, as the larger ones are.

    The reference takes the whole prompt, markers and line breaks included, as SentencePiece reads it.
    """
    import torch
    from transformers import (
        Gemma3Config,
        Gemma3ForCausalLM,
        Gemma3ForConditionalGeneration,
        Gemma3TextConfig,
        SiglipVisionConfig,
    )

    processor = _tokenizer(
        folder,
        "tokenizer.model",
        size=600,
        byte_fallback=True,
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
        pad_piece="<pad>",
        eos_piece="<eos>",
        bos_piece="<bos>",
        user_defined_symbols=["\n", "\n\n", "<start_of_turn>", "<end_of_turn>"],
    )
    if chat:
        _write_json(folder / "tokenizer_config.json", {"chat_template": "{{ messages }}"})
    torch.manual_seed(8)
    shape: dict[str, Any] = {
        "vocab_size": processor.get_piece_size() + 8,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "query_pre_attn_scalar": 8,
        "sliding_window": 512,
        "max_position_embeddings": 256,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    }
    text_config = Gemma3TextConfig(**shape | options)
    model: Any
    if wrapped:
        vision = SiglipVisionConfig(
            hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, image_size=28, patch_size=14
        )
        model = Gemma3ForConditionalGeneration(
            Gemma3Config(text_config=text_config, vision_config=vision, mm_tokens_per_image=4)
        )
    else:
        model = Gemma3ForCausalLM(text_config)
    _save(_randomized(model), folder)
    end = processor.piece_to_id("<end_of_turn>" if chat else "<eos>")

    def name(numbers: list[int]) -> list[str]:
        return [processor.id_to_piece(number) for number in numbers]

    return lambda prompt: _greedy(model, [processor.bos_id(), *processor.encode(prompt)], end, name)


def write_argos(path: Path, model: Path, *, metadata: dict[str, Any] | None = None) -> None:
    """Pack a CTranslate2 folder (`tiny_models.write_encoder_decoder`) as Argos does."""
    described = {"package_version": "1.0", "argos_version": "1.5", "from_code": "ar", "to_code": "en"} | (
        metadata or {}
    )
    root = "translate-ar_en-1_0"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{root}/metadata.json", json.dumps(described))
        archive.writestr(f"{root}/README.md", "# Arabic-English\nData compiled by nobody.\n")
        archive.write(model / "tokenizer.model", f"{root}/sentencepiece.model")
        for name in ("model.bin", "config.json", "shared_vocabulary.json"):
            archive.write(model / name, f"{root}/model/{name}")
        archive.writestr(f"{root}/stanza/ar/tokenize/padt.pt", b"weights of a sentence splitter that is not needed")


_FAIRSEQ = ["<s>", "<pad>", "</s>", "<unk>"]
_SHAPE: dict[str, Any] = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 128,
}


def _tokenizer(folder: Path, name: str, **options: Any) -> sentencepiece.SentencePieceProcessor:
    folder.mkdir()
    (folder / "README.md").write_text(CARD)
    trained = train_tokenizer(folder / "trained", **options)
    trained.rename(folder / name)
    return sentencepiece.SentencePieceProcessor(model_file=str(folder / name))


def _pieces(processor: sentencepiece.SentencePieceProcessor) -> list[str]:
    return [processor.id_to_piece(number) for number in range(processor.get_piece_size())]


def _randomized(model: Any) -> Any:
    """Draw matrices so large that every part of the model has a say in its answers."""
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "embed_positions" not in name:
                # The answer's matrix is the embeddings': small ones, or every token would be followed by itself.
                size = 0.3 if "embed_tokens" in name or "shared" in name else 2.0
                parameter.normal_(0, size / parameter.shape[1] ** 0.5)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model.eval()


def _save(model: Any, folder: Path) -> None:
    model.save_pretrained(str(folder))


def _greedy(
    model: Any,
    source: list[int],
    end: int,
    name: Callable[[list[int]], list[str]],
    *,
    first: int | None = None,
    shortest: int = 0,
) -> Written:
    """Write by greedy search; `first` is the token that the answer is made to begin with."""
    import torch

    numbers = torch.tensor([source])
    result = model.generate(
        numbers,
        attention_mask=torch.ones_like(numbers),
        num_beams=1,
        do_sample=False,
        min_new_tokens=shortest,
        max_new_tokens=WRITTEN + (first is not None),
        eos_token_id=end,
        forced_bos_token_id=first,
        output_scores=True,
        return_dict_in_generate=True,
    )
    steps = [torch.log_softmax(scores[0], dim=-1) for scores in result.scores]
    written = [int(number) for number in result.sequences[0][-len(steps) :]]
    if first is not None:
        assert written[0] == first
        steps, written = steps[1:], written[1:]
    log_probabilities = [float(step[number]) for step, number in zip(steps, written, strict=True)]
    tokens = name([number for number in written if number != end])
    return Written(tokens, sum(log_probabilities) / len(log_probabilities))


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, ensure_ascii=False))
