"""The jobs in Redis: taking them in, sharing their articles out, keeping results. `scripts.py` names the keys.

Whatever is called here may be called twice, by a client or a worker that did not hear of its success: a job is made
once for a request, a result counts once for an article. An article that was taken and not settled is taken again.

Errors of Redis (RedisError, OSError, TimeoutError) are raised as they are.
"""

import hashlib
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

import redis.asyncio
import zstandard
from google.protobuf.message import Message
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import NoPermissionError, RedisError, ResponseError

from gateway.jobs import scripts
from khulasa.v1 import gateway_pb2, jobs_pb2

ROOT = "khulasa:{jobs}"
GROUP = "workers"
UPLOAD_S = 900.0
"""An upload of which nothing was heard for so long is removed: its gateway has ended."""
MAX_MESSAGE_BYTES = 32 * 1024 * 1024

Kept = TypeVar("Kept", bound=Message)


class State(StrEnum):
    """What a job is at."""

    UPLOADING = "UPLOADING"
    RUNNING = "RUNNING"
    ENDED = "ENDED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLimits:
    """How much there may be at once; bytes are those of the articles' UTF-8, and 2 KB for each."""

    caller_jobs: int
    all_jobs: int
    caller_bytes: int
    all_bytes: int


class Full(Exception):
    """A limit is reached: `whose` is "caller" or "all"; `unit` is "jobs" or "bytes"."""

    def __init__(self, whose: str, unit: str, limit: int) -> None:
        super().__init__(f"{limit} {unit} of {whose}")
        self.whose, self.unit, self.limit = whose, unit, limit


class Gone(Exception):
    """The job, or the upload, is not there, or is another caller's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as it is just now. Times in milliseconds since 1970; 0: not yet."""

    id: str
    caller: str
    state: State
    display_name: str
    request_id: str
    digest: str
    articles: int
    done: int
    failed: int
    flagged: int
    duplicates: int
    created_ms: int
    updated_ms: int
    ended_ms: int
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Taken:
    """An article that a worker has: `entry` in the job's stream, and how often it was taken, this time included."""

    job: str
    entry: str
    index: int
    times: int


@dataclass(frozen=True, slots=True)
class Settled:
    """The result of an article, and what it adds to the job's counts."""

    result: jobs_pb2.JobResult
    flagged: int

    def arguments(self) -> list[Any]:
        """Return what the scripts take."""
        failed, duplicate = self.result.status.code != 0, bool(self.result.duplicate_of)
        return [self.result.index, pack(self.result), int(failed), self.flagged, int(duplicate)]


class Evicts(Exception):
    """The Redis may drop keys, and with them jobs."""


