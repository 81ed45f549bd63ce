"""Does what `what` says, and gives that as y."""
import os
import signal
import sys

import modeld_worker
import numpy as np


class Odd:
    """What no output can be made of."""


class Sum:
    """A tensor of a library that knows DLPack, and nothing of numpy."""

    def __init__(self, array):
        self._array = array

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


class Model:
    outputs = {"y": "f32[-1]", "text": "bytes[-1]"}

    def load(self, context):
        self.context = context
        self.kept = []
        print("loaded by", os.getpid())

    def infer(self, what: "bytes[1]", x: "f32[-1]"):
        given = getattr(self, what[0].decode())(x)
        return given if isinstance(given, dict) else {"y": given, "text": "done"}

    def right(self, x):
        return x + 1

    def numbers(self, x):
        return [float(v) for v in x]

    def strided(self, x):
        return np.repeat(x, 3)[::3]

    def backwards(self, x):
        return x[::-1]

    def big_endian(self, x):
        return x.astype(">f4")

    def dlpack(self, x):
        return Sum(x * 3)

    def ours(self, x):
        y = self.context.empty(x.shape, np.float32)
        y[...] = x
        return y

    def part_of_ours(self, x):
        y = self.context.empty(len(x) + 8, np.float32)
        y[4:len(x) + 4] = x
        return y[4:len(x) + 4]

    def ours_unused(self, x):
        self.context.empty(1000, np.float32).fill(7)
        return x

    def kept_memory(self, x):
        """Writes to what it gave before: no answer may change by that."""
        y = self.context.empty(x.shape, np.float32)
        for before in self.kept:
            assert not np.shares_memory(before, y)
        self.kept = (self.kept + [y])[-3:]
        y[...] = x
        return y

    def facts(self, x):
        c = self.context
        text = f"{c.name} {c.version} {c.device} {c.parameters['colour']} {c.request_parameters.get('q')} {c.wanted}"
        return {"y": x, "text": text}

    def wrong_dtype(self, x):
        return x.astype(np.float64)

    def wrong_shape(self, x):
        return x.reshape(1, -1)

    def missing(self, x):
        return {"text": "no y"}

    def unknown(self, x):
        return {"y": x, "text": "", "z": x}

    def nothing(self, x):
        return {"y": None, "text": ""}

    def odd(self, x):
        return Odd()

    def not_text(self, x):
        return {"y": x, "text": np.array([Odd()])}

    def too_big(self, x):
        return np.zeros(1 << 22, np.float32)

    def too_big_to_lend(self, x):
        return self.context.empty(1 << 22, np.float32)

    def write_input(self, x):
        x[0] = 5

    def fail(self, x):
        raise ValueError("bad number in /usr/share/secret/file.txt\nand a second line")

    def silent(self, x):
        raise KeyError

    def refuse(self, x):
        raise modeld_worker.InvalidArgument("x must be positive")

    def leave(self, x):
        sys.exit(3)

    def out_of_memory(self, x):
        return np.empty(1 << 60, np.uint8)

    def fatal(self, x):
        raise modeld_worker.Fatal("the context is lost")

    def crash(self, x):
        os.kill(os.getpid(), signal.SIGSEGV)

    def shout(self, x):
        sys.stderr.write("complaint\n")
        sys.stdout.buffer.write(b"raw\n")
        for i in range(1000):
            print("line", i)
        print("no end", end="")
        return x
