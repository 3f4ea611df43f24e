"""The plugin's part of a report: how far estimates can be trusted here, and what was found."""

from collections.abc import Iterator, Sequence

import numpy as np

from automl import Figure, Graph, Heatmap, History, Section, Series, Table, Text
from automl_nas.estimate import Calibration, calibrated, noise
from automl_nas.features import features
from automl_nas.notes import Plan, Training, read_note, read_plan
from automl_nas.options import NasOptions
from automl_nas.ranking import expected_best, kendall_tau, ranking
from automl_nas.region import Region
from automl_nas.space import Architecture, Cell, Chain, Edge, Space, named
from automl_nas.tree import Node, nodes

SHOWN = 3  # best architectures that are drawn


def sections(history: History, options: NasOptions) -> Iterator[Section]:
    """Yield the sections of a study that was prepared; none if it was not."""
    plan = read_plan(history.folder / "shared")
    if plan is None:
        return
    notes = [read_note(trial.folder) for trial in history.finished()]
    trained = [*plan.trained, *(one for one in notes if one is not None)]
    yield Section("Trust in estimates", tuple(trust(options.space, plan, trained)))
    yield Section("Supernets", tuple(supernets(options.space, plan)))
    drawings = tuple(drawn(options.space, one) for one in best(plan, trained))
    yield Section("Best architectures", drawings)


def trust(space: Space, plan: Plan, trained: Sequence[Training]) -> Iterator[Text | Table | Figure]:
    """Compare estimates with stand-alone trainings."""
    own = [one for one in trained if one.supernet is not None]
    if len(own) < 3:
        yield Text(f"{len(own)} trainings with an estimate are too few to judge estimates.")
        return
    plain = features(space, plan.tree, [one.architecture for one in own])
    truth = [plan.sign * one.metrics[plan.metric] for one in own]
    raw = np.array([one.supernet for one in own], dtype=float)
    model = calibrated(plain, raw, truth)
    yield Text(verdict_of(model))
    yield Table(
        "Kendall's tau with stand-alone trainings", ("estimate", "tau"), taus(model, plan, own)
    )
    yield Table(f"Trainings by why they were made: {plan.metric}", COLUMNS, arms(plan, trained))
    yield Text(regret_of(plan, trained))
    yield against_truth(model, plan, truth)


COLUMNS = ("arm", "trainings", "best", "mean")


def verdict_of(model: Calibration) -> str:
    """Say in words whether supernets help, and whether anything does."""
    helped = (
        "The supernets' estimate is used: together with the operations it predicts trainings "
        "better than the operations alone do, or no worse beyond noise."
        if model.kept
        else "The supernets' estimate is not used: it harms; the operations alone predict "
        "trainings better."
    )
    tau = model.taus["supernet" if model.kept else "operations"]
    if not tau > 2 * noise(model.trained):
        helped = "No estimate orders these trainings clearly better than chance: trust none here."
    return (
        f"{helped} Judged on {model.trained} stand-alone trainings, each predicted from the "
        f"others; the better half is predicted with an error of {model.sd:.3g} (root mean square)."
    )


def taus(
    model: Calibration, plan: Plan, own: Sequence[Training]
) -> tuple[tuple[str, float | None], ...]:
    """Return the rows of the table of agreement."""
    before = [one for one in own if one.estimate is not None]
    told = kendall_tau(
        [one.estimate for one in before], [one.metrics[plan.metric] for one in before]
    )
    truth = [plan.sign * one.metrics[plan.metric] for one in own]
    top = ranking(model.model.left_out, truth).tau_top
    rows = (
        ("supernets alone, not calibrated", model.taus["raw"]),
        ("operations alone, each left out", model.taus["operations"]),
        ("operations and supernets, each left out", model.taus["supernet"]),
        ("what is used, in the quarter that is truly best", top),
        (f"as told before {len(before)} trainings of trials", told),
    )
    return tuple((name, None if np.isnan(tau) else tau) for name, tau in rows)


def arms(
    plan: Plan, trained: Sequence[Training]
) -> tuple[tuple[str, int, float | None, float | None], ...]:
    """Return how the trainings of each arm ended; random ones are those of the calibration too."""
    names = {
        "random (calibration and random arm)": ("calibration", "random"),
        "promoted by estimate": ("promoted",),
        "ruled out, trained to check": ("audit",),
    }
    rows = []
    for name, kinds in names.items():
        values = [one.metrics[plan.metric] for one in trained if one.arm in kinds]
        top = (max(values) if plan.sign > 0 else min(values)) if values else None
        rows.append((name, len(values), top, float(np.mean(values)) if values else None))
    return tuple(rows)


