"""Results in a notebook, and as data frames."""

from html.parser import HTMLParser

import pandas

from khulasa import Article, AsyncClient
from tests.conftest import Stack


class Elements(HTMLParser):
    """Collects which elements and which text there are."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


async def test_result_is_shown_in_both_languages(client: AsyncClient, flood: str) -> None:
    """A notebook shows summary, verdict and every sentence in English and Arabic."""
    result = await client.process(Article(text=flood))
    shown = Elements(result._repr_html_())
    for paragraph in result.translation.paragraphs:
        for sentence in paragraph.sentences:
            assert sentence.source in shown.text
            assert sentence.translation in shown.text
    assert shown.text.count(result.summary[0].text) == 2
    assert f"{result.provenance.flagged_sentences} doubtful" in shown.text


async def test_doubt_is_told_in_words(stack: Stack, client: AsyncClient) -> None:
    """A doubtful sentence says why, also where a single paragraph is shown."""
    stack.engine.say = lambda arabic: "People were hurt."
    result = await client.process(Article(text="أعلنت الوزارة عن إصابة 12 شخصا."))
    for shown in (result, result.translation, result.translation.paragraphs[0]):
        assert "A number or date differs from the Arabic (12 is missing)" in shown._repr_html_()


async def test_markup_in_an_article_stays_text(stack: Stack, client: AsyncClient) -> None:
    """Neither the Arabic nor the English can bring an element into the notebook."""
    stack.engine.say = lambda arabic: "<script>alert(1)</script> the plan"
    result = await client.process(Article(text="قال الوزير <img src=x onerror=alert(1)> إن الخطة ستبدأ."))
    shown = Elements(result._repr_html_())
    assert not {"script", "img"} & set(shown.tags)
    assert "<img src=x onerror=alert(1)>" in shown.text


async def test_data_frame_has_a_row_for_each_sentence(client: AsyncClient, flood: str) -> None:
    """Sentences become rows with their places, flags and whether the summary has them."""
    result = await client.process(Article(text=flood, title="فيضانات وادي الزهراء"))
    frame = result.to_dataframe()
    assert isinstance(frame, pandas.DataFrame)
    assert len(frame) == result.provenance.sentences
    assert list(frame[frame["in_summary"]]["translation"]) == [sentence.text for sentence in result.summary]
    body = frame[frame["kind"] != "title"].iloc[3]
    assert flood[body["start"] : body["end"]] == body["source"]
    assert frame["doubtful"].sum() == result.provenance.flagged_sentences
