"""The studies that ship, and a search on CIFAR-10 from supernets to a retrained front."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from shared_data import shared

from automl.archive import open_study
from automl.report.facts import facts
from automl.studyfile import read
from automl_nas import NasOptions
from automl_nas.export import load

STUDIES = Path(__file__).resolve().parents[2] / "studies"


@pytest.mark.parametrize("name", ["nas", "nas-smoke", "nas_cifar"])
def test_the_options_of_the_studies_are_known(name):
    study = read(STUDIES / f"{name}.yaml").study
    options = NasOptions.model_validate(study.plugins["nas"])
    assert options.space.edges


@pytest.mark.slow
def test_the_smallest_study_runs_from_the_command_line(tmp_path):
    command = [sys.executable, "-m", "automl", "run", str(STUDIES / "nas-smoke.yaml")]
    done = subprocess.run(
        command, cwd=tmp_path, check=False, capture_output=True, text=True, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    assert "Trust in estimates" in done.stdout
    assert (tmp_path / "runs" / "nas-smoke" / "report.html").exists()


SMALL = {  # a few minutes on one core instead of hours on a GPU
    "data.init_args.subset": 2400,
    "data.init_args.val": 0.25,
    "data.init_args.batch_size": 32,
    "model.init_args.lr": 0.05,
    "trainer.max_epochs": 3,
    "plugins.nas.space.width": 4,
    "plugins.nas.depth": 1,
    "plugins.nas.supernet_budget": 4,
    "plugins.nas.pool": 64,
    "plugins.nas.calibrate": 6,
    "plugins.nas.rounds": 1,
    "budget.trials": 16,
}


@pytest.mark.slow
def test_a_search_on_cifar_goes_from_the_command_to_a_retrained_front(tmp_path):
    files = {
        f"data.init_args.{name}": shared(f"cifar10-{part}.parquet")
        for name, part in (("path", "train"), ("test_path", "test"))
    }
    given = [f"--set={path}={value}" for path, value in (SMALL | files).items()]
    command = [sys.executable, "-m", "automl", "run", str(STUDIES / "nas_cifar.yaml"), *given]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Trust in estimates" in done.stdout
    history = open_study(str(tmp_path / "runs" / "nas-cifar")).history()
    front = [one for one in facts(history).points if one.front]
    assert all(one.metrics["nas_trained"] for one in front)
    assert max(one.metrics["val_accuracy"] for one in front) > 0.2
    for one in front:
        file = history.trials[one.trial].folder / one.artifact
        assert load(file.parent)(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
