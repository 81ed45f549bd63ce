"""What can be seen of the daemon over HTTP."""
import os
import random
import re
import socket
import struct
import urllib.error
import urllib.request

import pytest

import messages as m
from daemon import PATIENCE_S, infer_request, wait_for

LISTEN = "metrics.listen=127.0.0.1:0"


def address(daemon):
    return wait_for("the listener", lambda: re.search(r" metrics address=(\S+)", daemon.log())).group(1)


def get(daemon, path):
    """(status, text)"""
    try:
        with urllib.request.urlopen(f"http://{address(daemon)}{path}", timeout=PATIENCE_S) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def take_a_port():
    """A listening socket on a port that nobody is given who asks for any."""
    generator = random.Random(os.getpid())
    while True:
        try:
            return socket.create_server(("127.0.0.1", generator.randrange(20000, 32000)))
        except OSError:
            pass


# --- Probes ------------------------------------------------------------------------------------------

def test_probes(start):
    d = start(LISTEN, models=["identity"])
    assert get(d, "/v2/health/live") == (200, "ok\n")
    assert get(d, "/v2/health/ready") == (200, "ok\n")
    assert get(d, "/v2/models/identity/ready") == (200, "ok\n")
    assert get(d, "/v2/models/identity/versions/1/ready") == (200, "ok\n")
    assert get(d, "/v2/models/identity/versions/9/ready")[0] == 404
    assert get(d, "/v2/models/none/ready")[0] == 404
    assert get(d, "/none")[0] == 404


def test_a_daemon_that_drains_is_live_and_not_ready(start):
    d = start(LISTEN, "server.drain_timeout_s=600", models=["sleep"])
    call = d.channel().unary_unary(m.WORKER_SERVICE + "Infer", request_serializer=lambda r: r.SerializeToString(),
                                   response_deserializer=m.worker.InferResponse.FromString)
    running = call.future(infer_request("sleep", struct.pack("<i", 600000), [1], "i32"), timeout=600)
    wait_for("the call to run", lambda: any(w.batches_in_flight for w in d.status().workers))
    d.terminate()
    d.wait_notification("STOPPING=1")
    assert get(d, "/v2/health/live")[0] == 200
    assert get(d, "/v2/health/ready")[0] == 503
    assert get(d, "/v2/models/sleep/ready")[0] == 503
    d.terminate()
    d.wait_end(70)
    assert running.exception()


# --- The listener --------------------------------------------------------------------------------------

def test_without_an_address_nothing_listens(start):
    d = start(models=["identity"])
    assert " metrics " not in d.log()


def test_a_port_in_use_is_said_and_had_when_it_is_free(start):
    taken = take_a_port()
    name = "127.0.0.1:%d" % taken.getsockname()[1]
    d = start(f"metrics.listen={name}", models=["identity"])
    assert re.search(rf"metrics are not served: another process listens there address={name} "
                     r'key="\[metrics\] listen"', d.log())
    assert d.infer("identity", b"abc").tensor_data.data == b"abc"
    taken.close()
    assert address(d) == name
    assert get(d, "/v2/health/ready")[0] == 200


@pytest.mark.parametrize("listen, says", [("nonsense", "nonsense"), ("unix:/tmp/x", "TCP")])
def test_an_address_that_cannot_be_is_refused(start, listen, says):
    d = start(f"metrics.listen={listen}", models=["identity"], ready=False)
    d.wait_end(78)
    assert says in d.log()
