"""What every trial process needs, imported once by the server that the processes are forked from.

The server must not touch CUDA nor start threads: a fork would inherit broken ones. A class that
cannot be imported is left to the job that asks for it, which can say why.
"""

import atexit
import os
import shutil
import signal
import time
import warnings
from contextlib import suppress

WAS = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pytorch_lightning as pl
    import torch

    from automl import stages
    from automl.engines import child
    from automl.errors import AutomlError
    from automl.instantiate import find_class

    for name in os.environ.get(child.CLASSES, "").split(","):
        with suppress(AutomlError, SystemExit):
            find_class(name)

signal.signal(signal.SIGINT, WAS)
LOADED = (pl, torch, stages, child)


def tidy(server: int, driver: int, folder: str) -> None:
    """Remove what a driver that was killed could not remove itself: the folder of its sockets."""
    if os.getpid() != server:
        return
    for _ in range(100):
        if os.getppid() != driver:
            shutil.rmtree(folder, ignore_errors=True)
            return
        time.sleep(0.02)  # its pipe is closed a moment before it is gone


if child.DRIVER in os.environ:
    number, _, sockets = os.environ[child.DRIVER].partition(":")
    atexit.register(tidy, os.getpid(), int(number), sockets)
