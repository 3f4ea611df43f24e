"""The report of data mixing: fronts against static mixtures, mixtures over time, the agent."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import automl
from automl_data_mixing.corpus import Corpus, load
from automl_data_mixing.front import Pair, convex, filled, front_gain, noise_of

POLICY, SHARE = "data_mixing.policy", "data_mixing.target_share"
CERTAIN = {2: 12.7, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57}  # 95 % of Student's t, by runs
BEGIN = 32  # tokens of a domain's first row that the report shows
FORGOTTEN = 0.5  # nats a byte that pre-training must gain before forgetting means anything


@dataclass(frozen=True, slots=True)
class Facts:
    """What the sections are made of.

    Attributes:
        static: changes of source and target losses of even static mixtures, prepared and tried.
        between: those of the static mixtures between them, interpolated.
        noise: their standard deviations over seeds; not a number without repeats.
        band: distance in those units below which a trial and the front may be equal.
        trials: finished trials with their changes, those of static mixtures left out.
        gains: how far each is beyond the static front, in standard deviations of the noise.
    """

    static: tuple[Pair, ...]
    between: tuple[Pair, ...]
    noise: Pair
    band: float
    trials: tuple[tuple[automl.Trial, Pair], ...]
    gains: tuple[float, ...]


def sections(history: automl.History) -> Iterator[automl.Section]:
    """Yield what can be said of a study so far."""
    folder = history.folder / "shared" / "data_mixing"
    runs, base = read(folder / "runs.json"), read(folder / "base.json")
    if not runs or not base:
        text = "Nothing has been prepared yet."
        yield automl.Section("Data mixing", (automl.Text(text),))
        return
    facts = facts_of(history, runs, base)
    figures = (front(facts), *lead(facts))
    tables = (table(facts), domains(load(folder / "corpus")))
    said = (*pretraining(runs, base), *substitutes(facts))
    yield automl.Section("Data mixing", (*said, *figures, *tables))
    if facts.trials:
        best = facts.trials[int(np.argmax(facts.gains))][0]
        if record := read(best.folder / "mixing.json"):
            yield automl.Section(f"Mixtures of trial {best.number}", course(best, record))
    if card := read(folder / "agent" / "card.json"):
        yield automl.Section("The mixing agent", agent(card))


def read(path: Path) -> Any:
    """Read a JSON file, or return None if there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def facts_of(history: automl.History, runs: Any, base: Any) -> Facts:
    """Collect changes of losses, and measure trials against static mixtures."""
    flags = np.array(runs["target"])
    change = {i: np.array(r["final"]) - base["losses"] for i, r in enumerate(runs["runs"])}
    pairs = {i: (float(c[~flags].mean()), float(c[flags].mean())) for i, c in change.items()}
    labels = [run["label"] for run in runs["runs"]]
    static = [
        (share, pairs[i])
        for i, label in enumerate(labels)
        if label.startswith("static")
        for share in share_of(runs, i)
    ]
    repeated = [i for i, label in enumerate(labels) if label.startswith("repeat")]
    twins = [i for i in range(len(labels)) if repeated and same(runs, i, repeated[0])]
    noise = noise_of([pairs[i] for i in twins])
    done = [(trial, ended(trial.metrics)) for trial in history.finished()]
    static += [(trial.params[SHARE], pair) for trial, pair in done if is_even(trial)]
    others = tuple((trial, pair) for trial, pair in done if not is_even(trial))
    between = filled([share for share, _ in static], [pair for _, pair in static])
    unit = noise if np.isfinite(noise).all() and min(noise) > 0 else (1.0, 1.0)
    gains = front_gain([pair for _, pair in others], between, unit)
    seen = tuple(pair for _, pair in static)
    # the front is as uncertain as the trial is, and so is the noise of a few runs
    band = float(np.sqrt(2) * CERTAIN.get(len(twins), 2.45))
    return Facts(seen, tuple(between), noise, band, others, tuple(gains.tolist()))


