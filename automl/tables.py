"""The tables of a study's record, which stand beside Optuna's own in the same database."""

import sqlalchemy as sa

VERSION = 2
TABLES = sa.MetaData()
STUDIES = sa.Table(
    "automl_study",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(128), unique=True, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("study", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("provenance", sa.Text, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False, default=0.0),
    sa.Column("revision", sa.Integer, nullable=False, default=0),  # counts writes, where shared
)
DRIVERS = sa.Table(
    "automl_driver",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("study", sa.ForeignKey("automl_study.id"), nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("started", sa.Float, nullable=False),  # the process, by the clock of its host
    sa.Column("beat", sa.Float, nullable=False),  # its last sign of life, by the database's clock
    sa.Column("gone", sa.Boolean, nullable=False, default=False),
)
TRIALS = sa.Table(
    "automl_trial",
    TABLES,
    sa.Column("study", sa.ForeignKey("automl_study.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("params", sa.Text, nullable=False),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("seed", sa.Integer, nullable=False),
    sa.Column("optuna", sa.Integer),
    sa.Column("attempt", sa.Integer, nullable=False, default=0),
    sa.Column("told", sa.Boolean, nullable=False, default=False),
    sa.Column("outcome", sa.Text),
    sa.Column("driver", sa.Integer),  # whose trial it is, where several share a study
    sa.Column("revision", sa.Integer, nullable=False, default=0),  # of the study, when last written
)
ATTEMPTS = sa.Table(
    "automl_attempt",
    TABLES,
    sa.Column("study", sa.ForeignKey("automl_study.id"), primary_key=True),
    sa.Column("trial", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("started", sa.Float, nullable=False),
    sa.Column("ended", sa.Float),
    sa.Column("devices", sa.Text, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False, default=""),
)
REPORTS = sa.Table(
    "automl_report",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("study", sa.ForeignKey("automl_study.id"), index=True),
    sa.Column("trial", sa.Integer, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("step", sa.Float, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("metrics", sa.Text, nullable=False),
)
