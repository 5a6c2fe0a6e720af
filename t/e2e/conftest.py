"""Fixtures and house rules of the end-to-end tests.

BATON_BUILD names the build under test (build or build/asan), BATON_COUNTS the file that gets
"passed failed" at the end, BATON_SOAK asks for full sizes. Every test has a time limit; what a test
started ends with it.
"""
import os
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

import harness  # noqa: E402

TIME_LIMIT = 120 if not harness.SOAK else 1800
counts = {"passed": 0, "failed": 0}


def pytest_configure(config):
    config.addinivalue_line("markers", "root: needs root, runs nothing but the release build")
    config.addinivalue_line("markers", "limit(seconds): a time limit of its own")


def pytest_runtest_logreport(report):
    if report.failed:
        counts["failed"] += 1
    elif report.when == "call" and report.passed:
        counts["passed"] += 1


def pytest_collectreport(report):
    if report.failed:
        counts["failed"] += 1


def pytest_sessionfinish(session):
    path = os.environ.get("BATON_COUNTS")
    if path and not hasattr(session.config, "workerinput"):  # of several processes the first counts
        with open(path, "w") as f:
            f.write(f"{counts['passed']} {counts['failed']}\n")


class TooLong(Exception):
    pass


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    mark = item.get_closest_marker("limit")
    seconds = mark.args[0] if mark else TIME_LIMIT
    if harness.SOAK:
        seconds = max(seconds, TIME_LIMIT)

    def ring(signum, frame):
        raise TooLong(f"took longer than {seconds} s")

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.fixture
def house():
    """What a test starts, ended in the reverse order; a short folder, since socket paths are."""
    h = harness.House()
    try:
        yield h
    finally:
        h.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the end of the log of every instance."""
    outcome = yield
    report = outcome.get_result()
    h = item.funcargs.get("house") if hasattr(item, "funcargs") else None
    if h and report.failed:
        for b in h.instances:
            report.sections.append((f"log of {b.name}", b.log_tail()))
