"""Backends of tests, which are compiled as anybody's would be: with nothing of the tree but their interface."""
import os
import shutil
import subprocess

from daemon import ROOT


def compile_backend(path, name):
    """path/NAME.so, of NAME_backend.c beside this file. Returns path, for [worker] backend_dirs."""
    return _compile(path, name, os.path.join(ROOT, "tests", "system", f"{name}_backend.c"))


def compile_text(path, name, text):
    """The same, of what a test has in it."""
    (path / f"{name}.c").write_text(text)
    return _compile(path, name, path / f"{name}.c")


def _compile(path, name, source):
    (path / "modeld").mkdir()
    shutil.copy(os.path.join(ROOT, "workers", "backend.h"), path / "modeld")
    subprocess.run(["cc", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Werror", "-shared", "-fPIC", f"-I{path}", "-o",
                    path / f"{name}.so", source], check=True)
    return path
