"""Models in Python that ask other models, from inside of their sandbox."""
import asyncio
import signal
import sys

import numpy as np
import pytest

import messages as m
from daemon import infer_request, wait_for
from python_models import modeld
import modeld.aio  # noqa: E402

INTERPRETER = f"backend.python.interpreter={sys.executable}"
PIPELINE = '''
import modeld_worker
import numpy as np


class Model:
    inputs = {"what": "bytes[1]", "x": "any"}
    outputs = {"y": "any"}

    def load(self, context):
        self.context = context

    def infer(self, what, x):
        return {"y": getattr(self, what[0].decode())(x)}

    def through(self, x):
        return self.context.model("identity").infer(x)

    def own_memory(self, x):
        other = self.context.model("identity")
        mine = other.empty(x.shape, x.dtype)
        mine[...] = x
        return other.infer(other.infer(mine))

    def many(self, x):
        other = self.context.model("identity")
        return np.concatenate([other.infer(x[:n]) for n in range(1, len(x) + 1)])

    def python(self, x):
        both = self.context.model("double").infer_all({"x": x}, parameters={"by": "3"})
        one = self.context.model("double").infer_all({"x": x}, outputs=["text"])
        assert list(both) == ["y", "text"] and list(one) == ["text"]
        return both["text"]

    def text(self, x):
        return self.context.model("identity").infer(np.array(["a", "bc"], object))

    def nowhere(self, x):
        return self.context.model("nosuch").infer(x)

    def wrong(self, x):
        return self.context.model("double").infer_all({"z": x})

    def refused(self, x):
        return self.context.model("double").infer({"x": -x})

    def several(self, x):
        answers = list(self.context.model("count").stream(x))
        assert all(list(a) == ["y"] for a in answers)
        return np.concatenate([np.array([len(answers)], x.dtype), *(a["y"][:1] for a in answers)])

    def one(self, x):
        answer, = self.context.model("double").stream({"x": x}, outputs=["y"])
        return answer["y"]

    def failing(self, x):
        got = []
        try:
            for answer in self.context.model("count").stream(x):
                got.append(answer["y"][0])
        except modeld_worker.ModelError as e:
            return np.array([*map(str, got), str(e)], object)

    def left(self, x):
        for answer in self.context.model("count").stream(x):
            return answer["y"]

    def unread(self, x):
        answers = self.context.model("count").answers(x)
        one = self.context.model("identity").infer(x)

        def has_failed():
            came = answers._link.handoff._answers.get(answers._answers._seq, ())
            return came and not hasattr(came[-1][0], "more")

        # What is read as fast as it comes would never end.
        while not has_failed():
            self.context.model("identity").infer(x)
        try:
            return np.array([str(sum(1 for _ in answers))], object)
        except modeld_worker.ModelError as e:
            assert self.context.model("identity").infer(one).tolist() == x.tolist()
            return np.array([str(e)], object)

    def itself(self, x):
        try:
            return self.context.model("pipeline").infer({"what": np.array([b"through"], object), "x": x}, timeout=0.1)
        except modeld_worker.DeadlineExceeded:
            return np.array([b"in vain"], object)
'''
DOUBLE = '''
import modeld_worker


class Model:
    inputs = {"x": "any"}
    outputs = {"y": "any", "text": "bytes[1]"}

    def infer(self, x, context):
        if x.size and x.min() < 0:
            raise modeld_worker.InvalidArgument("negative")
        return {"y": x * 2, "text": f"{context.wanted} {context.request_parameters}"}
'''
COUNT = '''
import numpy as np


class Model:
    inputs = {"x": "any"}
    outputs = {"y": "any"}
    lanes = 4

    def infer(self, x, context):
        n, size = int(x[0]), int(x[1])
        for k in range(n):
            if context.cancelled():
                print("given up")
                return
            yield {"y": np.full(1 if k % 2 else size, k, np.float32)}
        if len(x) > 2:
            raise ValueError("that was all")
'''
LATER = '''
import os
import time


def infer(x, context):
    print("waiting")
    while not os.path.exists(os.path.join(context.path, "gate")):
        time.sleep(0.01)
    return context.model("identity").infer(x)
'''
TRITON = '''
import asyncio
import json

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config):
        config.add_input({"name": "MODEL", "data_type": "TYPE_STRING", "dims": [1]})
        config.add_input({"name": "IN", "data_type": "TYPE_FP32", "dims": [-1]})
        config.add_output({"name": "OUT", "data_type": "TYPE_FP32", "dims": [-1]})
        return config

    def initialize(self, args):
        pass

    async def execute(self, requests):
        return [await self.answer(request) for request in requests]

    async def answer(self, request):
        name, _, version = pb_utils.get_input_tensor_by_name(request, "MODEL").as_numpy()[0].decode().partition("@")
        x = pb_utils.Tensor("x", pb_utils.get_input_tensor_by_name(request, "IN").as_numpy())
        asked = pb_utils.InferenceRequest(model_name=name, model_version=int(version or -1), inputs=[x],
                                          requested_output_names=["y"], parameters=json.dumps({"by": 2}))
        responses = [asked.exec(), *await asyncio.gather(asked.async_exec(), asked.async_exec())]
        responses += [r for r in asked.exec(decoupled=True) if r.has_error() or r.output_tensors()]
        for response in responses:
            if response.has_error():
                return pb_utils.InferenceResponse(error=response.error())
        total = sum(pb_utils.get_output_tensor_by_name(r, "y").as_numpy() for r in responses)
        return pb_utils.InferenceResponse([pb_utils.Tensor("OUT", total)])
'''

