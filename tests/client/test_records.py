"""The lines of a job's files: what is an article, and what is written of one."""

import json

import pytest

from khulasa import Article, AsyncClient, BadRequest, Overloaded, Unavailable
from khulasa.records import article_of, id_of, record_of
from tests.conftest import Stack


def test_an_export_is_read_as_it_is() -> None:
    """Fields that are none of ours are ignored, a number is an id, a page goes in as html."""
    line = {"id": 17, "text": "وصل الوزير.", "title": "عنوان", "date": "2026-11-24", "html": None}
    assert (id_of(line), article_of(line)) == ("17", Article(text="وصل الوزير.", title="عنوان"))
    assert article_of({"id": "a", "html": "<p>وصل</p>"}) == Article(html="<p>وصل</p>")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ([1], "UNREADABLE_RECORD"),
        ("نص", "UNREADABLE_RECORD"),
        ({"text": "نص"}, "ID_MISSING"),
        ({"id": "", "text": "نص"}, "ID_MISSING"),
        ({"id": True, "text": "نص"}, "UNREADABLE_RECORD"),
        ({"id": 1.5, "text": "نص"}, "UNREADABLE_RECORD"),
        ({"id": "x" * 201, "text": "نص"}, "ID_TOO_LONG"),
        ({"id": "a"}, "ARTICLE_EMPTY"),
        ({"id": "a", "text": " \n"}, "ARTICLE_EMPTY"),
        ({"id": "a", "text": ["نص"]}, "UNREADABLE_RECORD"),
        ({"id": "a", "text": "نص", "title": 3}, "UNREADABLE_RECORD"),
        ({"id": "a", "text": "نص", "html": "<p>نص</p>"}, "UNREADABLE_RECORD"),
    ],
)
def test_a_line_that_is_no_article_is_named(line: object, reason: str) -> None:
    """What is wrong with a line is an error with a reason, which can be written as its record."""
    with pytest.raises(BadRequest) as caught:
        (id_of(line), article_of(line))
    assert caught.value.reason == reason
    assert record_of("a", caught.value)["status"] == {
        "code": "INVALID_ARGUMENT",
        "reason": reason,
        "message": str(caught.value),
    }


async def test_an_answer_becomes_one_line_of_json(client: AsyncClient, flood: str) -> None:
    """The record survives JSON, its spans point into the text, and an error has the same fields."""
    answer = await client.process(Article(text=flood, title="فيضانات في وادي الزهراء"))
    record = json.loads(json.dumps(record_of("a-17", answer), ensure_ascii=False))
    assert record["id"] == "a-17"
    assert record["status"]["code"] == "OK"
    assert record["title"] == answer.translation.headline != ""
    sentences = [s for paragraph in record["translation"]["paragraphs"] for s in paragraph["sentences"]]
    assert all(s["source"] == flood[s["span"]["start"] : s["span"]["end"]] for s in sentences)
    flagged = [s for s in [*sentences, *record["translation"]["title"]["sentences"]] if s["flags"]]
    assert bool(record["flags"]) == bool(flagged)
    assert {"model", "verdict", "cache_use"} <= record["provenance"].keys()
    failed = record_of("b", Unavailable("away", reason="TRANSLATOR_UNAVAILABLE"))
    assert list(failed) == list(record)
    assert failed["status"] == {"code": "UNAVAILABLE", "reason": "TRANSLATOR_UNAVAILABLE", "message": "away"}
    assert record_of("c", Overloaded("busy"), duplicate_of="b")["duplicate_of"] == "b"


async def test_flags_are_counted_by_sentence(client: AsyncClient, stack: Stack, flood: str) -> None:
    """A sentence counts once for each flag it carries."""
    stack.engine.say = lambda arabic: "river"
    answer = await client.process(Article(text=flood))
    expected: dict[str, int] = {}
    for paragraph in answer.translation.paragraphs:
        for sentence in paragraph.sentences:
            for name in {flag.reason.name.lower() for flag in sentence.flags}:
                expected[name] = expected.get(name, 0) + 1
    assert record_of("a", answer)["flags"] == expected
    assert sum(expected.values()) > 5