class JobStore:
    """All jobs of all callers."""

    def __init__(self, url: str, *, limits: JobLimits, keep_s: float, timeout_s: float = 3.0) -> None:
        self._redis = redis.asyncio.Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), 2),
        )
        self._limits = limits
        self._keep_ms = round(keep_s * 1000)
        names = ("STAGE", "BEGIN", "CLAIM", "RENEW", "RELEASE", "SETTLE", "CANCEL", "REMOVE")
        self._scripts = {name: self._redis.register_script(getattr(scripts, name)) for name in names}

    async def check(self) -> None:
        """Raise Evicts if the Redis would drop our keys when its memory is full. One that does not tell is believed."""
        try:
            answer = await self._redis.config_get("maxmemory-policy")
        except (NoPermissionError, ResponseError):  # hosted ones often refuse CONFIG
            return
        policy = str(_text(answer.get("maxmemory-policy") or b""))
        if policy.startswith("allkeys-"):  # our keys have no time to live, so the volatile ones leave them alone
            raise Evicts(policy)

    async def of_request(self, caller: str, request_id: str) -> str:
        """Return the caller's job with this request_id, empty if there is none."""
        known = await self._redis.hget(f"{ROOT}:requests", _request_field(caller, request_id))
        return _text(known) if known else ""

    async def open_upload(self, caller: str) -> str:
        """Begin taking in a job; return its id. Ids sort by time and cannot be guessed."""
        job = f"{_now_ms():012x}{secrets.token_hex(10)}"
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.zadd(f"{ROOT}:ends", {job: _now_ms() + UPLOAD_S * 1000})
        pipeline.hset(_key(job, "meta"), mapping={"state": State.UPLOADING, "caller": caller})
        await pipeline.execute()
        return job

    async def stage(
        self,
        job: str,
        *,
        size: int,
        articles: Mapping[int, jobs_pb2.JobArticle],
        todo: Sequence[int],
        refused: Sequence[jobs_pb2.JobResult],
    ) -> None:
        """Take in some articles of an upload. `size` is what they count for in bytes. Raises Full, Gone."""
        limits = self._limits
        arguments: list[Any] = [_now_ms() + UPLOAD_S * 1000, size, limits.caller_bytes, limits.all_bytes, len(articles)]
        for index, article in articles.items():
            arguments += [index, pack(article)]
        arguments += [len(todo), *todo, len(refused)]
        for result in refused:
            arguments += [result.index, pack(result)]
        outcome = await self._run("STAGE", job, *arguments)
        if outcome == "gone":
            raise Gone
        if outcome != "ok":
            raise Full(outcome, "bytes", limits.caller_bytes if outcome == "caller" else limits.all_bytes)

    async def begin(
        self,
        job: str,
        caller: str,
        header: jobs_pb2.JobHeader,
        *,
        digest: str,
        articles: int,
        refused: int,
        followers: Mapping[int, Sequence[int]],
    ) -> str:
        """Make a job of an upload; return its id, or that of the caller's job with the same request_id.

        `followers` are the duplicates of an article, which need not be done. Raises Full, Gone.
        """
        limits = self._limits
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.hset(
            _key(job, "meta"),
            mapping={
                "display_name": header.display_name,
                "request_id": header.request_id,
                "options": header.options.SerializeToString(),
            },
        )
        if followers:
            joined: dict[Any, Any] = {leader: ",".join(map(str, indices)) for leader, indices in followers.items()}
            pipeline.hset(_key(job, "followers"), mapping=joined)
        await pipeline.execute()
        outcome = await self._run(
            "BEGIN",
            job,
            _request_field(caller, header.request_id),
            digest,
            limits.caller_jobs,
            limits.all_jobs,
            _now_ms(),
            articles,
            refused,
            self._keep_ms,
        )
        if outcome == "gone":
            raise Gone
        if outcome in ("caller", "all"):
            raise Full(outcome, "jobs", limits.caller_jobs if outcome == "caller" else limits.all_jobs)
        return str(outcome)

    async def get(self, job: str, caller: str) -> Job:
        """Return a caller's job. Raises Gone for one that is not there, or not the caller's."""
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.hgetall(_key(job, "meta"))
        pipeline.zscore(f"{ROOT}:ends", job)
        meta, ends = await pipeline.execute()
        found = _job(job, meta, ends)
        if found.caller != caller or found.state == State.UPLOADING:
            raise Gone
        return found

    async def of_caller(self, caller: str, *, count: int, before: str = "") -> tuple[Sequence[Job], str]:
        """Return the caller's jobs, newest first, at most `count` before the job `before`, and what comes before next.

        That is empty where there are no more. A job that is removed meanwhile leaves a page shorter, not the last.
        """
        highest = f"({before}" if before else "+"
        names = await self._redis.zrevrangebylex(f"{ROOT}:callers:{caller}", highest, "-", start=0, num=count)
        found = []
        for name in names:
            try:
                found.append(await self.get(_text(name), caller))
            except Gone:  # removed since
                continue
        return found, _text(names[-1]) if len(names) == count else ""

    async def results(self, job: str, *, start: int, count: int, max_bytes: int) -> list[jobs_pb2.JobResult]:
        """Return the results from place `start`: at most `count`, and `max_bytes` but one at least. Raises Gone."""
        indices = await self._redis.lrange(_key(job, "order"), start, start + count - 1)
        found: list[jobs_pb2.JobResult] = []
        size = 0
        for first in range(0, len(indices), 20):
            for data in await self._redis.hmget(_key(job, "results"), indices[first : first + 20]):
                if data is None:  # removed since
                    raise Gone
                result = unpack(data, jobs_pb2.JobResult())
                size += result.ByteSize()
                if found and size > max_bytes:
                    return found
                found.append(result)
        return found

    async def cancel(self, job: str) -> None:
        """Stop a job, if it runs."""
        await self._run("CANCEL", job, _now_ms(), self._keep_ms)

    async def remove(self, job: str) -> bool:
        """Remove a job or an upload with all its results, unless it runs: then return False."""
        return bool(await self._run("REMOVE", job, 0) != State.RUNNING)

    async def sweep(self) -> int:
        """Remove the uploads and jobs whose time has come; return how many."""
        now = _now_ms()
        due: list[Any] = await self._redis.zrangebyscore(f"{ROOT}:ends", "-inf", now, start=0, num=100)
        for job in due:
            await self._run("REMOVE", _text(job), now)
        return len(due)

    async def active(self) -> dict[str, str]:
        """Return the jobs that run, each with its caller."""
        return {_text(job): _text(caller) for job, caller in (await self._redis.hgetall(f"{ROOT}:active")).items()}

    async def options(self, job: str) -> gateway_pb2.ArticleOptions:
        """Return how the job's articles are to be done. Raises Gone."""
        data = await self._redis.hget(_key(job, "meta"), "options")
        if data is None:
            raise Gone
        options = gateway_pb2.ArticleOptions()
        options.ParseFromString(data)  # type: ignore[arg-type]  # bytes, since nothing is decoded on the connection
        return options

    async def take(self, job: str, worker: str) -> Taken | None:
        """Give a worker an article that nobody has had, None if there is none."""
        try:
            answer = await self._redis.xreadgroup(GROUP, worker, {_key(job, "todo"): ">"}, count=1)
        except ResponseError as error:
            if "NOGROUP" in str(error):  # the job has ended
                return None
            raise
        for _, entries in answer.items() if isinstance(answer, dict) else answer:
            for entry, fields in _flat(entries):
                return Taken(job, _text(entry), int(fields[b"i"]), 1)
        return None

    async def claim(self, job: str, worker: str, *, idle_s: float, count: int) -> list[Taken]:
        """Give a worker articles of workers that have not been heard of for `idle_s`."""
        found = await self._run("CLAIM", job, worker, round(idle_s * 1000), count)
        return [Taken(job, _text(entry), int(index), int(times)) for entry, index, times in found]

    async def renew(self, job: str, worker: str, entries: Sequence[str]) -> set[str]:
        """Say that a worker still has its articles; return the entries of those that it has no longer."""
        return {_text(entry) for entry in await self._run("RENEW", job, worker, *entries)}

    async def release(self, job: str, worker: str, entries: Sequence[str]) -> None:
        """Give articles back, so that another worker may have them at once."""
        await self._run("RELEASE", job, worker, *entries)

    async def article(self, job: str, index: int) -> jobs_pb2.JobArticle | None:
        """Return an article that has no result yet, None for one that has."""
        [article] = await self.articles(job, [index])
        return article

    async def articles(self, job: str, indices: Sequence[int]) -> list[jobs_pb2.JobArticle | None]:
        """Return articles, None for each that has its result already."""
        found = await self._redis.hmget(_key(job, "articles"), [str(index) for index in indices])
        return [None if data is None else unpack(data, jobs_pb2.JobArticle()) for data in found]

    async def followers(self, job: str, index: int) -> list[int]:
        """Return the duplicates of an article."""
        joined = await self._redis.hget(_key(job, "followers"), str(index))
        return [int(number) for number in _text(joined).split(",")] if joined else []

    async def settle(
        self, job: str, settled: Sequence[Settled], *, entry: str = "", alone: Sequence[int] = ()
    ) -> State | None:
        """Keep results; with `entry` the article that was taken is done with. Returns the job's state, None if gone.

        `alone` are duplicates that have to be done by themselves. A job that does not run any more takes nothing.
        """
        arguments = [part for one in settled for part in one.arguments()]
        state = await self._run(
            "SETTLE", job, entry, _now_ms(), self._keep_ms, len(settled), *arguments, len(alone), *alone
        )
        return State(state) if state else None

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _run(self, script: str, job: str, *arguments: Any) -> Any:
        answer = await self._scripts[script](keys=[ROOT], args=[job, *arguments])
        return _text(answer) if isinstance(answer, bytes) else answer


