"""The architecture search from study to report, in this process."""

import json
from dataclasses import replace

import pytest
import torch
from plugins.nas_toys import QUIET, Leaky, study

import automl
from automl.export import choose, export, retraining
from automl.history import History
from automl.launch import run
from automl.report.facts import facts
from automl.studyfile import of
from automl.zoo import Digits
from automl_nas import Chain, Nas, NasOptions
from automl_nas.choices import choosable
from automl_nas.data import check_parts, parts, training_loader, weights_only
from automl_nas.export import WEIGHTS, load
from automl_nas.notes import Training, read_note, read_plan, write_plan
from automl_nas.prepare import truths
from automl_nas.region import whole
from automl_nas.space import indices
from automl_nas.supernets import lengths
from automl_nas.tree import leaves
from automl_nas.work import Aim, Work

pytestmark = [pytest.mark.filterwarnings(f"ignore:{text}") for text in QUIET]


@pytest.fixture(scope="module")
def searched(tmp_path_factory) -> History:
    """A finished search with an ensemble of two supernets."""
    file = study(tmp_path_factory.mktemp("runs"), trials=6, depth=1, neighbours=3)
    return run(file)


def test_a_search_ends_with_trained_and_estimated_trials(searched):
    assert [trial.state for trial in searched.trials] == ["done"] * 6
    flags = [trial.metrics["nas_trained"] for trial in searched.trials]
    assert set(flags) <= {0.0, 1.0}
    plan = read_plan(searched.folder / "shared")
    assert len(plan.trained) == 6
    assert len(plan.supernets) == 2
    assert len(plan.pool) == 16


def test_preparations_trainings_are_points_of_the_study_once(searched):
    told = [p for t in searched.trials for p in t.points if not p.name.startswith("estimate")]
    assert len(told) == len({point.name for point in told}) == 6
    assert all(point.metrics["nas_trained"] == 1 for point in told)


def test_an_estimate_never_beats_every_training(searched):
    points = [p for t in searched.trials for p in (automl.Point(t.metrics), *t.points)]
    trained = [p.metrics for p in points if p.metrics["nas_trained"]]
    for one in (p.metrics for p in points if not p.metrics["nas_trained"]):
        assert any(
            t["val_accuracy"] >= one["val_accuracy"] and t["parameters"] <= one["parameters"]
            for t in trained
        )


def test_a_known_architecture_is_not_trained_again(searched):
    plan = read_plan(searched.folder / "shared")
    known = {one.form: one.metrics for one in plan.trained}
    space = Chain(layers=2, width=4, reduce=(1,))
    for trial in searched.trials:
        chosen = [trial.params[f"nas.architecture.layer{i}"] for i in range(2)]
        form = space.canonical(tuple(space.operations.index(name) for name in chosen))
        if form in known:
            assert trial.metrics["val_accuracy"] == pytest.approx(known[form]["val_accuracy"])
            assert read_note(trial.folder) is None


def test_exported_networks_have_the_accuracy_that_was_measured(searched):
    folder = searched.trials[0].folder / "trained" / "0"
    content = json.loads((folder / "architecture.json").read_text())
    data = Digits(batch_size=256)
    data.setup("validate")
    images, labels = data.splits["val"][slice(None)]
    with torch.no_grad():
        hits = (load(folder)(images).argmax(1) == labels).float().mean().item()
    assert hits == pytest.approx(content["metrics"]["val_accuracy"], abs=1e-6)


def test_exported_points_are_loaded_with_their_own_networks(searched, tmp_path):
    for label in front(searched):
        folder = export(searched, label, tmp_path / label)
        chosen = json.loads((folder / "architecture.json").read_text())
        model = automl.load(folder)
        assert sum(p.numel() for p in model.parameters()) == chosen["parameters"]
        weights = torch.load(next(folder.glob("*.[cp]*t")), weights_only=True)["state_dict"]
        assert all(torch.equal(weights[name], v) for name, v in model.state_dict().items())