def share_of(runs: Any, index: int) -> Iterator[float]:
    """Yield the target share of a run; nothing if a guard moved it while the model trained."""
    weights = np.array(runs["runs"][index]["weights"])
    if np.allclose(weights, weights[0]):
        yield float(weights[0][np.array(runs["target"])].sum())


def is_even(trial: automl.Trial) -> bool:
    """Say whether a trial was a static mixture, even inside its fields, that no guard moved."""
    searched = any(name.startswith("data_mixing.composition") for name in trial.params)
    free = not searched and not trial.metrics.get("guard_steps")
    return trial.params.get(POLICY) == "static" and SHARE in trial.params and free


def same(runs: Any, first: int, second: int) -> bool:
    """Say whether two runs had the same mixtures."""
    weights = [np.array(runs["runs"][i]["weights"]) for i in (first, second)]
    return weights[0].shape == weights[1].shape and bool(np.allclose(weights[0], weights[1]))


def ended(metrics: Mapping[str, float]) -> Pair:
    """Return the changes of source and target losses of a trial."""
    return metrics["forgetting"], -metrics["target_gain"]


def pretraining(runs: Any, base: Any) -> tuple[automl.Text, ...]:
    """Say what the base model knows, and warn if there is nothing to forget."""
    flags = np.array(runs["target"])
    drop = float((np.array(base["untrained"]) - base["losses"])[~flags].mean())
    text = (
        f"{int((~flags).sum())} source and {int(flags.sum())} target domains. The base model's "
        f"source loss is {drop:.2f} nats a byte below that of the study's own model."
    )
    if drop < FORGOTTEN:
        text += " That is little: there is hardly anything to forget. Raise pretrain.steps."
    return (automl.Text(text),)


def substitutes(facts: Facts) -> Iterator[automl.Text]:
    """Say where an agent was outside of what it knows, so that static mixtures stood in for it."""
    lost = [(t.number, n) for t, _ in facts.trials if (n := t.metrics.get("agent_fallbacks", 0))]
    if lost:
        counts = ", ".join(f"{count:g} in trial {number}" for number, count in lost)
        yield automl.Text(
            "Static mixtures stood in for the agent where it would have had to extrapolate: "
            f"{counts}. An agent that learned from runs like these would not need them."
        )


def domains(corpus: Corpus) -> automl.Table:
    """List the domains: what they hold, and how they begin, which shows what a template made."""
    rows = [
        (
            entry.name,
            entry.field,
            entry.documents,
            entry.dropped,
            entry.rows,
            entry.held_rows,
            begins(training),
        )
        for entry, training in zip(corpus.entries, corpus.training, strict=True)
    ]
    names = ("domain", "field", "documents", "left out", "rows", "held-out rows", "begins")
    return automl.Table("Domains", names, tuple(rows))


def begins(rows: Any) -> str:
    """Return the beginning of the first row, if its tokens are bytes."""
    if rows.dtype != np.uint8:
        return ""
    text = bytes(rows[0][:BEGIN]).decode(errors="replace")
    return " ".join(text.split())


def front(facts: Facts) -> automl.Figure:
    """Draw forgetting against gain, for static mixtures and for every other policy."""
    hull = convex(facts.between)
    series = [
        automl.Series("static", *columns(facts.static), style="points"),
        automl.Series("static front", *columns(hull), style="line"),
        automl.Series("other trials", *columns([p for _, p in facts.trials]), style="points"),
    ]
    return automl.Figure(
        "Forgetting against learning",
        tuple(series),
        "source loss, change (nats a byte)",
        "target loss, change (nats a byte)",
        "Points further down learned more of the targets, points further left forgot less of the "
        "sources. The line is the front of static mixtures, interpolated between those that were "
        "run; what lies below it is beyond them.",
    )


