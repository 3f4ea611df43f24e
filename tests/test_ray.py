"""Studies on a simulated Ray cluster of several nodes, which die and join while it runs."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict

import pytest
import toys

from automl.archive import open_study
from automl.cli import code
from automl.engines.ray import RayEngine
from automl.errors import AutomlError, StorageError
from automl.launch import run
from automl.live import Live
from automl.study import Resources
from automl.studyfile import dump, of
from automl.testing.invariants import broken

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
STORE = {"object_store_memory": 80_000_000}
COUNT = 16
PATIENCE = 800  # seconds, on a machine that others use too


def new_cluster():
    from ray.cluster_utils import Cluster

    os.environ |= {"RAY_worker_niceness": "0"}  # or whatever else runs here comes first
    head = {"num_cpus": 0, "num_gpus": 0, "include_dashboard": False}
    return Cluster(initialize_head=True, head_node_args=head | STORE)


@pytest.fixture
def cluster():
    """A head without room for trials, and the way to add nodes."""
    pytest.importorskip("ray", reason="ray is missing: pip install 'automl[ray]'")
    made = new_cluster()
    yield made
    made.shutdown()


def add(cluster, count=1, **has):
    """Add nodes of four cores and four GPUs that are not there."""
    return [cluster.add_node(**{"num_cpus": 4, "num_gpus": 4} | STORE | has) for _ in range(count)]


@pytest.fixture
def nodes(cluster):
    """Three nodes."""
    return add(cluster, 3)


def on_ray(cluster, folder, name, plugin="Slow", **changes):
    """Return a study on the cluster, by default of trials that take half a second."""
    engine = {"name": "ray", "address": cluster.address}
    given = {"engine": engine, "name": name, "budget": {"trials": COUNT}} | changes
    return toys.study(toys.beside(folder, plugin), **given)


@pytest.fixture
def start():
    """Start drivers of their own; none outlives its test."""
    drivers = []

    def begin(study, folder):
        path = folder / f"{study.name}.yaml"
        path.write_text(dump(study), encoding="utf-8")
        command = [sys.executable, "-m", "automl", "run", path.name]
        with (folder / f"{study.name}.txt").open("a") as output:
            drivers.append(subprocess.Popen(command, cwd=folder, stdout=output, stderr=output))
        return drivers[-1]

    yield begin
    for driver in drivers:
        driver.kill()
        driver.wait()


def trials_of(folder, name):
    archive = open_study(str(folder / "runs" / name))
    try:
        return archive.history().trials
    finally:
        archive.record.close()


def wait_for(folder, name, enough, seconds=PATIENCE):
    """Wait until what the record has of a study is enough."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if enough(trials_of(folder, name)):
                return
        except (StorageError, AutomlError):  # the study is not there yet
            pass
        time.sleep(0.1)
    raise AssertionError((folder / f"{name}.txt").read_text())


def done(count):
    return lambda trials: sum(one.state == "done" for one in trials) >= count


def ended_well(driver, folder, name):
    """Wait for a driver, and check that each trial was done once and the record is whole."""
    assert driver.wait(timeout=PATIENCE) == 0, (folder / f"{name}.txt").read_text()
    trials = trials_of(folder, name)
    assert [one.number for one in trials] == list(range(COUNT))
    assert {one.state for one in trials} == {"done"}
    assert all([a.outcome for a in one.attempts].count("done") == 1 for one in trials)
    assert broken(folder / "runs" / name) == []
    return trials


def at_once(trials):
    """Return how many attempts had one device at the same moment, at most."""
    spans = defaultdict(list)
    for attempt in (attempt for trial in trials for attempt in trial.attempts):
        for device in attempt.devices:
            spans[attempt.host, device].append((attempt.started, attempt.ended))
    return max(
        sum(start <= moment < end for start, end in its)
        for its in spans.values()
        for moment, _ in its
    )


def hosts(trials):
    return {attempt.host for trial in trials for attempt in trial.attempts}


