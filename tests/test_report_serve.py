"""The served report: fresh, local, and deaf to other sites."""

import http.client
import threading
from contextlib import contextmanager

import histories
import pytest
from chromium import browser

from automl.report import serve
from automl.report.html import render


@contextmanager
def serving(make=lambda: "<p>page", stamp=lambda: "1", **where):
    with serve.Server(serve.Fresh(make, stamp), **where) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def ask(server, path="/", host=None):
    address, port = server.server_address
    connection = http.client.HTTPConnection(address, port, timeout=10)
    headers = {} if host is None else {"Host": host}
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode(), answer.headers


def test_a_server_listens_on_this_machine_alone_by_default():
    with serving() as server:
        assert server.server_address[0] == "127.0.0.1"


def test_the_page_is_made_again_only_when_the_study_has_changed():
    made, now = [], ["1"]

    def make():
        made.append(now[0])
        return f"page {now[0]}"

    with serving(make, lambda: now[0]) as server:
        assert [ask(server)[1], ask(server)[1]] == ["page 1", "page 1"]
        now[0] = "2"
        assert ask(server, "/version")[1] == "2"
        assert ask(server)[1] == "page 2"
    assert made == ["1", "2"]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:1", "localhost.evil.example:80", ""])
def test_a_request_that_names_another_host_is_refused(host):
    with serving() as server:
        assert ask(server, host=host)[0] == 403


def test_localhost_with_the_port_is_this_server():
    with serving() as server:
        assert ask(server, host=f"localhost:{server.server_address[1]}")[0] == 200


@pytest.mark.parametrize("path", ["/../study.yaml", "/study.db", "/?x=1"])
def test_there_is_nothing_but_the_page(path):
    with serving() as server:
        assert ask(server, path)[0] == 404


def test_answers_are_neither_stored_nor_framed_nor_guessed():
    with serving() as server:
        headers = ask(server)[2]
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_a_local_address_needs_no_warning(host):
    assert serve.warning(host) == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.4", "node7"])
def test_any_other_address_is_warned_about(host):
    assert host in serve.warning(host)


def test_a_stamp_changes_with_a_file_and_survives_a_missing_one(tmp_path):
    files = [tmp_path / "study.db", tmp_path / "study.db-wal"]
    first = serve.stamp(files)
    files[0].write_text("x")
    assert serve.stamp(files) != first


def test_a_browser_shows_the_new_page_by_itself():
    pages = {"1": histories.facts_of("one trial"), "2": histories.facts_of("made")}
    now = ["1"]
    with (
        browser() as page,
        serving(lambda: render(pages[now[0]], live=True), lambda: now[0]) as server,
    ):
        page.open(server.url)
        assert "after 1 trial" in page.run("document.body.innerText")
        page.wait("performance.getEntriesByName(new URL('version', location).href).length > 0")
        now[0] = "2"
        page.wait("document.body && document.body.innerText.includes('after 40 trials')")
        assert page.errors == []
