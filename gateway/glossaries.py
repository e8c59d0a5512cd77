"""The glossaries that lie on the server, named by their files; read once, at the start."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from khulasa.errors import UnreadableFile
from khulasa.glossary import rows
from khulasa.v1 import article_pb2, gateway_pb2
from services.harness.errors import Reason, Refusal
from services.harness.terms import Term, check_terms

Glossaries = Mapping[str, Sequence[Term]]


class BadGlossary(Exception):
    """A folder or file of glossaries that cannot be used: which, on which line, and why."""


def read_glossaries(folder: Path) -> Glossaries:
    """Return the glossary of each `*.tsv` in `folder` under the file's name without ".tsv". Raises BadGlossary."""
    if not folder.is_dir():
        raise BadGlossary(f"{folder} is no folder. Set KHULASA_GLOSSARIES to one with files of source, tab, target.")
    return {path.stem: _read(path) for path in sorted(folder.glob("*.tsv"))}


def resolved(options: gateway_pb2.ArticleOptions, glossaries: Glossaries) -> gateway_pb2.ArticleOptions:
    """Return the options with the terms of the glossary they name, checked. Raises Refusal."""
    glossary = options.glossary
    if glossary.name and glossary.terms:
        raise Refusal(
            Reason.GLOSSARY_AMBIGUOUS,
            "options.glossary has both name and terms. Send one of them.",
            field="options.glossary",
        )
    if not glossary.name:
        check_terms([Term(term.source, term.target) for term in glossary.terms], "options.glossary.terms")
        return options
    if glossary.name not in glossaries:
        raise Refusal(
            Reason.UNKNOWN_GLOSSARY,
            f"options.glossary.name is {glossary.name!r}, which this gateway does not have. Send the terms instead.",
            field="options.glossary.name",
            name=glossary.name,
        )
    named = gateway_pb2.ArticleOptions()
    named.CopyFrom(options)
    named.glossary.CopyFrom(
        gateway_pb2.Glossary(
            terms=[article_pb2.GlossaryTerm(source=t.source, target=t.target) for t in glossaries[glossary.name]]
        )
    )
    return named


def _read(path: Path) -> Sequence[Term]:
    try:
        lines = list(rows(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, UnreadableFile) as error:
        raise BadGlossary(f"{path}: {error}") from None
    terms = [Term(source, target) for _, source, target in lines]
    try:
        check_terms(terms, "terms")
    except Refusal as refusal:
        entry = refusal.metadata.get("entry")
        line = f"line {lines[int(entry)][0]}: " if entry else ""
        raise BadGlossary(f"{path}: {line}{refusal.message}") from None
    if not terms:
        raise BadGlossary(f"{path} has no terms. Fill it or remove it.")
    return terms