def regret_of(plan: Plan, trained: Sequence[Training]) -> str:
    """Say what promotion gained over drawing at random, for equally many trainings."""
    signed = {
        kind: [plan.sign * one.metrics[plan.metric] for one in trained if one.arm in arm]
        for kind, arm in {"promoted": ("promoted",), "random": ("calibration", "random")}.items()
    }
    count = min(map(len, signed.values()))
    if not count:
        return "No training was promoted: nothing can be said of regret."
    promoted, drawn = (expected_best(values, count) for values in signed.values())
    gain = promoted - drawn
    return (
        f"Of equally many trainings, {count}, the best promoted one is expected to be "
        f"{abs(gain):.3g} {'better' if gain >= 0 else 'worse'} in {plan.metric} than the best "
        "one drawn at random."
    )


def against_truth(model: Calibration, plan: Plan, truth: Sequence[float]) -> Figure:
    """Draw left-out estimates against the truth."""
    guess = tuple(float(plan.sign * v) for v in model.scale(model.model.left_out))
    real = tuple(float(plan.sign * v) for v in truth)
    ends = (min(real), max(real))
    return Figure(
        "Estimates against stand-alone trainings",
        (
            Series("trainings, each predicted by the others", real, guess, style="points"),
            Series("equal", ends, ends),
        ),
        f"{plan.metric}, trained",
        f"{plan.metric}, estimated",
        f"{len(real)} trainings; estimates that are right lie on the straight line",
    )


def supernets(space: Space, plan: Plan) -> Iterator[Text | Graph | Heatmap | Table]:
    """Show what was trained, and how the space was split."""
    failed = sum(not file for _, file in plan.supernets)
    yield Text(
        f"{len(plan.supernets)} supernets, {failed} failed; {len(plan.pool)} architectures "
        "estimated in advance."
    )
    yield Table(
        "Supernets",
        ("supernet", "architectures", "least share of steps of an operation", "greatest"),
        tuple(
            (index, Region(alive).size, 1 / max(map(len, alive)), 1 / min(map(len, alive)))
            for index, (alive, _) in enumerate(plan.supernets)
        ),
    )
    rows = tuple((name, round(seconds, 1)) for name, seconds in plan.seconds.items())
    yield Table("Seconds of the preparation", ("step", "seconds"), rows)
    if plan.tree.children:
        yield tree_graph(space, plan.tree)
    for node in nodes(plan.tree):
        for one in node.candidates:
            if one.edge == node.edge:
                edge = space.edges[one.edge]
                labels = tuple(edge.operations[index] for index in node.region.alive[one.edge])
                place = "root" if not node.path else f"node {'-'.join(map(str, node.path))}"
                noise = f"distance {one.distance:.3f} ± {one.se:.3f} (standard error)"
                ties = f"{len(one.tied)} of {one.tried} cuts are as good"
                yield Heatmap(
                    f"{edge.name} at {place}: similarity of operations; {noise}; {ties}",
                    labels,
                    labels,
                    one.similarity,
                    f"how alike the operations of {edge.name} train the weights they share",
                )


def tree_graph(space: Space, tree: Node) -> Graph:
    """Draw a split tree: edges of the space at its nodes, operations on its branches."""
    all_nodes = list(nodes(tree))
    place = {node.path: index for index, node in enumerate(all_nodes)}
    labels = tuple(
        f"{node.region.size} architectures" if node.edge is None else space.edges[node.edge].name
        for node in all_nodes
    )
    branches = tuple(
        (
            place[node.path],
            place[child.path],
            " ".join(space.edges[node.edge].operations[i] for i in group),
        )
        for node in all_nodes
        if node.edge is not None
        for child, group in zip(node.children, node.groups, strict=True)
    )
    alt = f"{sum(node.edge is None for node in all_nodes)} supernets and the operations of each"
    return Graph("Split tree", labels, branches, alt)


def words(edge: Edge, group: Sequence[int]) -> str:
    """Return the names of some operations of an edge."""
    return " ".join(edge.operations[index] for index in group)


def best(plan: Plan, trained: Sequence[Training]) -> list[Training]:
    """Return the best different architectures that were trained."""
    ordered = sorted(trained, key=lambda one: -plan.sign * one.metrics[plan.metric])
    return list({one.form: one for one in reversed(ordered)}.values())[::-1][:SHOWN]


def drawn(space: Space, one: Training) -> Graph:
    """Draw an architecture as a graph."""
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in one.metrics.items())
    labels, arrows = shape(space, one.architecture)
    return Graph(metrics, labels, arrows, f"architecture {one.form}")


def shape(
    space: Space, architecture: Architecture
) -> tuple[tuple[str, ...], tuple[tuple[int, int, str], ...]]:
    """Return the nodes of an architecture and the operations between them."""
    chosen = named(space, architecture)
    match space:
        case Cell():
            labels = tuple("input" if node == 0 else f"node {node}" for node in range(space.nodes))
            pairs = zip(space.pairs, chosen.values(), strict=True)
            arrows = tuple((*pair, name) for pair, name in pairs if name != "none")
            return labels, arrows
        case Chain():
            operations, width = space.plan(architecture)
            labels = ("input", f"stem, {width} channels", *operations, "classifier")
        case _:
            labels = tuple(f"{edge}: {name}" for edge, name in chosen.items())
    return labels, tuple((index, index + 1, "") for index in range(len(labels) - 1))
