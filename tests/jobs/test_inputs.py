"""What each kind of input gives, and what of it is refused at once."""

import asyncio
import csv
import gzip
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
import zstandard

from khulasa.jobs.failures import RunRefused
from khulasa.jobs.inputs import MAX_LINE_BYTES, Entry, Fields, open_input
from khulasa.types import Article
from tests.conftest import ARTICLES, Stack
from tests.jobs.test_run import line, records, running, until

TEXT = "وصل الوزير إلى المدينة صباح اليوم."
PLAIN = Fields()
LINES = [json.dumps({"id": f"a-{n}", "text": f"{TEXT} {n}", "title": "خبر"}, ensure_ascii=False) for n in range(3)]


def entries(path: Path, fields: Fields = PLAIN) -> list[Entry]:
    return list(open_input(str(path), fields).entries())


def told(path: Path) -> list[tuple[int, str, str]]:
    """Return number, id and reason of each entry; the reason of an article is its text."""
    return [(e.number, e.id, e.article.text if e.article else e.error.reason if e.error else "") for e in entries(path)]


def test_every_kind_gives_the_same_articles(tmp_path: Path) -> None:
    """JSON lines, packed or not, CSV and Parquet hold the same rows."""
    data = "\n".join(LINES).encode()
    rows = [json.loads(line) for line in LINES]
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + data)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(data))
    (tmp_path / "a.jsonl.zst").write_bytes(zstandard.compress(data))
    with (tmp_path / "a.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["title", "id", "other", "text"], restval="x")
        writer.writeheader()
        writer.writerows(rows)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    expected = [(row["id"], row["text"], row["title"]) for row in rows]
    for name in ("a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.csv", "a.parquet"):
        found = [(e.id, e.article.text, e.article.title) for e in entries(tmp_path / name) if e.article]
        assert found == expected, name


def test_an_export_is_read_as_it_is(tmp_path: Path) -> None:
    """Fields that are none of ours are ignored, a number is an id, a page goes in as html."""
    lines = [{"id": 17, "text": TEXT, "date": "2026-11-24", "html": None}, {"id": "a", "html": "<p>وصل</p>"}]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    assert [(entry.id, entry.article) for entry in entries(path)] == [
        ("17", Article(text=TEXT)),
        ("a", Article(html="<p>وصل</p>")),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ([1], "MALFORMED_LINE"),
        ("نص", "MALFORMED_LINE"),
        ({"id": True, "text": "نص"}, "MALFORMED_LINE"),
        ({"id": 1.5, "text": "نص"}, "MALFORMED_LINE"),
        ({"id": "x" * 201, "text": "نص"}, "ID_TOO_LONG"),
        ({"id": "a"}, "ARTICLE_EMPTY"),
        ({"id": "a", "text": " \n"}, "ARTICLE_EMPTY"),
        ({"id": "a", "text": ["نص"]}, "UNREADABLE_RECORD"),
        ({"id": "a", "text": "نص", "title": 3}, "UNREADABLE_RECORD"),
        ({"id": "a", "text": "نص", "html": "<p>نص</p>"}, "UNREADABLE_RECORD"),
    ],
)
def test_a_line_that_is_no_article_is_named(tmp_path: Path, line: object, reason: str) -> None:
    """What is wrong with a line is an error with a reason, and the lines around it are read."""
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join([LINES[0], json.dumps(line), LINES[1]]), encoding="utf-8")
    before, bad, after = entries(path)
    assert before.article
    assert after.article
    assert bad.error is not None
    assert bad.error.reason == reason


def test_columns_may_have_other_names(tmp_path: Path) -> None:
    """An export is read as it is; without a column for the text it is refused with those it has."""
    (tmp_path / "a.csv").write_text(f"nr,body\n7,{TEXT}\n", encoding="utf-8")
    [entry] = entries(tmp_path / "a.csv", Fields(id="nr", text="body"))
    assert (entry.id, entry.article and entry.article.text) == ("7", TEXT)
    with pytest.raises(RunRefused, match=r"nr, body.*--text-field"):
        entries(tmp_path / "a.csv")


