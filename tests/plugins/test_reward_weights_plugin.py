import json

import pytest
import torch
from plugins.reward_weights_runs import Line, study, trial

import automl
from automl.space import Space
from automl.study import Budget, Study
from automl_reward_weights import EnvironmentPolicy
from automl_reward_weights.keeper import Keeper
from automl_reward_weights.options import Options, space
from automl_reward_weights.rewards import Reward
from automl_reward_weights.scalarize import Scalarizer, even
from automl_reward_weights.verify import VERIFIED
from automl_reward_weights.weighters import HvGradient

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*num_workers", "ignore:.*isinstance.treespec"
)


def archive_of(folder):
    return json.loads((folder / "archive.json").read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run, its folder and what it reported."""
    folder, line = tmp_path_factory.mktemp("trial"), Line()
    return trial(study(), folder, line), folder, line


def test_a_run_yields_one_point_for_each_archived_policy(finished):
    outcome, folder, _ = finished
    rows = archive_of(folder)["archive"]
    given = {int(point.metrics["step"]) for point in outcome.points}
    assert outcome.state == "done"
    assert given | {int(outcome.metrics["step"])} == {row["step"] for row in rows}
    assert len(outcome.points) == len(rows) - 1 > 0


def test_a_point_measures_the_policy_that_its_artifact_holds(finished):
    outcome, folder, _ = finished
    for point in outcome.points:
        assert point.metrics["val_treasure"] == point.metrics["selected_treasure"]
        assert point.metrics["val_time"] == point.metrics["selected_time"]
        assert "policy.weight" in torch.load(folder / point.artifact, weights_only=True)


def test_the_policies_that_stay_are_those_of_further_points(finished):
    outcome, folder, _ = finished
    there = {f"points/{path.name}" for path in (folder / "points").iterdir()}
    assert there == {point.artifact for point in outcome.points}


@pytest.mark.slow
def test_a_study_stops_by_the_archives_hypervolume_and_removes_what_was_stopped(tmp_path):
    made = study(
        objectives={"archive_hypervolume": {"goal": "maximize"}},
        fidelity={"min": 1, "max": 9, "eta": 3},
        trainer={"max_epochs": 9},
        folder=str(tmp_path),
    ).model_copy(update={"budget": Budget(trials=5)})
    automl.run(made, here=tmp_path)
    lengths = []
    for folder in (tmp_path / "toy/trials").iterdir():
        archive = archive_of(folder)
        lengths.append(len(archive["curve"]))
        kept = list(folder.rglob("step-*.pt"))
        stays = (folder / "model.ckpt").exists()
        assert len(kept) == (len(archive["archive"]) - 1 if stays else 0)
        assert lengths[-1] == 9 or not stays
    assert min(lengths) < 9 == max(lengths)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("[float('nan')] * len(completions)", "reward 'mine': rollout 0 of 16 got nan"),
        ("[1.0]", "reward 'mine': returned shape (1,) for 16 rollouts"),
        ("[0.5] * len(completions)", "reward 'mine': was 0.5 in every rollout of the first 2"),
    ],
)
def test_a_reward_function_of_a_user_that_cannot_work_is_named(tmp_path, monkeypatch, body, words):
    name = f"mine_{len(body)}"  # a module of its own for each body
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / f"{name}.py").write_text(
        f"def pay(prompts, completions, answers):\n    return {body}\n"
    )
    outcome = trial(
        words_study({"mine": f"{name}.pay", "form": VERIFIED["form"]}), tmp_path / "run"
    )
    assert words in outcome.failure.message


def words_study(rewards):
    return Study(
        name="words",
        model={
            "class_path": "automl_reward_weights.TextPolicy",
            "init_args": {"length": 32, "group": 4, "rewards": rewards},
        },
        data={
            "class_path": "automl_reward_weights.Equations",
            "init_args": {"batch_size": 4, "evaluate": 4, "held": 4, "context": 32},
        },
        trainer={"max_epochs": 1, "limit_train_batches": 3},
        plugins={"reward_weights": {"patience": 2}},
        objectives={"val_mine": {"goal": "maximize"}, "val_form": {"goal": "maximize"}},
        budget={"trials": 1},
    )


def test_the_hypervolume_of_the_archive_is_reported_and_measured(finished):
    outcome, _, line = finished
    told = [metrics["archive_hypervolume"] for _, metrics in line.reports]
    assert told == sorted(told)
    assert outcome.metrics["archive_hypervolume"] == pytest.approx(told[-1])


def test_the_hypervolume_can_be_the_one_objective(tmp_path):
    made = study(
        objectives={"archive_hypervolume": {"goal": "maximize"}}, trainer={"max_epochs": 1}
    )
    assert trial(made, tmp_path).state == "done"


@pytest.mark.parametrize("weighter", ["gradient", "lagrangian"])
def test_a_run_that_was_cut_ends_as_the_uncut_one(tmp_path, weighter):
    options = {"weighter": weighter}
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    expected = trial(study(options), whole)
    assert trial(study(options), cut, Line(most=3)).state == "stopped"
    got = trial(study(options), cut, attempt=1)
    assert got.metrics["archive_hypervolume"] == expected.metrics["archive_hypervolume"]
    assert archive_of(cut) == archive_of(whole)


def test_a_fit_that_has_ended_is_refined_without_training_again(finished):
    first, folder, _ = finished
    line = Line()
    again = trial(study(), folder, line, attempt=1)
    assert [p.metrics for p in again.points] == [p.metrics for p in first.points]
    assert line.reports == []


def test_equal_seeds_give_equal_archives_and_others_do_not(finished, tmp_path):
    for seed in (1, 2):
        trial(study(), tmp_path / str(seed), seed=seed)
    one, two = (archive_of(tmp_path / str(seed))["curve"] for seed in (1, 2))
    assert archive_of(finished[1])["curve"] == one != two


def test_the_studys_ref_is_the_reference_of_the_hypervolume(tmp_path):
    trial(study(trainer={"max_epochs": 1}), tmp_path)
    treasure, time = archive_of(tmp_path)["rewards"]
    reference = archive_of(tmp_path)["reference"]
    assert reference[0] == pytest.approx((0 - 0.7) / (23.7 - 0.7))
    assert reference[1] == pytest.approx((-21 + 19) / (19 - 1))
    assert (treasure["name"], time["name"]) == ("treasure", "time")


def test_evaluations_come_as_often_as_the_option_says(tmp_path):
    options = {"evaluate_every": 3}
    trial(study(options, trainer={"max_epochs": 3}), tmp_path)
    assert [row["step"] for row in archive_of(tmp_path)["curve"]] == [3, 6, 9, 12, 15]


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")  # of gymnasium
def test_an_environment_that_there_is_not_is_refused_with_the_tables_that_there_are():
    pytest.importorskip("mo_gymnasium", reason="the extra automl[reward] is not installed")
    with pytest.raises(ValueError, match=r"no table \(fruit-tree, .*Environment `atlantis`"):
        EnvironmentPolicy(environment="atlantis")


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")  # of gymnasium
def test_an_environment_of_mo_gymnasium_trains(tmp_path):
    pytest.importorskip("mo_gymnasium", reason="the extra automl[reward] is not installed")
    made = study(
        None,
        {"val_reward_0": {"goal": "maximize"}, "val_reward_1": {"goal": "maximize"}},
        model={
            "environment": "deep-sea-treasure-v0",
            "hidden": 8,
            "episodes": 8,
            "evaluation": 2,
            "copies": 4,
            "horizon": 20,
            "bounds": [[0, 24], [-20, 0]],
        },
        trainer={"max_epochs": 1},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        outcome = trial(made, tmp_path)
    assert outcome.state == "done", outcome.failure
    assert -20 <= outcome.metrics["val_reward_1"] < 0


def test_a_weighter_of_somebody_else_is_named_by_its_class_path(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "from automl_reward_weights import Weights\n"
        "class Last:\n"
        "    def update(self, now, signal):\n"
        "        return Weights(np.eye(now.values.size)[-1])\n"
    )
    trial(study({"weighter": "mine.Last"}), tmp_path / "run")
    assert archive_of(tmp_path / "run")["curve"][-1]["weights"] == [0.0, 1.0]


def test_a_model_that_has_no_rewards_is_refused_in_words(tmp_path):
    made = study().model_copy(
        update={"model": study().model.model_copy(update={"class_path": "automl.zoo.MLP"})}
    )
    made = made.model_copy(update={"model": made.model.model_copy(update={"init_args": {}})})
    outcome = trial(made, tmp_path)
    assert "has no rewards and no scalarizer" in outcome.message


def test_the_published_scale_warns_where_the_estimator_cancels_it(tmp_path):
    with pytest.warns(UserWarning, match="which gdpo cancels"):
        trial(study({"weighter": "hv_scale"}, trainer={"max_epochs": 1}), tmp_path)


def test_a_plan_lists_the_rewards_as_the_study_has_them(tmp_path):
    options = {"preference": {"time": 3.0}, "rewards": {"treasure": {"gate": "time"}}}
    outcome = trial(study(options), tmp_path, kind="smoke")
    (_, section) = outcome.result["previews"][0]
    treasure, time = (
        dict(zip(section.parts[0].columns, row, strict=True)) for row in section.parts[0].rows
    )
    assert (treasure["gate"], treasure["reference"], treasure["importance"]) == ("time", 0, 0.25)
    assert (time["bounds"], time["reference"]) == ("-19 to -1", pytest.approx(-21))


def test_a_metric_that_validation_does_not_log_is_named(tmp_path):
    keeper = Keeper(Scalarizer(even((Reward("a"), Reward("b", metric="val_bee")))), tmp_path)
    with pytest.raises(ValueError, match=r"no metric 'val_bee'; .*there are: val_a, val_b"):
        keeper.entry({"val_a": 1.0, "val_b": 1.0}, 5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"weighter": "hv_gradiant"}, "'hv_gradiant' is none of hv_gradient"),
        ({"arguments": {"fixed": {"rate": 1}}}, "its arguments are none"),
        ({"arguments": {"randum": {}}}, "'randum' is none of"),
        ({"preference": {"time": -1.0}}, "'time' must not be negative"),
        ({"rewards": {"time": {"bounds": (5, 5)}}}, "the smaller first; got 5.0, 5.0"),
    ],
)
def test_options_that_cannot_work_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        Options.model_validate(options)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nowhere.Mine", r"cannot import 'nowhere\.Mine'"),
        ("collections.Mine", "module 'collections' has no class 'Mine'"),
        ("fractions.Fraction", "has no method update"),
    ],
)
def test_a_class_that_is_no_weighter_is_named(path, words):
    with pytest.raises((ValueError, automl.AutomlError), match=words):
        Options(weighter=path).made()


def test_no_options_make_the_default_weighter():
    assert Options().made() == HvGradient()


def test_a_proposed_argument_depends_on_its_weighter():
    given = Options.model_validate({"rewards": {"a": {"bounds": [0, 1]}, "b": {"bounds": [0, 2]}}})
    proposed = Space(space(given))
    assert proposed["rewards.b.threshold"].high == 2
    assert "rewards.a.threshold" not in proposed
    assert "arguments.gradient.rate" not in proposed.default()
    assert proposed.active("arguments.gradient.rate", {"weighter": "gradient"})


def test_a_dropped_policy_stays_while_a_kept_checkpoint_may_name_it(tmp_path):
    keeper = Keeper(Scalarizer(even((Reward("a"), Reward("b")))), tmp_path)
    (tmp_path / "step-1.pt").touch()
    keeper.dropped.append("step-1.pt")
    saved = [keeper.state_dict() and (tmp_path / "step-1.pt").exists() for _ in range(2)]
    assert saved == [True, False]
