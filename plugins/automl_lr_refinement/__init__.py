"""Learning-rate schedules refined from gradient norms.

After A. Defazio, A. Cutkosky, H. Mehta, K. Mishchenko, "Optimal Linear Decay Learning Rate
Schedules and Further Refinements", 2023, arXiv 2310.07831.
"""

from automl_lr_refinement.plugin import LrRefinement

__all__ = ["LrRefinement"]
