"""Optuna's own cases for samplers and storages, on our sampler and our storage settings."""

import optuna
import pytest
from optuna.testing.pytest_samplers import BasicSamplerTestCase, MultiObjectiveSamplerTestCase
from optuna.testing.pytest_storages import StorageTestCase

from automl.optimizer import open_storage
from automl.samplers import Reseeded
from automl.space import Space

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
]
INNER = {
    "random": lambda: optuna.samplers.RandomSampler(seed=0),
    "tpe": lambda: optuna.samplers.TPESampler(seed=0, n_startup_trials=0),
    "nsga2": lambda: optuna.samplers.NSGAIISampler(seed=0, population_size=4),
}


@pytest.fixture(params=INNER)
def sampler(request):
    return lambda: Reseeded(INNER[request.param](), Space({}), 0)


@pytest.fixture
def storage(tmp_path):
    made = open_storage(f"sqlite:///{tmp_path}/study.db")
    yield made
    made.engine.dispose()


class TestSampler(BasicSamplerTestCase, MultiObjectiveSamplerTestCase):
    """Every case that does not ask a sampler for a space that is not the study's."""

    @pytest.fixture
    def sampler(self, sampler):
        return sampler


class TestStorage(StorageTestCase):
    """Every case of a storage, with our write-ahead log and immediate transactions."""

    @pytest.fixture
    def storage(self, storage):
        return storage
