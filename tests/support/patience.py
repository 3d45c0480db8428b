"""How long tests wait for each other, for programs and for servers.

A test waits for what must happen, never for a time in which it probably has: on a busy computer it
takes longer, and only what hangs is told after all. No test draws anything from how long it took.
"""

from __future__ import annotations

PATIENCE = 900.0  # seconds
"""Only what hangs takes so long. Each test has twice that, see `faulthandler_timeout`."""
