"""What is written of an article that was done, or could not be."""

import json

from khulasa import Article, AsyncClient, Overloaded, Unavailable
from khulasa.records import record_of
from tests.conftest import Stack


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
