"""A glossary as people keep it: a text file of two columns, read alike by the command line and the gateway.

# comment
البنك الدولي<TAB>World Bank
NorthClim                     a column alone: not to be translated
"""

from collections.abc import Iterator

from khulasa.errors import UnreadableFile


def rows(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield number, source and target of each line that has a term.

    Raises UnreadableFile, naming the line, for more than two columns and for a source that comes with two targets.
    """
    targets: dict[str, str] = {}
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        source, *others = (column.strip() for column in line.split("\t"))
        if len(others) > 1:
            raise UnreadableFile(f"line {number} has {len(others) + 1} columns. A line has a source, a tab, a target.")
        if not source:
            raise UnreadableFile(f"line {number} has no source. A line has a source, a tab, a target.")
        target = others[0] if others else ""
        if targets.setdefault(source, target) != target:
            raise UnreadableFile(f"line {number} gives {source!r} a second target. Drop one of them.")
        yield number, source, target
