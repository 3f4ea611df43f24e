"""Paired seeds of every kind of mixture, from what a study has prepared, with standard errors.

python tests/benchmarks/bench_data_mixing_headline.py studies/data_mixing.yaml runs/data-mixing 5
"""

import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import yaml

from automl.zoo import TinyGPT
from automl_data_mixing import agent
from automl_data_mixing.aioli import Aioli
from automl_data_mixing.corpus import Corpus, load
from automl_data_mixing.course import Policy
from automl_data_mixing.evaluation import Evaluator
from automl_data_mixing.front import Pair, filled, front_gain, hypervolume
from automl_data_mixing.options import Options
from automl_data_mixing.policies import Constant, Schedule, Static
from automl_data_mixing.preparation import best_predicted, read_runs
from automl_data_mixing.steering import Steering
from automl_data_mixing.workbench import mixture_data, moved, setting_of, unseen

SHARES = (0.0, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
PREFERENCES = (0.2, 0.5, 0.8)
STEEP = ("static 0.9", "static 0.95", "static 1")  # where seeds differ more than elsewhere


@dataclass(frozen=True)
class Bench:
    """A prepared study: its options, its data, where its base model is, and its study file."""

    options: Options
    model: dict[str, Any]
    corpus: Corpus
    home: Path
    here: Path = Path()

    def run(self, policy: Policy, seed: int) -> Pair:
        """Train the base model once with a policy; returns the changes of both fields' losses."""
        pl.seed_everything(seed, verbose=False)
        options, setting = self.options, setting_of(self.corpus, self.options)
        module = TinyGPT(**self.model)
        module.load_state_dict(torch.load(self.home / "base.pt", weights_only=True))
        data = mixture_data(self.corpus, options, seed)
        evaluator = Evaluator(self.corpus, options.feedback_rows)
        steering = Steering(policy, setting, evaluator, data, self.home / "bench" / "mixing.json")
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        pl.Trainer(
            max_epochs=options.reweights,
            callbacks=[steering],
            enable_checkpointing=False,
            limit_val_batches=0,
            accelerator="cpu",
            **quiet,
        ).fit(module, datamodule=data)
        held = Evaluator(unseen(self.corpus, options.feedback_rows), options.final_rows)
        base = json.loads((self.home / "base.json").read_text())["losses"]
        return moved(held(module) - np.array(base), setting)

    def policies(self) -> Iterator[tuple[str, Callable[[], Policy]]]:
        """Yield names and policies of all rows of the table whose preparation is complete."""
        for share in self.options.grid if self.options.artifact else SHARES:
            yield f"static {share:g}", lambda share=share: Static(share)
        if self.options.artifact:
            for c, w in product(("even", "learned"), PREFERENCES):
                yield f"transferred {c} {w:g}", lambda w=w, c=c: self.transferred(w, c)
            return
        yield "falling 0.9 to 0.1", lambda: Schedule(0.9, 0.1)
        yield "rising 0.1 to 0.9", lambda: Schedule(0.1, 0.9)
        for w in PREFERENCES:
            yield f"aioli {w:g}", lambda w=w: Aioli(w, self.options.aioli_rate)
        setting, path = setting_of(self.corpus, self.options), self.home / "regmix.npz"
        for w in PREFERENCES if path.is_file() else ():
            yield f"regmix {w:g}", lambda w=w: Constant(best_predicted(path, setting, w))
        for stage, composition in product(("imitation", "conservative"), ("learned", "even")):
            folder = self.home / "agent" / stage
            kind = f"{stage} even" if composition == "even" else stage
            for w in PREFERENCES if (folder / "card.json").is_file() else ():
                yield f"{kind} {w:g}", lambda w=w, f=folder, c=composition: agent_of(f, w, c)

    def transferred(self, preference: float, composition: str) -> Policy:
        """Return an agent that has learned from other domains, with its scales fitted to these."""
        network, card = agent.load(self.here / str(self.options.artifact))
        runs = read_runs(self.home / "runs.json", setting_of(self.corpus, self.options))
        card = agent.calibrated(card, agent.probe_of([run.course for run in runs]))
        return agent.Agent(network, replace(card, composition=composition), preference)


def agent_of(folder: Path, preference: float, composition: str) -> Policy:
    """Return a saved agent whose weights inside fields are learned or even."""
    network, card = agent.load(folder)
    return agent.Agent(network, replace(card, composition=composition), preference)


def open_bench(study: Path, folder: Path) -> Bench:
    """Open what a study has prepared."""
    content = yaml.safe_load(study.read_text())
    options = Options.model_validate(content["plugins"]["data_mixing"])
    home = folder / "shared" / "data_mixing"
    given = {n: float(v) for n, v in content["model"]["init_args"].items()}
    return Bench(options, given, load(home / "corpus"), home, study.parent)


def collect(bench: Bench, seeds: int) -> dict[str, list[Pair]]:
    """Run everything that has not been run yet, and keep it in the study's folder."""
    path = bench.home / "bench" / "headline.json"
    path.parent.mkdir(exist_ok=True)
    found: dict[str, dict[str, Pair]] = json.loads(path.read_text()) if path.is_file() else {}
    for seed in range(100, 100 + seeds):
        for name, policy in bench.policies():
            rows = found.setdefault(name, {})
            if str(seed) not in rows:
                rows[str(seed)] = bench.run(policy(), seed)
                path.write_text(json.dumps(found))
    whole = [str(seed) for seed in range(100, 100 + seeds)]
    return {name: [(rows[s][0], rows[s][1]) for s in whole] for name, rows in found.items()}


def pooled(found: dict[str, list[Pair]]) -> Pair:
    """Return the standard deviations over seeds, pooled over all rows but the extremes."""
    rows = [np.var(pairs, axis=0, ddof=1) for n, pairs in found.items() if n not in STEEP]
    spread = np.sqrt(np.mean(rows, axis=0))
    return float(spread[0]), float(spread[1])


def gains_of(found: dict[str, list[Pair]], name: str, unit: Pair) -> np.ndarray[Any, Any]:
    """Return the front gain of each seed against the static front of the same seed."""
    gains = []
    for seed, pair in enumerate(found[name]):
        static = {float(n.split()[1]): p[seed] for n, p in found.items() if n.startswith("static")}
        if name.startswith("static"):
            del static[float(name.split()[1])]
        curve = filled(list(static), list(static.values()))
        gains.append(float(front_gain([pair], curve, unit)[0]))
    return np.array(gains)


def place(name: str) -> tuple[bool, float]:
    """Put static mixtures first, by their share; the order of the others stays."""
    kind, _, share = name.partition(" ")
    return kind != "static", float(share) if kind == "static" else 0.0


def error(values: Any) -> float:
    """Return the standard error of a mean."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def show(found: dict[str, list[Pair]], write: Callable[[str], Any]) -> None:
    """Print the table and the claims."""
    unit = pooled(found)
    write(f"noise of one run: source {unit[0]:.4f}, target {unit[1]:.4f} nats a byte\n")
    write(f"{'row':<20}{'forgetting':>20}{'target change':>20}{'front gain (sd)':>20}\n")
    for name, pairs in sorted(found.items(), key=lambda item: place(item[0])):
        mean, gains = np.mean(pairs, axis=0), gains_of(found, name, unit)
        parts = [f"{mean[i]:+.4f} ± {error([p[i] for p in pairs]):.4f}" for i in (0, 1)]
        gain = f"{gains.mean():+.2f} ± {error(gains):.2f}"
        write(f"{name:<20}{parts[0]:>20}{parts[1]:>20}{gain:>20}\n")
    reference = (1.05 * float(np.mean(found["static 1"], axis=0)[0]), 0.0)
    for kind in dict.fromkeys(name.rpartition(" ")[0] for name in found):
        names = [n for n in found if n.rpartition(" ")[0] == kind]
        if len(names) < len(PREFERENCES):
            continue
        volumes = [
            hypervolume([found[n][s] for n in names], reference)
            for s in range(len(found[names[0]]))
        ]
        write(f"hypervolume {kind:<14}{np.mean(volumes):.4f} ± {error(volumes):.4f}\n")


def main() -> None:
    """Run the bench of a prepared study."""
    warnings.simplefilter("ignore")
    for name in ("pytorch_lightning", "lightning.pytorch"):
        logging.getLogger(f"{name}.utilities.rank_zero").setLevel(logging.ERROR)
        logging.getLogger(name).setLevel(logging.ERROR)
    study, folder, seeds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    show(collect(open_bench(study, folder), seeds), sys.stdout.write)


if __name__ == "__main__":
    main()
