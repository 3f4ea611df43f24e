"""The main function of a trial process: its own group, its own log, and gone with the driver."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from automl.devices import names_of
from automl.engines.ranks import Crew, muster, serve
from automl.events import Asked, Ended, Outcome, Reported
from automl.files import write_json
from automl.job import JobSpec, Line
from automl.orphans import sign
from automl.outcomes import to_json

CLASSES = "AUTOML_CLASSES"  # variable that tells the fork server what jobs import
DRIVER = "AUTOML_DRIVER"  # variable that tells it the driver's process and folder of sockets
LOG = "log.txt"
RESULT = "result.json"
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class Pipe:
    """The line of a job over a pipe; a thread reads what the driver says.

    At the end of the pipe the driver is gone, however it died: the whole process group dies too.
    """

    def __init__(self, spec: JobSpec, connection: Connection) -> None:
        self.spec = spec
        self.connection = connection
        self.began = time.monotonic()
        self.stop = threading.Event()
        self.mapped = threading.Event()
        self.sending = threading.Lock()
        self.once = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        try:
            while True:
                word = self.connection.recv()
                if word == "stop":
                    self.stop.set()
                self.mapped.set()
        except (EOFError, OSError):
            os.killpg(os.getpid(), signal.SIGKILL)

    def send(self, event: Any) -> None:
        """Send an event to the driver."""
        with self.sending:
            self.connection.send(event)

    def report(self, step: float, metrics: Mapping[str, float]) -> None:
        """Tell how training goes."""
        seconds = time.monotonic() - self.began
        self.send(Reported(self.spec, float(step), seconds, dict(metrics)))

    def stopped(self) -> bool:
        """Say whether the driver has asked the job to stop."""
        return self.stop.is_set()

    def map(self, function: str, items: list[Any], folder: Path) -> None:
        """Have the driver run a function on items, and wait until it says that all are done."""
        self.mapped.clear()
        self.send(Asked(self.spec, function, tuple(items), folder))
        self.mapped.wait()


def main(spec: JobSpec, connection: Connection, threads: int) -> None:
    """Do one job and tell the driver how it ended."""
    os.setsid()
    multiprocessing.set_start_method("fork", force=True)  # or users' data loaders fail to pickle
    own_log(spec.folder)
    sign(spec.folder)
    crew = muster(spec)
    threads = max(1, threads // crew.size)
    set_environment(spec.devices, threads)
    sys.path[:0] = [str(spec.here)]
    os.chdir(spec.here)  # where relative paths of the study begin
    if crew.rank:
        connection.close()
        serve(crew, lambda line: work(spec, line, threads, crew))
    pipe = Pipe(spec, connection)
    crew.watch(lambda outcome: end(spec, pipe, outcome))
    outcome = work(spec, pipe, threads, crew)
    end(spec, pipe, crew.blame(outcome))
    crew.leave()


def end(spec: JobSpec, pipe: Pipe, outcome: Outcome) -> None:
    """Write down how the job ended, and tell the driver; only the first time counts."""
    if not pipe.once.acquire(blocking=False):
        return
    if spec.kind == "trial":
        known = {"attempt": spec.attempt, "params": dict(spec.params), "seed": spec.seed}
        write_json(spec.folder / RESULT, known | to_json(outcome))
    pipe.send(Ended(spec, outcome))
    sys.stdout.flush()
    sys.stderr.flush()


def set_environment(devices: Sequence[int], threads: int) -> None:
    """Show a job its GPUs alone, numbered as the driver numbers them, and its share of cores."""
    visible = names_of(devices, os.environ.get("CUDA_VISIBLE_DEVICES"))
    os.environ |= {"CUDA_VISIBLE_DEVICES": visible, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    os.environ |= dict.fromkeys(THREADS, str(threads))  # for programs that the job starts


def work(spec: JobSpec, line: Line, threads: int, crew: Crew) -> Outcome:
    """Import what is heavy, in case the server has not, and run the stages."""
    import torch

    from automl import stages

    torch.set_num_threads(threads)
    crew.join(gpus=bool(spec.devices) and torch.cuda.is_available())
    outcome = stages.run(spec, line)
    if outcome.failure is not None:
        sys.stderr.write(outcome.failure.traceback)
    return outcome


def own_log(folder: Path) -> None:
    """Send everything that this process and its children print to the log of the trial."""
    folder.mkdir(parents=True, exist_ok=True)
    log = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
