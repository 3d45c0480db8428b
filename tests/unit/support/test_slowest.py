from __future__ import annotations

import pytest

from tests.conftest import seconds_of_files


def report(nodeid, when, duration):
    return pytest.TestReport(
        nodeid, (nodeid, 1, nodeid), {}, "passed", None, when, duration=duration
    )


def test_the_seconds_of_a_file_are_those_of_its_tests_and_fixtures():
    reports = [
        report("a.py::one", "setup", 2.0),
        report("a.py::one", "call", 0.5),
        report("b.py::two[x::y]", "call", 3.0),
        "a file that was collected",
    ]
    assert seconds_of_files(reports).most_common() == [("b.py", 3.0), ("a.py", 2.5)]
