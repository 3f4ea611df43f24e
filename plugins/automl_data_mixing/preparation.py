"""What is made once a study: corpus, base model, trajectories, laws, merged experts, agent."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from automl import Job
from automl_data_mixing import corpus as corpora
from automl_data_mixing import laws
from automl_data_mixing.corpus import Corpus
from automl_data_mixing.course import Array, Course, Setting
from automl_data_mixing.ensemble import Ensemble, fits, run_together
from automl_data_mixing.evaluation import Evaluator
from automl_data_mixing.loader import MixtureData, stock_of
from automl_data_mixing.options import Guards, Options
from automl_data_mixing.steering import write_text
from automl_data_mixing.trajectories import paths
from automl_data_mixing.workbench import (
    FOLDER,
    here,
    home,
    load_base,
    run_path,
    setting_of,
    unseen,
)

CHUNK = 50  # steps of pre-training between two checkpoints
MIXTURES = 4_000  # whose losses laws predict
WAVE = 64  # replicas of one ensemble
MERGED = 64  # mixtures whose losses merged experts predict


@dataclass(frozen=True, slots=True)
class Run:
    """One trajectory: what it is, its course, and its losses on rows that no policy saw."""

    label: str
    course: Course
    final: tuple[float, ...]

    def ended(self) -> Course:
        """Return the course with the more exact losses at its end."""
        return replace(self.course, losses=(*self.course.losses[:-1], self.final))


def prepare(job: Job, options: Options) -> None:
    """Make whatever the study's policies need, and skip what an earlier attempt has made."""
    policies = set(options.policies) | {options.policy}
    corpus = made_corpus(job, options)
    made_base(job, options, corpus)
    if job.stopped:
        return  # the base is not complete; the next run goes on with it
    # what others are measured against, or learn from, must be what it is called
    free = options.model_copy(update={"guards": Guards()})
    teaching = "agent" in policies and options.artifact is None
    # what nothing learns from is not trained: an agent that is there already needs a probe alone
    runs = made_runs(job, free, corpus, learning=teaching or "regmix" in policies)
    write_runs(home(job) / "runs.json", runs)
    if "regmix" in policies:
        predicted_by_laws(home(job) / "regmix.npz", runs)
    if "merge" in policies:
        predicted_by_merging(job, free, corpus)
    if teaching:
        from automl_data_mixing.school import made_agent

        made_agent(job, options, corpus, runs)


def made_corpus(job: Job, options: Options) -> Corpus:
    """Read the domains and keep them."""
    folder = home(job) / "corpus"
    if not (folder / "manifest.json").is_file():
        corpora.save(corpora.build(options, here(job)), folder)
    return corpora.load(folder)


