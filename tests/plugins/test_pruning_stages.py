"""A trial that prunes: what it shares, yields, leaves behind and survives."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import automl
from automl.job import JobSpec
from automl.spec import ParameterSpec
from automl.stages import prepare, trial
from automl.study import Fidelity
from automl.zoo import ConvNet, Digits
from automl_pruning import Pruning
from automl_pruning.export import masks_of
from automl_pruning.finetune import Rate, targets
from automl_pruning.masks import apply, density, nonzero_masks
from automl_pruning.options import Options, front, proposed
from automl_pruning.report import densities, fronts, sections
from automl_pruning.structured import replay
from automl_pruning.units import find_units

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval"),
]


class Quiet:
    def __init__(self):
        self.reports = []

    def report(self, step, metrics):
        self.reports.append((step, metrics))

    def stopped(self):
        return False

    def map(self, function, items, folder):
        raise NotImplementedError


def study(**options):
    return automl.Study(
        name="prune",
        model={"class_path": "automl.zoo.ConvNet", "init_args": {"width": 4, "depth": 2}},
        data={"class_path": "automl.zoo.Digits", "init_args": {"batch_size": 128}},
        trainer={"max_epochs": 2},
        plugins={"pruning": {"points": 6, "front": 3, "calibration": 64, **options}},
        objectives={
            "val_accuracy": {"goal": "maximize", "ref": 0.1},
            "density": {"goal": "minimize", "ref": 1.0},
        },
        space={"pruning.density": {"float": [0.05, 1.0], "log": True}},
        budget={"trials": 2},
    )


def spec(tmp_path, kind="trial", params=None, **options):
    (tmp_path / "trial").mkdir(exist_ok=True)
    return JobSpec(
        study=study(**options),
        kind=kind,
        number=0,
        attempt=0,
        params=params or {"pruning.density": 0.2},
        seed=3,
        folder=tmp_path / ("trial" if kind == "trial" else "shared"),
        shared=tmp_path / "shared",
        here=tmp_path,
    )


def run(tmp_path, **options):
    outcome = trial(spec(tmp_path, **options), Quiet())
    assert outcome.state == "done", outcome
    return outcome


def density_of(path):
    model = ConvNet.load_from_checkpoint(path, weights_only=True)
    return density(nonzero_masks(model, find_units(model)))


def exact(asked):
    total = sum(unit.size for unit in find_units(ConvNet(width=4, depth=2)))
    return pytest.approx(round(asked * total) / total, rel=1e-6)


def test_a_trial_yields_a_front_and_its_own_point_at_the_exact_density(tmp_path):
    outcome = run(tmp_path)
    assert [point.name.split("=")[0] for point in outcome.points] == ["density"] * 3 + [
        "allocator"
    ] * 6
    assert outcome.metrics["density"] == exact(0.2)
    assert density_of(tmp_path / "trial" / "model.ckpt") == exact(0.2)
    for point in outcome.points:
        asked = point.params["pruning.density"]
        assert point.metrics["density"] == exact(asked)
        assert density_of(tmp_path / "trial" / point.artifact) == exact(asked)
        assert 0 < point.metrics["val_accuracy"] <= 1


def test_the_front_lies_within_the_densities_that_the_study_searches(tmp_path):
    given = spec(tmp_path, front=4, compare=False, finetune_epochs=0)
    narrow = {"pruning.density": ParameterSpec(float=(0.1, 0.3), log=True)}
    outcome = trial(replace(given, study=given.study.model_copy(update={"space": narrow})), Quiet())
    asked = [point.params["pruning.density"] for point in outcome.points]
    assert len(asked) == 4
    assert 0.1 <= min(asked) < 0.14
    assert 0.22 < max(asked) <= 0.3


def test_all_allocators_keep_the_same_number_of_weights(tmp_path):
    points = [p for p in run(tmp_path, front=0).points if p.name.startswith("allocator")]
    assert len({point.metrics["density"] for point in points}) == 1


def test_rounds_reach_the_density_in_equal_steps(tmp_path):
    outcome = run(tmp_path, rounds=2, front=0, compare=False, finetune_epochs=1)
    record = json.loads((tmp_path / "trial" / "pruning" / "record.json").read_text())
    assert [row["density"] for row in record["rounds"]] == pytest.approx([0.2**0.5, 0.2])
    assert outcome.metrics["density"] == exact(0.2)
    first, second = (row["keep"] for row in record["rounds"])
    assert all(later <= before for before, later in zip(first, second, strict=True))


QUICK = {"front": 0, "compare": False, "finetune_epochs": 0}


def test_a_budget_of_multiply_accumulates_holds_besides_that_of_weights(tmp_path):
    plain, bounded = tmp_path / "plain", tmp_path / "bounded"
    plain.mkdir()
    bounded.mkdir()
    free = run(plain, **QUICK).metrics
    limited = run(bounded, macs=0.1, **QUICK).metrics
    dense = 64 * 36 + 16 * 288 + 80  # positions times weights of each layer
    assert limited["nonzero_macs"] <= 0.1 * dense < free["nonzero_macs"]
    assert limited["density"] <= free["density"]


def test_a_budget_of_measured_time_is_kept_with_the_trial(tmp_path):
    assert run(tmp_path, latency=1.0, **QUICK).metrics["density"] <= 0.21
    assert len(list((tmp_path / "trial" / "pruning").glob("times-*.npz"))) == 1


def test_three_budgets_at_once_are_refused():
    with pytest.raises(ValueError, match="give macs or latency"):
        Options(macs=0.5, latency=0.5)


def test_channels_are_cut_out_and_the_plan_gives_a_fresh_model_their_shapes(tmp_path):
    pytest.importorskip("torch_pruning", reason="needs the extra automl[channels]")
    outcome = run(tmp_path, granularity="channels", params={"pruning.density": 0.4})
    assert outcome.points == ()
    assert 0.1 < outcome.metrics["density"] <= 0.4
    plan = json.loads((tmp_path / "trial" / "pruning.json").read_text())
    fresh = ConvNet(width=4, depth=2)
    replay(fresh, fresh.example_input_array, plan["removed"])
    saved = torch.load(tmp_path / "trial" / "model.ckpt", weights_only=True)
    fresh.load_state_dict(saved["state_dict"])


def test_the_plan_beside_the_model_holds_its_masks(tmp_path):
    run(tmp_path, front=0, compare=False)
    masks = masks_of(tmp_path / "trial" / "pruning.json")
    model = ConvNet.load_from_checkpoint(tmp_path / "trial" / "model.ckpt", weights_only=True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    apply(model, masks)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert density(masks) == exact(0.2)


def test_a_plan_of_another_format_is_refused(tmp_path):
    (tmp_path / "pruning.json").write_text('{"format": 7}')
    with pytest.raises(ValueError, match="format 7; this version reads 1"):
        masks_of(tmp_path / "pruning.json")


def test_a_density_below_the_floors_becomes_the_least_that_they_allow(tmp_path):
    options = {"front": 0, "compare": False, "finetune_epochs": 0}
    outcome = run(tmp_path, params={"pruning.density": 0.001}, **options)
    units = find_units(ConvNet(width=4, depth=2))
    least = sum(unit.floor for unit in units) / sum(unit.size for unit in units)
    assert outcome.metrics["density"] == pytest.approx(least)


def test_where_only_pruning_is_searched_the_dense_model_is_trained_once(tmp_path):
    (tmp_path / "shared").mkdir()
    assert prepare(spec(tmp_path, kind="prepare"), Quiet()).state == "done"
    names = {path.name.split("-")[0] for path in (tmp_path / "shared" / "pruning").iterdir()}
    assert names == {"calibration.pt", "dense.pt", "curves"}
    run(tmp_path, finetune_epochs=0)
    assert not (tmp_path / "trial" / "checkpoints").exists()
    assert not list((tmp_path / "trial" / "pruning").glob("curves-*"))


def test_where_nothing_is_searched_each_seed_trains_a_dense_model_of_its_own(tmp_path):
    (tmp_path / "shared").mkdir()
    given = spec(tmp_path, kind="prepare")
    fixed = {name: {"fixed": one.middle()} for name, one in proposed(Options()).items()}
    space = {f"pruning.{name}": ParameterSpec(**one) for name, one in fixed.items()}
    same = given.study.model_copy(update={"space": space})
    assert prepare(replace(given, study=same), Quiet()).state == "done"
    assert not (tmp_path / "shared" / "pruning").exists()


def test_a_checkpoint_is_pruned_without_training(tmp_path):
    run(tmp_path, params={"pruning.density": 1.0}, front=0, compare=False, finetune_epochs=0)
    source = tmp_path / "trial" / "model.ckpt"
    other = tmp_path / "other"
    other.mkdir()
    options = {"front": 0, "compare": False, "finetune_epochs": 0, "checkpoint": str(source)}
    outcome = run(other, **options)
    assert not (other / "trial" / "checkpoints").exists()
    assert outcome.metrics["density"] == exact(0.2)


def test_a_checkpoint_that_is_not_there_is_said(tmp_path):
    with pytest.raises(automl.PluginError, match=r"checkpoint: no file nowhere\.ckpt"):
        trial(spec(tmp_path, checkpoint="nowhere.ckpt"), Quiet())


def test_calibration_samples_are_training_samples(tmp_path):
    run(tmp_path, front=0, compare=False, finetune_epochs=0)
    drawn = torch.load(tmp_path / "trial" / "pruning" / "calibration.pt", weights_only=True)
    data = Digits()
    data.setup()
    known = {image.numpy().tobytes() for image in data.splits["train"].inputs}
    assert len(drawn) == 64
    assert all(image.numpy().tobytes() in known for image in drawn)


KILLED = """
import os, signal, sys, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, {here!r})
from pathlib import Path
from automl_pruning import masks
from automl import saving
import test_pruning_stages as case

