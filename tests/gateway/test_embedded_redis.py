"""The redis-server of the gateway's own: what the jobs' one keeps, and that two never share a folder."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway import embedded_redis
from gateway.embedded_redis import EmbeddedRedis
from khulasa import AsyncClient


async def ask(url: str, *command: str) -> object:
    """Ask a Redis that may be starting: ten seconds at most."""
    async with Redis.from_url(url, decode_responses=True) as connection:
        for _ in range(200):
            try:
                return await connection.execute_command(*command)
            except (RedisError, OSError):
                await asyncio.sleep(0.05)
    raise AssertionError("it does not answer")


async def test_jobs_forget_nothing_and_outlast_a_stop(tmp_path: Path) -> None:
    """It never evicts, and what it had is there when it is started on the folder again; only its owner can read it."""
    first = await EmbeddedRedis.start_keeping(tmp_path / "jobs", memory_mb=64)
    assert await ask(first.url, "CONFIG", "GET", "maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    await ask(first.url, "SET", "kept", "yes")
    await first.stop()
    assert (tmp_path / "jobs").stat().st_mode & 0o777 == 0o700
    second = await EmbeddedRedis.start_keeping(tmp_path / "jobs", memory_mb=64)
    assert await ask(second.url, "GET", "kept") == "yes"
    await second.stop()


async def test_others_cannot_read_what_lies_in_a_folder_that_they_can_enter(tmp_path: Path) -> None:
    """The folder was there before, with whatever mode; what the server writes into it is its owner's alone."""
    folder = tmp_path / "jobs"
    folder.mkdir(mode=0o755)
    server = await EmbeddedRedis.start_keeping(folder, memory_mb=64)
    await ask(server.url, "SET", "article", "confidential")
    await server.stop()
    written = [path for path in folder.rglob("*") if path.name != "lock"]
    assert written
    assert not [path for path in written if path.stat().st_mode & 0o077]


async def test_a_killed_server_comes_back_with_its_data(tmp_path: Path) -> None:
    """What was answered before the kill is there after it, at the same URL."""
    server = await EmbeddedRedis.start_keeping(tmp_path, memory_mb=64)
    for number in range(20):
        await ask(server.url, "RPUSH", "kept", str(number))
    info = await ask(server.url, "INFO", "server")
    assert isinstance(info, dict)
    os.kill(info["process_id"], signal.SIGKILL)
    assert await ask(server.url, "LLEN", "kept") == 20
    again = await ask(server.url, "INFO", "server")
    assert isinstance(again, dict)
    assert again["process_id"] != info["process_id"]
    await server.stop()


async def test_two_gateways_do_not_share_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is refused with the reason, and the first is not harmed."""
    first = await EmbeddedRedis.start_keeping(tmp_path, memory_mb=64)
    monkeypatch.setattr(embedded_redis, "START_S", 0.3)
    with pytest.raises(RuntimeError, match="in use by another gateway"):
        await EmbeddedRedis.start_keeping(tmp_path, memory_mb=64)
    assert await ask(first.url, "PING") in (True, "PONG")
    await first.stop()


async def test_it_starts_beside_busy_grpc(client: AsyncClient) -> None:
    """Calls that go on meanwhile do not end the child before it is a redis-server."""
    going_on = True

    async def call() -> None:
        while going_on:
            await client.describe()

    calls = [asyncio.create_task(call()) for _ in range(8)]
    try:
        for _ in range(20):
            await (await EmbeddedRedis.start(memory_mb=8)).stop()
    finally:
        going_on = False
        await asyncio.gather(*calls)
