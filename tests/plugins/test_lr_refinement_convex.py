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


@pytest.fixture(scope="module", params=["iris", "wine, 3 features"])
def rows(request):
    """What Adam gives on fresh seeds, by schedule."""
    return convex.compare(convex.problems()[request.param], "adam")


@pytest.mark.slow
def test_what_is_exported_is_not_worse_on_fresh_seeds(rows):
    assert {convex.mark(rows[name]) for name in convex.EXPORTED} <= {"", " +"}


@pytest.mark.slow
@pytest.mark.parametrize("rows", ["iris"], indirect=True)
def test_linear_decay_has_the_published_accuracy_where_refined_alone_would_be_worse(rows):
    assert rows["linear"]["accuracy"] == pytest.approx(98.6, abs=0.1)
    assert convex.mark(rows["refined, guarded"]) == " -"
