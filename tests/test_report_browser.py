"""The page in a real browser: what it draws, what a click does, what it never does."""

from pathlib import Path

import histories
import pytest
from chromium import browser

from automl import Figure, Graph, Heatmap, Section, Series
from automl.report.facts import facts
from automl.report.html import render

SECTIONS = (
    (
        "pruning",
        Section(
            "Curves",
            (
                Figure(
                    "lines", (Series("s", (0.1, 1.0), (1, 2), (0.1, 0.1)),), "x", "y", "a", True
                ),
                Figure("bars", (Series("s", ("a", "b"), (1, 2), (), "bars"),), "x", "y", "a"),
                Figure("areas", (Series("s", (1, 2), (1, 2), (), "area"),), "x", "y", "a"),
                Heatmap("heat", ("a",), ("b", "c"), ((1.0, float("nan")),), "a"),
                Graph("graph", ("a", "b"), ((0, 1, "edge"), (1, 0, "back")), "a"),
            ),
        ),
    ),
)


@pytest.fixture(scope="module")
def page():
    with browser() as opened:
        yield opened


@pytest.fixture
def see(page, tmp_path):
    def open_(found, **how):
        page.errors.clear()
        page.requests.clear()
        path = tmp_path / "report.html"
        path.write_text(render(found), encoding="utf-8")
        page.open(path.as_uri(), **how)
        return page

    return open_


def count(page, selector):
    return page.run(f"document.querySelectorAll({selector!r}).length")


@pytest.mark.parametrize("name", histories.ODD)
@pytest.mark.parametrize("dark", [False, True])
def test_every_odd_study_opens_without_an_error_or_a_request(see, name, dark):
    page = see(histories.facts_of(name), dark=dark)
    assert page.errors == []
    assert [url for url in page.requests if not url.startswith(("file:", "data:"))] == []


@pytest.mark.parametrize("name", ["made", "constrained", "single objective", "repeated"])
def test_every_point_of_the_front_is_drawn_as_a_mark(see, name):
    found = histories.facts_of(name)
    page = see(found)
    labels = page.run(
        "[...document.querySelectorAll('#front-figure .mark')].map((m) => m.dataset.point).sort()"
    )
    assert labels == sorted(point.label for point in found.front)


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_every_view_of_the_front_draws_without_an_error(see, objectives):
    page = see(facts(histories.made(40, objectives), SECTIONS))
    buttons = page.run("document.querySelectorAll('#front-controls .tabs button').length")
    for number in range(buttons):
        page.run(f"document.querySelectorAll('#front-controls .tabs button')[{number}].click()")
        assert count(page, "#front-figure svg path") > 0
    assert buttons == (2 if objectives == 2 else 4)
    assert page.errors == []


def test_a_click_on_a_point_opens_its_card_with_its_commands(see):
    found = histories.facts_of("made")
    page = see(found)
    label = next(p.label for p in found.front if p.label != found.knee)
    page.click(f'#front-figure .mark[data-point="{label}"]')
    card = page.run("document.getElementById('card').innerText")
    assert f"Point {label}" in card
    assert f"automl export runs/digits-front --point {label}" in card
    assert f"automl retrain runs/digits-front --point {label} --seeds 3" in card


def test_a_point_shows_what_it_is_when_the_pointer_is_over_it(see):
    found = histories.facts_of("made")
    page = see(found)
    page.click(f'#front-figure .mark[data-point="{found.knee}"]')
    shown = page.run("document.getElementById('tip').textContent")
    assert f"Point {found.knee}, on the front" in shown
    assert "val_accuracy" in shown


def test_the_keyboard_walks_along_the_front_and_opens_a_card(see):
    page = see(histories.facts_of("made"))
    page.run("document.querySelector('#front-figure .mark[tabindex=\"0\"]').focus()")
    page.press("ArrowRight")
    label = page.run("document.activeElement.dataset.point")
    page.press("Enter")
    assert page.run("document.querySelector('#card h3').textContent") == f"Point {label}"
    assert page.run("document.activeElement.dataset.point") == label


