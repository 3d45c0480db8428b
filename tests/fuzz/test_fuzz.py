"""Whatever bytes a decoder or parser is given: it answers, or it says no with an error of our own.

Here valid values are changed at random; in `make test-all` a fuzzer that sees which lines each
input reaches changes them for minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS
from tests.support.processes import environment

SECONDS = int(os.environ.get("FUZZ_SECONDS", "60"))  # a target, in `make test-all`

# What breaks parsers: ends of ranges, nesting, things of other kinds, text that is no Unicode.
FRAGMENTS = (b"\xff", b"\xc3", b"\xed\xa0\x80") + tuple(  # noqa: RUF005 (one line a kind)
    text.encode()
    for text in (
        *("", "\0", "\n", "\r\n", "\n\n", '"', "'", "\\", "{", "}", "[", "]", ",", ":", "=", " "),
        *("..", "/", "../", "//", "@", "%", "%00", "%ff", "+", "\t", "-", "#", "~", "~nobody/"),
        *("0", "-1", "1e999", "9" * 30, "9" * 5_000, "[" * 2_000, '{"a":' * 2_000, "a" * 5_000),
        *("null", "true", "NaN", "\x1b[31m", "\u2028", "\U0001f600", "٣", "file:", "://", "__"),
        *("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"),
    )
)


@st.composite
def inputs(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """Valid values with some changes, spliced with each other; now and then any bytes."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.binary(max_size=200))
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        until = min(len(data), at + draw(st.sampled_from([0, 1, 2, 4, 16, 10_000])))
        kind = draw(st.sampled_from(["fragment", "bytes", "other", "again"]))
        if kind == "fragment":
            put = draw(st.sampled_from(FRAGMENTS))
        elif kind == "bytes":
            put = draw(st.binary(min_size=1, max_size=8))
        elif kind == "other":
            other = draw(st.sampled_from(seeds))
            put = other[at:until] or other[:16]
        else:
            put = bytes(data[at:until]) * 2
        data[at:until] = put
    return bytes(data)


@pytest.mark.parametrize("name", TARGETS)
def test_changed_values_are_answered_or_refused_in_our_own_words(name):
    target = TARGETS[name]
    seeds = target.seeds()
    for seed in seeds:
        target.run(seed)

    @settings(
        max_examples=settings().max_examples // (5 if target.is_costly else 1),
        suppress_health_check=[
            *settings().suppress_health_check,
            HealthCheck.large_base_example,
            HealthCheck.data_too_large,
        ],
    )
    @given(inputs(seeds))
    def answered(data):
        target.run(data)

    answered()


@pytest.mark.slow
@pytest.mark.skipif(
    find_spec("atheris") is None, reason="atheris is not installed (no wheel for this platform)"
)
@pytest.mark.parametrize("name", TARGETS)
def test_what_a_fuzzer_finds_in_minutes_is_nothing(name, tmp_path, figure, pytestconfig):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(TARGETS[name].seeds()):
        (corpus / f"seed{number}").write_bytes(seed)
    done = subprocess.run(
        [
            *(sys.executable, str(Path(__file__).with_name("run.py")), name, str(corpus)),
            *(f"-seed={pytestconfig.getoption('randomly_seed') or 1}", "-timeout=20"),
            *(f"-max_total_time={SECONDS}", "-rss_limit_mb=2048"),
            *("-malloc_limit_mb=1024", "-max_len=4096", f"-artifact_prefix={tmp_path}/"),
        ],
        env=environment(),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    figure(done.stderr.strip().splitlines()[-1])
