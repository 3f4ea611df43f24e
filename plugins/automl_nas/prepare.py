"""The preparation of a study: supernets, estimates, calibration, promoted trainings."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from automl import Job, PluginError
from automl_nas.data import check_parts
from automl_nas.features import features, supernet_value
from automl_nas.notes import Arm, Candidate, Plan, Training, write_plan
from automl_nas.options import NasOptions
from automl_nas.paths import seed_of
from automl_nas.promotion import Pool, Rounds, next_round
from automl_nas.region import Region
from automl_nas.space import Architecture
from automl_nas.splits import SCORED, split_tree
from automl_nas.supernets import estimate_some, train_alone, train_supernet
from automl_nas.tree import Node, leaf_of, leaves
from automl_nas.work import Work, aim_of, file_of

CHUNK = 256  # architectures that one task estimates
ENOUGH = 3  # trainings without which there is no calibration
CLOSED = ("parameters", "macs")  # objectives that are known in closed form


def prepare(job: Job, options: NasOptions) -> None:
    """Make everything that the trials of a study share, and keep it as a plan."""
    check_parts(job.data)
    work = Work(job, options, aim_of(job.study, options))
    tree = split_tree(work)
    supernets = train_leaves(work, tree)
    pool = estimated_pool(work, supernets)
    trained = trainings(work, tree, pool)
    files = tuple((region.alive, file) for region, file in supernets)
    aim = work.aim
    write_plan(job.shared, Plan(aim.metric, aim.sign, tree, files, pool, trained, work.seconds))


def train_leaves(work: Work, tree: Node) -> list[tuple[Region, str]]:
    """Train the supernets; returns their regions and files, an empty file for one that failed."""
    options = work.options
    members = {"ensemble": options.leaves, "one_shot": 1}.get(options.criterion, 0)
    ends = [tree] * members if members else list(leaves(tree))
    spent = options.warmup if options.criterion in SCORED else 0.0
    budget = options.supernet_budget * (1 - spent) / len(ends)
    inherit = options.criterion in SCORED and not options.restart
    tasks = [
        work.task(
            f"leaf{index}",
            one.region,
            budget=budget,
            start=work.files[one.path[:-1]] if inherit else "",
        )
        for index, one in enumerate(ends)
    ]
    results = work.map(train_supernet, tasks, "leaves")
    files = [file_of("leaves", index) if one["finite"] else "" for index, one in enumerate(results)]
    if not any(files):
        raise PluginError("nas: no supernet has finite weights; lower the learning rate")
    return [(one.region, file) for one, file in zip(ends, files, strict=True)]


def estimated_pool(work: Work, supernets: Sequence[tuple[Region, str]]) -> tuple[Candidate, ...]:
    """Estimate all architectures of a small space, or a sample of a large one.

    An estimate is the mean over the supernets that contain an architecture, its home leaf of a tree
    or all members of an ensemble, and over the architectures that compute the same.
    """
    members, form = sampled(work), work.options.space.canonical
    found: dict[str, list[float]] = {form(one): [] for one in members}
    tasks = [
        work.task(f"estimate{index}", region, start=file, architectures=tuple(some))
        for index, (region, file) in enumerate(supernets)
        if file
        for some in slices([one for one in members if one in region])
    ]
    for task, results in zip(tasks, work.map(estimate_some, tasks, "estimates"), strict=True):
        for one, metrics in zip(task.architectures, results, strict=True):
            value = supernet_value(metrics, work.aim.metric, work.aim.sign)
            found[form(one)].append(value)
    return tuple(Candidate(one, form(one), mean(found[form(one)])) for one in members)


def slices(members: list[Architecture]) -> list[list[Architecture]]:
    """Cut a list into pieces that one task does."""
    return [members[start : start + CHUNK] for start in range(0, len(members), CHUNK)]


def mean(values: Sequence[float]) -> float | None:
    """Return the mean of estimates, None where there is none or one is not finite."""
    return float(np.mean(values)) if values and np.isfinite(values).all() else None


def sampled(work: Work) -> list[Architecture]:
    """Return the valid architectures that are estimated in advance."""
    space, region = work.options.space, work.root
    if region.size <= work.options.pool:
        return [one for one in region.architectures() if space.valid(one)]
    rng = np.random.default_rng(seed_of(work.seed, "pool"))
    rows = [tuple(map(int, row)) for row in region.sample(rng, 4 * work.options.pool)]
    found = {space.canonical(one): one for one in rows if space.valid(one)}
    return list(found.values())[: work.options.pool]


def trainings(work: Work, tree: Node, pool: tuple[Candidate, ...]) -> tuple[Training, ...]:
    """Train a random sample, then in rounds what the calibrated estimate thinks best."""
    options = work.options
    known = [one for one in pool if one.supernet is not None]
    rows = pool_of(work, tree, known)
    rng = np.random.default_rng(seed_of(work.seed, "trainings"))
    home = [leaf_of(tree, one.architecture) for one in known]
    first = stratified(rows, home, options.calibrate, rng)
    trained = train_some(work, known, first, "calibration", repeated("calibration", first))
    truth = truths(work, first, trained)
    total = len(truth) + options.rounds * options.batch
    rounds = Rounds(len(truth), options.batch, total, options.random)
    for number in range(options.rounds):
        if len(truth) < ENOUGH or len(truth) == len(set(rows.forms)):
            break
        best, arm = next_round(rows, truth, rounds, rng)
        arms: list[Arm] = [*repeated("promoted", best), *repeated("random", arm)]
        more = train_some(work, known, best + arm, f"round{number}", arms)
        truth |= truths(work, best + arm, more)
        trained += more
    return tuple(one for one in trained if work.learned(one))


def truths(work: Work, chosen: Sequence[int], trained: Sequence[Training]) -> dict[int, float]:
    """Return the truth by candidate; one that diverged counts as the worst of its round."""
    values = [work.value(one) if work.learned(one) else np.inf for one in trained]
    worst = min(values, default=np.inf)
    if not np.isfinite(worst) and values:
        raise PluginError("nas: every stand-alone training diverged; lower the learning rate")
    pairs = zip(chosen, values, strict=True)
    return {index: value if np.isfinite(value) else worst for index, value in pairs}


def repeated(arm: Arm, chosen: Sequence[int]) -> list[Arm]:
    """Return an arm for each of those chosen."""
    return [arm for _ in chosen]


def pool_of(work: Work, tree: Node, known: Sequence[Candidate]) -> Pool:
    """Return the candidates as the numbers that promotion works on."""
    space = work.options.space
    architectures = [one.architecture for one in known]
    names = [name for name in CLOSED if name in work.job.study.objectives]
    costs = [space.costs(one) for one in architectures]
    closed = names if all(costs) else []
    table = np.array([[getattr(one, name) for name in closed] for one in costs], dtype=float)
    return Pool(
        features(space, tree, architectures),
        np.array([one.supernet for one in known], dtype=float),
        table.reshape(len(known), len(closed)),
        [one.form for one in known],
    )


def stratified(pool: Pool, home: Sequence[int], count: int, rng: np.random.Generator) -> list[int]:
    """Draw one of each slice of the different candidates in order of home leaf and MACs."""
    first = {form: index for index, form in reversed(list(enumerate(pool.forms)))}
    order = sorted(first.values(), key=lambda i: (home[i], pool.plain[i, -1], i))
    pieces = np.array_split(np.array(order), min(count, len(order)))
    return [int(rng.choice(piece)) for piece in pieces]


def train_some(
    work: Work, known: Sequence[Candidate], chosen: Sequence[int], key: str, arms: Sequence[Arm]
) -> list[Training]:
    """Train candidates by themselves on all devices."""
    some = [known[index] for index in chosen]
    tasks = [work.task(f"alone {one.form}", architectures=(one.architecture,)) for one in some]
    results: list[dict[str, Any]] = work.map(train_alone, tasks, key)
    return [
        Training(
            one.architecture,
            one.form,
            result["metrics"],
            arm,
            one.supernet,
            weights=file_of(key, index),
        )
        for index, (one, result, arm) in enumerate(zip(some, results, arms, strict=True))
    ]
