"""Models of Triton's python backend, as they are."""
import struct

import grpc
import numpy as np
import pytest

import messages as m
from daemon import infer_request
from python_models import REPOSITORY, modeld, program


@pytest.fixture(scope="module")
def server(start_once, tmp_path_factory):
    return start_once(f"worker.program={program(tmp_path_factory.mktemp('python'))}",
                      models=["triton_add_sub", "triton_repeat", "triton_auto", "triton_ids"], repository=REPOSITORY)


@pytest.fixture
def client(server):
    with modeld.connect(server.unix) as c:
        yield c


def add_sub(client, a, outputs=None):
    inputs = {"INPUT0": np.array([a], np.float32), "INPUT1": np.array([[1, 2, 3, 4]], np.float32)}
    return client.infer_all("triton_add_sub", inputs, outputs=outputs)


def test_requests_and_responses(client):
    got = add_sub(client, [10, 20, 30, 40])
    assert got["OUTPUT0"].tolist() == [[11, 22, 33, 44]] and got["OUTPUT1"].tolist() == [[9, 18, 27, 36]]
    assert list(add_sub(client, [0, 0, 0, 0], ["OUTPUT1"])) == ["OUTPUT1"]


@pytest.mark.parametrize("a, code, text", [(101, "INVALID_ARGUMENT", "too large"),
                                           (100, "INTERNAL", "ValueError: just at the limit")])
def test_errors(client, a, code, text):
    with pytest.raises(modeld.ModeldError) as e:
        add_sub(client, [a] * 4)
    assert e.value.code == code and e.value.message == text


def test_a_config_that_completes_itself_and_a_sender(client):
    assert client.infer("triton_auto", np.array([b"four"], object)).tolist() == [4]


def test_what_a_request_is_called_and_a_step_of(server):
    triton = pytest.importorskip("tritonclient.grpc")
    x = triton.InferInput("INPUT", [1], "INT32")
    x.set_data_from_numpy(np.zeros(1, np.int32))

    def say(**named):
        return client.infer("triton_ids", [x], **named).as_numpy("OUTPUT").tolist()

    with triton.InferenceServerClient(server.tcp) as client:
        assert say(request_id="one", sequence_id=7, sequence_start=True) == [b"one 7 1"]
        assert say(sequence_id=7) == [b" 7 0"]
        assert say(request_id="last", sequence_id=7, sequence_end=True) == [b"last 7 2"]


def repeated(server, values):
    request = infer_request("triton_repeat", struct.pack(f"<{len(values)}i", *values), [len(values)], "i32")
    call = server.channel().stream_stream(m.WORKER_SERVICE + "InferStream",
                                          request_serializer=lambda r: r.SerializeToString(),
                                          response_deserializer=m.worker.InferResponse.FromString)
    return [struct.unpack("<i", r.tensor_data.data)[0] for r in call(iter([request]), timeout=60)
            if r.metadata["final"] == "false"]


def test_decoupled(server):
    assert repeated(server, [3, 1, 2]) == [3, 1, 2]
    with pytest.raises(grpc.RpcError) as e:
        repeated(server, [])
    assert e.value.code() == grpc.StatusCode.INTERNAL and e.value.details() == "ValueError: nothing to repeat"
