"""Who is told that a run ended: what a variable of the environment asks for, and nobody else.

Floors above this one do the telling, so they are named here and loaded only when they are asked.
The run is recorded before anybody is told, and nothing that goes wrong then is an error of the run.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

from ledger.display.messages import say

if TYPE_CHECKING:
    from ledger.places.instance import Ledger

# Variable to the module whose `tell(ledger, run, value)` tells of a run.
_LISTENERS = {"OPENLINEAGE_URL": "ledger.bridges.openlineage.live"}


def tell_of_end(ledger: Ledger, run: str) -> None:
    """Tell of a run that ended, and in which something was recorded."""
    for variable, module in _LISTENERS.items():
        value = os.environ.get(variable, "").strip()
        if not value:
            continue
        try:
            importlib.import_module(module).tell(ledger, run, value)
        except Exception as error:  # noqa: BLE001 (whatever it is, the run ended well)
            say("hint", f"{variable}: nobody was told of run {run} ({type(error).__name__})")
