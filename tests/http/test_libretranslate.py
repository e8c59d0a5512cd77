"""Clients of LibreTranslate work unchanged: its own, and one that others built on."""

import asyncio
import json
from html import unescape
from urllib.error import HTTPError

import httpx
import pytest
from deep_translator import LibreTranslator
from libretranslatepy import LibreTranslateAPI

from gateway.http import markup
from gateway.http.server import HttpServer
from tests.conftest import Stack, plausible_english

SENTENCE = "أعلنت وزارة الصحة عن خطة جديدة."


def url(server: HttpServer) -> str:
    return f"http://127.0.0.1:{server.port}/"


async def test_its_own_client_translates(server: HttpServer) -> None:
    """libretranslatepy: translate, detect and languages."""
    client = LibreTranslateAPI(url(server))
    english = await asyncio.to_thread(client.translate, SENTENCE, "ar", "en")
    assert english == plausible_english(SENTENCE)
    [detected] = await asyncio.to_thread(client.detect, SENTENCE)
    assert detected["language"] == "ar"
    assert 50 < detected["confidence"] <= 100
    languages = await asyncio.to_thread(client.languages)
    assert {"ar", "en"} == {language["code"] for language in languages}


async def test_its_own_client_reads_refusals(server: HttpServer) -> None:
    """A pair that is not offered is refused with LibreTranslate's form of error."""
    client = LibreTranslateAPI(url(server))
    with pytest.raises(HTTPError) as caught:
        await asyncio.to_thread(client.translate, "hello", "en", "es")
    assert caught.value.code == 400
    assert b"not supported" in caught.value.read()


async def test_a_tool_that_speaks_it_translates(server: HttpServer) -> None:
    """deep-translator: one text and a batch, by fields in the address and with a key it insists on."""
    tool = LibreTranslator(source="ar", target="en", custom_url=url(server), api_key="any")
    assert await asyncio.to_thread(tool.translate, SENTENCE) == plausible_english(SENTENCE)
    batch = await asyncio.to_thread(tool.translate_batch, [SENTENCE, "وصل الوفد إلى المدينة."])
    assert batch == [plausible_english(SENTENCE), plausible_english("وصل الوفد إلى المدينة.")]


async def test_white_space_stays_where_it_was(http: httpx.AsyncClient) -> None:
    """Paragraphs come back with the lines between them as they were."""
    q = f"\n{SENTENCE}\n\n\n{SENTENCE}\n"
    answer = (await http.post("/translate", json={"q": q, "source": "ar", "target": "en"})).json()
    english = plausible_english(SENTENCE)
    assert answer["translatedText"] == f"\n{english}\n\n\n{english}\n"


async def test_list_is_answered_with_a_list(http: httpx.AsyncClient) -> None:
    """Several texts at once come back in order; an empty one as it is."""
    body = {"q": [SENTENCE, "", "Hello there, my friend."], "source": "auto", "target": "en"}
    answer = (await http.post("/translate", json=body)).json()
    assert answer["translatedText"] == [plausible_english(SENTENCE), "", "Hello there, my friend."]
    assert [found["language"] for found in answer["detectedLanguage"]] == ["ar", "und", "en"]
    assert [len(doubts["flaggedSentences"]) for doubts in answer["khulasa"]] == [0, 0, 1]


async def test_doubts_stand_in_a_field_of_their_own(stack: Stack, http: httpx.AsyncClient) -> None:
    """A bad translation is told as such beside the text that old clients read."""
    source = "أعلنت الوزارة عن إصابة 12 شخصا."
    stack.engine.say = lambda arabic: "I will kill you!"
    answer = (await http.post("/translate", json={"q": source, "source": "ar", "target": "en"})).json()
    assert answer["translatedText"] == "I will kill you!"
    [flagged] = answer["khulasa"]["flaggedSentences"]
    assert flagged["source"] == source
    assert "REASON_NUMBER_MISMATCH" in [flag["reason"] for flag in flagged["flags"]]
    assert answer["khulasa"]["verdict"] == "VERDICT_UNRELIABLE"


async def test_markup_is_not_touched(http: httpx.AsyncClient) -> None:
    """With format html the words are translated, tags, scripts and entities stay."""
    page = f'<p class="x">{SENTENCE}</p><script>if (a < b) {{ "نص" }}</script><!-- نص --><br/>&amp;'
    answer = (await http.post("/translate", json={"q": page, "source": "ar", "target": "en", "format": "html"})).json()
    assert answer["translatedText"] == page.replace(SENTENCE, plausible_english(SENTENCE), 1)


@pytest.mark.parametrize(
    "page",
    ["<p>a<b>b</b> c</p>", "1 &lt; b &#38; c", "<!DOCTYPE html><p>x", "<br/><img src='x'>y<?php z ?>", "a &lt; b <"],
)
def test_pieces_are_the_page(page: str) -> None:
    """Joined again, the pieces of a page are the page."""
    parts = [markup.escaped(piece) if is_text else piece for piece, is_text in markup.pieces(page)]
    assert unescape("".join(parts)) == unescape(page)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"q": 3},
        {"q": []},
        {"q": ["a", 1]},
        {"q": "\ud800"},
        {"q": "a", "source": 1},
        {"q": "a"},
        {"q": "a", "source": "\ud800", "target": "en"},
        {"q": ["<b>a</b>" * 600] * 2, "source": "ar", "target": "en", "format": "html"},  # 1200 pieces
    ],
)
async def test_bad_requests_are_told_in_its_form(http: httpx.AsyncClient, body: dict[str, object]) -> None:
    """What cannot be read is a 400 with a message in `error`."""
    headers = {"Content-Type": "application/json"}
    response = await http.post("/translate", content=json.dumps(body), headers=headers)
    assert response.status_code == 400
    assert response.json()["error"]


async def test_front_ends_find_their_settings(http: httpx.AsyncClient) -> None:
    """What front ends ask for at their start is there."""
    settings = (await http.get("/frontend/settings")).json()
    assert settings["keyRequired"] is False
    assert settings["language"]["target"]["code"] == "en"
