"""Made histories: studies of every shape and size, without running one."""

import math
from functools import cache
from pathlib import Path

import numpy as np

from automl import Section, Table
from automl import history as h
from automl.report.facts import facts
from automl.space import Choice, Float, Int, Space
from automl.study import Study

HOSTILE = (
    "</script><img src=x onerror=alert(1)>",
    "[/red][bold]x",
    "\x1b]0;title\x07",
    "\u202egnp.exe",
    "{{7*7}}",
    "__proto__",
    "a,b\n=1+1",
    "postgresql://user:s3cr3t@db/study?password=s3cr3t",
)
SPACE = {
    "model.lr": Float(1e-4, 1e-1, log=True),
    "model.width": Int(8, 64, log=True),
    "model.optimizer": Choice(("sgd", "adamw")),
    "model.momentum": Float(0.0, 0.99, when={"model.optimizer": ("sgd",)}),
    "pruning.density": Float(0.02, 1.0, log=True),
}
OBJECTIVES = {
    "val_accuracy": {"goal": "maximize", "ref": 0.1},
    "parameters": {"goal": "minimize", "ref": 200_000},
    "latency_ms": {"goal": "minimize", "ref": 20},
    "energy_j": {"goal": "minimize", "ref": 10},
}


def study(count=2, **changes):
    """A study with the first so many of four objectives."""
    names = list(OBJECTIVES)[:count]
    settings = {
        "name": "digits-front",
        "model": {"class_path": "automl.zoo.ConvNet", "init_args": {"lr": 3e-3}},
        "data": {"class_path": "automl.zoo.Digits"},
        "plugins": {"pruning": {}},
        "objectives": {name: OBJECTIVES[name] for name in names},
        "budget": {"trials": 40},
        "resources": {"gpus": 1},
        "fidelity": {"unit": "epoch", "max": 8},
    }
    return Study(**(settings | changes))


def draw_params(draw, space):
    params = {}
    for name in space.order():
        parameter = space[name]
        if not space.active(name, params):
            continue
        match parameter:
            case Choice(options):
                params[name] = options[draw.integers(len(options))]
            case Float(low, high, log):
                params[name] = float(spread(draw, low, high, log))
            case Int(low, high, log):
                params[name] = round(spread(draw, low, high, log))
    return params


def spread(draw, low, high, log):
    if log:
        return math.exp(draw.uniform(math.log(low), math.log(high)))
    return draw.uniform(low, high)


def measured(params, draw):
    """A plausible network: wide ones know more, dense ones cost more, a bad rate spoils all."""
    lr, width = params.get("model.lr", 3e-3), params.get("model.width", 24)
    density = params.get("pruning.density", 1.0)
    size = 90 * width**1.7 * density
    spoiled = 0.035 * math.log10(lr / 6e-3) ** 2
    sgd = 0.012 if params.get("model.optimizer") == "sgd" else 0.0
    top = 0.988 - 0.9 / size**0.45 - spoiled - sgd - 0.02 * (0.1 / density) ** 1.2
    return {
        "val_accuracy": round(float(top + draw.normal(0, 0.004)), 4),
        "parameters": round(size),
        "latency_ms": round(0.4 + width / 9 + float(draw.normal(0, 0.1)), 3),
        "energy_j": round(0.2 + size / 3e4 + abs(float(draw.normal(0, 0.3))), 3),
        "macs": round(size * 49),
    }


def reports(metrics, epochs, draw):
    top = metrics["val_accuracy"]
    return tuple(
        h.Report(
            epoch,
            2.0 * epoch,
            {
                "val_accuracy": round(
                    top - 0.5 * math.exp(-epoch / 1.5) + draw.normal(0, 0.004), 4
                ),
                "train_loss": round(0.1 + 2 * math.exp(-epoch / 1.2), 4),
            },
        )
        for epoch in range(1, epochs + 1)
    )


def further(params, draw):
    """The points of a pruned model at three densities."""
    return tuple(
        h.Point(
            measured(params | {"pruning.density": density}, draw),
            {"pruning.density": density},
            f"points/{density}.ckpt",
            f"density={density}",
        )
        for density in (0.05, 0.15, 0.4)
    )


