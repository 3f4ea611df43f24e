import pytest

from automl.env import mask, problem, resolve, resolved
from automl.errors import AutomlError


@pytest.fixture(autouse=True)
def variables(monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", "s3cret")
    monkeypatch.setenv("TRICKY", r"\1${env:DB_PASSWORD}")
    monkeypatch.delenv("NOT_SET", raising=False)


def test_variables_are_put_in_at_the_last_moment():
    assert resolve("pg://u:${env:DB_PASSWORD}@h/${env:DB_PASSWORD}") == "pg://u:s3cret@h/s3cret"
    assert resolve("plain $HOME ${name} ${a:b}") == "plain $HOME ${name} ${a:b}"


def test_a_value_is_put_in_as_it_is():
    assert resolve("${env:TRICKY}") == r"\1${env:DB_PASSWORD}"


def test_every_text_of_a_tree_is_resolved():
    tree = {"a": ["${env:DB_PASSWORD}", 1, {"b": "x${env:DB_PASSWORD}"}], "c": None}
    assert resolved(tree) == {"a": ["s3cret", 1, {"b": "xs3cret"}], "c": None}


def test_a_variable_that_is_not_set_is_named():
    with pytest.raises(AutomlError, match="environment variable NOT_SET is not set"):
        resolve("${env:DB_PASSWORD}${env:NOT_SET}")


@pytest.mark.parametrize(
    "text", ["${env:}", "${evn:A}", "${ENV:A}", "${env:A-B}", "${env:A", "${ env:A}"]
)
def test_a_slip_in_naming_a_variable_is_not_taken_for_text(text):
    assert "write ${env:NAME}" in problem(text)
    with pytest.raises(AutomlError, match="is not understood"):
        resolve(text)


def test_values_of_secret_variables_are_masked_wherever_they_stand(monkeypatch):
    monkeypatch.setenv("MY_API_KEY", "abc")
    monkeypatch.setenv("COLOUR", "green")
    assert mask("login failed with 's3cret', abc, green") == "login failed with '***', abc, green"


def test_the_working_directory_is_no_password(monkeypatch):
    monkeypatch.setenv("PWD", "/home/me/study")
    assert mask("log in /home/me/study/runs") == "log in /home/me/study/runs"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql+psycopg://u:p@w:x@h:5432/db", "postgresql+psycopg://u:***@h:5432/db"),
        ("redis://:p@h", "redis://:***@h"),
        ("pg://u@h/db?password=p&sslmode=no", "pg://u@h/db?password=***&sslmode=no"),
        ("host=h password=p user=u", "host=h password=*** user=u"),
        ("https://h/x?api_key=p#y", "https://h/x?api_key=***"),
        ("mysql://u:p@h/db?ssl_token=q", "mysql://u:***@h/db?ssl_token=***"),
        ("cannot open 'pg://u:p@h/db': refused", "cannot open 'pg://u:***@h/db': refused"),
        ("sqlite:///runs/a/study.db", "sqlite:///runs/a/study.db"),
        ("pg://h:5432/db", "pg://h:5432/db"),
    ],
)
def test_secrets_are_masked(text, shown):
    assert mask(text) == shown
