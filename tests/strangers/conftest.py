"""Bystanders and offenders: `make check-strangers`. The table of what was measured comes at the end."""
import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "system")]
pytest.register_assert_rewrite("daemon", "callers", "http2", "harness", "offenders")
from daemon import starting  # noqa: E402
from reporting import pytest_configure, pytest_terminal_summary, table  # noqa: E402, F401


@pytest.fixture
def start():
    with starting() as begin:
        yield begin
