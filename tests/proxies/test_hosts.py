"""Three modelds on hosts of their own, behind a proxy: one drains, dies, or is gone from one moment to the next."""
import os
import signal

import pytest

import hosts
from harness import Bystanders, now
from proxies import served

pytestmark = pytest.mark.skipif(bool(hosts.why_not()), reason=hosts.why_not() or "-")


@pytest.fixture
def three(start, proxy):
    """Hosts, their daemons, and the proxy in front of them."""
    hosts.make_bridge(by_settings=proxy.kind == "nginx")
    made = []
    try:
        for number in (1, 2, 3):
            made.append(hosts.Host(number))
        daemons = [start(f"metrics.listen={h.address}:8002", models=["identity", "sleep"], preexec=h.enter,
                         listen=f"{h.address}:50052, unix:modeld.sock") for h in made]
        for h, d in zip(made, daemons):
            d.host, d.metrics_port = h.address, 8002
        yield made, daemons, proxy(daemons)
    finally:
        for h in made:
            h.close()
        hosts.remove_bridge()


def under_load(p, daemons, what, *arguments):
    bystanders = Bystanders([*arguments, "--unary", p.address])
    try:
        bystanders.wait_for_all(0)
        assert all(served(daemons)), "each has its part"
        what()
        bystanders.wait_for_all(now(), 10)
    finally:
        bystanders.stop()
    assert not bystanders.failed(), p.log()[-2000:]


def test_one_drains_and_nobody_notices(three):
    _, daemons, p = three
    under_load(p, daemons, daemons[0].stop)


def kill(d):
    os.kill(d.pid, signal.SIGKILL)
    d.process.wait()
    d.checked = True


def test_one_dies_and_no_call_fails(three):
    _, daemons, p = three
    under_load(p, daemons, lambda: kill(daemons[0]), "--retry")


def test_one_is_unplugged_and_no_call_fails(three):
    """Who waits for its answer waits until the proxy has given up its connection; then the call is sent again."""
    made, daemons, p = three
    under_load(p, daemons, made[0].unplug, "--retry")