BLS = '''
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config):
        config.add_input({"name": "IN", "data_type": "TYPE_FP32", "dims": [-1]})
        config.add_output({"name": "OUT", "data_type": "TYPE_FP32", "dims": [-1]})
        return config

    async def execute(self, requests):
        return [await self.answer(request) for request in requests]

    async def answer(self, request):
        asked = pb_utils.InferenceRequest(
            model_name="count", requested_output_names=["y"],
            inputs=[pb_utils.Tensor("x", pb_utils.get_input_tensor_by_name(request, "IN").as_numpy())])
        given = []
        for responses in (asked.exec(decoupled=True), await asked.async_exec(decoupled=True)):
            got = []
            for response in responses:
                if response.has_error():
                    raise pb_utils.TritonModelException(response.error().message())
                # Check for the last empty response.
                if len(response.output_tensors()) > 0:
                    got.append(pb_utils.get_output_tensor_by_name(response, "y").as_numpy()[0])
                else:
                    got.append(-1)
            assert not given or given == got
            given = got
        return pb_utils.InferenceResponse([pb_utils.Tensor("OUT", np.array(given, np.float32))])
'''


@pytest.fixture(scope="module")
def served(start_once, tmp_path_factory):
    path = tmp_path_factory.mktemp("models")
    for name, code in (("pipeline", PIPELINE), ("double", DOUBLE), ("triton", TRITON), ("count", COUNT), ("bls", BLS)):
        (path / name / "1").mkdir(parents=True)
        (path / name / "1" / "model.py").write_text(code)
    (path / "identity" / "1").mkdir(parents=True)
    (path / "identity" / "model.conf").write_text("[model]\nbackend = builtin\n[parameters]\nfunction = identity\n")
    d = start_once(INTERPRETER, models=["pipeline", "double", "triton", "count", "bls", "identity"], repository=str(path))
    wait_for("all models", lambda: all(x.state == "ready" for x in d.status().models))
    return d, path


@pytest.fixture(params=["unix", "tcp"])
def client(request, served):
    with modeld.connect(getattr(served[0], request.param)) as c:
        yield c


def ask(client, what, x):
    return client.infer("pipeline", {"what": np.array([what.encode()], object), "x": x})


@pytest.mark.parametrize("n", [0, 1, 1000, 100_000, 3_000_000])
@pytest.mark.parametrize("what", ["through", "own_memory"])
def test_a_tensor_goes_there_and_back(client, what, n):
    x = np.arange(n, dtype=np.float32)
    for _ in range(3):
        assert np.array_equal(ask(client, what, x), x)


def test_of_any_dtype_and_shape(client):
    for x in (np.array(3, np.int64), np.ones((2, 0, 3), np.uint8), np.array([[True, False]]), np.arange(6.0).reshape(2, 3).T):
        y = ask(client, "through", x)
        assert y.dtype == x.dtype and y.shape == x.shape and np.array_equal(y, x)
    assert ask(client, "text", np.zeros(1)).tolist() == [b"a", b"bc"]


def test_results_of_other_sizes_each_time(client):
    n = 40
    assert ask(client, "many", np.arange(n)).tolist() == [i for k in range(1, n + 1) for i in range(k)]


def test_outputs_and_parameters(client):
    for _ in range(2):
        assert ask(client, "python", np.ones(3)).tolist() == [b"['y', 'text'] {'by': '3'}"]


@pytest.mark.parametrize("what, code, text", [
    ("nowhere", "NOT_FOUND", "model 'nosuch': "), ("wrong", "INVALID_ARGUMENT", "model 'double': .*'z'"),
    ("refused", "INVALID_ARGUMENT", "model 'double': negative")])
def test_errors_are_those_of_the_other_model(client, what, code, text):
    with pytest.raises(modeld.ModeldError, match=text) as e:
        ask(client, what, np.ones(3))
    assert e.value.code == code


