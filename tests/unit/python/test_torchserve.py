"""A handler of TorchServe, in the model that runs it."""
import json

import numpy as np
import pytest

from modeld_worker import wire
from modeld_worker.errors import InvalidArgument, ModelError
from modeld_worker.model import Model

HANDLER = '''
import json
from ts.torch_handler.base_handler import BaseHandler
from ts.utils.util import PredictionException


class Upper(BaseHandler):
    def initialize(self, context):
        self.told = context
        self.sizes = []

    def preprocess(self, data):
        self.sizes.append(len(data))
        return [row.get("data") or row.get("body") for row in data]

    def inference(self, data):
        if b"bad" in data:
            raise PredictionException("bad words", 400)
        if b"broken" in data:
            raise PredictionException("no luck")
        return [text.decode().upper() for text in data]

    def postprocess(self, data):
        return [{"text": text, "sizes": self.sizes} for text in data]
'''


def load(directory, code, max_batch_size=wire.U32_MAX, name="handler.py", **parameters):
    (directory / name).write_text(code)
    model = Model(wire.Load(model=1, name="m", version="3", path=str(directory), backend="python",
                            parameters=[wire.Pair(key=k, value=v) for k, v in parameters.items()]),
                  wire.Setup(worker="w", device="cpu:0"))
    model.load(max_batch_size)
    return model


def infer(model, *rows):
    data = np.empty(len(rows), object)
    data[:] = rows
    return model.infer(data).tolist()


def test_one_row_is_one_request(tmp_path):
    model = load(tmp_path, HANDLER)
    assert [repr(d) for d in (*model.inputs, *model.outputs)] == ["data: bytes[-1]", "output: bytes[-1]"]
    assert model.max_batch_size == 0, "a handler need not be able to take several"
    assert [json.loads(x)["text"] for x in infer(model, b"a", b"b")] == ["A", "B"]
    assert json.loads(infer(model, b"c")[0])["sizes"] == [1, 1, 1]
    assert infer(model) == []


def test_rows_are_given_together_where_the_configuration_says_so(tmp_path):
    model = load(tmp_path, HANDLER, 2)
    assert model.max_batch_size == 2
    assert json.loads(infer(model, b"a", b"b", b"c")[0])["sizes"] == [2, 1]


def test_what_it_is_told(tmp_path):
    (tmp_path / "weights.pt").write_bytes(b"")
    code = HANDLER + '''
    def handle(self, data, context):
        return [[context.manifest["model"], context.system_properties, context.model_yaml_config]]
'''
    manifest, properties, config = json.loads(infer(load(tmp_path, code, 4, mean="0.5"), b"x")[0])
    assert manifest == {"modelName": "m", "modelVersion": "3", "handler": "handler.py", "serializedFile": "weights.pt"}
    assert properties["model_dir"] == str(tmp_path) and properties["gpu_id"] is None and properties["batch_size"] == 4
    assert config == {"mean": "0.5"}


def test_a_function_is_enough_and_may_have_another_name(tmp_path):
    code = "def handle(data, context):\n    return [row['data'] + b'!' for row in data]\n"
    assert infer(load(tmp_path, code, name="mine.py", handler="mine.py"), b"a") == [b"a!"]


def test_answers_are_sent_as_torchserve_does(tmp_path):
    code = "import numpy\n\n\ndef handle(data, context):\n    return [eval(row['data']) for row in data]\n"
    model = load(tmp_path, code)
    assert infer(model, b"'text'", b"b'\\xff'", b"[1, 2]", b"{'a': None}", b"numpy.float32(0.5)", b"numpy.ones((1, 2))") == [
        b"text", b"\xff", b"[1, 2]", b'{"a": null}', b"0.5", b"[[1.0, 1.0]]"]


def test_what_it_refuses_is_the_clients_mistake(tmp_path):
    model = load(tmp_path, HANDLER)
    with pytest.raises(InvalidArgument, match="bad words"):
        infer(model, b"bad")
    with pytest.raises(Exception, match="no luck"):
        infer(model, b"broken")


@pytest.mark.parametrize("given, text", [("[1]", "answered 1 to 2 requests"), ("None", "answered NoneType to 2")])
def test_answers_that_do_not_add_up(tmp_path, given, text):
    model = load(tmp_path, f"def handle(data, context):\n    return {given}\n", 2)
    with pytest.raises(ModelError, match=text):
        infer(model, b"a", b"b")


def test_what_is_no_handler(tmp_path):
    with pytest.raises(ModelError, match="no function handle"):
        load(tmp_path, "x = 1\n")


def test_a_base_handler_wants_a_file(tmp_path):
    pytest.importorskip("torch")
    code = "from ts.torch_handler.base_handler import BaseHandler\n\n\nclass H(BaseHandler):\n    pass\n"
    with pytest.raises(ModelError, match="TorchScript file"):
        load(tmp_path, code)
