"""config.pbtxt, as Triton's models see it."""
import pytest

from modeld_worker import pbtxt

TEXT = r'''
# a comment
name: "a\"b" 'c' ; max_batch_size: 8, backend: "python"
input [ { name: "x" data_type: TYPE_FP32 dims: [ -1, 3 ] }, { name: 'y', dims: 4 dims: 5 } ]
input { name: "z" optional: true }
parameters { key: "k" value { string_value: "v # no comment" } }
parameters: { key: "l", value: < string_value: "w" > }
dynamic_batching { max_queue_delay_microseconds: 100 }
instance_group [ { kind: KIND_CPU count: 2 } ]
weight: 1.5e3
'''


def test_everything():
    assert pbtxt.parse(TEXT) == {
        "name": 'a"bc', "max_batch_size": 8, "backend": "python",
        "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [-1, 3]}, {"name": "y", "dims": [4, 5]},
                  {"name": "z", "optional": True}],
        "parameters": {"k": {"string_value": "v # no comment"}, "l": {"string_value": "w"}},
        "dynamic_batching": {"max_queue_delay_microseconds": 100},
        "instance_group": [{"kind": "KIND_CPU", "count": 2}], "weight": 1500.0}
    assert pbtxt.parse("") == {}


@pytest.mark.parametrize("text", ["name:", "input [", "input {", "}", 'name: "open', "name: }", "5: 6", "a: %", "a: [1"])
def test_what_is_wrong(text):
    with pytest.raises(pbtxt.PbtxtError):
        pbtxt.parse(text)
