#!/usr/bin/env python3
"""Classify the sample pictures of handwritten digits over gRPC and show what comes back.

    build/venv/bin/python scripts/demo.py [ADDRESS]

ADDRESS is host:port or unix:/path (default 127.0.0.1:50052). `make run` calls this.
"""

import pathlib
import statistics
import sys

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "clients/python"))
import modeld  # noqa: E402

SAMPLES = ROOT / "conf/samples/digits"
SIDE = 8
WHITE = 16
INK = " .:-=+*#%@"
ACROSS = 4
CELL = 2 * SIDE + 3
TIMEOUT_S = 30


def read_pgm(path):
    """The grey values of a plain PGM picture (P2, 8x8, up to 16)."""
    kind, width, height, most, *pixels = path.read_text().split()
    if (kind, width, height, most) != ("P2", str(SIDE), str(SIDE), str(WHITE)):
        raise ValueError(f"{path}: not a plain PGM picture of {SIDE}x{SIDE} pixels up to {WHITE}")
    if len(pixels) != SIDE * SIDE:
        raise ValueError(f"{path}: {len(pixels)} pixels")
    return [int(p) for p in pixels]


def draw(pixels):
    """Lines of characters; a pixel is two wide, so that it is about as wide as high."""
    marks = [2 * INK[p * (len(INK) - 1) // WHITE] for p in pixels]
    return ["".join(marks[row * SIDE : (row + 1) * SIDE]) for row in range(SIDE)]


class Result:
    """One picture, what it is, and what the model says."""

    def __init__(self, path, client):
        pixels = read_pgm(path)
        image = np.array(pixels, np.float32).reshape(1, SIDE, SIDE)
        result = client.infer_all("digits", image, timeout=TIMEOUT_S, first_only=True)
        probabilities = next(iter(result.values()))[0]
        self.pixels = pixels
        self.truth = int(path.stem.split("_")[1])
        self.digit = int(probabilities.argmax())
        self.probability = probabilities[self.digit]
        self.times = {k: getattr(result.timings, f"{k}_us") for k in ("queue", "compute", "total")}

    def lines(self):
        verdict = "" if self.digit == self.truth else f"  (is {self.truth})"
        text = [f"{self.digit}  {100 * self.probability:.1f} %{verdict}"]
        text += [f"{name:7} {us:5} us" for name, us in self.times.items()]
        return draw(self.pixels) + text


def show(results):
    for start in range(0, len(results), ACROSS):
        for row in zip(*(r.lines() for r in results[start : start + ACROSS])):
            print("  " + "".join(f"{text:{CELL}}" for text in row).rstrip())
        print()


def summary(results):
    right = sum(r.digit == r.truth for r in results)
    print(f"  {len(results)} pictures, {right} read right")
    for name in ("queue", "compute", "total"):
        times = [r.times[name] for r in results]
        print(f"  {name:7} {statistics.median(times):5.0f} us (median), {max(times)} us at most")
    print()


def main():
    address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50052"
    paths = sorted(SAMPLES.glob("*.pgm"))
    if not paths:
        sys.exit(f"demo: no pictures in {SAMPLES}")
    try:
        with modeld.connect(address) as client:
            results = [Result(path, client) for path in paths]
            show(results)
            summary(results)
    except modeld.ModeldError as e:
        sys.exit(f"demo: {address}: {e}")


if __name__ == "__main__":
    main()
