"""Content on a web server: one URL is one file, named by its path."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import ledger as ln
from tests.support.door import nothing_recorded

PAGE = '<a href="/data.csv">data</a> <a href="/page/more.html">more</a>'
FILES = {
    "/data.csv": "a\n1\n",
    "/page": PAGE,
    "/page/": PAGE,
    "/page/more.html": PAGE,
    "/a%5B1%5D.csv": "brackets",
    "/a1.csv": "another",
    "/star*.csv": "star",
    "/b%20c.tar.gz": "packed",
    "/": PAGE,
}


class Web(BaseHTTPRequestHandler):
    """Answers with `FILES` by path, whatever the query is, and remembers what was asked for."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        path, _, query = self.path.partition("?")
        found = FILES.get(path)
        if found is None:
            self.send_error(404)
            return
        body = f"{found}{query}".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 (the name that the library looks for)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def web(here: Path) -> Iterator[str]:
    """The address of a web server of this test."""
    pytest.importorskip("aiohttp")
    Web.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    assert here.is_dir()


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.parametrize(
    ("url", "suffix", "content"),
    [
        ("/data.csv", ".csv", "a\n1\n"),
        ("/data.csv?version=2&x=a/b.txt", ".csv", "a\n1\nversion=2&x=a/b.txt"),
        ("/data.csv?a::b", ".csv", "a\n1\na::b"),
        ("/data.csv#part", ".csv", "a\n1\n"),
        ("/page", "", PAGE),
        ("/page/", "", PAGE),
        ("", "", PAGE),
        ("/page/more.html", ".html", PAGE),
        ("/a[1].csv", ".csv", "brackets"),
        ("/star*.csv", ".csv", "star"),
        ("/b%20c.tar.gz", ".tar.gz", "packed"),
    ],
)
def test_a_url_is_one_file(web: str, url: str, suffix: str, content: str):
    saved = ln.Artifact(f"{web}{url}", key="k").save()
    assert (saved.suffix, saved.n_files) == (suffix, None)
    assert saved.cache().read_text() == content
    with nothing_recorded():
        ln.Artifact(f"{web}{url}", key="k").save()


def test_a_page_with_links_is_not_followed(web: str):
    ln.Artifact(f"{web}/page/").save()
    assert set(Web.asked) <= {"/page/"}


def test_no_temporary_files_stay_behind(web: str, temporary: Path, refuses):
    saved = ln.Artifact(f"{web}/data.csv", key="k").save()
    found = ln.find(f"{web}/data.csv")
    assert found == saved
    refuses(lambda: ln.Artifact(f"{web}/nothing.csv"), "MissingFileError", "nothing.csv")
    refuses(lambda: ln.Artifact.from_dir(f"{web}/page/"), "InvalidValueError", "one file")
    del saved, found
    assert not list(temporary.iterdir())


def test_what_cannot_be_fetched_is_one_error(refuses, temporary: Path):
    refuses(lambda: ln.Artifact("http://[half/x.csv"), "InvalidValueError", "URL")
    refuses(lambda: ln.Artifact("http://127.0.0.1:9/x.csv"), "StorageError", "x.csv")
    assert not list(temporary.iterdir())
