"""A job on its way in: the stream of `CreateJob` is checked, equal articles are found, all is laid in Redis."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator

from redis.exceptions import RedisError

from gateway import validation
from gateway.glossaries import Glossaries, resolved
from gateway.jobs import duplicates
from gateway.jobs.store import Full, Gone, Job, JobStore
from khulasa.v1 import jobs_pb2
from services.harness.errors import Reason, Refusal

MAX_NAME_CHARS = 200
NEXT_ARTICLE_S = 60.0
AT_ONCE = 100
AT_ONCE_BYTES = 1_000_000
AT_ONCE_S = 30.0
"""What a slow sender has sent is laid down after so long, which also shows that the upload goes on."""
ARTICLE_BYTES = 2_048
"""What an article counts for beside its text: its result's offsets, scores and names, compressed."""


async def take_in(
    requests: AsyncIterator[jobs_pb2.CreateJobRequest], store: JobStore, caller: str, glossaries: Glossaries
) -> Job:
    """Read a job to its end and begin it; return it, or the one that this request began before. Raises Refusal."""
    header = await _header(requests)
    sent_options = header.options.SerializeToString(deterministic=True)
    header.options.CopyFrom(resolved(header.options, glossaries))
    known = await store.of_request(caller, header.request_id)
    upload = "" if known else await store.open_upload(caller)  # sent again, it is only compared
    try:
        intake = _Intake(store, upload, sent_options)
        async for request in _each(requests):
            await intake.add(request)
        await intake.flush()
        job_id = known or await intake.begin(caller, header)
    except Full as full:
        await _abandon(store, upload)
        raise _full(full) from None
    except Gone:
        raise Refusal(
            Reason.DEADLINE_EXCEEDED, "The job was not sent in time, and what there was of it is gone. Send it again."
        ) from None
    except BaseException:
        await _abandon(store, upload)
        raise
    if job_id != upload:
        await _abandon(store, upload)
    try:
        job = await store.get(job_id, caller)
    except Gone:  # deleted in this moment
        raise not_found(job_id) from None
    if job.digest != intake.digest:
        raise Refusal(
            Reason.REQUEST_ID_TAKEN,
            f"header.request_id {header.request_id!r} is that of operations/{job_id}, which has other articles or "
            "options. Use another.",
            field="header.request_id",
            request_id=header.request_id,
            job=f"operations/{job_id}",
        )
    return job


def not_found(job_id: str) -> Refusal:
    """Return the refusal for a job that is not there, or is another caller's: one must not tell which."""
    return Refusal(
        Reason.JOB_NOT_FOUND,
        f"There is no operations/{job_id}, or not any more, or it is another caller's.",
        job=f"operations/{job_id}",
    )


