"""What every trial process needs, imported once by the server that the processes are forked from.

The server must not touch CUDA nor start threads: a fork would inherit broken ones. A class that
cannot be imported is left to the job that asks for it, which can say why.
"""

import os
import signal
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
