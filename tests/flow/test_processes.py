"""One article through three real processes with real weights: the smallest model of each kind, and the shipped one."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from khulasa import (
    Article,
    AsyncClient,
    CacheUse,
    Options,
    Result,
    Tls,
    Unauthenticated,
    Unavailable,
)
from khulasa.up import Services
from services.translator.model import MANIFEST
from services.translator.settings import SHIPPED_MODEL
from tests.certificates import Authority
from tests.gateway.test_article import check_offsets
from tests.harness.test_credentials import OTHER_TOKEN, TOKEN, write_clients
from tests.tiny_models import write_decoder_only, write_encoder_decoder


@pytest.mark.parametrize("write", [write_encoder_decoder, write_decoder_only])
async def test_an_article_goes_through_three_processes(
    model_folder: Path, tmp_path: Path, flood: str, write: Callable[[Path, Path], None]
) -> None:
    """Started as users start them, the services answer, keep the answer, report on terms, do a job and end cleanly."""
    write(tmp_path / "model", model_folder / "tokenizer.model")
    (tmp_path / "news.tsv").write_text("وادي الزهراء\tZahra Valley\n", encoding="utf-8")
    settings = {"KHULASA_MODEL": str(tmp_path / "model"), "KHULASA_GLOSSARIES": str(tmp_path)}
    settings |= {"KHULASA_JOBS_FOLDER": str(tmp_path / "jobs")}
    async with (
        await Services.start(settings=settings, quiet=True) as services,
        AsyncClient(services.addresses["gateway"], timeout_s=60) as client,
    ):
        first = await client.process(Article(text=flood))
        check_offsets(flood, first)
        assert (await client.process(Article(text=flood))).provenance.cache_use == CacheUse.HIT
        with_terms = await client.process(Article(text=flood), Options(glossary="news"))
        sentences = [sentence for paragraph in with_terms.translation.paragraphs for sentence in paragraph.sentences]
        assert sum(len(sentence.term_matches) for sentence in sentences) == flood.count("وادي الزهراء") > 0
        job = await client.create_job([("flood", Article(text=flood)), ("copy", Article(text=f" {flood}"))])
        assert (await client.wait_for_job(job.name, timeout_s=60)).done == 2
        [result, copy] = [result async for result in client.job_results(job.name)]
        assert {result.duplicate_of, copy.duplicate_of} == {"", "flood"}
    assert {process.returncode for process in services.processes.values()} == {0}


async def test_a_restarted_translator_is_found_again(model_folder: Path, tmp_path: Path, flood: str) -> None:
    """After the translator was killed and started again in its place, the next article is translated."""
    write_encoder_decoder(tmp_path / "model", model_folder / "tokenizer.model")
    settings = {"KHULASA_MODEL": str(tmp_path / "model"), "KHULASA_LOG_LEVEL": "WARNING"}
    async with (
        await Services.start(settings=settings) as services,
        AsyncClient(services.addresses["gateway"], timeout_s=60) as client,
    ):
        await client.process(Article(text=flood))
        services.processes["translator"].send_signal(signal.SIGKILL)
        await services.processes["translator"].wait()
        await services.start_one("translator", os.environ | settings)
        assert (await client.process(Article(text="خبر جديد لم يترجم من قبل."))).translation.paragraphs


async def test_a_gateway_with_tls_and_tokens_serves_its_clients_alone(
    model_folder: Path, tmp_path: Path, flood: str
) -> None:
    """Run by `khulasa up` with a certificate and a clients file, the gateway serves who has a token, and by TLS only."""
    write_encoder_decoder(tmp_path / "model", model_folder / "tokenizer.model")
    authority = Authority(tmp_path)
    cert, key = authority.sign("gateway")
    settings = {
        "KHULASA_MODEL": str(tmp_path / "model"),
        "KHULASA_TLS_CERT": str(cert),
        "KHULASA_TLS_KEY": str(key),
        "KHULASA_TOKENS_FILE": str(write_clients(tmp_path / "clients.toml", newsroom=TOKEN)),
    }
    async with await Services.start(settings=settings, quiet=True) as services:
        address, tls = services.addresses["gateway"].replace("127.0.0.1", "localhost"), Tls(authority.ca)
        async with AsyncClient(address, timeout_s=60, token=TOKEN, tls=tls) as client:
            check_offsets(flood, await client.process(Article(text=flood)))
            events = [event async for event in client.stream(Article(text=flood))]
            assert events
            [(name, result)] = [pair async for pair in client.process_many([("a", Article(text=flood))])]
            assert (name, type(result)) == ("a", Result)
        async with AsyncClient(address, timeout_s=60, token=OTHER_TOKEN, tls=tls) as stranger:
            with pytest.raises(Unauthenticated, match="not known here") as raised:
                await stranger.process(Article(text=flood))
            assert raised.value.reason == "TOKEN_UNKNOWN"
        async with AsyncClient(address, timeout_s=3, token=TOKEN) as plain:
            with pytest.raises(Unavailable):
                await plain.describe()
    assert {process.returncode for process in services.processes.values()} == {0}


@pytest.mark.skipif(not (SHIPPED_MODEL / MANIFEST).is_file(), reason="no model is shipped in models/ar-en yet")
async def test_the_shipped_model_translates(flood: str) -> None:
    """The model of this repository makes English of an article: every body sentence, and no Arabic letters in most."""
    async with (
        await Services.start(quiet=True) as services,
        AsyncClient(services.addresses["gateway"]) as client,
    ):
        result = await client.process(Article(text=flood))
    sentences = [s for p in result.translation.paragraphs for s in p.sentences]
    assert all(sentence.translation for sentence in sentences)
    assert sum(sentence.translation.isascii() for sentence in sentences) > 0.8 * len(sentences)
    assert "people" in " ".join(sentence.translation for sentence in sentences)
