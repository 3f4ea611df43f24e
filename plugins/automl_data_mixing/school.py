"""Train the agent on trajectories, and let real rollouts decide which stage of it is used."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from automl import Job
from automl_data_mixing import agent, conservative, imitation, network
from automl_data_mixing.corpus import Corpus
from automl_data_mixing.front import hypervolume
from automl_data_mixing.options import AgentOptions, Options
from automl_data_mixing.preparation import Run
from automl_data_mixing.trajectories import experience
from automl_data_mixing.workbench import FOLDER, home, run_agent

STAGES = ("imitation", "conservative")


def made_agent(job: Job, options: Options, corpus: Corpus, runs: Sequence[Run]) -> None:
    """Train an agent, choose its stage by real rollouts, and save it with its card."""
    folder = home(job) / "agent"
    if (folder / "card.json").is_file():
        return
    results = teach(folder, options.agent, corpus, runs)
    points, usable = selection(job, options, folder, results)
    reference = reference_of(runs)
    volumes = {stage: hypervolume(points[stage], reference) for stage in usable}
    # imitation wins a tie: reinforcement must show that it is better
    best = "conservative" if volumes.get("conservative", -1) > volumes["imitation"] else "imitation"
    made, card = agent.load(folder / best)
    facts = results | {"hypervolume": volumes, "reference": reference, "points": points}
    agent.save(made, replace(card, stage=best, results=facts), folder)


def teach(folder: Path, how: AgentOptions, corpus: Corpus, runs: Sequence[Run]) -> dict[str, Any]:
    """Train both stages of the agent and save each; returns how the training went."""
    courses = [run.course for run in runs]
    seen = experience(courses)
    taught = imitation.lessons(seen)
    torch.manual_seed(0)
    made = network.make(how.arch, how.width, how.layers)
    losses = imitation.imitate(made, taught, steps=how.sft_steps, sharpness=how.sharpness)
    known: dict[str, Any] = {
        "arch": how.arch,
        "width": how.width,
        "layers": how.layers,
        "composition": how.composition,
        "scale": seen.scale,
        "probe": agent.probe_of(courses),
        "manifest": corpus.fingerprint,
    }
    card = agent.card_of(taught, seen.setting, **known)
    keep(made, card, taught, folder / "imitation")
    results: dict[str, Any] = {"imitation_loss": float(np.mean(losses[-50:])), "refused": "not run"}
    if how.cql_steps:
        learner = conservative.Learner(
            made,
            taught,
            conservatism=how.conservatism,
            anchor=how.anchor,
            sharpness=how.sharpness,
        )
        outcome = conservative.reinforce(learner, how.cql_steps)
        keep(made, replace(card, stage="conservative"), taught, folder / "conservative")
        results |= {
            "td": list(outcome.td),
            "gap": outcome.gap,
            "conservatism": outcome.conservatism,
            "refused": outcome.reason,
        }
    return results


def keep(made: nn.Module, card: agent.Card, taught: imitation.Lessons, folder: Path) -> None:
    """Save one stage, with what moves its target share."""
    agent.save(made, replace(card, importance=agent.importance(made, taught)), folder)


def selection(
    job: Job, options: Options, folder: Path, results: dict[str, Any]
) -> tuple[dict[str, list[tuple[float, float]]], list[str]]:
    """Train with each usable stage at some preferences; returns (forgetting, target) points."""
    usable = [stage for stage in STAGES if stage == "imitation" or not results["refused"]]
    given = options.model_dump(mode="json")
    items = [
        {"options": given, "agent": str(folder / stage), "preference": w, "seed": 0}
        for stage in usable
        for w in options.agent.preferences
    ]
    found = job.map(run_agent, items, f"{FOLDER}/selection")
    ends = [moved(one) for one in found]
    count = len(options.agent.preferences)
    return {stage: ends[i * count : (i + 1) * count] for i, stage in enumerate(usable)}, usable


def moved(result: dict[str, Any]) -> tuple[float, float]:
    """Return the changes of the mean source and target losses of one run."""
    source, target = result["moved"]
    return source, target


def reference_of(runs: Sequence[Run]) -> tuple[float, float]:
    """Return the point that a front must beat: a little worse than all targets, and no gain."""
    rise = max(run.course.forgetting() for run in runs if run.label.startswith("static"))
    return (1.05 * max(rise, 0.01), 0.0)
