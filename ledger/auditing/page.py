"""The report of an audit as one HTML page: self-contained, without script, all text escaped."""

from __future__ import annotations

from html import escape

import msgspec

from ledger.auditing.findings import Report
from ledger.model.times import moment_text

# Every page begins with this; an existing file that does is replaced by a new page.
OPENING = '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Audit of '

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#222}
h1{font-size:1.4rem}.ok{color:#166534}.bad{color:#b91c1c}
table{border-collapse:collapse;width:100%;margin:1rem 0}
td,th{border-bottom:1px solid #ddd;padding:.3rem .6rem;text-align:left;vertical-align:top}
td{overflow-wrap:anywhere}code{font-size:.9em}
"""


def as_page(report: Report, *, told: str) -> str:
    """Return the report as a page, on which `told` names the time of the audit."""
    verdict = "Everything adds up" if report.ok else f"{len(report.findings):,} findings"
    facts = {
        "ledger": f"{report.name} ({report.ledger})",
        "database": report.database,
        "made": told,
        "events": f"{report.events:,}, of which {report.rehashed:,} hashed anew",
        "last position": f"{report.head:,}",
        "root hash": report.root,
        "rows of read models": f"{report.rows:,}",
        "contents": f"{report.contents:,} ({report.content_bytes:,} bytes)",
        "unverifiable": ", ".join(map(str, report.unverifiable)) or "none",
        "keys said to be lost": "\n".join(map(str, report.lost_keys)) or "none",
        "trusted keys": "\n".join(report.keys) or "none",
        "seconds": f"{report.seconds:,}",
    }
    return (
        f"{OPENING}{escape(report.name)}</title><style>{_STYLE}</style>\n"
        f'<h1>Audit of {escape(report.name)}: <span class="{"ok" if report.ok else "bad"}">'
        f"{verdict}</span></h1>\n"
        + _table(("what", "value"), list(facts.items()))
        + "<h2>Checkpoints</h2>\n"
        + _table(
            ("entries", "root hash", "met"),
            [(f"{it.size:,}", it.root, "yes" if it.is_met else "no") for it in report.checkpoints],
        )
        + "<h2>Erasures</h2>\n"
        + _table(
            ("position", "when", "who", "why", "about", "entries", "signed by"),
            [
                (
                    f"{it.position:,}",
                    moment_text(it.recorded_at),
                    it.actor,
                    it.reason,
                    f"{it.registry} {it.uid}",
                    ", ".join(map(str, it.entries)),
                    it.signer or "nobody",
                )
                for it in report.erasures
            ],
        )
        + "<h2>Findings</h2>\n"
        + _table(
            ("kind", "position", "about", "expected", "found"),
            [
                (
                    it.kind,
                    "" if it.position is None else f"{it.position:,}",
                    it.subject,
                    _text(it.expected),
                    _text(it.found),
                )
                for it in report.findings
            ],
        )
        + "</html>\n"
    )


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    if not rows:
        return "<p>None.</p>\n"
    head = "".join(f"<th>{escape(it)}</th>" for it in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{_visible(it)}</td>" for it in row) + "</tr>\n" for row in rows
    )
    return f"<table><tr>{head}</tr>\n{body}</table>\n"


def _visible(text: str) -> str:
    shown = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
    return escape(shown).replace("\n", "<br>")


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
