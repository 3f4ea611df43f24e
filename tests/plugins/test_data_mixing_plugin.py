"""The plugin: what it proposes, prepares, chooses and reports."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import automl
from automl.study import Study
from automl_data_mixing import DataMixing, agent, choice, corpus, preparation
from automl_data_mixing.aioli import Aioli
from automl_data_mixing.course import Course, Setting
from automl_data_mixing.environment import Toy, rollout
from automl_data_mixing.options import AgentOptions, Domain, Options
from automl_data_mixing.policies import DoReMi, Fixed, Odm, Schedule, Static
from automl_data_mixing.reporting import sections
from automl_data_mixing.school import teach
from automl_data_mixing.trajectories import paths
from automl_data_mixing.workbench import unseen
from plugins import data_mixing_drill as drill

SETTING = Setting(("a", "b", "c"), (False, False, True), (90, 80, 70), 4, 320)
GRID = (0.0, 0.2, 0.5, 1.0)
SMOKE = Path(__file__).resolve().parents[2] / "studies" / "data_mixing-smoke.yaml"


def runs():
    """Play a static grid, its repeat with noise, and random trajectories on the toy."""
    labels = [f"static {share:g}" for share in GRID] + ["random"] * 30
    drawn = paths(SETTING, 30, GRID)
    work = [*zip(labels, drawn, strict=True), ("repeat 1", drawn[2])]
    made = []
    for seed, (label, path) in enumerate(work):
        course = rollout(Fixed(path), Toy(SETTING, noise=0.002, seed=seed), SETTING)
        made.append(preparation.Run(label, course, course.losses[-1]))
    return made


def job(folder):
    study = Study(
        name="x", model={"class_path": "a.B"}, objectives={"m": {"goal": "minimize"}},
        budget={"trials": 1},
    )  # fmt: skip
    return automl.Job(
        study=study, params={}, seed=0, device="cpu", folder=folder, shared=folder / "shared",
        model=None, data=None, trainer={}, line=None, workshop=None,
    )  # fmt: skip


def prepared(folder):
    """Write what a preparation leaves, without an agent."""
    home = folder / "shared" / "data_mixing"
    home.mkdir(parents=True)
    made = runs()
    preparation.write_runs(home / "runs.json", made)
    preparation.predicted_by_laws(home / "regmix.npz", made)
    start = made[0].course.losses[0]
    facts = {"names": SETTING.names, "untrained": [5.0] * 3, "losses": start}
    (home / "base.json").write_text(json.dumps(facts))
    corpus.save(drill.corpus(), home / "corpus")
    return home


def test_the_package_is_light_where_the_driver_uses_it():
    code = (
        "import sys, automl_data_mixing as d; from automl_data_mixing import reporting; "
        "d.DataMixing(d.DataMixing.Options()).space(); "
        "sys.exit(any(n in sys.modules for n in ('torch', 'pytorch_lightning', 'sklearn')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_options_make_a_study_with_every_usual_policy():
    space = automl.Space(DataMixing(Options()).space())
    assert space["policy"].options == ("static", "schedule", "regmix", "odm", "doremi", "agent")
    assert space.default() == {"policy": "static", "target_share": 0.5}


def test_each_policy_is_searched_with_what_it_can_be_told():
    space = automl.Space(DataMixing(Options()).space())
    active = {p: {n for n in space if space.active(n, {"policy": p})} for p in ("agent", "odm")}
    assert active == {"agent": {"policy", "preference"}, "odm": {"policy"}}
    stepping = {"policy": "schedule", "shape": "step"}
    assert space.active("knee", stepping)
    assert not space.active("knee", stepping | {"shape": "linear"})


def test_the_composition_of_fields_with_several_domains_is_searched_on_request():
    options = Options(policies=("static",), search_composition=True)
    names = set(DataMixing(options).space()) - {"policy", "target_share"}
    assert names == {"composition.code", "composition.docstrings", "composition.topics"}


def test_logits_move_weights_inside_a_field_alone():
    options = Options(target_share=0.4, composition={"code": 1.0, "arithmetic": 2.0})
    setting = Setting(("arithmetic", "code", "docstrings"), (True, False, False), (9, 9, 9), 4, 320)
    weights = choice.policy(job(Path()), options, setting).weights(Course(setting))
    assert weights == pytest.approx([0.4, 0.6 * np.e / (1 + np.e), 0.6 / (1 + np.e)])


@pytest.mark.parametrize(
    ("name", "kind"),
    [("static", Static), ("schedule", Schedule), ("odm", Odm), ("aioli", Aioli)],
)
def test_rules_need_no_preparation(tmp_path, name, kind):
    assert isinstance(choice.policy(job(tmp_path), Options(policy=name), SETTING), kind)


@pytest.mark.parametrize("name", ["regmix", "merge", "doremi", "agent"])
def test_a_policy_that_was_not_prepared_says_which_option_prepares_it(tmp_path, name):
    with pytest.raises(ValueError, match=f"add {name} to data_mixing.policies"):
        choice.policy(job(tmp_path), Options(policy=name), SETTING)


def test_laws_of_runs_choose_more_target_when_it_matters_more(tmp_path):
    prepared(tmp_path)
    shares = [
        choice.policy(job(tmp_path), Options(policy="regmix", preference=w), SETTING).mixture[2]
        for w in (0.4, 0.65, 0.9)
    ]
    assert shares == sorted(shares)
    # the best static share of the toy has a closed form: harm counts (1 - .8^4) / .2 = 2.95 steps
    best = 1 - 0.35 * 2.952 / (0.65 * 4)
    assert shares[1] == pytest.approx(best, abs=0.15)


def test_an_agent_of_other_runs_gets_the_scales_of_these_and_is_told_apart(tmp_path):
    made = runs()
    how = AgentOptions(width=8, sft_steps=1, cql_steps=0)
    teach(tmp_path / "other", how, drill.corpus(), made)
    home = prepared(tmp_path)
    # these runs moved twice as far, and have fewer rows with each mixture
    courses = [
        replace(run.course, losses=tuple(tuple(2 * x for x in u) for u in run.course.losses))
        for run in made
    ]
    further = [replace(run, course=c) for run, c in zip(made, courses, strict=True)]
    preparation.write_runs(home / "runs.json", further)
    options = Options(policy="agent", artifact=str(tmp_path / "other" / "imitation"))
    with pytest.warns(UserWarning, match="learned from runs of 4 mixtures of 320 rows"):
        policy = choice.policy(job(tmp_path), options, replace(SETTING, rows_per_step=160))
    scale = agent.load(Path(options.artifact))[1].scale
    assert policy.card.scale == pytest.approx([2 * one for one in scale])


def test_too_few_runs_with_one_mixture_are_refused(tmp_path):
    few = [run for run in runs() if run.label in {"static 0", "static 0.5"}]
    with pytest.raises(ValueError, match="raise trajectories"):
        preparation.predicted_by_laws(tmp_path / "x.npz", few)


def test_doremi_takes_its_reference_from_the_even_run(tmp_path):
    home = prepared(tmp_path)
    made = preparation.read_runs(home / "runs.json", SETTING)
    even = preparation.Run("even", made[2].course, made[2].final)
    preparation.write_runs(home / "runs.json", [*made, even])
    policy = choice.policy(job(tmp_path), Options(policy="doremi"), SETTING)
    assert isinstance(policy, DoReMi)
    assert policy.reference.tolist() == list(even.course.losses[-1])


def test_runs_survive_being_written(tmp_path):
    made = runs()
    preparation.write_runs(tmp_path / "runs.json", made)
    assert preparation.read_runs(tmp_path / "runs.json", SETTING) == made


def test_a_course_is_cut_to_what_was_known_at_a_step():
    course = runs()[0].course
    cut = choice.before(course, 2)
    assert (len(cut.weights), len(cut.losses)) == (2, 3)
    assert cut.step == 2


def test_final_rows_are_never_seen_by_policies():
    rows = drill.corpus()
    left = unseen(rows, 3)
    for held, kept in zip(rows.held, left.held, strict=True):
        assert len(kept) == len(held) - 3


def history(folder, trials):
    study = job(folder).study
    return automl.History(study, automl.Space({}), tuple(trials), folder)


def trial(folder, number, policy, pair, **metrics):
    path = folder / f"trial-{number}"
    path.mkdir()
    course = runs()[0].course
    (path / "mixing.json").write_text(json.dumps(course.to_dict() | {"names": SETTING.names}))
    metrics |= {"forgetting": pair[0], "target_gain": -pair[1]}
    params = {"data_mixing.policy": policy}
    return automl.Trial(number, "done", params, "enqueued", 0, path, metrics=metrics)


def test_a_report_without_preparation_says_so(tmp_path):
    (section,) = sections(history(tmp_path, []))
    assert section.parts[0].text == "Nothing has been prepared yet."


def test_the_report_tells_what_is_beyond_the_static_front(tmp_path):
    prepared(tmp_path)
    trials = [trial(tmp_path, 0, "agent", (0.0, -0.3)), trial(tmp_path, 1, "odm", (0.3, -0.1))]
    made = list(sections(history(tmp_path, trials)))
    assert [section.title for section in made] == ["Data mixing", "Mixtures of trial 0"]
    table = next(part for part in made[0].parts if isinstance(part, automl.Table))
    assert [(row[1], row[-1]) for row in table.rows] == [("agent", "beyond"), ("odm", "behind")]
    figures = [part for part in made[0].parts if isinstance(part, automl.Figure)]
    assert [figure.title for figure in figures] == ["Forgetting against learning", "Front gain"]
    dots, band = figures[1].series
    assert dots.x == ("agent", "odm")
    assert dots.y[0] > max(band.y) == -min(band.y) > dots.y[1]
    river = made[1].parts[0]
    assert [series.style for series in river.series] == ["area"] * 3
    totals = np.sum([series.y for series in river.series], axis=0)
    assert totals == pytest.approx(np.ones(4))


def test_static_mixtures_that_a_guard_moved_are_no_part_of_the_front(tmp_path):
    home = prepared(tmp_path)
    before, *_ = front_of(tmp_path, [])
    made = preparation.read_runs(home / "runs.json", SETTING)
    clamped = (*made[3].course.weights[:2], *made[0].course.weights[2:])
    made[3] = replace(made[3], course=replace(made[3].course, weights=clamped))
    preparation.write_runs(home / "runs.json", made)
    tried = trial(tmp_path, 0, "static", (9.0, 9.0), guard_steps=1.0)
    tried.params["data_mixing.target_share"] = 0.9
    after, _, others = front_of(tmp_path, [tried])
    assert after.x == before.x[:-1]
    assert others.x == (9.0,)


def front_of(folder, trials):
    parts = next(sections(history(folder, trials))).parts
    return next(part for part in parts if isinstance(part, automl.Figure)).series


def test_the_report_tells_where_static_mixtures_stood_in_for_the_agent(tmp_path):
    prepared(tmp_path)
    trials = [trial(tmp_path, n, "agent", (0.1, -0.1), agent_fallbacks=2.0 * n) for n in (0, 1)]
    texts = [p.text for p in next(sections(history(tmp_path, trials))).parts if hasattr(p, "text")]
    assert [text for text in texts if "2 in trial 1." in text]
    assert not [text for text in texts if "in trial 0" in text]


def test_a_plan_shows_how_each_domain_begins(tmp_path):
    (tmp_path / "a.txt").write_text(
        "Once upon\na time there were " + ", ".join(map(str, range(4_000)))
    )
    tales = Domain(name="tales", field="source", path="*.txt")
    sums = Domain(name="sums", field="target", kind="builtin", path="arithmetic", limit=50_000)
    options = Options(domains=(tales, sums), feedback_rows=4)
    made = job(tmp_path)
    made.data = SimpleNamespace(corpus=corpus.build(options, tmp_path))
    (section,) = DataMixing(options).preview(made)
    first, second = section.parts[0].rows
    assert first[:2] == ("sums", "target")
    assert second == ("tales", "source", 1, 0, 322, 35, "Once upon a time there were 0, 1")


def test_the_report_shows_what_moves_the_agent(tmp_path):
    home = prepared(tmp_path)
    card = {
        "trajectories": 30, "reweights": 4, "stage": "imitation",
        "results": {"hypervolume": {"imitation": 0.5, "conservative": 0.4}, "refused": ""},
        "importance": {"progress": 0.1, "preference": 0.3},
    }  # fmt: skip
    (home / "agent").mkdir()
    (home / "agent" / "card.json").write_text(json.dumps(card))
    text, table = list(sections(history(tmp_path, [])))[-1].parts
    assert "imitation 0.5000, conservative 0.4000; in use: imitation" in text.text
    assert table.rows == (("preference", 0.3), ("progress", 0.1))


@pytest.mark.slow
def test_the_smoke_study_runs_every_policy_and_prepares_once(tmp_path):
    guarded = "plugins.data_mixing.guards.forgetting_limit=0.01"
    command = [sys.executable, "-m", "automl", "run", str(SMOKE), "--set", f"folder={tmp_path}"]
    command += ["--set", guarded]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    home = tmp_path / "data-mixing-smoke"
    records = sorted(home.glob("trials/*/mixing.json"))
    assert len(records) == 9
    assert "Distance from the static front" in said
    shared = home / "shared" / "data_mixing"
    base = json.loads((shared / "base.json").read_text())["losses"]
    grid = json.loads((shared / "runs.json").read_text())["runs"][:3]
    forgotten = [np.array(one["final"]) - base for one in grid]
    # sources are the second and third domain: targets alone must hurt them, sources alone must not
    assert forgotten[2][1:].mean() > forgotten[0][1:].mean() + 0.05
    # the breaker clamps trials of targets alone, and no prepared run
    assert np.array(grid[2]["weights"])[:, 0].tolist() == [1.0] * 4
    tripped = [json.loads(path.read_text()) for path in records]
    alone = next(one for one in tripped if one["weights"][0][0] == 1.0)
    assert alone["weights"][3][0] == pytest.approx(0.1)
    assert "breaker tripped" in alone["notes"]["3"]
