"""Fixtures of the system tests: every daemon that a test starts ends with it, cleanly."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
pytest.register_assert_rewrite("daemon", "callers", "http2")
from daemon import Daemon  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than a few seconds; not run under sanitizers")
    config.addinivalue_line("markers", "memory: looks at resident memory; meaningless under sanitizers")


@pytest.fixture
def start():
    """start(*sets, **options) -> Daemon. Each is stopped and checked at the end of the test."""
    started = []

    def begin(*sets, **options):
        d = Daemon(*sets, **options)
        started.append(d)
        return d

    yield begin
    try:
        for d in started:
            if not d.checked:
                d.stop()
    finally:
        for d in started:
            d.close()


@pytest.fixture(scope="module")
def daemon():
    """One daemon for the tests of a module that only look: identity, simple and sleep, one worker."""
    d = Daemon(models=["identity", "simple", "sleep"])
    yield d
    try:
        if not d.checked:
            d.stop()
    finally:
        d.close()
