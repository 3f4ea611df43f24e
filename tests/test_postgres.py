"""A study on a PostgreSQL server: runs, goes on, and says when the server is gone."""

import gc
import random
import time

import pytest
import sqlalchemy as sa
import toys

import automl
from automl.archive import open_study
from automl.errors import StorageError
from automl.storage import outlast
from automl.testing.invariants import broken

pytestmark = pytest.mark.slow


def run(folder, server, trials):
    url = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    study = toys.study(toys.beside(folder, "Curve"), storage=url, budget={"trials": trials})
    return automl.run(study, here=folder)


def test_a_study_on_postgresql_runs_goes_on_and_is_whole(tmp_path, server):
    run(tmp_path, server, 3)
    result = run(tmp_path, server, 6)
    assert [trial.state for trial in result.trials] == ["done"] * 6
    assert broken(result.folder, budget=6) == []


def test_a_server_that_is_gone_is_named_in_one_line(tmp_path, server):
    run(tmp_path, server, 2)
    server.cleanup()
    with pytest.raises(StorageError, match="database postgresql"):
        run(tmp_path, server, 4)


def test_a_transaction_that_slept_too_long_is_begun_again(tmp_path, server, monkeypatch):
    monkeypatch.setattr("automl.storage.IDLE", 1)
    monkeypatch.setattr("automl.storage.PATIENCE", 2.0)
    run(tmp_path, server, 1)
    record = open_study(str(tmp_path / "runs" / "toy")).record
    naps = iter([3.0, 0.0])  # as a driver that is stopped and goes on

    def turn(_again):
        with record.turn():
            time.sleep(next(naps))
            return record.find().name

    assert outlast(record.url, turn) == "toy"
    record.close()


# a connection that breaks while Optuna opens the database is dropped, not closed
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("seed", range(4))
def test_a_connection_that_is_cut_at_any_statement_loses_nothing(
    tmp_path, server, monkeypatch, seed
):
    psycopg = pytest.importorskip("psycopg")
    monkeypatch.setattr("automl.storage.PAUSE", 0.01)
    chance, left, cuts = random.Random(seed), [20], []
    with psycopg.connect(server.get_uri(), autocommit=True) as other:

        def cut(_connection, cursor, *_):
            left[0] -= 1
            if not left[0]:
                left[0] = chance.randint(20, 60)
                pid = cursor.connection.info.backend_pid
                cuts.append(other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid]))

        sa.event.listen(sa.Engine, "before_cursor_execute", cut)
        try:
            result = run(tmp_path, server, 12)
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", cut)
    gc.collect()  # what Optuna has dropped, while the warning of it is left out
    assert len(cuts) > 5
    assert [len(trial.attempts) for trial in result.trials] == [1] * 12
    assert broken(result.folder, budget=12) == []
