"""The report of a study that still runs, served from this machine to this machine."""

import ipaddress
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LOCAL = "127.0.0.1"
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Fresh:
    """A page that is made again when its study has changed, and not before."""

    def __init__(self, make: Callable[[], str], stamp: Callable[[], str]) -> None:
        self.make, self.stamp = make, stamp
        self.lock = threading.Lock()
        self.page, self.made_at = "", ""

    def get(self) -> str:
        """Return the page as of now."""
        with self.lock:
            now = self.stamp()
            if now != self.made_at or not self.page:
                self.page, self.made_at = self.make(), now
            return self.page


class Server(ThreadingHTTPServer):
    """Answers `/` with the page and `/version` with a text that changes when the study does."""

    daemon_threads = True

    def __init__(self, page: Fresh, host: str = LOCAL, port: int = 0) -> None:
        self.page = page
        super().__init__((host, port), Answer)

    @property
    def url(self) -> str:
        """Where a browser finds the page."""
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}/"

    def expects(self, named: str) -> bool:
        """Say whether a request's Host is this server: a page of another site cannot ask it.

        A server on every address cannot know its names, so it takes any.
        """
        host, port = str(self.server_address[0]), self.server_address[1]
        if ipaddress.ip_address(host).is_unspecified:
            return True
        names = {host, "localhost"} if is_local(host) else {host}
        return named in {f"{name}:{port}" for name in names}


class Answer(BaseHTTPRequestHandler):
    """One request."""

    server: Server

    def do_GET(self) -> None:
        """Answer with the page, its version, or a refusal."""
        if not self.server.expects(self.headers.get("Host", "")):
            self.reply(HTTPStatus.FORBIDDEN, "this server answers only to its own address\n")
        elif self.path == "/":
            self.reply(HTTPStatus.OK, self.server.page.get(), "text/html")
        elif self.path == "/version":
            self.reply(HTTPStatus.OK, self.server.page.stamp())
        else:
            self.reply(HTTPStatus.NOT_FOUND, "there is only /\n")

    def reply(self, status: HTTPStatus, body: str, kind: str = "text/plain") -> None:
        """Send a text."""
        content = body.encode()
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def version_string(self) -> str:
        """Tell nobody which Python answers."""
        return "automl"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Say nothing: a browser asks every few seconds."""


def is_local(host: str) -> bool:
    """Say whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def warning(host: str) -> str:
    """Return what to tell a user who serves to others, or nothing."""
    if is_local(host):
        return ""
    return (
        f"everyone who reaches {host} can read this report; it has no password. "
        f"Serve on {LOCAL} and forward the port with ssh instead"
    )


def stamp(files: Iterable[Path]) -> str:
    """Return a text that changes when any of the files does."""
    seen = []
    for path in sorted(files):
        try:
            state = path.stat()
        except FileNotFoundError:
            continue
        seen.append(f"{path.name}:{state.st_mtime_ns}:{state.st_size}")
    return " ".join(seen)
