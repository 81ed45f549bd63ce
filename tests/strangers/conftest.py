"""Bystanders and offenders: `make check-strangers`. The table of what was measured comes at the end."""
import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "system")]
pytest.register_assert_rewrite("daemon", "callers", "http2", "harness", "offenders")
from daemon import starting  # noqa: E402

ROWS = []


def pytest_configure(config):
    for name in ("slow", "memory", "heavy"):
        config.addinivalue_line("markers", f"{name}: as in tests/system")


@pytest.fixture
def start():
    with starting() as begin:
        yield begin


@pytest.fixture
def table():
    """table(name, result): one more row."""
    return lambda name, result: ROWS.append((name, result))


def pytest_terminal_summary(terminalreporter):
    from harness import print_table
    print_table(terminalreporter, ROWS)
