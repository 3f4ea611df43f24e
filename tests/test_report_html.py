"""The page as text: one file, escaped everywhere, small, the same facts."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import histories
import pytest

from automl import Figure, Graph, Heatmap, Section, Series, Text
from automl.report import parts
from automl.report.facts import facts
from automl.report.html import change, fingerprint, policy, prose, render
from automl.report.records import Part

FIGURE = Figure("f", (Series("s", (1.0, 2.0), (3.0, 4.0)),), "x", "y", "a line")


class Reader(HTMLParser):
    """Collects the tags, the attributes and the texts of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.bodies, self.last = [], [], {}, ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.last = tag

    def handle_data(self, data):
        self.bodies.setdefault(self.last, []).append(data)


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])


@pytest.mark.parametrize("name", histories.ODD)
def test_no_text_of_a_study_becomes_an_element_or_an_attribute(name):
    read = Reader(render(histories.facts_of(name)))
    assert read.tags.count("script") == 2
    assert "img" not in read.tags
    assert not [a for a in read.attributes if a[1].startswith("on")]


@pytest.mark.parametrize("name", histories.ODD)
def test_a_page_asks_for_nothing_and_tells_no_secret(name):
    page = render(histories.facts_of(name))
    links = [value for tag, key, value in Reader(page).attributes if key in {"src", "href"}]
    assert all(value.startswith(("#", "data:")) for value in links)
    assert "s3cr3t" not in page


@pytest.mark.parametrize("name", histories.ODD)
def test_a_page_is_small(name):
    assert len(render(histories.facts_of(name)).encode()) < 200_000


def test_the_policy_allows_the_script_and_the_style_of_the_page_alone():
    page = render(histories.facts_of("made"))
    read = Reader(page)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    content = next(v for t, k, v in read.attributes if t == "meta" and v and "default-src" in v)
    assert f"script-src '{fingerprint(script)}'" in content
    assert f"style-src '{fingerprint(style)}'" in content
    assert "default-src 'none'" in content
    assert "unsafe" not in content


def test_only_a_page_that_is_served_may_ask_its_server():
    assert "connect-src 'none'" in policy("", "", live=False)
    assert "connect-src 'self'" in policy("", "", live=True)


def test_the_script_never_parses_text_as_markup():
    page = render(histories.facts_of("made"))
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", page)


def test_the_data_has_every_point_and_its_values():
    found = histories.facts_of("made")
    data = data_of(render(found))
    assert data["points"]["label"] == [p.label for p in found.points]
    assert data["points"]["kind"].count(0) == len(found.front)
    assert data["columns"][1]["values"] == [p.values[1] for p in found.points]


def test_numbers_that_json_has_not_are_texts():
    data = data_of(render(histories.facts_of("nan metrics")))
    assert {"inf", "nan"} <= {v for v in data["columns"][0]["values"] if isinstance(v, str)}


def test_the_headline_counts_what_the_facts_count():
    page = render(histories.facts_of("made"))
    assert "<strong>8 points to choose from</strong>" in page
    assert "29 done, 8 stopped, 3 failed" in page


def test_the_page_says_how_to_go_on_with_the_command_that_began_the_study():
    made = histories.made(4)
    began = {"command": "automl run a.yaml --fresh --set 'x=1'"}
    page = render(facts(replace(made, provenance=began)))
    assert "automl run a.yaml --set &#39;x=1&#39; --set budget.trials=8<" in page
    assert "Go on with this study" not in render(facts(made))


def test_a_section_that_raised_shows_its_error_and_the_others_are_drawn():
    page = render(histories.facts_of("made"))
    assert "ValueError: no supernet" in page
    assert "the section cannot be drawn: ValueError: table &#39;kept&#39; has 1 columns" in page
    assert "[/red] Units" in page


def test_what_stands_between_backticks_is_code_and_still_text():
    assert prose("run `automl retrain` <i>") == "run <code>automl retrain</code> &lt;i&gt;"
    assert prose("`<img src=x>` and one ` alone") == (
        "<code>&lt;img src=x&gt;</code> and one ` alone"
    )


def test_sections_of_the_search_itself_are_not_said_to_be_of_plugins():
    made = histories.facts_of("one trial")
    own = replace(made, sections=(Part("automl", Section("Early stopping", (Text("x"),))),))
    assert "From the plugins" not in render(own)
    assert "Early stopping" in render(own)


@pytest.mark.parametrize(
    "part",
    [
        Figure("f", (Series("s", (1.0,), (1.0, 2.0)),), "x", "y", ""),
        Heatmap("h", ("a",), ("b", "c"), ((1.0,),), ""),
        Graph("g", ("a",), ((0, 3, "lost"),), ""),
        "no part at all",
    ],
)
def test_a_part_that_cannot_be_drawn_is_the_error_of_its_section(part):
    found = parts.drawn(Part("mine", Section("title", (Text("fine"), part))))
    assert found.error.startswith("the section cannot be drawn")
    assert found.parts == ()


def test_figures_are_numbered_over_all_sections():
    section = Section("title", (FIGURE, Text("between"), FIGURE))
    made = histories.facts_of("one trial")
    with_figures = type(made)(
        **{name: getattr(made, name) for name in made.__slots__}
        | {"sections": (Part("a", section), Part("b", section))}
    )
    page = render(with_figures)
    assert re.findall(r'data-figure="(\d+)"', page) == ["0", "1", "2", "3"]
    assert len(data_of(page)["figures"]) == 4


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        (0.5, 0.75, "+0.25 (+50%)"),
        (200.0, 150.0, "\N{MINUS SIGN}50 (\N{MINUS SIGN}25%)"),
        (0.0, 2.0, "+2"),
        (1.0, 1.0, "no change"),
        (None, 1.0, ""),
        (1.0, float("inf"), ""),
    ],
)
def test_a_change_is_written_with_its_share(before, after, shown):
    assert change(before, after) == shown
