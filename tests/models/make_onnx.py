#!/usr/bin/env python3
"""Write the small ONNX models of the tests into tests/models/onnx/, a model repository of its own.

    python3 -m venv /tmp/onnx && /tmp/onnx/bin/pip install onnx
    /tmp/onnx/bin/python tests/models/make_onnx.py

What each is for is said beside it below. The same bytes come out every time.
"""

import pathlib

from onnx import TensorProto, helper

ROOT = pathlib.Path(__file__).resolve().parent / "onnx"
OPSET = 19
IR_VERSION = 9

DTYPES = {
    "bool": TensorProto.BOOL,
    "u8": TensorProto.UINT8,
    "u16": TensorProto.UINT16,
    "u32": TensorProto.UINT32,
    "u64": TensorProto.UINT64,
    "i8": TensorProto.INT8,
    "i16": TensorProto.INT16,
    "i32": TensorProto.INT32,
    "i64": TensorProto.INT64,
    "f16": TensorProto.FLOAT16,
    "bf16": TensorProto.BFLOAT16,
    "f32": TensorProto.FLOAT,
    "f64": TensorProto.DOUBLE,
    "bytes": TensorProto.STRING,
}
F32 = TensorProto.FLOAT
I64 = TensorProto.INT64


def tensor(name, dtype, shape):
    return helper.make_tensor_value_info(name, dtype, shape)


def write(name, nodes, inputs, outputs):
    graph = helper.make_graph(
        [helper.make_node(op, i, o, **attributes) for op, i, o, attributes in nodes],
        name,
        inputs,
        outputs,
    )
    model = helper.make_model(
        graph,
        producer_name="modeld",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    folder = ROOT / name / "1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))


def unary(name, op, dtype, shape_in, shape_out, **attributes):
    write(
        name,
        [(op, ["x"], ["y"], attributes)],
        [tensor("x", dtype, shape_in)],
        [tensor("y", dtype, shape_out)],
    )


def main():
    # Every element type; a batch dimension.
    for name, dtype in DTYPES.items():
        unary(f"identity_{name}", "Identity", dtype, ["batch", "n"], ["batch", "n"])
    # An element type that modeld does not serve.
    unary("float8", "Identity", TensorProto.FLOAT8E5M2, ["batch"], ["batch"])

    # Nothing free; a single number; an output of any shape.
    unary("fixed", "Neg", F32, [2, 3], [2, 3])
    unary("scalar", "Neg", F32, [], [])
    write(
        "shapeless",
        [("Reshape", ["x", "shape"], ["y"], {})],
        [tensor("x", F32, ["n"]), tensor("shape", I64, ["rank"])],
        [tensor("y", F32, None)],
    )
    # Free dimensions without names: the output's shape does not follow, though it does for a batch.
    unary("unnamed", "Neg", F32, [None, None], [None, None])
    # The first dimensions have different names.
    unary("renamed", "Neg", F32, ["batch", 3], ["unknown", 3])
    # The second one's size is that of the first one of the input.
    unary("swapped", "Transpose", F32, ["rows", "columns"], ["columns", "rows"])

    # Two inputs, two outputs.
    write(
        "add_sub",
        [("Add", ["a", "b"], ["sum"], {}), ("Sub", ["a", "b"], ["difference"], {})],
        [tensor("a", F32, ["batch", 4]), tensor("b", F32, ["batch", 4])],
        [tensor("sum", F32, ["batch", 4]), tensor("difference", F32, ["batch", 4])],
    )
    # The same, but the second dimensions need not fit: fails when they do not.
    write(
        "broadcast",
        [("Add", ["a", "b"], ["sum"], {})],
        [tensor("a", F32, ["batch", "n"]), tensor("b", F32, ["batch", "m"])],
        [tensor("sum", F32, ["batch", "k"])],
    )
    # The output's size depends on the data.
    write(
        "nonzero",
        [("NonZero", ["x"], ["indices"], {})],
        [tensor("x", F32, ["n"])],
        [tensor("indices", I64, [1, "found"])],
    )
    # Declares as many rows as come in, and makes twice as many.
    write(
        "lying",
        [("Concat", ["x", "x"], ["y"], {"axis": 0})],
        [tensor("x", F32, ["batch", 2])],
        [tensor("y", F32, ["batch", 2])],
    )
    # Not a tensor.
    write(
        "sequence",
        [("SequenceConstruct", ["x"], ["y"], {})],
        [tensor("x", F32, ["n"])],
        [helper.make_tensor_sequence_value_info("y", F32, ["n"])],
    )
    # No ONNX at all.
    folder = ROOT / "corrupt" / "1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(b"this is no model\n")


if __name__ == "__main__":
    main()
