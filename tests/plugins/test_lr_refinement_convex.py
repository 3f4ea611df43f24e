"""What a study exports on logistic regression is never worse than linear decay beyond noise."""

import numpy as np
import pytest
from benchmarks import bench_lr_refinement_convex as convex


@pytest.mark.parametrize(
    ("refined", "want"),
    [((-0.2, -0.3, -0.2), "refined"), ((0.2, 0.3, 0.2), "linear"), ((-0.2, 0.3, -0.2), "linear")],
)
def test_refined_is_exported_only_if_it_beats_linear_decay(refined, want):
    linear = np.array([1.0, 2.0, 3.0])
    assert convex.exported({"linear": linear, "refined": linear + refined}) == want


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("data", ["iris", "wine, 3 features"])
def test_what_is_exported_is_not_worse_on_fresh_seeds(optimizer, data):
    rows = convex.compare(convex.problems()[data], optimizer)
    marks = {name: convex.mark(rows[name]).strip() for name in convex.EXPORTED}
    assert "-" not in marks.values(), rows


@pytest.mark.slow
def test_linear_decay_has_the_published_accuracy_on_iris():
    rows = convex.compare(convex.problems()["iris"], "adam")
    assert rows["linear"]["accuracy"] == pytest.approx(98.6, abs=0.1)
    assert convex.mark(rows["refined, guarded"]) == " -"
