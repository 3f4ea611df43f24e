"""Rank correlations of laws on RegMix's runs, Pile-CC loss, fitted on runs of the 1M scale.

python tests/benchmarks/bench_data_mixing_regmix.py ../shared/data/regmix
"""

import sys
from pathlib import Path
from typing import Any

import pandas as pd

from automl_data_mixing import laws

LOSS = "metric/the_pile_pile_cc_val_loss"


def runs(folder: Path, name: str) -> tuple[Any, Any]:
    """Read mixtures and losses of the runs of one table; `@` stands for what it holds."""
    mixtures, losses = (
        pd.read_csv(folder / f"{name.replace('@', kind)}.csv", index_col="index")
        for kind in ("mixture", "pile_loss")
    )
    return mixtures.loc[losses.index].to_numpy(), losses[LOSS].to_numpy()


def main() -> None:
    """Print the table of the docs."""
    folder = Path(sys.argv[1])
    mixtures, losses = runs(folder, "train_@_1m")
    tests = [runs(folder, f"test_@_{scale}") for scale in ("1m", "60m", "1B")]
    sys.stdout.write("law          runs     1M    60M     1B\n")
    for count in (64, 128, 512):
        for name, fit in laws.LAWS.items():
            law = fit(mixtures[:count], losses[:count])
            found = [laws.spearman(law.predict(x), y) for x, y in tests]
            cells = "  ".join(f"{value:.3f}" for value in found)
            sys.stdout.write(f"{name:<12}{count:>5}  {cells}\n")


if __name__ == "__main__":
    main()