def test_trials_of_each_size_survive_a_node_that_is_killed_in_the_middle(
    cluster, nodes, tmp_path, start
):
    drivers = {}
    for gpus in (1.0, 2.0, 0.5):
        name = f"gpus-{gpus:g}".replace(".", "-")
        study = on_ray(cluster, tmp_path, name, resources={"gpus": gpus, "parallel": 4})
        drivers[name, gpus] = start(study, tmp_path)
    for name, _ in drivers:
        wait_for(tmp_path, name, done(3))
    cluster.remove_node(nodes[1], allow_graceful=False)
    lost = 0
    for (name, gpus), driver in drivers.items():
        trials = ended_well(driver, tmp_path, name)
        outcomes = [[a.outcome for a in one.attempts] for one in trials]
        assert all(said in (["done"], ["lost", "done"]) for said in outcomes)
        lost += sum(len(said) == 2 for said in outcomes)
        # an attempt that was lost may not have come as far as to devices
        ended = [a for one in trials for a in one.attempts if a.outcome == "done"]
        assert {len(a.devices) for a in ended} == {max(1, int(gpus))}
        assert at_once(trials) <= max(1, int(1 / gpus))
    assert lost > 0


def test_a_driver_that_is_killed_goes_on_where_it_was(cluster, nodes, tmp_path, start):
    study = on_ray(cluster, tmp_path, "again", resources={"parallel": 4})
    driver = start(study, tmp_path)
    wait_for(tmp_path, "again", done(4))
    driver.kill()
    driver.wait()
    trials = ended_well(start(study, tmp_path), tmp_path, "again")
    assert all(len(one.attempts) <= 2 for one in trials)


def test_a_node_that_is_added_is_used(cluster, tmp_path, start):
    add(cluster, num_cpus=1)
    start(on_ray(cluster, tmp_path, "more", budget={"trials": 10_000}), tmp_path)
    wait_for(tmp_path, "more", done(1))
    add(cluster, num_cpus=3)
    wait_for(tmp_path, "more", lambda trials: len(hosts(t for t in trials if t.metrics)) == 2)


@pytest.fixture
def joined(cluster):
    """This process as a driver of the cluster."""
    import ray

    def join():
        ray.init(address=cluster.address, log_to_driver=False, logging_level="error")

    yield join
    ray.shutdown()


def test_a_node_with_another_environment_is_refused_by_name(cluster, joined, tmp_path):
    metadata = tmp_path / "stranger-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[automl.plugins]\nodd = stranger:Odd\n")
    add(cluster, env_vars={"PYTHONPATH": f"{tmp_path}:{os.environ['PYTHONPATH']}"})
    joined()
    said = r"node \S+ has another environment: plugin odd is stranger 1 there and missing here"
    with pytest.raises(AutomlError, match=said):
        RayEngine(Resources(), "auto")


def test_the_doctor_compares_the_nodes_of_a_cluster(cluster, nodes, capsys):
    assert code(["doctor", "--json", "--cluster", cluster.address]) == 0
    assert "3 nodes have the versions" in json.loads(capsys.readouterr().out)["cluster"]["said"]


def test_what_no_node_has_is_refused_in_words(cluster, nodes, joined, monkeypatch):
    monkeypatch.setattr("automl.engines.ray.PATIENCE", 1.0)
    joined()
    engine = RayEngine(Resources(gpus=8), "auto")
    with pytest.raises(AutomlError, match="needs 8 GPU, 1 CPU, and no node of the cluster has"):
        engine.capacity()
    engine.close()


def test_room_that_no_trial_wants_is_given_back(cluster, nodes, joined, monkeypatch):
    joined()
    engine = RayEngine(Resources(), "auto")
    while engine.capacity() < 2:
        engine.poll(lambda event: None, 1.0)
    monkeypatch.setattr("automl.engines.placing.IDLE", 0.0)
    while engine.capacity() > 1 or engine.bundles.wishes:
        engine.poll(lambda event: None, 1.0)
    engine.close()


