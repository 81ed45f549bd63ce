"""tests/gpu/models/mlp in PyTorch: the same weights (docs/gpu.md)."""
import warnings

import torch

WIDTHS = (64, 256, 10)
# That it may not be written to: it is a client's.
warnings.filterwarnings("ignore", message="The given NumPy array is not writable")


def layer(number):
    of = torch.nn.Linear(WIDTHS[number], WIDTHS[number + 1])
    i, k = torch.arange(WIDTHS[number]), torch.arange(WIDTHS[number + 1])
    of.weight.data = ((31 * i + 17 * k[:, None] + 7 * number) % 13) / 64.0 - 6 / 64.0
    of.bias.data = (k % 5) / 8.0
    return of


def mlp(device):
    return torch.nn.Sequential(layer(0), torch.nn.ReLU(), layer(1)).to(device).eval()


class Model:
    def load(self, context):
        self.device = context.device
        self.net = mlp(self.device)

    def infer(self, x: "f32[-1, 64]") -> "f32[-1, 10]":
        with torch.inference_mode():
            return self.net(torch.from_numpy(x).to(self.device, non_blocking=True))
