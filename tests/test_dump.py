import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from study_texts import FULL, SMALL, study_of

from automl import AutomlError, Choice, Float, Int, Study
from automl.studyfile import dump


@pytest.mark.parametrize("text", [SMALL, FULL])
def test_a_study_that_is_dumped_reads_back_equal(tmp_path, text):
    study = study_of(tmp_path, text)
    written = dump(study, ["torch 2.13.0", "two\nlines"])
    assert written.startswith("# torch 2.13.0\n# two lines\nversion: 1\n")
    assert study_of(tmp_path, written) == study
    assert dump(study_of(tmp_path, written)) == dump(study)


def test_what_yaml_cannot_hold_is_refused(tmp_path):
    study = study_of(tmp_path, SMALL).model_copy(update={"trainer": {"logger": object()}})
    with pytest.raises(AutomlError, match="cannot be written as YAML: <object"):
        dump(study)


def test_a_dump_holds_every_default(tmp_path):
    written = dump(study_of(tmp_path, SMALL))
    missing = [name for name in Study.model_fields if f"\n{name}:" not in f"\n{written}"]
    assert missing == []


TEXTS = st.text(st.characters(codec="utf-8"), max_size=8).filter(lambda text: "${" not in text)
SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | TEXTS
TREES = st.recursive(
    SCALARS, lambda t: st.lists(t, max_size=3) | st.dictionaries(TEXTS, t, max_size=3), max_leaves=8
)
FINITE = st.floats(-1e6, 1e6)
PARAMETERS = (
    st.tuples(FINITE, FINITE).map(lambda two: Float(min(two), max(two)))
    | st.tuples(st.integers(1, 9), st.integers(9, 99), st.booleans()).map(lambda t: Int(*t))
    | st.lists(TEXTS, min_size=1, max_size=4, unique=True).map(lambda texts: Choice(tuple(texts)))
)


@settings(deadline=None)
@given(
    st.dictionaries(TEXTS, TREES, max_size=3),
    st.dictionaries(st.sampled_from(["model.a", "trainer.b.c"]), PARAMETERS, min_size=1),
    st.dictionaries(
        TEXTS,
        st.sampled_from([{"goal": "maximize"}, {"goal": "minimize", "ref": 0.5}]),
        min_size=1,
        max_size=3,
    ),
)
def test_any_study_reads_back_equal(tmp_path_factory, init_args, space, objectives):
    study = Study(
        name="any",
        model={"class_path": "a.B", "init_args": init_args},
        objectives=objectives,
        space=space,
        budget={"trials": 1},
    )
    assert study_of(tmp_path_factory.getbasetemp(), dump(study)) == study