def front(history):
    return [one.label for one in facts(history).points if one.front]


def test_a_point_is_trained_again_without_supernets(searched, tmp_path):
    again = retraining(searched, choose(searched, "0/calibration-1"), 2)
    file = of(again.model_copy(update={"folder": str(tmp_path)}))
    history = run(file)
    assert read_plan(history.folder / "shared") is None
    assert all((trial.folder / WEIGHTS).exists() for trial in history.trials)


def test_the_report_tells_trust_supernets_and_the_best(searched):
    options = NasOptions.model_validate(searched.study.plugins["nas"])
    sections = {one.title: one.parts for one in Nas(options).report(searched)}
    assert set(sections) == {"Trust in estimates", "Supernets", "Best architectures"}
    tables = [part for part in sections["Trust in estimates"] if isinstance(part, automl.Table)]
    assert tables[1].rows[0][1] >= 4  # calibration and random arm
    assert all(isinstance(part, automl.Graph) for part in sections["Best architectures"])


def test_a_study_that_was_not_prepared_has_no_sections(searched, tmp_path):
    assert not list(Nas(NasOptions()).report(replace(searched, folder=tmp_path)))


def test_a_plan_is_the_same_when_read_again(searched, tmp_path):
    plan = read_plan(searched.folder / "shared")
    write_plan(tmp_path, plan)
    assert read_plan(tmp_path) == plan


def test_a_prepared_study_goes_on_without_training_supernets_again(searched):
    folder = searched.folder / "shared"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.pt")}
    file = study(searched.folder.parent, trials=7, depth=1, neighbours=3)
    assert len(run(file).trials) == 7
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*.pt")}


OTHERS = [pytest.param(n, marks=pytest.mark.slow) for n in ("contribution", "random", "exhaustive")]


@pytest.mark.parametrize("criterion", ["gradient_matching", *OTHERS])
def test_splits_part_the_space_between_supernets(criterion, tmp_path):
    history = run(study(tmp_path, trials=1, criterion=criterion, depth=1, warmup=0.5))
    plan = read_plan(history.folder / "shared")
    regions = [leaf.region for leaf in leaves(plan.tree)]
    assert [region.alive for region in regions] == [alive for alive, _ in plan.supernets]
    members = [a for region in regions for a in region.architectures()]
    assert sorted(members) == sorted(whole(Chain(layers=2)).architectures())
    scored = criterion in {"gradient_matching", "contribution"}
    assert len(plan.tree.candidates) == (2 if scored else 0)
    assert list(Nas(NasOptions.model_validate(history.study.plugins["nas"])).report(history))


@pytest.mark.slow
@pytest.mark.parametrize("restart", [True, False])
def test_a_tree_of_two_levels_hands_weights_down(restart, tmp_path):
    options = {"criterion": "gradient_matching", "depth": 2, "warmup": 0.5, "restart": restart}
    history = run(study(tmp_path, trials=1, **options))
    plan = read_plan(history.folder / "shared")
    assert len(plan.supernets) == len(leaves(plan.tree)) == 4
    root = torch.load(history.folder / "shared" / "nas_level0" / "0.pt", weights_only=True)
    child = torch.load(history.folder / "shared" / "nas_level1" / "0.pt", weights_only=True)
    pairs = [(root["state"][name], child["state"][name]) for name in root["state"]]
    norms = [(torch.norm(a - b) / torch.norm(a)).item() for a, b in pairs if a.ndim == 4]
    assert max(norms) < 1  # the child went on from the root: other weights would be farther


