"""The studies that ship, and a search on CIFAR-10 from supernets to a retrained front."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from plugins.nas_toys import QUIET
from shared_data import shared

from automl.launch import run
from automl.studyfile import of, read
from automl_nas import NasOptions
from automl_nas.notes import read_plan

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


@pytest.mark.slow
@pytest.mark.filterwarnings(f"ignore:{QUIET[0]}")
@pytest.mark.filterwarnings(f"ignore:{QUIET[1]}")
@pytest.mark.filterwarnings(f"ignore:{QUIET[2]}")
def test_a_search_on_cifar_ends_in_a_retrained_front(tmp_path):
    path = shared("cifar10-train.parquet")
    study = read(STUDIES / "nas_cifar.yaml").study
    small = {
        "space": {"kind": "chain", "layers": 2, "width": 8, "reduce": [0, 1], "channels": 3}
        | {"size": 32, "operations": ["skip", "conv1", "conv3"]},
        "supernet_budget": 4,
        "depth": 1,
        "calibrate": 4,
        "rounds": 1,
        "batch": 2,
    }
    changed = study.model_copy(
        update={
            "plugins": {"nas": small},
            "trainer": {"max_epochs": 3},
            "budget": study.budget.model_copy(update={"trials": 4}),
            "data": study.data.model_copy(
                update={"init_args": {"path": str(path), "subset": 1500, "batch_size": 64}}
            ),
            "engine": "inline",
            "folder": str(tmp_path),
        }
    )
    history = run(of(changed))
    plan = read_plan(history.folder / "shared")
    assert max(one.metrics["val_accuracy"] for one in plan.trained) > 0.2
    front = [trial for trial in history.finished() if trial.metrics["nas_trained"]]
    assert all((trial.folder / "architecture.json").exists() for trial in front)