class _Intake:
    """What has come of a job so far. Without an upload it is only read."""

    def __init__(self, store: JobStore, upload: str, options: bytes) -> None:
        self._store = store
        self._upload = upload
        self._hash = hashlib.sha256(len(options).to_bytes(8, "big") + options)
        self._seen: set[str] = set()
        self._first: dict[bytes, int] = {}
        self._followers: dict[int, list[int]] = {}
        self._refused = 0
        self._articles: dict[int, jobs_pb2.JobArticle] = {}
        self._todo: list[int] = []
        self._results: list[jobs_pb2.JobResult] = []
        self._size = 0
        self._flushed_at = asyncio.get_running_loop().time()

    @property
    def digest(self) -> str:
        """What the job's articles and options come to."""
        return self._hash.hexdigest()

    async def add(self, request: jobs_pb2.CreateJobRequest) -> None:
        """Take the next message. Raises Refusal, Full, Gone."""
        if request.WhichOneof("part") != "article":
            raise Refusal(
                Reason.JOB_HEADER_REPEATED,
                "A message after the first has no article. The header comes once, then only articles.",
                field="header",
            )
        article, index = request.article, len(self._seen)
        validation.check_id(article.id, self._seen)
        self._seen.add(article.id)
        data = article.SerializeToString(deterministic=True)
        self._hash.update(len(data).to_bytes(8, "big") + data)
        try:
            validation.checked_content(article.article)
        except Refusal as refusal:
            self._refused += 1
            self._size += ARTICLE_BYTES
            self._results.append(jobs_pb2.JobResult(id=article.id, index=index, status=refusal.to_status()))
        else:
            self._size += ARTICLE_BYTES + len(data)
            self._articles[index] = article
            first = self._first.setdefault(duplicates.key_of(article.article), index)
            if first == index:
                self._todo.append(index)
            else:
                self._followers.setdefault(first, []).append(index)
        full = len(self._articles) + len(self._results) >= AT_ONCE or self._size >= AT_ONCE_BYTES
        if full or asyncio.get_running_loop().time() >= self._flushed_at + AT_ONCE_S:
            await self.flush()

    async def flush(self) -> None:
        """Lay down what is in hand. Raises Full, Gone."""
        if self._size and self._upload:
            await self._store.stage(
                self._upload, size=self._size, articles=self._articles, todo=self._todo, refused=self._results
            )
        self._articles, self._todo, self._results, self._size = {}, [], [], 0
        self._flushed_at = asyncio.get_running_loop().time()

    async def begin(self, caller: str, header: jobs_pb2.JobHeader) -> str:
        """Make it a job; return the id of the request's job. Raises Refusal, Full, Gone."""
        if not self._seen:
            raise Refusal(Reason.JOB_EMPTY, "The job has no articles. Send them after the header.")
        return await self._store.begin(
            self._upload,
            caller,
            header,
            digest=self.digest,
            articles=len(self._seen),
            refused=self._refused,
            followers=self._followers,
        )


async def _header(requests: AsyncIterator[jobs_pb2.CreateJobRequest]) -> jobs_pb2.JobHeader:
    first = await anext(_each(requests), None)
    if first is None or first.WhichOneof("part") != "header":
        raise Refusal(
            Reason.JOB_HEADER_MISSING,
            "The first message has no header. Send request_id and options in it.",
            field="header",
        )
    header = first.header
    if not header.request_id:
        raise Refusal(
            Reason.ID_MISSING,
            "header.request_id is empty. Give each job one of its own, best a UUID.",
            field="header.request_id",
        )
    for name, value, reason in (
        ("header.request_id", header.request_id, Reason.ID_TOO_LONG),
        ("header.display_name", header.display_name, Reason.NAME_TOO_LONG),
    ):
        if len(value) > MAX_NAME_CHARS:
            raise Refusal(
                reason,
                f"{name} has {len(value)} characters, the limit is {MAX_NAME_CHARS}. Shorten it.",
                field=name,
                length=len(value),
                limit=MAX_NAME_CHARS,
            )
    validation.check_options(header.options)
    return header


async def _each(requests: AsyncIterator[jobs_pb2.CreateJobRequest]) -> AsyncIterator[jobs_pb2.CreateJobRequest]:
    """Yield the messages; a sender that falls silent must not hold what it has sent for ever."""
    while True:
        try:
            async with asyncio.timeout(NEXT_ARTICLE_S):
                request = await anext(requests)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Refusal(
                Reason.DEADLINE_EXCEEDED,
                f"No article came for {NEXT_ARTICLE_S:g} s. Send the job again, without such a pause.",
                limit_s=NEXT_ARTICLE_S,
            ) from None
        yield request


async def _abandon(store: JobStore, upload: str) -> None:
    """Remove what was taken in; what cannot be removed now is when its time has come."""
    if not upload:
        return
    with contextlib.suppress(RedisError, OSError, TimeoutError):
        await asyncio.shield(store.remove(upload))


def _full(full: Full) -> Refusal:
    whose = "You have" if full.whose == "caller" else "All callers together have"
    return Refusal(
        Reason.JOBS_FULL,
        f"{whose} as many {full.unit} in jobs as there may be: {full.limit}. "
        "Delete jobs that are done with, or send less.",
        limit=full.limit,
        unit=full.unit,
        of=full.whose,
    )
