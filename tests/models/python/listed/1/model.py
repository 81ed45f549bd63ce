"""Gives the sum of each request's rows, how many requests came, and refuses what is negative."""
import modeld_worker
import numpy as np

inputs = {"x": "f64[n, 2]"}
outputs = {"sum": "f64[n]", "together": "i64[n]"}


def infer_batch(requests):
    return [answer(r, len(requests)) for r in requests]


def answer(request, n):
    x = request["x"]
    if (x < 0).any():
        return modeld_worker.InvalidArgument("negative")
    scale = float(request.parameters.get("scale", 1))
    return {"sum": x.sum(axis=1) * scale, "together": np.full(len(x), n)}
