"""What is said of clocks that are wrong: recorded time never goes back, so people must know early.

1. The log's time is ahead of the clock if its last event was recorded more than a minute after now.
   One append under a wrong clock does this, until the clock comes there.
2. A jump is a step of more than a day from one event to the next. Most are pauses in the work.
"""

from __future__ import annotations

from ledger.model.times import moment_text

TOLERANCE = 60_000_000  # microseconds: clocks that are set over the network differ by less
DAY = 86_400_000_000  # microseconds


def lead(clock: int, last: int) -> int:
    """Return by how many microseconds the log's time is ahead of a clock; 0 within the tolerance.

    Args:
        clock: What the clock shows, in microseconds since 1970 UTC.
        last: Recorded time of the last event; 0 for an empty log.
    """
    return last - clock if last - clock > TOLERANCE else 0


def ahead(clock: int, last: int) -> str | None:
    """Return the sentence that the log's time is ahead of a clock; None if it is not."""
    if not lead(clock, last):
        return None
    return (
        f"the log's time is ahead of the clock by {duration(last - clock)}: its last event was "
        f"recorded at {moment_text(last)}, and the clock shows {moment_text(clock)}; if the clock "
        "is wrong, put it right; if a wrong clock recorded that event, times are no good points "
        "until then: name positions, runs or tags"
    )


def jumped(clock: int, last: int) -> str | None:
    """Return the sentence that recorded time jumps by more than a day; None if it does not."""
    if not last or clock - last <= DAY:
        return None
    return (
        f"recorded time goes on at {moment_text(clock)}, {duration(clock - last)} after the event "
        "before; if that is not the time, put the clock right at once: recorded time never goes "
        "back"
    )


def duration(micros: int) -> str:
    """Return a duration as people read it, in its largest unit of two or more."""
    for size, unit in ((DAY, "days"), (3_600_000_000, "hours"), (60_000_000, "minutes")):
        if micros >= 2 * size:
            return f"{micros // size:,} {unit}"
    return f"{micros // 1_000_000:,} seconds"
