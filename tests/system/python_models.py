"""What the tests of models in Python share: the worker program, and where their models are."""
import os
import sys

from daemon import ROOT

REPOSITORY = os.path.join(ROOT, "tests", "models", "python")

sys.path.insert(0, os.path.join(ROOT, "clients", "python"))
import modeld  # noqa: E402, F401


def program(directory):
    """modeld-python, run by this interpreter, which has numpy."""
    path = os.path.join(str(directory), "python-worker")
    with open(path, "w") as f:
        f.write(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT}/workers/python/modeld-python" "$@"\n')
    os.chmod(path, 0o755)
    return path
