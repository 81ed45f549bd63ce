"""The gRPC Unix socket where the kernel hands descriptors over, as each one does before Linux 6.16."""
import array
import os
import signal
import socket
import struct

import pytest

import messages as m
from callers import stop
from daemon import PATIENCE_S, infer_request
from old_kernel import needs_setsockopt, without_passrights
from test_handoff import lingering_socket

pytestmark = needs_setsockopt


@pytest.fixture(scope="module")
def d(start_once):
    daemon = without_passrights(start_once, models=["identity"])
    daemon.local = daemon.channel(daemon.unix)
    return daemon


def guest_of(d):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(PATIENCE_S)
    s.connect(os.path.join(d.directory, "modeld.sock"))
    return s


def send_lingering(d, data):
    """Somebody connects and sends a descriptor whose closing waits. The daemon sleeps meanwhile, so that its reference is the last one.
    Returns what keeps it so, and the guest."""
    lingering, keep = lingering_socket(3600)
    stop(d.pid)
    guest = guest_of(d)
    guest.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [lingering.fileno()]))])
    lingering.close()
    os.kill(d.pid, signal.SIGCONT)
    return *keep, guest


def ends(s):
    try:
        assert s.recv(1) == b""
    except ConnectionResetError:
        pass  # as not all that it sent was read


def test_calls_and_streams(d):
    for data in (b"four", os.urandom(1 << 20)):
        assert d.infer("identity", data, channel=d.local).tensor_data.data == data
    call = d.local.stream_stream(m.WORKER_SERVICE + "InferStream", request_serializer=lambda r: r.SerializeToString(),
                                 response_deserializer=m.worker.InferResponse.FromString)
    sent = [struct.pack("<I", i) * (1 if i % 10 else 20000) for i in range(100)]
    replies = call((infer_request("identity", data) for data in sent), timeout=PATIENCE_S)
    assert [r.tensor_data.data for r in replies] == sent


@pytest.mark.parametrize("data", [b"PRI * HTTP/2.0\r\n", b"GET / HTTP/1.1\r\n\r\n"])
def test_who_sends_a_descriptor_is_ended_and_stalls_nobody(d, data):
    assert d.infer("identity", b"before", channel=d.local).tensor_data.data == b"before"
    *keep, guest = send_lingering(d, data)
    ends(guest)
    assert d.infer("identity", b"others", channel=d.local).tensor_data.data == b"others"
    for s in (*keep, guest):
        s.close()


@pytest.fixture
def full(start):
    """There is room for a local guest beside the caller."""
    d = without_passrights(start, "limits.max_connections=2", models=["identity"])
    assert d.infer("identity", b"before").tensor_data.data == b"before"
    return d


def test_a_descriptor_by_a_connection_that_is_refused_stalls_nobody(full):
    idle = guest_of(full)
    *keep, refused = send_lingering(full, b"PRI")
    ends(refused)
    assert full.infer("identity", b"others").tensor_data.data == b"others"
    for s in (*keep, refused, idle):
        s.close()


def test_what_is_being_closed_counts_as_a_connection(full):
    *keep, guest = send_lingering(full, b"PRI")
    ends(guest)
    refused = guest_of(full)
    ends(refused)
    assert full.infer("identity", b"others").tensor_data.data == b"others"
    for s in (*keep, guest, refused):
        s.close()