def test_sliders_choose_the_end_of_the_front_that_matters_alone(see):
    found = histories.facts_of("made")
    page = see(found)
    page.run(
        "for (const [id, value] of [['weight-0', 100], ['weight-1', 0]]) {"
        "const s = document.getElementById(id); s.value = value;"
        "s.dispatchEvent(new Event('input')); }"
    )
    chosen = page.run("document.querySelector('#preference button').dataset.point")
    assert chosen == found.objectives[0].best_at


def test_the_table_of_the_front_sorts_by_the_column_that_is_pressed(see):
    found = histories.facts_of("made")
    page = see(found)
    page.click("#front-table th:nth-child(3) button")
    labels = page.run(
        "[...document.querySelectorAll('#front-table tbody button')].map((b) => b.textContent)"
    )
    assert labels == [p.label for p in sorted(found.front, key=lambda p: p.values[1])]


def test_hostile_names_are_shown_as_text(see):
    page = see(histories.facts_of("hostile"))
    assert page.run("document.title") == "hostile: Pareto report"
    assert count(page, "img") == 0
    shown = page.run("document.body.innerText")
    assert "</script><img src=x onerror=alert(1)>" in shown
    assert "\u202e" not in shown
    assert "{{7*7}}" in shown


def test_figures_of_plugins_are_drawn(see):
    page = see(facts(histories.one_trial(), SECTIONS))
    drawn = page.run(
        "[...document.querySelectorAll('[data-figure]')]"
        ".map((figure) => figure.querySelectorAll('svg').length > 0)"
    )
    assert drawn == [True] * 5
    assert page.errors == []


@pytest.mark.parametrize("width", [360, 800, 1600])
def test_the_page_is_never_wider_than_the_window(see, width):
    page = see(histories.facts_of("made"), width=width)
    assert page.run("document.documentElement.scrollWidth <= innerWidth")


def test_every_figure_has_a_text_alternative(see):
    page = see(facts(histories.made(), SECTIONS))
    bare = page.run(
        "[...document.querySelectorAll('.figure svg[height]')]"
        ".filter((s) => !s.getAttribute('aria-label')).length"
    )
    assert bare == 0


def test_the_page_prints_light_without_its_controls(see):
    page = see(histories.facts_of("made"), dark=True)
    page.call("Emulation.setEmulatedMedia", media="print")
    assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.run("getComputedStyle(document.querySelector('.controls')).display") == "none"
    page.call("Emulation.setEmulatedMedia", media="")


def test_points_beyond_the_reference_are_drawn_when_asked_for(see):
    history = histories.made(12)
    found = facts(history, references=(0.9, 200_000))
    page = see(found)
    beyond = [p for p in found.front if not p.counts]
    assert beyond
    assert count(page, "#front-figure .mark") == len(found.choices)
    page.run(
        "[...document.querySelectorAll('#front-controls label')]"
        ".find((l) => l.textContent === 'beyond the reference').click()"
    )
    assert count(page, "#front-figure .mark") == len(found.front)


def test_the_theme_button_changes_the_colours_and_draws_again(see):
    page = see(histories.facts_of("made"))
    before = page.run("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    assert page.run("getComputedStyle(document.body).backgroundColor") != before
    assert page.errors == []


@pytest.mark.slow
def test_five_thousand_trials_with_four_objectives_stay_responsive(see):
    found = facts(histories.large())
    page = see(found)
    assert page.errors == []
    assert count(page, "#front-figure .mark") == len(found.front)
    for view in ("scatter", "cube", "parallel", "matrix"):
        page.run(f"state.view = {view!r}; controls(); at('front-again').draw()")
        elements = count(page, "#front-figure *")
        assert elements < 3000  # responsive because it is drawn with few elements
    assert "are drawn, evenly taken" in page.run("at('front-note').textContent")


def test_a_screenshot_is_there_to_look_at(see, request):
    page = see(histories.facts_of("made"), width=1280, height=1400)
    folder = Path(request.config.cache.mkdir("report"))
    page.screenshot(folder / "report.png")
    assert (folder / "report.png").stat().st_size > 20_000
