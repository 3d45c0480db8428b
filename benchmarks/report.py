"""What was measured, and how it reads: medians with their range, and ratios within repetitions."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Row:
    """What was measured of one workload: seconds of each side, one a repetition."""

    id: str
    count: int = 1
    seconds: dict[str, list[float]] = field(default_factory=dict)
    peak_mib: dict[str, float] = field(default_factory=dict)

    def add(self, side: str, seconds: float, peak_mib: float | None) -> None:
        """Note one measurement."""
        self.seconds.setdefault(side, []).append(seconds)
        if peak_mib is not None:
            self.peak_mib[side] = max(peak_mib, self.peak_mib.get(side, 0.0))

    def ratios(self, other: str) -> list[float]:
        """Return product : other, for each repetition."""
        pairs = zip(self.seconds["ledger"], self.seconds.get(other, []), strict=False)
        return [ours / theirs for ours, theirs in pairs]


def duration(seconds: float) -> str:
    """Return a time as people read it, with three digits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size or unit == "µs":
            return f"{seconds / size:.3g} {unit}" if seconds / size < 999.5 else f"{seconds:.0f} s"
    raise AssertionError


def times(row: Row, side: str) -> str:
    """Return median and range of a side, for one record."""
    found = [seconds / row.count for seconds in row.seconds.get(side, [])]
    if not found:
        return ""
    return (
        f"{duration(statistics.median(found))} ({duration(min(found))} to {duration(max(found))})"
    )


def ratio(row: Row, other: str) -> str:
    """Return median and range of the ratios within repetitions."""
    found = row.ratios(other)
    if not found:
        return ""
    return f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})"


def table(rows: list[Row], *, with_peer: bool) -> list[list[str]]:
    """Return the cells of the table, its head first."""
    head = ["workload", "ledger, a record", "floor, a record", "ledger : floor", "peak MiB"]
    if with_peer:
        head += ["peer, a record", "ledger : peer", "peer's peak MiB"]
    lines = [head]
    for row in rows:
        peak = row.peak_mib.get("ledger")
        line = [row.id, times(row, "ledger"), times(row, "floor"), ratio(row, "floor")]
        line.append("" if peak is None else f"{peak:.0f}")
        if with_peer:
            peer_peak = row.peak_mib.get("peer")
            line += [times(row, "peer"), ratio(row, "peer")]
            line.append("" if peer_peak is None else f"{peer_peak:.0f}")
        lines.append(line)
    return lines


def markdown(lines: list[list[str]]) -> str:
    """Return a table that reads well as plain text and in documents."""
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    shown = [
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    ]
    shown.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(shown)