def test_a_users_own_model_is_its_own_supernet(tmp_path):
    space = {"kind": "own", "choices": {"stem": ["whole", "bare1", "bare3", "bare5"]}}
    options = {"space": space, "criterion": "one_shot", "evaluation": "estimate"}
    history = run(study(tmp_path, model="plugins.nas_toys.OwnNet", trials=3, **options))
    plan = read_plan(history.folder / "shared")
    assert {one.form for one in plan.trained} == {"whole", "bare1", "bare3", "bare5"}
    assert all(trial.metrics["nas_trained"] == 1 for trial in history.trials)  # all are known
    with pytest.raises(automl.PluginError, match="a model of your own; use automl export"):
        load(history.trials[0].folder)
    model = automl.load(export(history, front(history)[0], tmp_path / "best"))
    assert not choosable(model)


def test_an_architecture_outside_the_pool_is_estimated_when_it_is_proposed(tmp_path):
    history = run(study(tmp_path, trials=6, pool=8, evaluation="estimate", rounds=0))
    plan = read_plan(history.folder / "shared")
    pool = {one.form for one in plan.pool}
    space = NasOptions.model_validate(history.study.plugins["nas"]).space
    head = "nas.architecture."
    chosen = [{n.removeprefix(head): v for n, v in t.params.items()} for t in history.trials]
    forms = {space.canonical(indices(space, one)) for one in chosen}
    assert len(pool) <= 8
    assert forms - pool
    assert all("nas_estimate" in t.metrics for t in history.trials if not t.metrics["nas_trained"])


def test_a_search_without_estimates_trains_every_trial(tmp_path):
    history = run(study(tmp_path, trials=2, evaluation="train"))
    assert read_plan(history.folder / "shared") is None
    assert all((trial.folder / "architecture.json").exists() for trial in history.trials)


def test_a_model_without_the_attribute_is_refused_with_those_it_has(tmp_path):
    file = study(tmp_path, attribute="backbone", evaluation="train", trials=1)
    with pytest.raises(automl.AutomlError, match=r"no part 'backbone'.*network"):
        run(file)


def test_parts_for_weights_and_estimates_are_disjoint_and_the_same_each_time():
    weights, score = parts(1000, 0.3, 5)
    assert len(score) == 300
    assert sorted(weights + score) == list(range(1000))
    assert (weights, score) == parts(1000, 0.3, 5)
    assert score != parts(1000, 0.3, 6)[1]


def test_supernets_train_on_the_part_for_weights_alone():
    data = Digits(batch_size=64)
    count = len(training_loader(data).dataset)
    weights_only(data, 0.25, 0)
    assert len(training_loader(data).dataset) == count - round(count * 0.25)


def test_data_that_share_samples_are_refused():
    check_parts(Digits())
    with pytest.raises(automl.PluginError, match="both in the val and the test data"):
        check_parts(Leaky())


def test_a_training_that_diverged_counts_as_the_worst_of_its_round():
    work = Work(None, NasOptions(), Aim("val_loss", -1))
    metrics = ({"val_loss": 0.5}, {}, {"val_loss": 0.9}, {"val_loss": float("nan")})
    trained = [Training((index,), "", one, "random") for index, one in enumerate(metrics)]
    assert truths(work, [7, 8, 9, 10], trained) == {7: -0.5, 8: -0.9, 9: -0.9, 10: -0.9}
    with pytest.raises(automl.PluginError, match="every stand-alone training diverged"):
        truths(work, [8], trained[1:2])


def test_trainings_are_as_long_as_their_budget():
    assert lengths({"max_epochs": 8, "max_steps": -1}, 0.5) == {"max_epochs": 4}
    assert lengths({"max_steps": 10}, 0.01) == {"max_steps": 1}


def test_the_parameters_are_the_edges_with_their_operations():
    options = NasOptions(space=Chain(layers=2, widths=(4, 8)))
    space = Nas(options).space()
    assert list(space) == ["architecture.layer0", "architecture.layer1", "architecture.width"]
    assert space["architecture.width"].options == ("4", "8")


def test_an_architecture_that_the_space_lacks_is_refused():
    with pytest.raises(automl.PluginError, match="no edge 'layer7'"):
        Nas(NasOptions(architecture={"layer7": "skip"}))
