"""modeld behind real proxies: `make check-proxies`. What is not installed is skipped, and says so."""
import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "system"), os.path.join(HERE, "..", "strangers")]
pytest.register_assert_rewrite("daemon", "callers", "http2", "harness", "offenders", "proxies")
from daemon import starting  # noqa: E402
from proxies import Proxy, find, free_port  # noqa: E402
from reporting import pytest_configure, pytest_terminal_summary, table  # noqa: E402, F401


@pytest.fixture
def start():
    """start(*sets, **options) -> Daemon, with a port for probes."""
    with starting() as begin:
        def begin_one(*sets, **options):
            port = free_port()
            d = begin(f"metrics.listen=127.0.0.1:{port}", *sets, **options)
            d.metrics_port = port
            return d
        yield begin_one


@pytest.fixture(params=["haproxy", "nginx", "envoy"])
def proxy(request, tmp_path):
    """proxy(daemons, more=()) -> Proxy"""
    if not find(request.param):
        pytest.skip(f"{request.param} is not installed")
    started = []

    def begin(daemons, more=()):
        started.append(Proxy(request.param, daemons, tmp_path, more))
        return started[-1]

    begin.kind = request.param
    yield begin
    for p in started:
        p.stop()
