"""Fixtures of the system tests: every daemon that a test starts ends with it, cleanly."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
pytest.register_assert_rewrite("daemon", "callers", "http2")
from backends import compile_backend  # noqa: E402
from daemon import starting  # noqa: E402
from repository import Repository  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than a few seconds; not run under sanitizers")
    config.addinivalue_line("markers", "memory: looks at resident memory; meaningless under sanitizers")
    config.addinivalue_line("markers", "heavy: takes much of the machine; one such test at a time")


def pytest_collection_modifyitems(items):
    """For many processes (pytest-xdist, --dist loadgroup): the slow tests begin, so that none is left alone at the end."""
    for item in items:
        if item.get_closest_marker("heavy") or item.get_closest_marker("memory"):
            item.add_marker(pytest.mark.xdist_group("heavy"))
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture
def start():
    """start(*sets, **options) -> Daemon. Each is stopped and checked at the end of the test."""
    with starting() as begin:
        yield begin


@pytest.fixture(scope="module")
def start_once():
    """The same for daemons that all tests of a module share: they end with it."""
    with starting() as begin:
        yield begin


@pytest.fixture(scope="module")
def daemon(start_once):
    """One daemon for the tests of a module that only look: identity, simple and sleep, one worker."""
    return start_once(models=["identity", "simple", "sleep"])


@pytest.fixture
def repository(tmp_path):
    """A repository with one model, identity; modules that want others have a fixture of this name."""
    r = Repository(tmp_path / "models")
    r.put("identity")
    return r


@pytest.fixture(scope="session")
def leaky_backends(tmp_path_factory):
    """A directory with leaky.so (leaky_backend.c)."""
    return compile_backend(tmp_path_factory.mktemp("leaky"), "leaky")
