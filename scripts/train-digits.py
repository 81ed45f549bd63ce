#!/usr/bin/env python3
"""Train the default model and write it, with its sample pictures, into conf/.

Needs packages that modeld itself does not:

    python3 -m venv /tmp/train && /tmp/train/bin/pip install scikit-learn onnx numpy
    /tmp/train/bin/python scripts/train-digits.py

The data are the 1797 handwritten digits that scikit-learn brings along (8x8 pixels of 0 to 16). A
fifth of each digit is held out; accuracy on it below 97 % is an error and nothing is written.
Deterministic: on one machine every run writes the same bytes.

    conf/models/digits/1/model.onnx   image f32 [batch,8,8] -> probabilities f32 [batch,10],
                                      digit i64 [batch]
    conf/samples/digits/NN_L.pgm      held-out pictures, two of each digit, L being the truth
"""

import os
import pathlib
import sys

# One thread, so that sums are always added up in the same order. Before numpy is imported.
for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits

ROOT = pathlib.Path(__file__).resolve().parent.parent
SEED = 8
LAYERS = (64, 192, 64, 10)
EPOCHS = 60
BATCH = 64
RATE = 2e-3
WEIGHT_DECAY = 1e-4
ACCURACY_WANTED = 0.97
SAMPLES_PER_DIGIT = 2


def split(labels, rng):
    """Indices of the training and of the held-out pictures, the same share of each digit."""
    train, held_out = [], []
    for digit in range(10):
        indices = rng.permutation(np.flatnonzero(labels == digit))
        n = len(indices) // 5
        held_out.extend(indices[:n])
        train.extend(indices[n:])
    return np.array(sorted(train)), np.array(sorted(held_out))


def shifted(images, rng):
    """About half of the pictures moved by up to one pixel: a digit stays one wherever it is."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    dx, dy = rng.integers(0, 3, size=(2, len(images)))
    moved = np.stack([p[y : y + 8, x : x + 8] for p, x, y in zip(padded, dx, dy)])
    return np.where(rng.random(len(images))[:, None, None] < 0.5, moved, images)


def forward(weights, x):
    """Activations of all layers; the last are the logits."""
    activations = [x]
    for i, (w, b) in enumerate(weights):
        x = x @ w + b
        if i + 1 < len(weights):
            x = np.maximum(x, 0)
        activations.append(x)
    return activations


def gradients(weights, x, labels):
    activations = forward(weights, x)
    logits = activations[-1]
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(len(labels)), labels] -= 1
    delta = p / len(labels)
    result = []
    for (w, _), a in zip(reversed(weights), reversed(activations[:-1])):
        result += [delta.sum(axis=0), a.T @ delta + WEIGHT_DECAY * w]
        delta = (delta @ w.T) * (a > 0)
    return result[::-1]


def train(images, labels, rng):
    """Adam with a rate that falls to zero along half a cosine."""
    weights = [
        (rng.normal(0, np.sqrt(2 / n), (n, m)), np.zeros(m)) for n, m in zip(LAYERS, LAYERS[1:])
    ]
    parameters = [p for layer in weights for p in layer]
    first = [np.zeros_like(p) for p in parameters]
    second = [np.zeros_like(p) for p in parameters]
    n_steps = EPOCHS * (len(images) // BATCH)
    step = 0
    for _ in range(EPOCHS):
        order = rng.permutation(len(images))
        x = shifted(images, rng).reshape(-1, 64) / 16
        for start in range(0, len(order) - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            step += 1
            rate = RATE * (1 + np.cos(np.pi * step / n_steps)) / 2
            for p, g, m, v in zip(
                parameters, gradients(weights, x[chosen], labels[chosen]), first, second
            ):
                m += 0.1 * (g - m)
                v += 0.001 * (g * g - v)
                p -= rate * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    return weights


def onnx_model(weights):
    """The network as ONNX; scaling of the pixels is inside."""
    nodes = [
        helper.make_node("Flatten", ["image"], ["pixels"], axis=1),
        helper.make_node("Div", ["pixels", "white"], ["x0"]),
    ]
    constants = [numpy_helper.from_array(np.array(16, np.float32), "white")]
    for i, (w, b) in enumerate(weights):
        constants.append(numpy_helper.from_array(w.astype(np.float32), f"w{i}"))
        constants.append(numpy_helper.from_array(b.astype(np.float32), f"b{i}"))
        nodes.append(helper.make_node("Gemm", [f"x{i}", f"w{i}", f"b{i}"], [f"y{i}"]))
        if i + 1 < len(weights):
            nodes.append(helper.make_node("Relu", [f"y{i}"], [f"x{i + 1}"]))
    last = f"y{len(weights) - 1}"
    nodes.append(helper.make_node("Softmax", [last], ["probabilities"], axis=1))
    nodes.append(helper.make_node("ArgMax", [last], ["digit"], axis=1, keepdims=0))
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 8, 8])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 10]),
            helper.make_tensor_value_info("digit", TensorProto.INT64, ["batch"]),
        ],
        constants,
    )
    model = helper.make_model(
        graph,
        producer_name="modeld",
        ir_version=8,
        opset_imports=[helper.make_opsetid("", 17)],
        doc_string="Handwritten digits, 8x8 pixels of 0 (paper) to 16 (ink)",
    )
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def write_samples(folder, images, labels):
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.pgm"):
        old.unlink()
    chosen = sorted(
        i for digit in range(10) for i in np.flatnonzero(labels == digit)[:SAMPLES_PER_DIGIT]
    )
    for number, i in enumerate(chosen):
        rows = "\n".join(" ".join(f"{int(p):2d}" for p in row) for row in images[i])
        (folder / f"{number:02d}_{labels[i]}.pgm").write_text(f"P2\n8 8\n16\n{rows}\n")


def main():
    rng = np.random.default_rng(SEED)
    digits = load_digits()
    training, held_out = split(digits.target, rng)
    weights = train(digits.images[training], digits.target[training], rng)

    truth = digits.target[held_out]
    guesses = forward(weights, digits.images[held_out].reshape(-1, 64) / 16)[-1].argmax(axis=1)
    accuracy = (guesses == truth).mean()
    print(f"{len(training)} pictures to learn from, {len(held_out)} held out")
    print(f"accuracy on the held-out pictures: {100 * accuracy:.2f} %")
    if accuracy < ACCURACY_WANTED:
        sys.exit(f"train-digits: at least {100 * ACCURACY_WANTED:.0f} % is wanted; nothing written")

    path = ROOT / "conf/models/digits/1/model.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(onnx_model(weights))
    write_samples(ROOT / "conf/samples/digits", digits.images[held_out], truth)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
