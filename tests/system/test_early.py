"""Calls that come before their model is loaded wait for that. Its load ends when the test says so: it reads a FIFO."""
import os
import threading

import grpc
import pytest

import messages as m
from backends import compile_text
from daemon import infer_request, wait_for
from raw_handoff import Raw

GATED = r"""
#include <modeld/backend.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
static const struct modeld_declaration x[] = {{.size = sizeof(x[0]), .name = "x", .any_shape = 1}};
static const struct modeld_declaration y[] = {{.size = sizeof(y[0]), .name = "y", .any_shape = 1}};
static enum modeld_code load(const struct modeld_model_spec *spec, void **ret, struct modeld_model_info *info,
	struct modeld_error *e)
{
	char path[4096], c = 0;
	snprintf(path, sizeof(path), "%s/gate", spec->path);
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, &c, 1);
	close(fd);
	if (n != 1 || c != 'y') {
		snprintf(e->text, sizeof(e->text), "the gate stays shut");
		return MODELD_INTERNAL;
	}
	*ret = (void *)x;
	info->inputs = x;
	info->outputs = y;
	info->n_inputs = info->n_outputs = 1;
	return MODELD_OK;
}
static enum modeld_code run(void *instance, const struct modeld_batch *batch, struct modeld_error *e)
{
	const struct modeld_tensor *in = batch->inputs[0];
	const struct modeld_output out = {.size = sizeof(out), .dtype = in->dtype, .rank = in->rank, .dims = in->dims,
		.bytes = in->bytes};
	void *to = batch->output(batch, &out, e);
	if (to)
		memcpy(to, in->data, in->bytes);
	return to ? MODELD_OK : MODELD_INTERNAL;
}
static void unload(void *model)
{
}
static const struct modeld_backend gated = {
	.size = sizeof(gated), .abi = MODELD_BACKEND_ABI, .name = "gated", .load = load, .run = run, .unload = unload};
const struct modeld_backend *modeld_backend(const struct modeld_host *host)
{
	return &gated;
}
"""


@pytest.fixture(scope="module")
def backends(tmp_path_factory):
    """The folder with that backend."""
    return str(compile_text(tmp_path_factory.mktemp("gated"), "gated", GATED))


@pytest.fixture
def gated(start, tmp_path, backends):
    """A daemon that listens, whose model "gate" is being loaded; gated.open() lets it be."""
    (tmp_path / "gate" / "1").mkdir(parents=True)
    (tmp_path / "gate" / "model.conf").write_text("[model]\nbackend = gated\n")
    os.mkfifo(tmp_path / "gate" / "1" / "gate")

    def begin(*sets, patience_ms=3600000):
        d = start(f"worker.backend_dirs={backends}", f"dispatch.retry_wait_ms={patience_ms}", *sets, models=["gate"],
                  repository=str(tmp_path), workers="cpu:0", ready=False)
        wait_for("an address", lambda: any("unix" not in a for a in d.addresses))
        d.gate = os.open(tmp_path / "gate" / "1" / "gate", os.O_WRONLY)  # the load has come that far
        d.open = lambda word=b"y": (os.write(d.gate, word), os.close(d.gate))
        return d
    return begin


def counted(d, n):
    """So many calls but the one that asks are there."""
    wait_for(f"{n} calls", lambda: d.status().calls == n + 1)


def begin(d, request=None, timeout=None):
    call = d.channel().unary_unary(m.WORKER_SERVICE + "Infer", request_serializer=lambda r: r.SerializeToString(),
                                   response_deserializer=m.worker.InferResponse.FromString)
    return call.future(request or infer_request("gate", b"abc"), timeout=timeout)


def test_calls_of_every_kind_are_answered_when_the_model_is_loaded(gated):
    d = gated()
    calls = [begin(d) for _ in range(3)] + [begin(d, infer_request("gate", bytes(1 << 20)))]
    kserve = d.channel().unary_unary(m.KSERVE_SERVICE + "ModelInfer", request_serializer=lambda r: r.SerializeToString(),
                                     response_deserializer=m.kserve.ModelInferResponse.FromString)
    request = m.kserve.ModelInferRequest(model_name="gate", raw_input_contents=[b"kserve"])
    request.inputs.add(name="x", datatype="UINT8", shape=[6])
    calls.append(kserve.future(request))
    stream = d.channel().stream_stream(m.WORKER_SERVICE + "InferStream",
                                       request_serializer=lambda r: r.SerializeToString(),
                                       response_deserializer=m.worker.InferResponse.FromString)
    answers = stream(infer_request("gate", bytes([i])) for i in range(20))
    raw = Raw(d)
    region, memory = raw.allocate(4096)
    memory[0] = 7
    seq = raw.infer("gate", region.number, 1)
    raw.limits_seq = raw.send(get_limits=m.handoff.GetLimits())
    assert raw.receive()[0].seq == raw.limits_seq, "others are answered meanwhile"
    counted(d, 6)
    d.open()
    assert [c.result(60).tensor_data.data for c in calls[:3]] == [b"abc"] * 3
    assert calls[3].result(60).tensor_data.data == bytes(1 << 20)
    assert list(calls[4].result(60).raw_output_contents) == [b"kserve"]
    assert [a.tensor_data.data for a in answers] == [bytes([i]) for i in range(20)]
    answer = raw.receive()[0]
    assert answer.seq == seq and answer.inferred.outputs[0].data == b"\7"
    raw.close()


def test_what_is_wrong_is_told_when_it_can_be_known(gated):
    d = gated()
    call = begin(d, infer_request("gate", b"abc", parameters={"output": "z"}))
    counted(d, 1)
    d.open()
    with pytest.raises(grpc.RpcError) as e:
        call.result(60)
    assert e.value.code() == grpc.StatusCode.INVALID_ARGUMENT and "no output 'z'" in e.value.details()


def test_a_model_that_cannot_be_loaded(gated):
    d = gated()
    call = begin(d)
    counted(d, 1)
    d.open(b"n")
    with pytest.raises(grpc.RpcError) as e:
        call.result(60)
    assert e.value.code() == grpc.StatusCode.UNAVAILABLE
    assert "model 'gate'" in e.value.details() and "the gate stays shut" in e.value.details()


def test_they_do_not_wait_for_ever(gated):
    d = gated(patience_ms=50)
    with pytest.raises(grpc.RpcError) as e:
        begin(d).result(60)
    assert e.value.code() == grpc.StatusCode.UNAVAILABLE
    assert "model 'gate' was not loaded within 50 ms ([dispatch] retry_wait_ms)" in e.value.details()
    d.open()


def test_more_than_may_wait_are_refused(gated):
    d = gated("model.max_queue_size=2")
    calls = [begin(d) for _ in range(2)]
    counted(d, 2)
    with pytest.raises(grpc.RpcError) as e:
        begin(d).result(60)
    assert e.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and "max_queue_size" in e.value.details()
    d.open()
    assert all(c.result(60).tensor_data.data == b"abc" for c in calls)


def test_the_server_is_told_to_end_while_they_wait(gated):
    """What was begun is finished."""
    d = gated()
    call = begin(d)
    counted(d, 1)
    d.terminate()
    d.wait_notification("STOPPING=1")
    d.open()
    assert call.result(60).tensor_data.data == b"abc"
    d.wait_end()
