"""What is made of a model.py: what it declares, how it batches, and why it is not loaded."""
import pytest

from modeld_worker import coroutines, main
from modeld_worker import model as models
from modeld_worker import wire
from modeld_worker.declare import Declared

SETUP = wire.Setup(worker="cpu:0/0", device="cuda:3",
                   settings=[wire.Pair(key="python.a", value="1"), wire.Pair(key="other.b", value="2")])


def load(tmp_path, code, max_batch_size=wire.U32_MAX, **parameters):
    (tmp_path / "model.py").write_text(code)
    m = models.Model(wire.Load(model=1, name="m", version="2", path=str(tmp_path), backend="python",
                               parameters=[wire.Pair(key=k, value=v) for k, v in parameters.items()]), SETUP)
    m.load(max_batch_size)
    return m


def test_functions_and_what_the_context_says(tmp_path):
    m = load(tmp_path, "def load(context):\n    global seen\n    seen = context\n\n\ndef infer(x):\n    return seen\n", p="q")
    c = m.infer(0)
    assert c is m.context
    assert (c.name, c.version, c.path, c.device, c.worker_device) == ("m", "2", str(tmp_path), "cuda:0", "cuda:3")
    assert c.parameters == {"p": "q"} and c.settings == {"a": "1"}
    with pytest.raises(RuntimeError, match="no request here"):
        c.cancelled()


def test_what_lies_beside_it_can_be_imported(tmp_path):
    (tmp_path / "beside_it_lies.py").write_text("value = 5\n")
    assert load(tmp_path, "from beside_it_lies import value\n\n\ndef infer(x):\n    return value\n").infer(0) == 5


def test_model_conf_comes_before_code(tmp_path):
    m = load(tmp_path, "inputs = {'x': 'i32'}\n\n\ndef infer(x: 'u8') -> 'f64[2]':\n    return x\n", outputs="out: f32[-1]")
    assert m.inputs == [Declared("x", 8)] and m.outputs == [Declared("out", 12, (-1,))]


def test_inputs_are_in_the_order_of_the_function(tmp_path):
    m = load(tmp_path, "inputs = {'a': 'i32', 'b': 'f32'}\n\n\ndef infer(b, a, c=3, *, context):\n    return b\n")
    assert [d.name for d in m.inputs] == ["b", "a"] and m.wants_context and m.by_keyword


ROWS = "inputs = {'x': 'f32[-1]'}\noutputs = {'y': 'f32[-1]'}\n\n\n"


@pytest.mark.parametrize("code, given, effective", [
    ("def infer(x):\n    return x\n", wire.U32_MAX, 0), ("def infer(x):\n    return x\n", 8, 8),
    ("def infer_batch(requests):\n    return []\n", wire.U32_MAX, wire.U32_MAX),
    ("def infer_batch(requests):\n    return []\n", 0, 0), ("def infer(x):\n    yield x\n", 8, 0)])
def test_when_requests_are_joined(tmp_path, code, given, effective):
    m = load(tmp_path, ROWS + code, given)
    assert m.max_batch_size == effective and m.decoupled == ("yield" in code)
    assert m.loaded().max_batch_size == effective


@pytest.mark.parametrize("code, text", [
    ("import no_such_module\n", "No module named 'no_such_module'"), ("def infer(x:\n", "never closed|EOF|invalid syntax"),
    ("class Model:\n    def load(self):\n        raise OSError('no weights')\n\n    def infer(self, x):\n        return x\n",
     "no weights"),
    ("weights = 3\n", "no class Model and no function infer"),
    ("outputs = {'y': 'f33'}\n\n\ndef infer(x):\n    return x\n", "'f33' is no dtype"),
    ("outputs = 5\n\n\ndef infer(x):\n    return x\n", "are a dict"),
    ("inputs = {'a': 'f32'}\n\n\ndef infer(x):\n    return x\n", "infer takes x, and the inputs declared are a"),
    ("def infer_batch(requests):\n    return []\n", "infer_batch says nothing of inputs"),
    ("def infer(x, /, *, k=3):\n    return x\n", "infer takes 'x' by its place alone.*write a function around it"),
    ("def infer(x, /, **more):\n    return x\n", "by its place alone"),
    ("import numpy\ninfer = numpy.negative\n", "infer .*write a function around it"),
    ("infer = max\n", "infer does not tell what it takes: write a function around it")])
def test_why_it_is_not_loaded(tmp_path, code, text):
    with pytest.raises(Exception, match=text):
        load(tmp_path, code)


def test_what_a_conf_declares_wrongly_is_named_with_its_key(tmp_path):
    with pytest.raises(models.LoadError, match=r"^\[parameters\] inputs: 'x: f32\[-1,3' is not written as in x: f32\[-1, 16\], y: i64$"):
        load(tmp_path, "def infer(x):\n    return x\n", inputs="x: f32[-1,3")


def test_a_model_that_batches_declares_rows(tmp_path):
    with pytest.raises(models.LoadError, match="but the model batches"):
        load(tmp_path, "def infer(x):\n    return x\n", 8)


def test_coroutines(tmp_path):
    m = load(tmp_path, "import asyncio\n\n\nclass Model:\n    async def load(self, context):\n        self.n = 3\n\n"
                       "    async def infer(self, x: 'i32') -> 'i32':\n        await asyncio.sleep(0)\n        return x + self.n\n")
    assert m.infer(4) == 7 and not m.decoupled and m.inputs == [Declared("x", 8)] and m.outputs[0].dtype == 8
    m = load(tmp_path, "async def infer(x):\n    for i in range(x):\n        yield i\n")
    assert list(m.infer(3)) == [0, 1, 2] and m.decoupled
    unfinished = m.infer(3)
    assert next(unfinished) == 0
    unfinished.close()


def test_check_prints_what_is_declared(tmp_path, capsys):
    (tmp_path / "model.py").write_text("def infer(x: 'f32[-1, 4]') -> {'y': 'i64'}:\n    return x\n")
    assert main.answer_arguments(["--check", str(tmp_path)], "0") == 0
    assert capsys.readouterr().out == "input x: f32[-1,4]\noutput y: i64\nanswers once\n"
    (tmp_path / "model.py").write_text("infer = 3\n")
    assert main.answer_arguments(["--check", str(tmp_path)], "0") == 1
    (tmp_path / "model.py").write_text("1 / 0\n")
    assert main.answer_arguments(["--check", str(tmp_path)], "0") == 1
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_no_file(tmp_path):
    with pytest.raises(models.LoadError, match="is not there"):
        models._import(str(tmp_path), models.FILE)


def test_unload_is_called_once_and_may_fail(tmp_path):
    m = load(tmp_path, "calls = []\n\n\ndef infer(x):\n    return calls\n\n\ndef unload():\n    calls.append(1)\n    raise ValueError\n")
    calls = m.infer(0)
    m.unload()
    m.unload()
    assert calls == [1]