def made_base(job: Job, options: Options, corpus: Corpus) -> None:
    """Teach the model the source domains, so that there is something to forget."""
    path = home(job) / "base.pt"
    if path.is_file():
        return
    untrained = held_out(job.model, corpus, options)
    if options.base is not None:
        job.model.load_state_dict(weights_in(here(job) / options.base))
    elif options.pretrain.steps:
        job.model = job.new_model(**options.pretrain.model)
        job.data = sources_alone(corpus, options, job.seed)
        epochs = max(1, options.pretrain.steps // CHUNK)
        job.fit(phase="base", max_epochs=epochs, check_val_every_n_epoch=epochs)
    if job.stopped:
        return
    losses = held_out(job.model, corpus, options)
    facts = {"names": corpus.names, "untrained": untrained.tolist(), "losses": losses.tolist()}
    write_text(home(job) / "base.json", json.dumps(facts, indent=1))
    torch.save(job.model.state_dict(), path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def sources_alone(corpus: Corpus, options: Options, seed: int) -> MixtureData:
    """Return data that mixes the source domains evenly."""
    steps = min(CHUNK, options.pretrain.steps)
    data = MixtureData(corpus, stock_of(corpus, options.batch_size, seed), steps)
    data.start([float(entry.field == "source") for entry in corpus.entries])
    return data


def held_out(model: Any, corpus: Corpus, options: Options) -> Array:
    """Return the losses on the rows that policies never see."""
    return Evaluator(unseen(corpus, options.feedback_rows), options.final_rows)(model)


def weights_in(path: Path) -> Mapping[str, Any]:
    """Read the weights of a checkpoint, of Lightning or plain."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    weights: Mapping[str, Any] = content.get("state_dict", content)
    return weights


def made_runs(job: Job, options: Options, corpus: Corpus, *, learning: bool) -> list[Run]:
    """Train the static grid, its repeats with other seeds, and the random trajectories."""
    setting = setting_of(corpus, options)
    count = options.trajectories if learning else 0
    drawn = paths(setting, count, options.grid, options.data_seed or 0)
    labels = [f"static {share:g}" for share in options.grid] + ["random"] * count
    middle = min(range(len(options.grid)), key=lambda i: abs(options.grid[i] - 0.5))
    even = np.tile(np.full(len(setting.names), 1 / len(setting.names)), (setting.reweights, 1))
    extra = [(f"repeat {seed}", drawn[middle], seed) for seed in range(1, options.repeats + 1)]
    work = [
        *[(label, path, 0) for label, path in zip(labels, drawn, strict=True)],
        *extra,
        ("even", even, 0),
    ]
    found = trained(job, options, corpus, [(path, seed) for _, path, seed in work])
    return [
        Run(label, Course.from_dict(setting, result["course"]), tuple(result["final"]))
        for (label, _, _), result in zip(work, found, strict=True)
    ]


def trained(
    job: Job, options: Options, corpus: Corpus, work: Sequence[tuple[Array, int]]
) -> list[dict[str, Any]]:
    """Train on given mixtures: side by side on a GPU, else one by one on all devices."""
    if job.device == "cuda" and fits(job.model):
        return in_waves(job, options, corpus, work)
    given = options.model_dump(mode="json")
    items = [{"options": given, "path": path.tolist(), "seed": seed} for path, seed in work]
    return job.map(run_path, items, f"{FOLDER}/trajectories")


def in_waves(
    job: Job, options: Options, corpus: Corpus, work: Sequence[tuple[Array, int]]
) -> list[dict[str, Any]]:
    """Train ensembles one after the other; one that is done is not trained again."""
    found: list[dict[str, Any]] = []
    setting, steps = setting_of(corpus, options), options.reweights * options.steps
    for start in range(0, len(work), WAVE):
        path, part = home(job) / "waves" / f"{start}.json", work[start : start + WAVE]
        if not path.is_file():
            job.model = job.new_model()
            load_base(job)
            ensemble = Ensemble(job.model, len(part), steps, job.device)
            courses = run_together(ensemble, corpus, options, setting, part)
            ends = [held_out(model, corpus, options).tolist() for model in ensemble.each()]
            pairs = zip(courses, ends, strict=True)
            results = [{"course": course.to_dict(), "final": final} for course, final in pairs]
            write_text(path, json.dumps(results))
        found += json.loads(path.read_text(encoding="utf-8"))
    return found


def write_runs(path: Path, runs: Sequence[Run]) -> None:
    """Keep the trajectories where reports, laws and other studies find them."""
    setting = runs[0].course.setting
    content = {
        "names": setting.names,
        "target": setting.target,
        "rows": setting.rows,
        "runs": [{"label": r.label, "final": r.final, **r.course.to_dict()} for r in runs],
    }
    write_text(path, json.dumps(content))


def predicted_by_laws(path: Path, runs: Sequence[Run]) -> None:
    """Predict the losses of many mixtures by laws that are fitted on the runs with one mixture.

    Raises:
        ValueError: if there are too few of those.
    """
    setting = runs[0].course.setting
    mixtures, losses = laws.average([run.ended() for run in runs])
    if len(mixtures) <= len(setting.names):
        raise ValueError(
            f"regmix: {len(mixtures)} runs with one mixture cannot teach a law of "
            f"{len(setting.names)} domains; raise trajectories"
        )
    made, names = laws.fitted(mixtures, losses)
    tried = laws.candidates(setting, MIXTURES)
    predicted = np.stack([law.predict(tried) for law in made], axis=1)
    write_predictions(path, tried, predicted, ", ".join(sorted(set(names))))


def predicted_by_merging(job: Job, options: Options, corpus: Corpus) -> None:
    """Predict the losses of mixtures by adding up what experts of single domains learned.

    The model of a mixture p is base + sum of p_k (expert_k - base): one run a domain instead of
    one a mixture. After the idea of merging experts to judge mixtures; see the docs.
    """
    path = home(job) / "merge.npz"
    if path.is_file():
        return
    setting = setting_of(corpus, options)
    given = options.model_dump(mode="json")
    pure = np.eye(len(setting.names))
    items = [
        {
            "options": given,
            "path": np.tile(row, (setting.reweights, 1)).tolist(),
            "seed": 0,
            "keep": True,
        }
        for row in pure
    ]
    experts = [one["state"] for one in job.map(run_path, items, f"{FOLDER}/experts")]
    base = torch.load(home(job) / "base.pt", weights_only=True)
    tried = laws.candidates(setting, MERGED)
    predicted = np.array([merged(job, base, experts, row, (corpus, options)) for row in tried])
    write_predictions(path, tried, predicted, "merged experts")


def merged(
    job: Job,
    base: Mapping[str, torch.Tensor],
    experts: Sequence[Mapping[str, torch.Tensor]],
    mixture: Array,
    held: tuple[Corpus, Options],
) -> Array:
    """Return the losses of base + sum of p_k (expert_k - base)."""
    state = dict(base)
    for name, value in base.items():
        if value.is_floating_point():
            changes = [
                p * (e[name] - value) for p, e in zip(mixture.tolist(), experts, strict=True)
            ]
            state[name] = value + torch.stack(changes).sum(0)
    job.model.load_state_dict(state)
    return held_out(job.model, *held)


def write_predictions(path: Path, tried: Array, losses: Array, name: str) -> None:
    """Keep mixtures and their predicted losses, whole or not at all."""
    temporary = path.with_name(f"new-{path.name}")
    np.savez(temporary, tried=tried, losses=losses, law=np.array(name))
    temporary.replace(path)


def best_predicted(path: Path, setting: Setting, preference: float) -> Array:
    """Return the mixture that predictions prefer."""
    with np.load(path) as kept:
        return laws.best(kept["tried"], kept["losses"], setting, preference)


def read_runs(path: Path, setting: Setting) -> list[Run]:
    """Read what `write_runs` wrote."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return [
        Run(one["label"], Course.from_dict(setting, one), tuple(one["final"]))
        for one in content["runs"]
    ]