def trial(number, params, draw, state="done", **changes):
    metrics = measured(params, draw)
    epochs = 8 if state == "done" else 3
    started = 1.78e9 + (number // 2) * 21 + number % 2
    attempt = h.Attempt(0, started, started + 2.2 * epochs, (f"cuda:{number % 2}",), "host", state)
    parts = {
        "metrics": metrics if state == "done" else {},
        "points": further(params, draw) if state == "done" and number % 4 == 3 else (),
        "reports": reports(metrics, epochs, draw),
        "attempts": (attempt,),
        "artifact": "train/last.ckpt" if state == "done" else None,
    }
    folder = Path("runs/digits-front/trials") / f"{number:05}"
    origin = "tpe" if number else "default"
    return h.Trial(number, state, params, origin, number, folder, **(parts | changes))


def state_of(number):
    if number and number % 5 == 4:
        return "stopped"
    return "failed" if number % 13 == 7 else "done"


FAILURES = {
    0: h.Failure("oom", "CUDA out of memory. Tried to allocate 2.00 GiB", "Traceback …\nOOM"),
    1: h.Failure("nan", "val_accuracy is NaN at epoch 3"),
}


def made(trials=40, objectives=2, space=None, seed=0, **changes):
    """A study of plausible trials: most done, some stopped, a few failed, some with many points."""
    draw, space = np.random.default_rng(seed), Space(space or SPACE)
    found = []
    for number in range(trials):
        params = space.default() if number == 0 else draw_params(draw, space)
        state = state_of(number)
        failure = FAILURES[number % 2] if state == "failed" else None
        found.append(trial(number, params, draw, state, failure=failure))
    return history(study(objectives, **changes), space, found)


def history(plan, space, trials):
    provenance = {"automl": "0.1.0", "python": "3.11.2", "torch": "2.13.0", "commit": "0123abcd"}
    return h.History(plan, space, tuple(trials), Path("runs/digits-front"), provenance)


def empty():
    return history(study(), Space(SPACE), [])


def single_objective():
    return made(objectives=1)


def one_trial():
    return made(trials=1)


def all_failed():
    draw = np.random.default_rng(0)
    space = Space(SPACE)
    trials = [
        trial(n, draw_params(draw, space), draw, "failed", failure=FAILURES[n % 2])
        for n in range(6)
    ]
    return history(study(), space, trials)


def none_done():
    draw = np.random.default_rng(0)
    space = Space(SPACE)
    open_attempt = h.Attempt(0, 1.78e9, None, ("cuda:0",), "host", "")
    trials = [
        trial(0, space.default(), draw, "running", attempts=(open_attempt,), metrics={}),
        trial(1, draw_params(draw, space), draw, "waiting", attempts=(), reports=()),
    ]
    return history(study(), space, trials)


def categorical_only():
    space = {"model.optimizer": Choice(("sgd", "adamw")), "model.norm": Choice(("batch", "none"))}
    return made(space=space)


def nan_metrics():
    found = made()
    trials = [
        h.Trial(
            t.number, t.state, t.params, t.origin, t.seed, t.folder,
            {**t.metrics, "val_accuracy": math.nan if t.number % 3 == 0 else math.inf}
            if t.state == "done" and t.number % 2 else t.metrics,
        )
        for t in found.trials
    ]  # fmt: skip
    return history(found.study, found.space, trials)


def constrained(objectives=2):
    return made(60, objectives, constraints={"latency_ms": {"max": 5}})


def hostile():
    """Every text that a study can hold is an attack."""
    draw = np.random.default_rng(0)
    space = Space(
        {name: Choice(HOSTILE) if i % 2 else Float(0.0, 1.0) for i, name in enumerate(HOSTILE)}
    )
    objectives = {name: {"goal": "minimize"} for name in HOSTILE[:3]}
    trials = []
    for number in range(24):
        params = draw_params(draw, space)
        metrics = {name: float(draw.random()) for name in HOSTILE}
        attempt = h.Attempt(
            0, 1.78e9 + number, 1.78e9 + number + 1, (HOSTILE[0],), HOSTILE[1], HOSTILE[2]
        )
        state = "failed" if number % 6 == 5 else "done"
        failure = h.Failure("user", HOSTILE[number % 8], "\n".join(HOSTILE))
        origin = HOSTILE[0] if number else "default"
        trials.append(
            h.Trial(
                number,
                state,
                params,
                origin,
                number,
                Path(HOSTILE[0]),
                metrics if state == "done" else {},
                (h.Point(metrics, {}, HOSTILE[0], HOSTILE[number % 8]),),
                (h.Report(1, 1.0, metrics),),
                (attempt,),
                failure if state == "failed" else None,
                HOSTILE[0],
            )
        )
    plan = study(
        name="hostile",
        model={
            "class_path": "hostile.Model",
            "init_args": {"api_key": "s3cr3t", "url": HOSTILE[7]},
        },
        objectives=objectives,
        constraints={HOSTILE[0]: {"max": 0.9}},
    )
    provenance = {name: name for name in HOSTILE}
    return h.History(plan, space, tuple(trials), Path(HOSTILE[0]), provenance)


def repeated():
    """Three settings of a small study ran with three seeds each."""
    draw, space = np.random.default_rng(5), Space(SPACE)
    drawn = [draw_params(draw, space) for _ in range(12)]
    drawn = [params for params in drawn for _ in range(3)]
    return history(study(), space, [trial(n, params, draw) for n, params in enumerate(drawn)])


def large(trials=5000, objectives=4):
    return made(trials, objectives, seed=1)


ODD = {
    "empty": empty,
    "one trial": one_trial,
    "none done": none_done,
    "all failed": all_failed,
    "single objective": single_objective,
    "categorical only": categorical_only,
    "nan metrics": nan_metrics,
    "constrained": constrained,
    "hostile": hostile,
    "repeated": repeated,
}


SECTIONS = (
    ("pruning", Section("[/red] Units", (Table("kept", ("layer", "share"), (("conv", 0.5),)),))),
    ("nas", "ValueError: no supernet"),
    ("broken", Section("Broken", (Table("kept", ("layer",), (("conv", 0.5),)),))),
)


@cache
def facts_of(name):
    """The facts of an odd study, with sections; computed once for all tests."""
    return facts((ODD | {"made": made})[name](), SECTIONS)
