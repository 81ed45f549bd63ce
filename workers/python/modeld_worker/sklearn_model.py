"""Models that need no code: an estimator of scikit-learn that joblib has written to model.joblib."""
import os

FILE = "model.joblib"


class Estimator:
    """Gives `y`, and of a classifier that has them `probabilities`, a column a class in the order of classes_."""

    def load(self, context):
        import joblib
        self._estimator = joblib.load(os.path.join(context.path, FILE))
        n_features = getattr(self._estimator, "n_features_in_", -1)
        self.inputs = {"x": f"any[-1, {n_features}]"}
        n_outputs = getattr(self._estimator, "n_outputs_", 1)
        self.outputs = {"y": "any[-1]" if n_outputs == 1 else f"any[-1, {n_outputs}]"}
        self._context = context
        if n_outputs == 1 and hasattr(self._estimator, "predict_proba"):
            self.outputs["probabilities"] = f"f64[-1, {len(self._estimator.classes_)}]"

    def infer(self, x):
        given = {}
        wanted = self._context.wanted
        if "y" in wanted:
            given["y"] = self._estimator.predict(x)
        if "probabilities" in wanted:
            given["probabilities"] = self._estimator.predict_proba(x).astype("f8", copy=False)
        return given
