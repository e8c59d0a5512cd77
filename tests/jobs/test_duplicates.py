"""Which texts are copies, and that a copy's offsets are its own."""

from khulasa import Article, AsyncClient
from khulasa.jobs.duplicates import digest_of, taken_over
from khulasa.records import record_of

TEXT = 'وصل الوزير إلى المدينة صباح اليوم.\nوقال المتحدث: "ستستمر الزيارة 3 أيام". وأضاف أنها الأولى.'
COPY = (
    "\ufeffوَصَلَ الوزيــر  إلى المدينة صباح\u200f اليوم.  \n\n وقال المتحدث: «ستستمر الزيارة 3 أيام». وأضاف أنها الأولى."
)


def test_what_only_looks_different_is_a_copy() -> None:
    """Vowels, stretched letters, spaces, invisible characters, quotation marks do not count; words and numbers do."""
    assert digest_of(Article(text=TEXT)) == digest_of(Article(text=COPY))
    for other in (TEXT.replace("3", "4"), TEXT.replace("3", "³"), TEXT.replace("\n", " "), TEXT + " نعم"):
        assert digest_of(Article(text=TEXT)) != digest_of(Article(text=other))
    assert digest_of(Article(text=TEXT)) != digest_of(Article(text=TEXT, title="خبر"))
    assert digest_of(Article(text=TEXT)) != digest_of(Article(html=TEXT))


async def test_a_copy_is_taken_over_as_the_gateway_would_answer_it(client: AsyncClient) -> None:
    """Sentences, places and summary are those of the copy's own answer, the English that of the first."""
    first = record_of("first", await client.process(Article(text=TEXT, title="خبر  اليوم")))
    copied = taken_over(first, "copy", Article(text=COPY, title="خَبر اليوم"))
    own = record_of("copy", await client.process(Article(text=COPY, title="خَبر اليوم")))
    assert copied is not None
    assert (copied["id"], copied["duplicate_of"]) == ("copy", "first")

    def places(record: dict[str, object], *names: str) -> list[object]:
        translation = record["translation"]
        assert isinstance(translation, dict)
        found = [translation["title"], *translation["paragraphs"]]
        return [[s[name] for name in names] for paragraph in found for s in paragraph["sentences"]]

    assert places(copied, "index", "span", "source") == places(own, "index", "span", "source")
    assert places(copied, "translation") == places(first, "translation")
    for sentence in copied["summary"]:
        assert COPY[sentence["span"]["start"] : sentence["span"]["end"]] == sentence["source"]
    assert [p["span"] for p in copied["translation"]["paragraphs"]] == [
        p["span"] for p in own["translation"]["paragraphs"]
    ]


async def test_a_copy_is_not_taken_over_where_it_might_not_fit(client: AsyncClient) -> None:
    """Pages, and texts of which a sentence is not found, are asked for by themselves."""
    first = record_of("first", await client.process(Article(text=TEXT)))
    assert taken_over(first, "copy", Article(html=TEXT)) is None
    assert taken_over(first, "copy", Article(text=TEXT + " نعم")) is None
    assert taken_over(first, "copy", Article(text=TEXT.replace("الأولى", "الثانية"))) is None
