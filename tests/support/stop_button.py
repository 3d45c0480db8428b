"""Something that happens at a point of the program's own code: the stop button, or a kill.

Points are where Python delivers an interruption: as a function begins, and as a call of C returns.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

WATCHED = ("/ledger/engine/", "/ledger/eventlog/", "/contextlib.py", "/eventsourcing/", "/api.py")


class Stop:
    """Presses the stop button, or sends another signal, at the k-th point of the watched code.

    It is given to `sys.setprofile`. An interruption reaches whatever handles the signal at that
    moment, with the frame that it comes to.
    """

    def __init__(self, point: int, number: int = signal.SIGINT) -> None:
        self.left = point
        self.number = number
        self.is_pressed = False

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        """Count a point."""
        if event not in {"call", "c_return"} or self.is_pressed:
            return
        if not any(it in frame.f_code.co_filename for it in WATCHED):
            return
        self.left -= 1
        if self.left < 0:
            self.is_pressed = True
            handler = signal.getsignal(self.number)
            if callable(handler):
                handler(self.number, frame)
            else:
                os.kill(os.getpid(), self.number)