saving.Saver._due = lambda self: True

def die(self, trainer, *_):
    if trainer.current_epoch == 2:
        os.kill(os.getpid(), signal.SIGKILL)

masks.KeepMasks.on_train_batch_end = die
case.run(Path({folder!r}), front=0, compare=False, finetune_epochs=4)
"""


@pytest.mark.slow
def test_a_killed_trial_goes_on_to_the_same_model_as_an_uncut_one(tmp_path):
    options = {"front": 0, "compare": False, "finetune_epochs": 4}
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    cut.mkdir()
    whole.mkdir()
    code = KILLED.format(here=str(Path(__file__).parent), folder=str(cut))
    done = subprocess.run([sys.executable, "-c", code], check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL
    run(cut, **options)
    run(whole, **options)
    assert density_of(cut / "trial" / "model.ckpt") == exact(0.2)
    first, second = (
        torch.load(folder / "trial" / "model.ckpt", weights_only=True)["state_dict"]
        for folder in (cut, whole)
    )
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_a_second_budget_below_the_floors_is_refused_with_the_least_share(tmp_path):
    with pytest.raises(ValueError, match=r"macs: 0.001 of the dense .* least that can be had, 0.0"):
        run(tmp_path, macs=0.001, **QUICK)


def test_the_report_shows_fronts_allocators_units_and_the_diagnostic(tmp_path):
    outcome = run(tmp_path, finetune_epochs=0)
    done = automl.Trial(
        number=0,
        state="done",
        params={},
        origin="default",
        seed=0,
        folder=tmp_path / "trial",
        metrics=outcome.metrics,
        points=outcome.points,
    )
    history = automl.History(study(), automl.Space({}), (done,), tmp_path)
    (section,) = sections(history)
    titles = [part.title for part in section.parts if hasattr(part, "title")]
    assert titles[0] == "val_accuracy over density"
    assert "units" in titles
    assert any(title.startswith("allocators at density 0.2") for title in titles)
    assert any(title.startswith("does distortion add up?") for title in titles)


def test_the_report_shows_the_weights_that_a_second_budget_leaves_not_those_asked_for(tmp_path):
    trial = automl.Trial(0, "done", {}, "default", 0, tmp_path)
    units = [{"name": "a", "size": 100}, {"name": "b", "size": 100}]
    row = {"name": "density=0.9", "allocator": "rd", "density": 0.9, "keep": [40, 20]}
    rows = {"units": units, "further": [row | {"predicted": 1.0, "metrics": {"val": 0.5}}]}
    assert fronts([(trial, rows)], "val").series[0].x == (0.3,)
    other = row | {"name": "allocator=erk", "allocator": "erk"}
    rows["further"].append(other | {"predicted": 1.0, "metrics": {"val": 0.4}})
    assert densities(rows).columns == ("0.3", "erk")


def test_a_report_without_pruned_trials_has_no_section(tmp_path):
    assert sections(automl.History(study(), automl.Space({}), (), tmp_path)) == []


def test_options_that_are_searched_have_defaults_within_their_ranges():
    space = automl.Space(dict(Pruning(Options(blocks=2)).space()))
    assert set(space) <= {*Options.model_fields, "coefficients.b1", "coefficients.b2"}
    assert space.problems(space.default()) == []
    assert space.default()["density"] == Options().density


def test_the_search_begins_with_points_of_the_front_spread_over_its_densities():
    densities = automl.Float(0.01, 1.0, log=True)
    space = automl.Space({"pruning.density": densities})
    points = list(front(Options(), space))
    assert [one["density"] for one in points] == pytest.approx([0.3162, 0.1, 0.03162], rel=1e-3)
    assert {one["allocator"] for one in points} == {"rd"}
    assert list(front(Options(starts=0), space)) == []
    assert list(front(Options(), automl.Space({"model.lr": densities}))) == []


def test_every_further_point_is_a_point_of_the_space():
    space = automl.Space(dict(proposed(Options())))
    point = {"allocator": "lamp", "density": 0.3, "rounds": 1, "finetune_epochs": 0}
    assert space.problems(space.default() | point) == []


def test_a_pattern_that_is_none_is_refused_before_anything_runs():
    with pytest.raises(ValueError, match=r"'\[' is no regular expression"):
        Options(exclude=["fc", "["])


def test_a_coefficient_of_no_block_is_refused():
    assert Options(blocks=2, coefficients={"b2": 1.0}).coefficients == {"b2": 1.0}
    with pytest.raises(ValueError, match="no block 'b3'"):
        Options(blocks=2, coefficients={"b3": 1.0})


def test_a_coefficient_protects_the_units_of_its_block(tmp_path):
    kept = []
    for value in (0.0, 3.0):
        folder = tmp_path / str(value)
        folder.mkdir()
        run(folder, blocks=3, coefficients={"b3": value}, **QUICK)
        record = json.loads((folder / "trial" / "pruning" / "record.json").read_text())
        kept.append(record["rounds"][-1]["keep"][-1])
    assert kept[1] > kept[0]


def test_rounds_keep_equal_shares():
    assert targets(0.125, 3) == pytest.approx([0.5, 0.25, 0.125])


def test_no_rounds_given_means_that_none_removes_more_than_half():
    assert targets(0.125, 0) == pytest.approx([0.5, 0.25, 0.125])
    assert targets(0.12, 0)[0] > 0.5
    assert targets(1.0, 0) == [1.0]


class StopsAtOnce(Quiet):
    def stopped(self):
        return bool(self.reports)


def test_a_hopeless_trial_is_reported_after_repair_and_stopped_before_finetuning(tmp_path):
    line = StopsAtOnce()
    given = spec(tmp_path, front=0, compare=False)
    shared = given.shared / "pruning"
    shared.mkdir(parents=True)
    torch.save(ConvNet(width=4, depth=2).state_dict(), shared / "dense.pt")
    staged = given.study.model_copy(update={"fidelity": Fidelity(min=2)})
    trial(replace(given, study=staged), line)
    assert [step for step, _ in line.reports] == [2]
    assert "val_accuracy" in line.reports[0][1]
    assert not (tmp_path / "trial" / "checkpoints").exists()


class Half(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self.rates = []

    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.ones(4, 2)), batch_size=1)

    def training_step(self, batch, batch_idx):
        self.rates.append(self.optimizers().param_groups[0]["lr"])
        return self.layer(batch[0]).sum()

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=1.0)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
        return [optimizer], [{"scheduler": scheduler, "interval": "step"}]


def rates(tmp_path, epochs, module=None, **options):
    module = module or Half()
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    run = pl.Trainer(
        max_epochs=epochs,
        callbacks=[Rate(0.25)],
        accelerator="cpu",
        enable_checkpointing=False,
        default_root_dir=tmp_path,
        **quiet,
    )
    run.fit(module, **options)
    return run, module.rates


def test_finetuning_follows_the_study_s_schedule_at_a_fraction_of_its_rates(tmp_path):
    assert rates(tmp_path, 1)[1] == pytest.approx([0.25, 0.25 / 2, 0.25 / 3, 0.25 / 4])


def test_rates_are_scaled_once_although_a_fit_is_cut(tmp_path):
    whole = rates(tmp_path, 2)[1]
    run, first = rates(tmp_path, 1)
    run.save_checkpoint(tmp_path / "cut.ckpt")
    last = {"ckpt_path": str(tmp_path / "cut.ckpt"), "weights_only": True}
    assert first + rates(tmp_path, 2, **last)[1] == pytest.approx(whole)
