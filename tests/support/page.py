"""The page of a ledger, served in a thread of the test, and asked as a browser asks."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from urllib.parse import urlsplit

from ledger.places.config import Place
from ledger.web.serving import Page
from tests.support.patience import PATIENCE


class Answer:
    """One answer: its status, headers in lower case, and body."""

    def __init__(self, found: http.client.HTTPResponse) -> None:
        self.status = found.status
        self.headers = {name.lower(): value for name, value in found.getheaders()}
        self.body = found.read()

    @property
    def json(self):
        return json.loads(self.body)


class Visitor:
    """A browser that has the token, unless a header says something else."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.port = urlsplit(page.root).port

    def get(self, path: str, *, method: str = "GET", **headers: str | None) -> Answer:
        told: dict[str, str | None] = {
            "Host": f"127.0.0.1:{self.port}",
            "Cookie": f"metaledger-{self.port}={self.page.token}",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            kept = {name: value for name, value in told.items() if value is not None}
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in kept.items():
                connection.putheader(name, value)
            connection.endheaders()
            return Answer(connection.getresponse())
        finally:
            connection.close()


@contextmanager
def served(place: Place) -> Iterator[Visitor]:
    """Lend the page of a ledger."""
    page = Page(place)
    thread = Thread(target=page.run)
    thread.start()
    try:
        yield Visitor(page)
    finally:
        page.stop()
        thread.join(PATIENCE)