def apart(cluster, folder):
    """Start a node that sees a disk of its own in place of a folder."""
    folder.mkdir(parents=True)
    ray = f"{sys.executable} -m ray.scripts.scripts start --address={cluster.address}"
    options = "--num-cpus=2 --object-store-memory=80000000 --disable-usage-stats --block"
    script = f"mount -t tmpfs none {folder} && exec {ray} {options}"
    return subprocess.Popen(["unshare", "-m", "bash", "-c", script], start_new_session=True)


def may_mount():
    return (
        subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0
    )


@pytest.fixture
def far(cluster, tmp_path):
    """A node that does not see the folder of the runs, and is the only one with room."""
    if not may_mount():
        pytest.skip("mount namespaces are not allowed here")
    node = apart(cluster, tmp_path / "runs")
    yield node
    os.killpg(node.pid, signal.SIGTERM)
    node.wait()


def test_files_of_trials_travel_where_no_disk_is_shared(cluster, far, tmp_path, start):
    changes = {
        "model": {"class_path": "toys.Line"},
        "data": {"class_path": "toys.Pairs"},
        "trainer": {"max_epochs": 2},
        "plugins": {},
        "objectives": {"val_loss": {"goal": "minimize"}},
        "space": {"model.lr": {"float": [0.01, 0.3]}},
    }
    study = on_ray(cluster, tmp_path, "trained", **changes)
    trials = ended_well(start(study, tmp_path), tmp_path, "trained")
    assert all((one.folder / "log.txt").is_file() for one in trials)
    assert any(one.artifact and (one.folder / one.artifact).is_file() for one in trials)


def test_what_is_prepared_travels_where_no_disk_is_shared(cluster, far, tmp_path, start):
    study = on_ray(cluster, tmp_path, "mapped", "spread.Mapped")
    trials = ended_well(start(study, tmp_path), tmp_path, "mapped")
    assert {one.metrics["near"] for one in trials} == {30.0}


def test_mapped_work_is_spread_over_nodes(cluster, nodes, tmp_path, start):
    study = on_ray(cluster, tmp_path, "spread", "spread.Mapped", resources={"cpus": 4})
    trials = ended_well(start(study, tmp_path), tmp_path, "spread")
    assert {one.metrics["near"] for one in trials} == {30.0}
    logs = (tmp_path / "runs" / "spread" / "shared" / "squares").glob("*/log.txt")
    assert len({log.read_text() for log in logs}) > 1


def test_when_ray_itself_is_restarted_the_same_command_goes_on(
    cluster, tmp_path, monkeypatch, start
):
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "3")
    add(cluster, num_cpus=2)
    driver = start(on_ray(cluster, tmp_path, "again"), tmp_path)
    wait_for(tmp_path, "again", done(3))
    cluster.shutdown()
    assert driver.wait(timeout=PATIENCE) != 0
    other = new_cluster()
    add(other, num_cpus=2)
    ended_well(start(on_ray(other, tmp_path, "again"), tmp_path), tmp_path, "again")
    other.shutdown()


def test_an_interrupted_driver_leaves_what_it_ran_for_the_next(cluster, nodes, tmp_path, start):
    study = on_ray(cluster, tmp_path, "again", resources={"parallel": 4})
    driver = start(study, tmp_path)
    wait_for(tmp_path, "again", done(2))
    driver.send_signal(signal.SIGINT)
    assert driver.wait(timeout=PATIENCE) == 130
    ended_well(start(study, tmp_path), tmp_path, "again")


def test_the_live_view_says_what_runs_on_each_node(cluster, nodes, joined, tmp_path):
    from rich.console import Console

    joined()
    study = on_ray(cluster, tmp_path, "seen", resources={"gpus": 1, "parallel": 6})
    live, seen = Live(study, quiet=False), set()

    def watch(search):
        console = Console(width=200)
        with console.capture() as drawn:
            console.print(live.picture(search))
        seen.add(drawn.get())

    run(of(study, tmp_path), watch)
    assert any(re.search(r"[23] nodes · \S+: [1-4] GPUs busy · ", text) for text in seen)
