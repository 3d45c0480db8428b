"""A run that ended is told to a server that takes OpenLineage, within two seconds or not at all.

1. The variables are those of OpenLineage's own clients: OPENLINEAGE_URL, OPENLINEAGE_ENDPOINT,
   OPENLINEAGE_API_KEY and OPENLINEAGE_DISABLED.
2. All events of the run are sent in order; the ids are those of an export, so that a receiver can
   tell a repetition.
3. A server that is down, slow or refuses is a hint with the way to tell it later, never an error.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import msgspec

from ledger.bridges.openlineage.write import Teller
from ledger.display.messages import say
from ledger.errors import printable, washed
from ledger.model.events import RecordedEvent
from ledger.model.ids import StreamId
from ledger.places.instance import Ledger
from ledger.version import program_version

SECONDS = 2.0  # for all that is sent of one run
_ENDPOINT = "api/v1/lineage"


class _StayHere(HTTPRedirectHandler):
    """A key is sent to the server that was named, and to no other."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow no redirection."""


class LateError(Exception):
    """The time is over."""


def tell(ledger: Ledger, run: str, url: str) -> None:
    """Send the events of a run, or say why that was not possible.

    Args:
        ledger: The ledger.
        run: Uid of the run.
        url: The server.
    """
    if os.environ.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
        return
    until = time.monotonic() + SECONDS
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            _hint(url, "expected http:// or https://")
            return
        events = Teller(ledger).tell(_events_of(ledger, run, until))
        bodies = [msgspec.json.encode(it.event) for it in events if it.run == run]
    except (ValueError, LateError) as error:
        _hint(url, str(error) or "it took too long")
        return
    endpoint = os.environ.get("OPENLINEAGE_ENDPOINT", "").strip() or _ENDPOINT
    why = _within(until, f"{url.rstrip('/')}/{endpoint.lstrip('/')}", bodies)
    if why is not None:
        _hint(url, why)


def _hint(url: str, why: str) -> None:
    say(
        "hint",
        f"OPENLINEAGE_URL {printable(washed(url))}: it was not told of the run ({why}), which is "
        "recorded; later: metaledger export openlineage FILE",
    )


def _events_of(ledger: Ledger, run: str, until: float) -> Iterator[RecordedEvent]:
    """Yield the events that tell of a run, of what it read and made, and of who started it."""
    with ledger.reading() as session:
        models, found = session.models, {}

        def take(registry: str, uid: str) -> dict[str, Any]:
            if time.monotonic() > until:
                raise LateError
            (row,) = models.find(registry, uid=uid)
            for recorded in session.log.stream(StreamId(row["stream"])):
                found[recorded.position] = recorded
            return dict(row)

        mine = take("run", run)
        take("transform", mine["transform"])
        if mine.get("initiated_by") is not None:
            take("transform", take("run", mine["initiated_by"])["transform"])
        for link in models.find("link", field="run.inputs", source=run):
            take("artifact", link["target"])
        for link in models.find("link", field="artifact.runs", target=run):
            take("artifact", link["source"])
    yield from (found[position] for position in sorted(found))


def _within(until: float, url: str, bodies: list[bytes]) -> str | None:
    """Send each body; return why not all of them were sent, or None."""
    said: list[str | None] = []

    def work() -> None:
        said.append(_send(until, url, bodies))

    # Looking up a name knows no limit of time, so another thread does it, which nobody waits for.
    worker = threading.Thread(target=work, name="openlineage", daemon=True)
    try:
        worker.start()
    except RuntimeError:
        work()  # the process ends, and starts no threads any more
    else:
        worker.join(max(0.0, until - time.monotonic()))
    return said[0] if said else f"no answer within {SECONDS:.0f} seconds"


def _send(until: float, url: str, bodies: list[bytes]) -> str | None:
    headers = {"Content-Type": "application/json", "User-Agent": f"metaledger/{program_version()}"}
    if key := os.environ.get("OPENLINEAGE_API_KEY", "").strip():
        headers["Authorization"] = f"Bearer {key}"
    opener = build_opener(_StayHere)
    for body in bodies:
        left = until - time.monotonic()
        if left <= 0:
            return f"no answer within {SECONDS:.0f} seconds"
        request = Request(url, data=body, headers=headers, method="POST")  # noqa: S310 (checked)
        try:
            with opener.open(request, timeout=left):
                pass
        except HTTPError as error:
            error.close()
            return f"it answered {error.code}"
        except URLError as error:
            return f"no connection: {type(error.reason).__name__}"
        except Exception as error:  # noqa: BLE001 (a server may answer anything)
            return type(error).__name__
    return None