def test_a_folder_is_read_in_order_with_its_paths_as_ids(tmp_path: Path) -> None:
    """Text and pages of all folders below; a file that is no text is an entry with its reason."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "old.txt").write_bytes(TEXT.encode("cp1256"))
    (tmp_path / "b" / "page.HTML").write_bytes((ARTICLES / "satellite.html").read_bytes())
    (tmp_path / "a.txt").write_bytes(b"\x00\x01" * 50)
    (tmp_path / "c.pdf").write_bytes(b"%PDF")
    (tmp_path / "d.txt").write_text(TEXT * (MAX_LINE_BYTES // len(TEXT)), encoding="utf-8")
    found = entries(tmp_path)
    assert [entry.id for entry in found] == ["a.txt", "b/old.txt", "b/page.HTML", "d.txt"]
    reasons = [entry.error.reason if entry.error else "" for entry in found]
    assert reasons == ["UNREADABLE_FILE", "", "", "UNREADABLE_FILE"]
    assert found[1].article is not None
    assert found[1].article.text == TEXT
    assert found[2].article is not None
    assert found[2].article.html


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_rights_is_named(tmp_path: Path) -> None:
    """One below is an entry with its reason, the input itself is refused."""
    (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8")
    (tmp_path / "closed").mkdir(mode=0)
    assert [entry.error is None for entry in entries(tmp_path)] == [True, False]
    with pytest.raises(RunRefused, match="permission denied"):
        open_input(str(tmp_path / "closed"), Fields())


def test_a_packed_file_that_breaks_off_is_an_entry_after_the_whole_lines(tmp_path: Path) -> None:
    """What could be read is read; the damage is named with the line after which it lies."""
    lines = [json.dumps({"id": f"a-{n}", "text": os.urandom(2000).hex()}) for n in range(100)]
    packed = gzip.compress("\n".join(lines).encode())
    (tmp_path / "a.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    *good, last = entries(tmp_path / "a.jsonl.gz")
    assert 20 < len([entry for entry in good if entry.article]) < 80
    assert last.error is not None
    assert last.error.reason == "INPUT_DAMAGED"


def test_csv_in_another_encoding_is_named_row_by_row(tmp_path: Path) -> None:
    """Rows in Windows-1256 are failures, the rows in UTF-8 around them are read."""
    (tmp_path / "a.csv").write_bytes(b"id,text\n" + f"1,{TEXT}\n".encode() + f"2,{TEXT}\n".encode("cp1256"))
    good, bad = entries(tmp_path / "a.csv")
    assert good.article is not None
    assert bad.error is not None
    assert bad.error.reason == "WRONG_ENCODING"


def test_a_csv_row_with_other_fields_than_the_header_is_named(tmp_path: Path) -> None:
    """A comma or a line break without quotes cuts no article short in silence; blank lines and ends are nothing."""
    path = tmp_path / "a.csv"
    path.write_text("id,text\n1,a, b, and c\n\n2,d,,\n3,e\nf\n4,g\n", encoding="utf-8")
    assert told(path) == [
        (2, "line-2", "MALFORMED_LINE"),
        (4, "2", "d"),
        (5, "3", "e"),
        (6, "line-6", "MALFORMED_LINE"),
        (7, "4", "g"),
    ]
    messages = [str(entry.error) for entry in entries(path) if entry.error]
    assert "The header has 2 fields, the row in line 2 has 4." in messages[0]
    assert "The header has 2 fields, the row in line 6 has 1." in messages[1]


@pytest.mark.parametrize(
    ("rows", "expected", "words"),
    [
        (
            '2,"b\n3,c\n4,d\n',
            [(3, "line-3", "MALFORMED_LINE")],
            "begins in line 3 has a quote that is never closed. What follows, up to line 5, is not read",
        ),
        (
            '2,"b\n3,"c"\n4,d\n',
            [(3, "line-3", "MALFORMED_LINE"), (5, "4", "d")],
            "The row in lines 3 to 4 is no CSV",
        ),
        ('2,"b"c\n3,d\n', [(3, "line-3", "MALFORMED_LINE"), (4, "3", "d")], "The row in line 3 is no CSV"),
        (
            '2,"b' + ("\n" + "c" * 1023) * (MAX_LINE_BYTES // 1024 + 2) + "\n3,d\n",
            [(3, "line-3", "MALFORMED_LINE"), (MAX_LINE_BYTES // 1024 + 6, "3", "d")],
            f"has more than {MAX_LINE_BYTES} characters and is not read",
        ),
    ],
    ids=["to the end", "up to the next quote", "within a text", "up to the limit"],
)
def test_a_csv_quote_that_is_not_closed_is_named(
    tmp_path: Path, rows: str, expected: list[tuple[int, str, str]], words: str
) -> None:
    """Once, with the line where its row begins; what it swallowed is no part of any article."""
    path = tmp_path / "a.csv"
    path.write_text("id,text\n1,a\n" + rows, encoding="utf-8")
    first, *others = [entry for entry in told(path) if entry[0] <= 5 or entry[2] != "MALFORMED_LINE"]
    assert first == (2, "1", "a")
    assert others == expected
    assert words in next(str(entry.error) for entry in entries(path) if entry.error)


def test_a_csv_header_with_an_open_quote_is_refused(tmp_path: Path) -> None:
    """What the columns are called cannot be told, so nothing is read."""
    (tmp_path / "a.csv").write_text('id,"text\n1,a\n', encoding="utf-8")
    with pytest.raises(RunRefused, match=r"has no header.*never closed"):
        entries(tmp_path / "a.csv")


def test_csv_lines_may_end_as_on_any_system(tmp_path: Path) -> None:
    """Also with the carriage return alone of old exports, and within quotes."""
    for end in ("\n", "\r\n", "\r"):
        (tmp_path / "a.csv").write_bytes(end.join(["id,text", "1,a", f'2,"b{end}c"', ",d"]).encode())
        assert told(tmp_path / "a.csv") == [(2, "1", "a"), (3, "2", f"b{end}c"), (5, "line-5", "d")]


def test_a_number_of_thousands_of_digits_is_a_bad_line(tmp_path: Path) -> None:
    """Python refuses to read one by an error of its own; the lines around it are read."""
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join([LINES[0], '{"id": "a", "text": "b", "views": ' + "9" * 5000 + "}", LINES[1]]), "utf-8")
    before, bad, after = entries(path)
    assert before.article
    assert after.article
    assert bad.error is not None
    assert bad.error.reason == "MALFORMED_LINE"


@pytest.mark.parametrize(("arguments", "status"), [(("--limit", 1), 0), ((), 130)], ids=["limit", "SIGTERM"])
async def test_a_run_ends_while_its_standard_input_is_open(
    stack: Stack, tmp_path: Path, arguments: tuple[object, ...], status: int
) -> None:
    """With the documented status, though a thread waits for the next line: `tail -f` never closes the pipe."""
    output = tmp_path / "out.jsonl"
    gateway = stack.addresses["gateway"]
    async with running("-", output, "--gateway", gateway, *arguments, stdin=asyncio.subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(line(1).encode() + b"\n")
        await process.stdin.drain()
        if not arguments:
            await until(lambda: output.exists() and len(records(output)) == 1)
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            errors = await process.stderr.read()
            assert await process.wait() == status, errors
        process.stdin.close()
    assert [record["id"] for record in records(output)] == ["a-1"]


def test_an_input_is_found_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker of a Ray cluster reads it by the same name, and works elsewhere."""
    (tmp_path / "a.jsonl").write_text(LINES[0], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    source = open_input("a.jsonl", PLAIN)
    monkeypatch.chdir("/")
    assert [entry.id for entry in source.entries()] == ["a-0"]


def write_groups(path: Path, **options: object) -> list[dict[str, str]]:
    """Write a Parquet file of three groups of ten rows, and return the rows."""
    rows = [{"id": f"a-{n}", "text": f"{TEXT} {n}"} for n in range(30)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=10, **options)
    return rows


@pytest.mark.parametrize("damage", ["torn", "one byte"])
def test_a_damaged_group_of_parquet_is_an_entry(tmp_path: Path, damage: str) -> None:
    """The groups before and after it are read, their rows numbered as if it were whole."""
    path = tmp_path / "a.parquet"
    rows = write_groups(path, compression="none", use_dictionary=False, write_page_checksum=True)
    data = bytearray(path.read_bytes())
    if damage == "torn":
        column = pyarrow.parquet.read_metadata(path).row_group(1).column(1)
        data[column.data_page_offset : column.data_page_offset + 40] = b"\xff" * 40
    else:
        data[data.index(f"{TEXT} 15".encode()) + 60] ^= 1
    path.write_bytes(data)
    found = told(path)
    assert found[10] == (11, "line-11", "INPUT_DAMAGED")
    assert [*found[:10], *found[11:]] == [
        (n + 1, row["id"], row["text"]) for n, row in enumerate(rows) if not 10 <= n < 20
    ]


def test_every_part_is_looked_at_before_the_first_row(tmp_path: Path) -> None:
    """A part without the column for the text, or that is no Parquet, is refused before any article is done."""
    write_groups(tmp_path / "a.parquet")
    pyarrow.parquet.write_table(pyarrow.table({"id": ["1"], "body": [TEXT]}), tmp_path / "b.parquet")
    with pytest.raises(RunRefused, match=r"b\.parquet has the columns id, body"):
        next(open_input(str(tmp_path), PLAIN).entries())
    (tmp_path / "b.parquet").write_bytes(b"no parquet")
    with pytest.raises(RunRefused, match=r"b\.parquet is no Parquet"):
        next(open_input(str(tmp_path), PLAIN).entries())


READ_WITH_FEW_FILES = """
import resource, sys
from khulasa.jobs.inputs import Fields, open_input
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
print(sum(entry.article is not None for entry in open_input(sys.argv[1], Fields()).entries()))
"""


def test_one_part_is_open_at_a_time(tmp_path: Path) -> None:
    """A folder may have more parts than a process may have files."""
    write_groups(tmp_path / "0.parquet")
    for n in range(1, 100):
        os.link(tmp_path / "0.parquet", tmp_path / f"{n}.parquet")
    reading = subprocess.run([sys.executable, "-c", READ_WITH_FEW_FILES, tmp_path], capture_output=True, check=False)
    assert reading.stdout == b"3000\n", reading.stderr


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.pdf", b"%PDF", "no known kind"),
        ("a.jsonl", "{}".encode("utf-16"), "UTF-16"),
        ("a.parquet", b"no parquet", "no Parquet"),
        ("absent.jsonl", None, "not there"),
    ],
)
def test_what_is_no_input_is_refused(tmp_path: Path, name: str, data: bytes | None, words: str) -> None:
    """Each with what is wrong and what to do."""
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(RunRefused, match=words):
        entries(tmp_path / name)


def test_a_file_that_grew_is_the_same_input(tmp_path: Path) -> None:
    """More lines are the same input, other lines another one."""
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(LINES), encoding="utf-8")
    known = open_input(str(path), Fields()).identity()
    path.write_text("\n".join([*LINES, *LINES]), encoding="utf-8")
    assert open_input(str(path), Fields()).is_same(known)
    assert not open_input(str(path), Fields(text="body")).is_same(known)
    path.write_text("\n".join(reversed(LINES)), encoding="utf-8")
    assert not open_input(str(path), Fields()).is_same(known)