def test_a_model_of_tritons_asks_others(client):
    x = np.arange(5, dtype=np.float32)

    def ask_triton(name, x):
        return client.infer("triton", {"MODEL": np.array([name], object), "IN": x})

    assert ask_triton("double", x).tolist() == ask_triton("double@1", x).tolist() == (x * 8).tolist()
    with pytest.raises(modeld.ModeldError, match="model 'double:9': ") as e:
        ask_triton("double@9", x)
    assert e.value.code == "NOT_FOUND"
    with pytest.raises(modeld.ModeldError, match="model 'nosuch': ") as e:
        ask_triton("nosuch", x)
    assert e.value.code == "NOT_FOUND"
    with pytest.raises(modeld.ModeldError, match="model 'double': negative") as e:
        ask_triton("double", -x)
    assert e.value.code == "INVALID_ARGUMENT"


@pytest.mark.parametrize("n, size", [(0, 1), (1, 1), (100, 1), (6, 100_000)])
def test_a_stream_of_answers(client, n, size):
    x = np.array([n, size], np.float32)
    assert ask(client, "several", x).tolist() == [n, *range(n)]


def test_a_stream_of_a_model_that_answers_once(client):
    assert ask(client, "one", np.ones(3, np.float32)).tolist() == [2, 2, 2]


@pytest.mark.parametrize("where", ["unix", "tcp"])
@pytest.mark.parametrize("n, size", [(0, 1), (5, 1), (4, 100_000)])
def test_a_stream_to_a_client(served, where, n, size):
    with modeld.connect(getattr(served[0], where)) as c:
        answers = [a["y"] for a in c.stream("count", np.array([n, size], np.float32))]
        assert [y[0] for y in answers] == list(range(n))
        assert [len(y) for y in answers] == [1 if k % 2 else size for k in range(n)]
        with pytest.raises(modeld.ModeldError, match="that was all"):
            list(c.stream("count", np.array([1, 1, 0], np.float32)))
        forever = c.stream("count", np.array([1e9, 1], np.float32))
        assert next(forever)["y"].tolist() == [0]
        del forever
        assert c.infer("identity", np.ones(3)).tolist() == [1, 1, 1]
        with pytest.raises(modeld.ModeldError) as e:
            for _ in c.stream("count", np.array([1e9, 1], np.float32), timeout=0.2):
                pass
        assert e.value.code in ("DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED")


@pytest.mark.parametrize("where", ["unix", "tcp"])
def test_a_stream_with_several_outputs(served, where):
    """Over TCP by KServe's service."""
    x = np.ones(3, np.float32)
    with modeld.connect(getattr(served[0], where)) as c:
        answer, = c.stream("double", {"x": x}, parameters={"by": "3"})
        assert answer["y"].tolist() == [2, 2, 2] and answer["text"].tolist() == [b"['y', 'text'] {'by': '3'}"]
        answer, = c.stream("double", x, outputs=["y"])
        assert list(answer) == ["y"] and answer["y"].tolist() == [2, 2, 2]
        with pytest.raises(modeld.ModeldError, match="negative"):
            list(c.stream("double", -x))
        for wrong in ({"model": "nosuch"}, {"model": "double", "inputs": {"z": x}}, {"model": "double", "outputs": ["z"]}):
            with pytest.raises(modeld.ModeldError) as e:
                list(c.stream(**{"inputs": x, **wrong}))
            assert e.value.code in ("NOT_FOUND", "INVALID_ARGUMENT")


@pytest.mark.parametrize("gone", ["closed", "collected", "collected unread", "the client"])
def test_a_stream_over_tcp_that_is_not_read_to_its_end(served, gone):
    d = served[0]
    with modeld.connect(d.tcp) as c:
        forever = c.stream("count", np.array([1e9, 1], np.float32))
        if gone != "collected unread":
            assert next(forever)["y"].tolist() == [0]
        wait_for("its call", lambda: d.status().calls == 2)  # and that of the question
        if gone == "closed":
            forever.close()
            assert list(forever) == []
        elif gone == "the client":
            c.close()
            with pytest.raises(modeld.ModeldError, match="CANCELLED"):
                list(forever)
            with pytest.raises(modeld.ConnectionLost, match="the client is closed"):
                c.stream("count", np.ones(2, np.float32))
            with pytest.raises(modeld.ConnectionLost, match="the client is closed"):
                c.infer("identity", np.ones(2, np.float32))
        del forever
        wait_for("its end", lambda: d.status().calls == 1)


