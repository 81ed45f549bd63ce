"""What the pages show of clients in other languages, and of exports: `make check-clients`. A language that is not there is
skipped, and says so."""
import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "system")]
pytest.register_assert_rewrite("daemon")
from daemon import starting  # noqa: E402


@pytest.fixture
def start():
    """start(*sets, **options) -> Daemon"""
    with starting() as begin:
        yield begin
