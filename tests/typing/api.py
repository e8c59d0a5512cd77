"""The client as a user types it: checked by mypy, never run."""

from khulasa import (
    Article,
    AsyncClient,
    Client,
    FlagReason,
    Job,
    JobState,
    KhulasaError,
    Options,
    Result,
    ScoreFeature,
    SummaryBudget,
)


async def asynchronous() -> str:
    async with AsyncClient("localhost:50050", timeout_s=60) as client:
        result: Result = await client.process(Article(text="نص"), Options(SummaryBudget(words=80)))
        await client.process(Article(text="نص"), Options(glossary={"البنك الدولي": "World Bank"}))
        missed = [m.source for p in result.translation.paragraphs for s in p.sentences for m in s.term_matches]
        print(missed)
        async for event in client.stream(Article(html="<p>نص</p>")):
            print(event)
        async for name, answer in client.process_many([("1", Article(text="نص"))]):
            if isinstance(answer, KhulasaError):
                print(name, answer.reason, answer.retry_after_s)
        gist = await client.process(Article(text="نص"), Options(summary_first=True))
        for chosen in gist.summary:
            print(chosen.text, [(part.feature is ScoreFeature.POSITION, part.points) for part in chosen.score_parts])
        job: Job = await client.create_job([("1", Article(text="نص"))], request_id="monday", display_name="Monday")
        job = await client.wait_for_job(job.name, timeout_s=3600)
        print(job.state is JobState.ENDED, job.done, job.failed, job.duplicates, job.expires)
        async for of_job in client.job_results(job.name):
            if isinstance(of_job.answer, Result):
                print(of_job.id, of_job.duplicate_of, of_job.answer.translation.headline)
        return result.translation.headline


def synchronous() -> list[str]:
    with Client() as client:
        result = client.process(Article(text="نص", title="عنوان"))
        sentences = [s for p in result.translation.paragraphs for s in p.sentences]
        return [s.source for s in sentences if any(f.reason is FlagReason.NUMBER_MISMATCH for f in s.flags)]