def why(error: Exception) -> str:
    """Return what is wrong with the Redis, for a log. Of what it answers the kind alone: that may quote a command, and
    with it what a caller sent.
    """
    kind = type(error).__name__
    return kind if isinstance(error, RedisError) and not isinstance(error, NoConnection) else f"{kind}: {error}"


def pack(message: jobs_pb2.JobArticle | jobs_pb2.JobResult) -> bytes:
    """Return a message as it is kept."""
    return zstandard.compress(message.SerializeToString(), level=3)


def unpack(data: bytes | str, message: Kept) -> Kept:
    """Read what `pack` made into `message` and return it."""
    if not isinstance(data, bytes):
        raise TypeError("the connection decodes what it reads")
    message.ParseFromString(zstandard.decompress(data, max_output_size=MAX_MESSAGE_BYTES))
    return message


def _key(job: str, part: str) -> str:
    return f"{ROOT}:{job}:{part}"


def _request_field(caller: str, request_id: str) -> str:
    """Return one name for both; their own lengths keep "a" and "bc" from meeting "ab" and "c"."""
    return hashlib.sha256(f"{len(caller)}:{caller}{request_id}".encode()).hexdigest()


def _job(name: str, meta: Mapping[bytes, bytes], ends: float | None) -> Job:
    def text(field: str) -> str:
        return _text(meta.get(field.encode(), b""))

    def number(field: str) -> int:
        return int(meta.get(field.encode(), b"0"))

    if not meta:
        raise Gone
    return Job(
        id=name,
        caller=text("caller"),
        state=State(text("state")),
        display_name=text("display_name"),
        request_id=text("request_id"),
        digest=text("digest"),
        articles=number("articles"),
        done=number("done"),
        failed=number("failed"),
        flagged=number("flagged"),
        duplicates=number("duplicates"),
        created_ms=number("created"),
        updated_ms=number("updated"),
        ended_ms=number("ended"),
        expires_ms=round(ends or 0),
    )


def _flat(entries: Any) -> list[Any]:
    """Return (entry, fields) pairs; the newer protocol of Redis puts them one list deeper."""
    return list(entries[0]) if entries and isinstance(entries[0], list) else list(entries)


def _text(data: bytes | str) -> str:
    return data.decode() if isinstance(data, bytes) else data


def _now_ms() -> int:
    return round(time.time() * 1000)
