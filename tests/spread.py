"""Plugins of the tests of engines: jobs that do as they are told, and work that is mapped."""

import os
import signal
import time

import torch
import toys

import automl


class Obedient(toys.Formula):
    """Reports three times, or until it is stopped, or fails, as `model.choice` says."""

    @automl.hookimpl
    def train(self, job):
        print(f"process {os.getpid()} trains")
        what = job.model.choice
        if what == "raise":
            raise RuntimeError("as told")
        if what == "oom":
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        if what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        for step in range(1, 1000 if what == "long" else 4):
            job.report(step, near=1 / step)
            time.sleep(0.02)
            if job.stopped:
                break
        return True


def square(job, item):
    """Return a square, long enough after that others start beside it; each node has a server."""
    print(f"forked by {os.getppid()}")
    time.sleep(0.3)
    return item * item


class Mapped(toys.Formula):
    """Prepares the sum of four squares, which every trial measures."""

    @automl.hookimpl
    def prepare(self, job):
        (job.shared / "sum.txt").write_text(str(sum(job.map(square, [1, 2, 3, 4], "squares"))))

    @automl.hookimpl
    def measure(self, job):
        return {"near": float((job.shared / "sum.txt").read_text()), "far": 0.0}