@pytest.mark.parametrize("where", ["unix", "tcp"])
def test_a_stream_for_asyncio(served, where):
    d = served[0]

    async def read(answers):
        return [int(answer["y"][0]) async for answer in answers]

    async def talk():
        async with await modeld.aio.connect(getattr(d, where), calls=2) as c:
            x = np.array([5, 1], np.float32)
            assert await asyncio.gather(*(read(c.stream("count", x)) for _ in range(5))) == [[0, 1, 2, 3, 4]] * 5
            with pytest.raises(modeld.ModeldError, match="that was all"):
                await read(c.stream("count", np.array([1, 1, 0], np.float32)))
            with pytest.raises(modeld.ModeldError) as e:
                await read(c.stream("nosuch", x))
            assert e.value.code == "NOT_FOUND"
            assert (await c.infer("identity", x)).tolist() == [5, 1]

    asyncio.run(talk())


@pytest.mark.parametrize("where", ["unix", "tcp"])
@pytest.mark.parametrize("gone", ["closed", "cancelled"])
def test_a_stream_for_asyncio_that_is_not_read_to_its_end(served, where, gone):
    d = served[0]

    async def read(answers):
        async for answer in answers:
            assert answer["y"].tolist() == [0]
            if gone == "closed":
                return await answers.aclose()
            asyncio.current_task().cancel()

    async def talk():
        async with await modeld.aio.connect(getattr(d, where)) as c:
            reading = asyncio.ensure_future(read(c.stream("count", np.array([1e9, 1], np.float32))))
            await asyncio.wait([reading])
            assert reading.cancelled() == (gone == "cancelled")
            assert (await c.infer("identity", np.ones(1))).tolist() == [1]
            wait_for("the end of its run", lambda: not any(w.batches_in_flight for w in d.status().workers))

    asyncio.run(talk())


def test_a_stream_that_fails(client):
    *got, text = ask(client, "failing", np.array([3, 1, 0], np.float32)).tolist()
    assert got == [b"0.0", b"1.0", b"2.0"] and b"model 'count': " in text and b"that was all" in text


def test_a_stream_that_is_left_ends(served, client):
    assert ask(client, "left", np.array([1e9, 1], np.float32)).tolist() == [0]
    wait_for("the other model's end", lambda: "model=count" in served[0].log() and "text=\"given up\"" in served[0].log())
    assert ask(client, "through", np.ones(1)).tolist() == [1]


def test_a_stream_that_is_not_read_costs_itself_alone(client):
    assert b"wait" in ask(client, "unread", np.array([1e9, 1], np.float32))[0]


def test_a_decoupled_model_of_tritons_is_asked(client):
    """After the documentation of business logic scripting with decoupled models."""
    assert client.infer("bls", np.array([5, 1], np.float32)).tolist() == [0, 1, 2, 3, 4, -1]
    with pytest.raises(modeld.ModeldError, match="that was all"):
        client.infer("bls", np.array([5, 1, 0], np.float32))


def test_who_asks_itself_waits_in_vain(served, client):
    before = served[0].workers()
    assert ask(client, "itself", np.ones(1)).tolist() == [b"in vain"]
    assert ask(client, "through", np.ones(1)).tolist() == [1] and served[0].workers() == before


def test_nothing_is_copied_on_the_way(served):
    """What the client has in shared memory is read there by the other model as well."""
    d, _ = served
    with modeld.connect(d.unix) as c:
        x = c.empty(1 << 20, np.float32)
        x[...] = 1
        ask(c, "through", x)
        before = d.status()
        assert ask(c, "through", x).sum() == 1 << 20
        after = d.status()
    assert after.tensor_bytes_handed - before.tensor_bytes_handed >= 4 * x.nbytes
    assert after.tensor_bytes_copied_in == before.tensor_bytes_copied_in
    assert after.tensor_bytes_copied_out == before.tensor_bytes_copied_out


def test_workers_that_ask_are_sandboxed(served):
    assert all(w.sandbox.startswith("on") for w in served[0].status().workers if w.model == "pipeline")


def test_what_is_in_flight_may_still_ask_while_the_daemon_ends(start, tmp_path):
    (tmp_path / "pipeline" / "1").mkdir(parents=True)
    (tmp_path / "pipeline" / "1" / "model.py").write_text(LATER)
    (tmp_path / "identity" / "1").mkdir(parents=True)
    (tmp_path / "identity" / "model.conf").write_text("[model]\nbackend = builtin\n[parameters]\nfunction = identity\n")
    d = start(INTERPRETER, models=["pipeline", "identity"], repository=str(tmp_path))
    call = d.channel().unary_unary(m.WORKER_SERVICE + "Infer", request_serializer=lambda r: r.SerializeToString(),
                                   response_deserializer=m.worker.InferResponse.FromString)
    future = call.future(infer_request("pipeline", b"abc"), timeout=60)
    wait_for("the model's word", lambda: "text=waiting" in d.log())
    d.process.send_signal(signal.SIGTERM)
    wait_for("the drain", lambda: "signal=SIGTERM" in d.log())
    (tmp_path / "pipeline" / "1" / "gate").write_text("")
    assert future.result().tensor_data.data == b"abc"
    assert d.process.wait(60) == 0
