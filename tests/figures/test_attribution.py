"""Coloured words are harmless HTML; pictures show what they are given."""

from html.parser import HTMLParser

import numpy as np
import pandas as pd

from vilbert_lib import figures


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.spans, self.tags = [], set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag == "span" and "title" in dict(attrs):
            self.spans.append([dict(attrs), ""])

    def handle_data(self, data):
        if self.spans and not self.spans[-1][1]:
            self.spans[-1][1] = data


def test_words_are_escaped_and_carry_their_numbers_and_nothing_is_loaded():
    tokens = ["[CLS]", "<b>&", "fox"]
    page = figures.coloured_text({"a <row>": (tokens, np.array([0.0, -0.5, 2.0]))}, "relevance & more").data
    reader = Reader()
    reader.feed(page)
    assert [text for _, text in reader.spans] == tokens
    assert [attributes["title"] for attributes, _ in reader.spans] == ["0", "-0.5", "2"]
    styles = [attributes["style"] for attributes, _ in reader.spans]
    assert "rgba(213,94,0,0.00)" in styles[0] and "rgba(0,114,178,0.15)" in styles[1]
    assert "rgba(213,94,0,0.60)" in styles[2] and all("color:inherit" in style for style in styles)
    assert reader.tags == {"table", "tr", "th", "td", "span", "div"} and "http" not in page
    assert "a &lt;row&gt;" in page and "relevance &amp; more" in page


def test_a_sentence_without_relevance_is_not_coloured():
    page = figures.coloured_text({"": (["a", "b"], np.zeros(2))}, "x").data
    assert page.split("</table>")[0].count(",0.00)") == 2


def test_overlays_scale_each_map_and_say_where_one_is_zero():
    image = np.full((64, 64, 3), 100, np.uint8)
    maps = {"trained": {"0": np.arange(16.0), "1": np.zeros(16)}, "untrained": {"0": -np.ones(16)}}
    figure = figures.overlays(image, maps, box=(0.25, 0.25, 0.5, 0.5))
    axes = np.array(figure.axes).reshape(2, 3)
    drawn = axes[0, 1].images[1].get_array()
    assert drawn.max() == 1 and drawn[0, 0] == 0 and drawn.shape == (4, 4)
    assert [t.get_text() for t in axes[0, 2].texts] == ["zero"] == [t.get_text() for t in axes[1, 1].texts]
    assert len(axes[0, 0].lines) == 1 and not axes[1, 2].images


def test_curves_and_shares_name_their_axes_and_methods():
    rows = [
        {"method": m, "side": s, "curve": c, "share": x, "mean": x, "low": x - 0.1, "high": x + 0.1}
        for m in ("chefer", "random")
        for s in ("words", "patches")
        for c in ("deletion", "insertion")
        for x in (0.0, 0.5, 1.0)
    ]
    table = pd.DataFrame(rows)
    figure = figures.removal_curves(table, {"chefer": "Chefer"})
    assert [axis.get_title() for axis in figure.axes] == [
        "deletion, words", "insertion, words", "deletion, patches", "insertion, patches",
    ]  # fmt: skip
    assert [line.get_linestyle() for line in figure.axes[0].lines] == ["-", "--"]
    assert figure.axes[2].get_xlabel() == "share of the patches taken away"
    table = table.assign(moment="trained")
    table = table[table.share == 1].drop_duplicates(["method", "side"])
    chance, names = {"words": 0.2, "patches": 0.1}, {"chefer": "Chefer", "random": "random"}
    figure = figures.on_evidence(table, chance, names)
    assert figure.axes[1].get_xlabel() == "share of relevance in the box"
