import json
from dataclasses import replace

import pytest
from histories import study as made_study
from plugins.reward_weights_runs import study, trial

from automl import sections as parts
from automl.history import History, Trial
from automl.report.parts import drawn
from automl.report.records import Part
from automl.space import Space
from automl_reward_weights.options import Options
from automl_reward_weights.plugin import RewardWeights

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*num_workers", "ignore:.*isinstance.treespec"
)


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    home, trials = tmp_path_factory.mktemp("study"), []
    for number, weighter in enumerate(("hv_gradient", "fixed")):
        folder = home / str(number)
        outcome = trial(
            study({"weighter": weighter}, trainer={"max_epochs": 4}), folder, seed=number
        )
        trials.append(
            Trial(
                number=number,
                state="done",
                params={"reward_weights.weighter": weighter},
                origin="random",
                seed=number,
                folder=folder,
                metrics=outcome.metrics,
                points=outcome.points,
            )
        )
    return History(study(), Space({}), tuple(trials), home)


def section_of(history):
    return next(iter(RewardWeights(Options()).report(history)))


def test_every_part_of_the_section_can_be_drawn(history):
    section = section_of(history)
    assert drawn(Part("reward_weights", section)).error == ""
    assert [type(part) for part in section.parts].count(parts.Figure) == 4


def test_the_front_names_the_trial_and_the_update_of_every_policy(history):
    table = next(part for part in section_of(history).parts if isinstance(part, parts.Table))
    for treasure, time, number, step, *_ in table.rows:
        points = [p.metrics for p in history.trials[number].points]
        points.append(history.trials[number].metrics)
        found = next(metrics for metrics in points if metrics["step"] == step)
        assert (treasure, time) == (found["val_treasure"], found["val_time"])


def test_a_run_does_not_dominate_itself(history):
    matrix = section_of(history).parts[-1]
    assert [matrix.values[i][i] for i in range(2)] == [0, 0]


def test_a_study_without_a_run_says_so(tmp_path):
    empty = History(made_study(), Space({}), (), tmp_path)
    assert "0 runs have evaluated" in section_of(empty).parts[0].text


def test_a_run_that_found_nothing_is_counted_and_left_out(history, tmp_path):
    content = json.loads((history.trials[0].folder / "archive.json").read_text())
    (tmp_path / "archive.json").write_text(json.dumps({**content, "archive": []}))
    nothing = replace(history.trials[0], number=2, folder=tmp_path)
    section = section_of(replace(history, trials=(*history.trials, nothing)))
    assert drawn(Part("reward_weights", section)).error == ""
    assert "2 runs left" in section.parts[0].text
    assert "above the reference: 1." in section.parts[0].text


def test_the_studys_hypervolume_begins_at_nothing_and_counts_the_updates_of_every_run(
    history, tmp_path
):
    content = json.loads((history.trials[0].folder / "archive.json").read_text())
    (tmp_path / "archive.json").write_text(json.dumps({**content, "archive": []}))
    nothing = replace(history.trials[0], number=2, folder=tmp_path)
    section = section_of(replace(history, trials=(*history.trials, nothing)))
    titled = {part.title: part for part in section.parts if isinstance(part, parts.Figure)}
    line = titled["Hypervolume of the study"].series[0]
    assert (line.x[0], line.y[0]) == (0, 0)
    assert line.x[-1] == line.x[-2] + content["curve"][-1]["step"]
    assert line.y[-1] == line.y[-2]