def lead(facts: Facts) -> Iterator[automl.Figure]:
    """Draw how far the trials of each policy are beyond the static front, and the noise."""
    if not facts.trials:
        return
    order = np.argsort([policy_of(trial) for trial, _ in facts.trials])
    names = tuple(policy_of(facts.trials[i][0]) for i in order)
    series = [automl.Series("trials", names, tuple(facts.gains[i] for i in order), style="points")]
    if known := bool(np.isfinite(facts.noise).all()):
        ends, edge = (names[0], names[-1]), facts.band
        around = (edge, edge, -edge, -edge, edge)
        series.append(automl.Series("noise band", (*ends, *ends[::-1], ends[0]), around))
    yield automl.Figure(
        "Front gain",
        tuple(series),
        "policy",
        "front gain (sd)" if known else "front gain (nats)",
        "Distance beyond the static front, sd of one run. What lies above the band is beyond the "
        "best static mixtures with 95 % confidence, each trial taken alone; of many trials some "
        "get there by chance.",
    )


def columns(pairs: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the first and the second coordinates of pairs."""
    return tuple(p[0] for p in pairs), tuple(p[1] for p in pairs)


def policy_of(trial: automl.Trial) -> str:
    """Return the policy of a trial; `fixed` if the study does not search it."""
    return str(trial.params.get(POLICY, "fixed"))


def table(facts: Facts) -> automl.Table:
    """List the trials by how far they are beyond static mixtures, with the noise in the title."""
    order = np.argsort([-gain for gain in facts.gains])
    rows = []
    for index in order:
        trial, pair = facts.trials[index]
        gain = facts.gains[index]
        known = np.isfinite(facts.noise).all() and abs(gain) > facts.band
        verdict = ("beyond" if gain > 0 else "behind") if known else "within noise"
        told = trial.params.get("data_mixing.preference")
        rows.append((trial.number, policy_of(trial), told, *pair, gain, verdict))
    noise = "unknown noise, distances in nats"
    if np.isfinite(facts.noise).all():
        noise = f"noise of one run: {facts.noise[0]:.4f} source, {facts.noise[1]:.4f} target"
    names = ("trial", "policy", "preference", "forgetting", "target change", "front gain", "")
    return automl.Table(f"Distance from the static front ({noise})", names, tuple(rows))


def course(trial: automl.Trial, record: Any) -> tuple[automl.Figure, ...]:
    """Draw the weights and the losses of one trial over time."""
    weights, losses = np.array(record["weights"]), np.array(record["losses"])
    steps = tuple(float(step) for step in range(len(losses)))
    river = [
        automl.Series(name, steps[:-1], tuple(weights[:, k].tolist()), style="area")
        for k, name in enumerate(record["names"])
    ]
    curves = [
        automl.Series(name, steps, tuple((losses[:, k] - losses[0, k]).tolist()))
        for k, name in enumerate(record["names"])
    ]
    what = f"trial {trial.number}, policy {policy_of(trial)}"
    return (
        automl.Figure(
            f"Weights over time ({what})",
            tuple(river),
            "mixture",
            "weight",
            "How much of each batch came from each domain; the areas add up to 1.",
        ),
        automl.Figure(
            f"Losses over time ({what})",
            tuple(curves),
            "mixture",
            "held-out loss, change (nats a byte)",
            "Change of each domain's held-out loss; one that rises is being forgotten.",
        ),
    )


def agent(card: Any) -> tuple[Any, ...]:
    """Say how the agent was trained, which stage won, and what moves its target share."""
    results, weights = card["results"] or {}, card["importance"] or {}
    volumes = results.get("hypervolume", {})
    parts = [f"{stage} {volume:.4f}" for stage, volume in volumes.items()]
    text = (
        f"Learned from {card['trajectories']} trajectories of {card['reweights']} mixtures. "
        f"Hypervolume of real rollouts: {', '.join(parts) or 'not measured'}; in use: "
        f"{card['stage']}."
    )
    if reason := results.get("refused"):
        text += f" Conservative learning is not used: {reason}."
    order = sorted(weights, key=lambda name: -weights[name])
    moved = automl.Table(
        "What moves the agent's target share: its mean change when one feature is shuffled",
        ("feature", "change"),
        tuple((name, weights[name]) for name in order),
    )
    return automl.Text(text), moved
