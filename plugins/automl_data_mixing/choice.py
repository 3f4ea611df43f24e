"""Build the policy that a trial asks for, and say how it behaved."""

import warnings
from pathlib import Path

import numpy as np

from automl import Job
from automl_data_mixing.aioli import Aioli
from automl_data_mixing.course import Array, Course, Policy, Setting
from automl_data_mixing.options import PREFERRING, Options
from automl_data_mixing.policies import Constant, DoReMi, Odm, Schedule, Static
from automl_data_mixing.preparation import best_predicted, read_runs
from automl_data_mixing.workbench import here, home


def policy(job: Job, options: Options, setting: Setting) -> Policy:
    """Return the policy of a trial.

    Raises:
        ValueError: if what it needs was not prepared, with the option that prepares it.
    """
    if options.policy in PREFERRING:
        return preferring(job, options, setting)
    match options.policy:
        case "schedule":
            inside = composition(options, setting)
            return Schedule(options.start, options.end, options.shape, options.knee, inside)
        case "odm":
            return Odm(options.odm_floor)
        case "doremi":
            runs = read_runs(prepared(job, "runs.json", "doremi"), setting)
            even = next(run for run in runs if run.label == "even")
            return DoReMi(np.array(even.course.losses[-1]), options.doremi_rate)
        case _:
            return Static(options.target_share, composition(options, setting))


def preferring(job: Job, options: Options, setting: Setting) -> Policy:
    """Return a policy that is told how much the target matters."""
    match options.policy:
        case "aioli":
            return Aioli(options.preference, options.aioli_rate)
        case "agent":
            return agent_of(job, options, setting)
        case _:
            path = prepared(job, f"{options.policy}.npz", options.policy)
            return Constant(best_predicted(path, setting, options.preference))


def agent_of(job: Job, options: Options, setting: Setting) -> Policy:
    """Load the study's agent, or one of another study with its scales fitted to this data.

    Warns of an agent that learned from runs of another kind.
    """
    from automl_data_mixing import agent

    given = options.artifact
    folder = prepared(job, "agent", "agent") if given is None else here(job) / given
    network, card = agent.load(folder)
    if given is not None:
        runs = read_runs(prepared(job, "runs.json", "agent"), setting)
        card = agent.calibrated(card, agent.probe_of([run.course for run in runs]))
    for difference in agent.differences(card, setting):
        warnings.warn(difference, stacklevel=2)
    return agent.Agent(network, card, options.preference, options.guards.support)


def prepared(job: Job, name: str, policy: str) -> Path:
    """Return what was prepared for a policy."""
    path = home(job) / name
    if not path.exists():
        raise ValueError(
            f"data_mixing: {path} is not there, policy {policy} needs it; "
            f"add {policy} to data_mixing.policies and run the study anew"
        )
    return path


def composition(options: Options, setting: Setting) -> Array | None:
    """Return the weights inside fields that logits give; the parts of a domain share its logit."""
    if not options.composition:
        return None
    logits = [
        options.composition.get(name, options.composition.get(name.partition("/")[0], 0.0))
        for name in setting.names
    ]
    found: Array = np.exp(np.array(logits, np.float64))
    return found


def remarks(policy: Policy, course: Course) -> dict[str, float]:
    """Return how often guards had to act, and how far an agent had to extrapolate."""
    from automl_data_mixing.agent import Agent

    found = {"guard_steps": float(len(course.notes))}
    if isinstance(policy, Agent):
        steps = range(len(course.weights))
        lost = [policy.lost(before(course, step)) for step in steps]
        found["agent_outside"] = max(lost)
        found["agent_fallbacks"] = float(sum(part > policy.support for part in lost))
    return found


def before(course: Course, step: int) -> Course:
    """Return a course as it was when the mixture of a step was due."""
    return Course(
        course.setting, course.weights[:step], course.losses[: step + 1], course.rates[: step + 1]
    )
