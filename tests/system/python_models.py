"""What the tests of models in Python share: the worker program, and where their models are."""
import os
import sys
import threading

from daemon import BUILD, ROOT

REPOSITORY = os.path.join(ROOT, "tests", "models", "python")

sys.path.insert(0, os.path.join(ROOT, "clients", "python"))
import modeld  # noqa: E402, F401


def program(directory):
    """modeld-python, run by this interpreter, which has numpy."""
    path = os.path.join(str(directory), "python-worker")
    with open(path, "w") as f:
        f.write(f'#!/bin/sh\nexec "{sys.executable}" "{BUILD}/modeld-python" "$@"\n')
    os.chmod(path, 0o755)
    return path


def put(repository, name, code, conf=None):
    """A model in a pathlib directory: its model.py, where there is one, and its model.conf."""
    directory = repository / name / "1"
    directory.mkdir(parents=True)
    if code is not None:
        (directory / "model.py").write_text(code)
    if conf is not None:
        (repository / name / "model.conf").write_text(conf)


def together(d, n, ask):
    """[ask(client, i) or what it raised] of n callers at once."""
    results = [None] * n

    def one(i):
        with modeld.connect(d.unix, timeout=60) as c:
            try:
                results[i] = ask(c, i)
            except modeld.ModeldError as e:
                results[i] = e

    callers = [threading.Thread(target=one, args=(i,)) for i in range(n)]
    for t in callers:
        t.start()
    for t in callers:
        t.join()
    return results
