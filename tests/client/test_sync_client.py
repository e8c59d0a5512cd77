"""The synchronous client: the same answers without `await`."""

import asyncio

from khulasa import Article, Client, Provenance, Result
from tests.conftest import Stack


async def test_the_synchronous_client_does_the_same(stack: Stack, flood: str) -> None:
    """One article, a stream, and many, from a thread without an event loop."""

    def use() -> tuple[Result, list[object], list[str]]:
        with Client(stack.addresses["gateway"]) as client:
            result = client.process(Article(text=flood))
            events: list[object] = list(client.stream(Article(text=flood)))
            names = [name for name, _ in client.process_many([("a", Article(text=flood)), ("b", Article(text="نص."))])]
        return result, events, names

    result, events, names = await asyncio.to_thread(use)
    assert result.summary
    assert isinstance(events[-1], Provenance)
    assert sorted(names) == ["a", "b"]
