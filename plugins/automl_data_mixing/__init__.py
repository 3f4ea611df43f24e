"""Data mixing: domains of data are re-weighted while a model trains, so that it forgets less.

A reconstruction of the problem of K. Yang et al., Data Mixing Agent: Learning to Re-weight Domains
for Continual Pre-training, 2025 (arXiv 2507.15640), with the rules and laws that it competes with.
"""

from automl_data_mixing.plugin import DataMixing as DataMixing
