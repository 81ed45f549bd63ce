"""What the suites of offenders have in common for pytest: their marks, and the table of what was measured, at the end."""
import pytest

from harness import print_table

ROWS = []


def pytest_configure(config):
    for name in ("slow", "memory", "heavy"):
        config.addinivalue_line("markers", f"{name}: as in tests/system")


@pytest.fixture
def table():
    """table(name, result): one more row."""
    return lambda name, result: ROWS.append((name, result))


def pytest_terminal_summary(terminalreporter):
    print_table(terminalreporter, ROWS)
