"""What trials and preparation share: the corpus, the base model and a steered training of it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from automl import Job
from automl_data_mixing import corpus as corpora
from automl_data_mixing.corpus import Corpus
from automl_data_mixing.course import Array, Course, Policy, Setting
from automl_data_mixing.evaluation import Evaluator
from automl_data_mixing.loader import MixtureData, stock_of
from automl_data_mixing.options import Options
from automl_data_mixing.steering import RECORD, Steering

FOLDER = "data_mixing"


def home(job: Job) -> Path:
    """Return the folder of what this plugin prepared."""
    return job.shared / FOLDER


def here(job: Job) -> Path:
    """Return the folder that relative paths start from: the study's, where the job knows it."""
    return Path(getattr(job, "here", Path.cwd()))


def open_corpus(job: Job, options: Options) -> Corpus:
    """Open the corpus that was prepared; a rehearsal before any preparation reads the files."""
    folder = home(job) / "corpus"
    if (folder / "manifest.json").is_file():
        return corpora.load(folder)
    return corpora.build(options, here(job))


def setting_of(corpus: Corpus, options: Options) -> Setting:
    """Describe a run to policies."""
    guards, bounded = options.guards, [(e.min_weight, e.max_weight) for e in corpus.entries]
    free = all(bounds == (0.0, 1.0) for bounds in bounded)
    return Setting(
        names=corpus.names,
        target=tuple(entry.field == "target" for entry in corpus.entries),
        rows=tuple(len(rows) for rows in corpus.training),
        reweights=options.reweights,
        rows_per_step=options.steps * options.batch_size,
        low=() if free else tuple(low for low, _ in bounded),
        high=() if free else tuple(high for _, high in bounded),
        max_change=guards.max_change,
        forgetting_limit=guards.forgetting_limit,
        breaker_share=guards.breaker_share,
    )


def mixture_data(corpus: Corpus, options: Options, seed: int) -> MixtureData:
    """Make Lightning's data of a run: an epoch for each mixture."""
    stock = stock_of(corpus, options.batch_size, seed)
    return MixtureData(corpus, stock, options.steps, workers=options.workers)


def load_base(job: Job) -> None:
    """Give the job's model the weights of the base model, where one was prepared."""
    path = home(job) / "base.pt"
    if path.is_file():
        job.model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))


def trainer_options(options: Options) -> dict[str, Any]:
    """Return the Trainer arguments of a steered fit."""
    return {"max_epochs": options.reweights, "check_val_every_n_epoch": options.reweights}


def steered(job: Job, options: Options, policy: Policy, corpus: Corpus, phase: str) -> Course:
    """Train the job's model on its data while a policy mixes, and return the course."""
    setting, record = setting_of(corpus, options), job.folder / RECORD
    steering = Steering(policy, setting, Evaluator(corpus, options.feedback_rows), job.data, record)
    job.fit(phase=phase, callbacks=[steering], **trainer_options(options))
    if steering.course.losses or job.stopped:
        return steering.course
    # an earlier attempt has finished this phase
    return Course.from_dict(setting, json.loads(record.read_text(encoding="utf-8")))


def final_losses(job: Job, corpus: Corpus, options: Options) -> Array:
    """Return the losses of the job's model on the rows that policies never see."""
    return Evaluator(unseen(corpus, options.feedback_rows), options.final_rows)(job.model)


def unseen(corpus: Corpus, seen: int) -> Corpus:
    """Return a corpus without the held-out rows that policies see."""
    held = []
    for rows in corpus.held:
        taken = np.linspace(0, len(rows) - 1, min(seen, len(rows))).astype(np.int64)
        held.append(np.delete(np.asarray(rows), taken, axis=0))
    return replace(corpus, held=tuple(held))


def base_losses(job: Job, course: Course) -> Array:
    """Return the losses of the base model on rows that policies never see.

    In a rehearsal, before any preparation, the first ones that the policy saw stand for them.
    """
    path = home(job) / "base.json"
    if not path.is_file():
        return np.array(course.losses[0])
    return np.array(json.loads(path.read_text(encoding="utf-8"))["losses"])


def moved(change: Array, setting: Setting) -> tuple[float, float]:
    """Return the mean change of the source losses and of the target losses."""
    return float(change[~setting.flags].mean()), float(change[setting.flags].mean())


def measures(job: Job, options: Options) -> dict[str, float]:
    """Return the metrics of a trial: losses of the job's model, and what its training used."""
    corpus: Corpus = job.data.corpus
    setting, record = setting_of(corpus, options), read_record(job, len(corpus.names))
    losses = final_losses(job, corpus, options)
    base = base_losses(job, Course.from_dict(setting, record)) if record["losses"] else losses
    forgetting, gain = moved(losses - base, setting)
    tokens = np.array(record["counts"]) * options.context
    weights = np.array(record["weights"]).reshape(-1, len(setting.names))
    found = {
        "target_loss": float(losses[setting.flags].mean()),
        "source_loss": float(losses[~setting.flags].mean()),
        "forgetting": forgetting,
        "target_gain": -gain,
        "tokens": float(tokens.sum()),
        "source_tokens": float(tokens[~setting.flags].sum()),
        "target_share": float(weights[:, setting.flags].sum() / max(1, len(weights))),
        "reweight_fraction": record["seconds"] / max(record["fit_seconds"], 1e-9),
    }
    return found | {f"loss_{n}": float(x) for n, x in zip(setting.names, losses, strict=True)}


def read_record(job: Job, domains: int) -> dict[str, Any]:
    """Read what `Steering` wrote of a training; a rehearsal has trained without it."""
    path = job.folder / RECORD
    if path.is_file():
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return record
    empty: dict[str, Any] = {"weights": [], "losses": [], "rates": [], "notes": {}}
    return empty | {"counts": [0] * domains, "seconds": 0.0, "fit_seconds": 0.0}


def run_path(job: Job, item: dict[str, Any]) -> dict[str, Any]:
    """Train on given mixtures, as one item of a map; returns the course and its last losses.

    Args:
        job: of the item.
        item: `options` as a dict, `path` (T, K), `seed` of the rows, and whether to `keep` the
            trained weights.
    """
    from automl_data_mixing.policies import Fixed

    return run_policy(job, item, Fixed(np.array(item["path"])))


def run_agent(job: Job, item: dict[str, Any]) -> dict[str, Any]:
    """Train with a saved agent at a preference, as one item of a map."""
    from automl_data_mixing import agent

    network, card = agent.load(Path(item["agent"]))
    return run_policy(job, item, agent.Agent(network, card, item["preference"]))


def run_policy(job: Job, item: dict[str, Any], policy: Policy) -> dict[str, Any]:
    """Train the base model with a policy, and measure it."""
    options = Options.model_validate(item["options"])
    corpus = open_corpus(job, options)
    job.data = mixture_data(corpus, options, item["seed"])
    load_base(job)
    course = steered(job, options, policy, corpus, "trajectory")
    kept = job.model.state_dict() if item.get("keep") else {}
    final = final_losses(job, corpus, options)
    return {
        "course": course.to_dict(),
        "final": final.tolist(),
        "moved": list(moved(final - base_losses(job, course), course.setting)),
        "state": {name: value.detach().cpu() for name, value in kept.items()},
    }
