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
    if not ROWS:
        return
    write = terminalreporter.write_line
    write("")
    write(f"{'case':60} {'calls':>7} {'failed':>7} {'slowest':>9} {'without':>9}")
    for name, r in ROWS:
        over = "  more than twice and 0.1 s" if r.slowest > r.allowed else ""
        write(f"{name:60} {r.calls:7} {len(r.failed):7} {r.slowest:8.3f}s {r.slowest_without:8.3f}s{over}")
    counts = {k: len(terminalreporter.stats.get(k, [])) for k in ("passed", "failed", "error")}
    write(f"{counts['passed']} passed, {counts['failed'] + counts['error']} failed")
