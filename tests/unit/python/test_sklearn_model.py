"""backend = sklearn, with a stand-in for joblib and an estimator: what is asked of them is what scikit-learn documents."""
import sys
import types

import numpy as np
import pytest

from modeld_worker import declare, model, wire


class Classifier:
    n_features_in_ = 2
    classes_ = np.array(["no", "yes"])

    def predict(self, x):
        return self.classes_[(x.sum(axis=1) > 0).astype(int)]

    def predict_proba(self, x):
        p = (x.sum(axis=1) > 0).astype(np.float32)
        return np.stack([1 - p, p], axis=1)


class Regressor:
    n_features_in_ = 2
    n_outputs_ = 3

    def predict(self, x):
        return np.repeat(x.sum(axis=1, keepdims=True), 3, axis=1)


@pytest.fixture
def load(monkeypatch, tmp_path):
    def begin(estimator, max_batch_size=16):
        monkeypatch.setitem(sys.modules, "joblib", types.SimpleNamespace(load=lambda path: estimator))
        m = model.Model(wire.Load(name="m", version="1", path=str(tmp_path), backend="sklearn"), wire.Setup(device="cpu:0"))
        m.load(max_batch_size)
        m.context.bind(types.SimpleNamespace(is_over=False, wanted=[d.name for d in m.outputs]))
        return m
    return begin


def test_a_classifier(load):
    m = load(Classifier())
    assert m.inputs == [declare.Declared("x", 0, (-1, 2))] and m.max_batch_size == 16
    assert m.outputs == [declare.Declared("y", 0, (-1,)), declare.Declared("probabilities", 13, (-1, 2))]
    got = m.infer(np.array([[1, 2], [-3, 1]], np.float32))
    assert got["y"].tolist() == ["yes", "no"] and got["probabilities"].tolist() == [[0, 1], [1, 0]]
    assert got["probabilities"].dtype == np.float64


def test_a_regressor_of_several_outputs(load):
    m = load(Regressor())
    assert m.outputs == [declare.Declared("y", 0, (-1, 3))]
    assert m.infer(np.array([[1.0, 2.0]]))["y"].tolist() == [[3, 3, 3]]
