"""Who may import whom, and what is loaded when."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CORE = sorted((ROOT / "automl").rglob("*.py"))
PLUGINS = sorted((ROOT / "plugins").rglob("*.py"))
OPTUNA = {"optimizer.py", "samplers.py", "grid.py", "tpe.py", "distributions.py", "teaching.py"}
LIGHTNING = {"training.py", "callbacks.py", "saving.py", "preload.py"}
TORCH = LIGHTNING | {"stages.py", "costs.py", "measuring.py", "child.py", "position.py"}
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}


def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path, *, late=True):
    """Return the modules that a file imports; without late ones, only at its top."""
    nodes = ast.walk(tree(path)) if late else tree(path).body
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{one.name}" for one in node.names)


def heads(path, **options):
    return {name.split(".")[0] for name in imports(path, **options)}


def name_of(path):
    return str(path.relative_to(ROOT))


def in_zoo(path):
    return "zoo" in path.parts or "testing" in path.parts


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_core_imports_no_plugin(path):
    assert not {name for name in heads(path) if name.startswith("automl_")}


@pytest.mark.parametrize("path", [p for p in CORE if p.name not in OPTUNA], ids=name_of)
def test_only_the_optimizer_and_its_samplers_know_optuna(path):
    assert "optuna" not in heads(path)


@pytest.mark.parametrize("path", [p for p in CORE if p.name not in LIGHTNING], ids=name_of)
def test_only_training_knows_lightning(path):
    if not in_zoo(path):
        assert not {"pytorch_lightning", "lightning"} & heads(path)


@pytest.mark.parametrize("path", [p for p in CORE if p.name not in TORCH], ids=name_of)
def test_torch_is_known_where_trials_run_and_nowhere_else(path):
    if not in_zoo(path):
        assert "torch" not in heads(path, late=False)


@pytest.mark.parametrize("path", PLUGINS, ids=name_of)
def test_a_plugin_imports_no_other_plugin_and_nothing_that_drives(path):
    own = path.relative_to(ROOT / "plugins").parts[0]
    others = {name for name in heads(path) if name.startswith("automl_")} - {own}
    driving = {
        "automl.search",
        "automl.trials",
        "automl.optimizer",
        "automl.launch",
        "automl.record",
    }
    assert not others
    assert not driving & set(imports(path))


@pytest.mark.parametrize("path", CORE + PLUGINS, ids=name_of)
def test_files_are_short_and_named_by_their_purpose(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300
    assert path.stem not in FORBIDDEN_NAMES


def test_broad_excepts_are_few():
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path in CORE + PLUGINS
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or getattr(node.type, "id", "") in {"Exception", "BaseException"})
    ]
    # the command line, the trial, importing and making plugins and components, their reports,
    # the doctor, the contract's checks, the tracer of an export, unreadable hints
    assert len(found) <= 15, found


def test_no_module_imports_one_that_imports_it():
    names = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in CORE
    }
    graph = {
        name: {one for one in imports(path, late=False) if one in names and one != name}
        for name, path in names.items()
    }
    done, open_now = set(), []

    def visit(name):
        assert name not in open_now, [*open_now[open_now.index(name) :], name]
        if name not in done:
            open_now.append(name)
            for other in sorted(graph[name]):
                visit(other)
            done.add(open_now.pop())

    for name in sorted(graph):
        visit(name)


def loaded_by(code):
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}


HEAVY = {"torch", "pytorch_lightning", "optuna", "numpy", "pandas", "sklearn", "pydantic", "rich"}


def test_help_loads_nothing_heavy():
    assert not HEAVY & loaded_by("import automl.cli; automl.cli.parser().format_help()")


def test_checking_a_study_loads_neither_torch_nor_optuna(root):
    study = root / "studies" / "quickstart.yaml"
    code = (
        f"from automl.cli import code; assert code(['plan', {str(study)!r}, '--check', '-q']) == 0"
    )
    assert not {"torch", "pytorch_lightning", "optuna", "pandas", "sklearn"} & loaded_by(code)


@pytest.mark.parametrize(
    "name", ["pruning", "nas", "lr_refinement", "data_mixing", "reward_weights"]
)
def test_a_plugin_is_light_until_a_trial_runs(name):
    code = f"from pathlib import Path; from automl.plugins import kind; kind({name!r}, Path())"
    assert not {"torch", "pytorch_lightning", "optuna", "pandas", "sklearn"} & loaded_by(code)


def test_the_driver_does_not_load_torch():
    code = "import automl.launch, automl.search, automl.engines.local, automl.report.html"
    assert not {"torch", "pytorch_lightning"} & loaded_by(code)
