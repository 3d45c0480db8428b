"""The URLs of the page: JSON under `/api/v1`, the files of the client, and one shell for people.

Each question runs in a thread of its own, on a ledger that refuses to be written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ledger.engine.database import WriteSession
from ledger.errors import (
    CommandRejectedError,
    InvalidValueError,
    LedgerError,
    NotFoundError,
    ReadOnlyLedgerError,
    RecordErasedError,
)
from ledger.input_files import read_small
from ledger.places.config import Place
from ledger.places.instance import Ledger
from ledger.places.source import Source
from ledger.web import answers

_STATIC = Path(__file__).with_name("static")
_TYPES = {".js": "text/javascript", ".css": "text/css", ".txt": "text/plain"}
_LARGEST = 8_000_000  # bytes of a file of the client
_MOST = 500  # rows of one answer
_PAGES = ("/", "/search", "/log", "/record/{uid}", "/lineage/{uid}")
SHELL = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>metaledger</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/static/style.css">
<script type="module" src="/static/main.js"></script>
</head>
<body><noscript>This page needs JavaScript. The same data: metaledger --help</noscript></body>
</html>
"""

Question = Callable[[Ledger, Request], Any]


class ReadLedger(Ledger):
    """A ledger that refuses to be written, whatever is asked."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.database.write = self.writing  # type: ignore[method-assign]

    def writing(self) -> AbstractContextManager[WriteSession]:
        """Refuse to lend an append transaction."""
        raise ReadOnlyLedgerError("this page only reads; nothing was recorded")


def application(ledger: Ledger) -> Starlette:
    """Return the application that answers for a ledger; a guard belongs before it."""
    questions: dict[str, Question] = {
        "/overview": lambda _, asked: answers.overview(_source(ledger, asked)),
        "/moments": lambda led, asked: answers.moments(led, _number(asked, "buckets", 240)),
        "/point": lambda led, asked: answers.point(led, asked.query_params.get("at")),
        "/tags": lambda led, _: {"items": answers.tags(led)},
        "/search": _search,
        "/log": _log,
        "/records/{uid}": lambda led, asked: answers.record(_source(led, asked), _uid(asked)),
        "/records/{uid}/history": lambda led, asked: answers.history(
            _source(led, asked), _uid(asked)
        ),
        "/list/{word}": _listing,
    }
    routes = [Route(f"/api/v1{path}", _answer(ledger, it)) for path, it in questions.items()]
    routes.append(Route("/static/{name}", _static))
    pages = [*_PAGES, *(f"/{word}" for word in answers.words(answers.source_at(ledger, None)))]
    routes += [Route(path, _shell) for path in pages]
    return Starlette(
        routes=routes,
        middleware=[Middleware(GZipMiddleware, minimum_size=1_000)],
        exception_handlers={HTTPException: _no_such_page, Exception: _broken},
    )


def _answer(ledger: Ledger, question: Question) -> Callable[[Request], Response]:
    def answer(asked: Request) -> Response:
        # Not a coroutine, so that starlette runs it in a thread.
        try:
            return _json(question(ledger, asked))
        except LedgerError as error:
            return _json({"error": str(error), "code": error.code}, status=_status(error))

    return answer


def _status(error: LedgerError) -> int:
    match error:
        case RecordErasedError():
            return 410
        case NotFoundError():
            return 404
        case CommandRejectedError():
            return 400
        case _:
            return 503


def _json(data: Any, *, status: int = 200) -> Response:
    return Response(msgspec.json.encode(data), status, media_type="application/json")


def _source(ledger: Ledger, asked: Request) -> Source:
    return answers.source_at(ledger, asked.query_params.get("as_of"))


def _uid(asked: Request) -> str:
    return str(asked.path_params["uid"])


def _number(asked: Request, name: str, default: int) -> int:
    text = asked.query_params.get(name, str(default))
    if not text.isdecimal() or len(text) > 9:  # noqa: PLR2004 (digits)
        raise InvalidValueError(f"{name}: expected a whole number of 0 or more, got {text!r}")
    return int(text)


def _limit(asked: Request, default: int) -> int:
    return min(_number(asked, "limit", default), _MOST)


def _search(ledger: Ledger, asked: Request) -> Any:
    text = asked.query_params.get("q", "")
    return answers.search(_source(ledger, asked), text, _limit(asked, 20))


def _log(ledger: Ledger, asked: Request) -> Any:
    given = asked.query_params
    return answers.log(
        ledger,
        since=given.get("since"),
        until=given.get("until") or given.get("as_of"),
        registry=given.get("registry") or None,
        actor=given.get("actor") or None,
        run=given.get("run") or None,
        limit=_limit(asked, 100),
    )


def _listing(ledger: Ledger, asked: Request) -> Any:
    source = _source(ledger, asked)
    given: Mapping[str, str] = asked.query_params
    own = {"as_of", "compare", "sort", "after", "limit"}
    return answers.listing(
        source,
        answers.registry_called(source, asked.path_params["word"]),
        filters={name: value for name, value in given.items() if name not in own and value},
        sort=given.get("sort", ""),
        after=_number(asked, "after", 0),
        limit=_limit(asked, 100),
    )


def _shell(_: Request) -> Response:
    return Response(SHELL, media_type="text/html")


def _static(asked: Request) -> Response:
    name = asked.path_params["name"]
    # Only the files that lie there have a URL: no path is ever made of what was asked.
    known = {path.name: path for path in _STATIC.iterdir() if path.is_file()}
    if name not in known:
        raise HTTPException(404)
    kind = _TYPES.get(known[name].suffix, "application/octet-stream")
    return Response(read_small(known[name], most=_LARGEST), media_type=kind)


def _no_such_page(asked: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    if asked.url.path.startswith(("/api/", "/static/")):
        data = {"error": "there is nothing at this address", "code": "no-page"}
        return _json(data, status=status)
    return Response(SHELL, status, media_type="text/html")


def _broken(_: Request, __: Exception) -> Response:
    text = "this page could not answer; the terminal of 'metaledger web' tells why"
    return _json({"error": text, "code": "broken"}, status=500)
