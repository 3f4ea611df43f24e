"""Study files that the tests of reading them share."""

from automl.errors import StudyError
from automl.studyfile import read

SMALL = """\
name: small
model: {class_path: automl.zoo.ConvNet}
objectives: {val_accuracy: {goal: maximize}}
space: {model.lr: {float: [1e-4, 1e-1], log: true}}
budget: {trials: 3}
"""

FULL = """\
version: 1
name: digits-front
model: {class_path: automl.zoo.ConvNet, init_args: {lr: 3e-3}}
data: {class_path: automl.zoo.Digits}
trainer: {max_epochs: 8}
plugins:
  pruning: {repair: true, finetune_epochs: 1}
objectives:
  val_accuracy: {goal: maximize, ref: 0.1}
  parameters: {goal: minimize, ref: 200_000}
constraints:
  latency_ms: {max: 5}
space:
  model.lr: {float: [1e-4, 1e-1], log: true}
  model.width: {int: [8, 64], log: true}
  model.optimizer: {choice: [sgd, adamw]}
  model.momentum: {float: [0, 0.99], when: {model.optimizer: sgd}}
  pruning.density: {float: [0.02, 1.0], log: true}
forbid: ["model.width > 48 and model.optimizer == 'sgd'"]
budget: {trials: 40, time: 30m}
search: {sampler: auto, seed: 0, warm_start: [], enqueue: []}
fidelity: {unit: epoch, min: 1, max: 8, eta: 3}
resources: {gpus: 0, cpus: 1, parallel: auto}
engine: local
storage: auto
on_failure: {oom: learn, nan: learn, crash: {retry: 2}, timeout: learn, give_up_after: 10}
"""


def study_of(folder, text, *overrides):
    """Write a study file, read it, and return the study."""
    return file_of(folder, text, *overrides).study


def file_of(folder, text, *overrides):
    """Write a study file and read it."""
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return read(path, overrides)


def problems_of(folder, text, *overrides):
    """Write a study file and return what keeps it from being read, without the folder's name."""
    try:
        file_of(folder, text, *overrides)
    except StudyError as error:
        return [str(one).replace(f"{folder}/", "") for one in error.problems]
    return []


def only(folder, text, *overrides):
    """Return the first line of the only problem of a study file."""
    (problem,) = problems_of(folder, text, *overrides)
    return problem.splitlines()[0]
