"""What every trial process needs, imported once by the server that the processes are forked from.

The server must not touch CUDA nor start threads: a fork would inherit broken ones.
"""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pytorch_lightning as pl
    import torch

    from automl import stages
    from automl.engines import child

LOADED = (pl, torch, stages, child)
