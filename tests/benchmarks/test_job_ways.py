"""How the results of two ways to do a job differ is told by what may differ and what may not."""

from typing import Any

from benchmarks.job_ways import differences


def compared(english: list[str], *, start: int = 0, summary: int = 0) -> dict[str, Any]:
    """Return what is compared of a record with so many sentences."""
    sources = [
        (f"جملة {number}", {"start": start + number, "end": start + number + 1}) for number in range(len(english))
    ]
    return {"sources": sources, "english": english, "flags": [[] for _ in english], "summary": [summary]}


def test_equal_results_differ_in_nothing() -> None:
    """Shares of one, and no article that only one way has."""
    way = {"a": compared(["one", "two"]), "b": compared(["three"])}
    assert differences({"run": way, "ray": dict(way)}) == {
        "ray": {
            "ids_of_one_way_only": 0,
            "ids_with_other_sources_or_spans": 0,
            "share_of_ids_with_equal_records": 1.0,
            "share_of_sentences_with_equal_english": 1.0,
            "share_of_ids_with_equal_summaries": 1.0,
        }
    }


def test_each_difference_is_counted_where_it_belongs() -> None:
    """Another word in the English, another span, another summary and a lost article are told apart."""
    first = {name: compared(["one", "two"]) for name in ("english", "span", "summary", "same", "lost")}
    other = {
        "english": compared(["one", "another"]),
        "span": compared(["one", "two"], start=5),
        "summary": compared(["one", "two"], summary=1),
        "same": compared(["one", "two"]),
    }
    assert differences({"run": first, "ray": other})["ray"] == {
        "ids_of_one_way_only": 1,
        "ids_with_other_sources_or_spans": 1,
        "share_of_ids_with_equal_records": 0.25,
        "share_of_sentences_with_equal_english": round(5 / 6, 4),
        "share_of_ids_with_equal_summaries": 0.75,
    }


def test_one_way_alone_is_compared_with_nothing() -> None:
    """Nor is none."""
    assert differences({"run": {"a": compared(["one"])}}) == differences({}) == {}
