"""Jobs as callers see them: sent, worked off, fetched; over real gRPC and a real Redis."""

from khulasa import Article, AsyncClient, Job, JobState, KhulasaError, Result
from tests.conftest import ARTICLES


def articles() -> list[tuple[str, Article]]:
    """The four texts and the page of tests/articles."""
    texts = [(path.stem, Article(text=path.read_text())) for path in sorted(ARTICLES.glob("*.txt"))]
    return [*texts, ("satellite", Article(html=(ARTICLES / "satellite.html").read_text()))]


async def ended(client: AsyncClient, job: Job) -> Job:
    """Wait for the job's end."""
    job = await client.wait_for_job(job.name, timeout_s=30)
    assert not job.running
    return job


async def results(client: AsyncClient, job: Job) -> dict[str, Result | KhulasaError]:
    """Fetch all results, each article once."""
    found = [result async for result in client.job_results(job.name)]
    assert len({result.id for result in found}) == len(found)
    return {result.id: result.answer for result in found}


async def test_a_job_gives_what_single_calls_give(client: AsyncClient) -> None:
    """Every article of a job has the translation and summary that ProcessArticle gives for it."""
    job = await client.create_job(articles(), display_name="five articles")
    assert (job.articles, job.display_name) == (5, "five articles")
    job = await ended(client, job)
    assert (job.state, job.done, job.failed) == (JobState.ENDED, 5, 0)
    found = await results(client, job)
    for name, article in articles():
        single, of_job = await client.process(article), found[name]
        assert isinstance(of_job, Result)
        assert (of_job.translation, of_job.summary) == (single.translation, single.summary)
