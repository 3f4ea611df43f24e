"""What a trial that does nothing costs on each engine, beside Ray Tune and bare Ray.

python tests/benchmarks/bench_engines.py [--trials 100] [--parallel 2] [--pings 50]

Ray Tune needs `pip install 'ray[tune]'`. Times are of the trials alone: from the start of the first
to the end of the last, by the count of trials.
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import ray
import toys

import automl
from automl.engines.choice import make_engine
from automl.events import Ended, Reported, Started
from automl.launch import job, opened
from automl.planning import plan
from automl.studyfile import of

PINGS = """
import time

import toys

import automl


class Mine(toys.Formula):
    @automl.hookimpl
    def train(self, job):
        for step in range(1, 1000):
            job.report(step, sent=time.time())
            time.sleep(0.01)
            if job.stopped:
                break
        return True
"""


@contextmanager
def cluster(parallel):
    """Start a cluster of one node on this machine."""
    options = {"object_store_memory": 100_000_000, "include_dashboard": False}
    ray.init(address="local", num_cpus=parallel, log_to_driver=False, logging_level=40, **options)
    try:
        yield
    finally:
        ray.shutdown()


def ours(engine, trials, parallel):
    """Run a study and return the seconds for each trial."""
    with tempfile.TemporaryDirectory() as name:
        folder = toys.beside(Path(name))
        changes = {"engine": engine, "resources": {"parallel": parallel}}
        study = toys.study(folder, **changes, budget={"trials": trials})
        spans = [one.attempts[0] for one in automl.run(study, here=folder).trials]
        return (max(s.ended for s in spans) - min(s.started for s in spans)) / trials


def nothing(config):
    """Measure what `toys.Formula` measures."""
    from ray import tune

    tune.report({"near": abs(config["x"] - 0.3), "far": abs(config["x"] - 0.7)})


def heavy(config):
    """Load what a trial needs to train, then do nothing."""
    import pytorch_lightning
    import torch

    assert torch is not pytorch_lightning
    nothing(config)


def theirs(work, trials, parallel, **options):
    """Run Ray Tune and return the seconds for each trial."""
    from ray import tune

    class Watch(tune.Callback):
        def __init__(self):
            self.times = []

        def on_trial_start(self, **_):
            self.times.append(time.time())

        def on_trial_complete(self, **_):
            self.times.append(time.time())

    watch = Watch()
    config = tune.TuneConfig(num_samples=trials, max_concurrent_trials=parallel, **options)
    with tempfile.TemporaryDirectory() as name:
        run = tune.RunConfig(storage_path=name, callbacks=[watch], verbose=0)
        space = {"x": tune.uniform(0, 1)}
        found = tune.Tuner(work, param_space=space, tune_config=config, run_config=run).fit()
    assert len(found) == trials
    assert not found.num_errors
    return (max(watch.times) - min(watch.times)) / trials


def workers(trials):
    """Run tasks of Ray in a fresh process each, which load torch and Lightning."""

    @ray.remote(num_cpus=1, max_calls=1)
    def work():
        import pytorch_lightning
        import torch

        return torch.__version__ + pytorch_lightning.__version__

    began = time.perf_counter()
    ray.get([work.remote() for _ in range(trials)])
    return (time.perf_counter() - began) / trials


def latencies(engine, pings):
    """Return the seconds from a job to the driver, and from a word to stop to the job's end."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "formula.py").write_text(PINGS)
        file = of(toys.study(folder, engine=engine, resources={"parallel": 1}), folder)
        spec = job(plan(file), "trial", folder / "runs" / "toy", {"model.x": 0.5})
        spec = replace(spec, folder=folder / "trial")
        heard, told, ends = [], [], []
        with opened(make_engine(file.study)) as made:

            def handle(event):
                if isinstance(event, Reported) and "sent" in event.metrics:
                    heard.append(time.time() - event.metrics["sent"])
                    if len(heard) == pings:
                        made.tell(spec.key, "stop")
                        told.append(time.time())
                if isinstance(event, Ended):
                    ends.append(time.time() - told[0])

            made.submit(spec)
            while not ends:
                made.poll(handle, 1.0)
        return heard[5:pings], ends[0]


def node_lost():
    """Kill a node and return the seconds until the driver has heard that its trial is lost."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 80_000_000}
    made = Cluster(initialize_head=True, head_node_args=head)
    node = made.add_node(num_cpus=1, object_store_memory=80_000_000)
    engine = {"name": "ray", "address": made.address}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "formula.py").write_text(PINGS)
        file = of(toys.study(folder, engine=engine), folder)
        spec = job(plan(file), "trial", folder / "runs" / "toy", {"model.x": 0.5})
        told = []
        with opened(make_engine(file.study)) as running:
            running.submit(spec)
            while not any(isinstance(one, Started | Reported) for one in told):
                running.poll(told.append, 1.0)
            began = time.perf_counter()
            made.remove_node(node, allow_graceful=False)
            while not isinstance(told[-1], Ended):
                running.poll(told.append, 1.0)
            seconds = time.perf_counter() - began
        assert told[-1].outcome.failure.kind == "lost"
    made.shutdown()
    return seconds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--pings", type=int, default=50)
    options = parser.parse_args()
    trials, parallel = options.trials, options.parallel
    few = max(2, trials // 10)
    os.environ |= {"PYTHONPATH": sys.path[0], "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1"}
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    rows = [("`engine: local`", ours("local", trials, parallel))]
    waits = [("`engine: local`", *latencies("local", options.pings))]
    with cluster(parallel):
        rows.append(("`engine: ray`", ours("ray", trials, parallel)))
        waits.append(("`engine: ray`", *latencies("ray", options.pings)))
        rows += [
            ("Ray Tune, the function loads nothing", theirs(nothing, trials, parallel)),
            (
                "Ray Tune, the same, `reuse_actors=True`",
                theirs(nothing, trials, parallel, reuse_actors=True),
            ),
            (
                f"Ray Tune, it loads torch and Lightning ({few} trials)",
                theirs(heavy, few, parallel),
            ),
            (f"a Ray worker a trial that loads torch and Lightning ({few})", workers(few)),
        ]
    lost = node_lost()
    ray_ = rows[1][1]
    print(f"{platform.platform()}, ray {ray.__version__}, {time.strftime('%Y-%m-%d')}\n")
    print("| what | ms a trial | times `engine: ray` |\n|---|---:|---:|")
    for name, each in rows:
        print(f"| {name} | {1000 * each:.0f} | {each / ray_:.2f} |")
    print("\n| | a report, median | at most | from `stop` to the end |\n|---|---:|---:|---:|")
    for name, heard, end in waits:
        cells = (statistics.median(heard), max(heard), end)
        print(f"| {name} | " + " | ".join(f"{1000 * one:.1f} ms" for one in cells) + " |")
    print(f"\na node is killed → its trial is known to be lost: {lost:.1f} s")


if __name__ == "__main__":
    main()
