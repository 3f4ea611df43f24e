"""Search architectures by supernets whose estimates are calibrated, checked and never trusted.

The space may be split between several supernets where operations disagree: Hu et al., Generalizing
Few-Shot NAS with Gradient Matching (ICLR 2022).
"""

from automl_nas.options import NasOptions as NasOptions
from automl_nas.plugin import Nas as Nas
from automl_nas.space import Cell as Cell
from automl_nas.space import Chain as Chain
from automl_nas.space import Own as Own

__all__ = ["Cell", "Chain", "Nas", "NasOptions", "Own"]
