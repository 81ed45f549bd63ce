"""The worker's program becomes the model's interpreter, and starts no other."""
import os
import subprocess
import sys

import pytest

from worker_program import PROGRAM

LAUNCHER = os.path.join(os.path.dirname(PROGRAM), "modeld-worker")
SYSTEMS = "/usr/bin/python3"


def script(path, text):
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def begin(tmp_path):
    """Runs it where the first python3 of PATH must not be started."""
    script(tmp_path / "first" / "python3", "echo started >&2; exit 1")

    def run(*ahead, **variables):
        return subprocess.run([*ahead, PROGRAM, "--version"], capture_output=True, text=True,
                              env={"PATH": f"{tmp_path}/first:/usr/bin:/bin", **variables})
    return run


@pytest.fixture
def own(tmp_path):
    """An interpreter at a path of which a shell could make something else."""
    return script(tmp_path / "own $(false) *" / "py 'thon", f'echo own >&2; exec "{sys.executable}" "$@"')


def check(said, words):
    assert said.returncode == 0 and said.stdout.startswith("modeld-python ") and said.stderr == words, said.stderr


def test_the_backends(begin, own):
    check(begin(MODELD_SETTINGS=f"threads=1\ninterpreter={own}\n"), "own\n")


def test_the_models_comes_first(begin, own):
    check(begin(MODELD_SETTINGS="interpreter=/nowhere\n", MODELD_PARAMETERS=f"a=interpreter=b\ninterpreter={own}\nz=\n"), "own\n")


def test_one_from_the_models_directory(begin, own):
    check(begin(MODELD_PARAMETERS=f"interpreter={own.name}\n", MODELD_MODEL_PATH=str(own.parent)), "own\n")


@pytest.mark.parametrize("kind, why", [("nowhere", "interpreter {}: No such file or directory"), ("no-program", "interpreter {}: Permission denied")])
def test_one_that_cannot_be(begin, tmp_path, kind, why):
    path = tmp_path / kind
    if kind == "no-program":
        path.write_text("")
    said = begin(MODELD_SETTINGS=f"interpreter={path}\n")
    assert said.returncode == 78 and why.format(path) in said.stderr and "started" not in said.stderr, said.stderr


def test_none_at_all(begin):
    said = begin(PATH="/nowhere")
    assert said.returncode == 78 and "no python3 in PATH may be run here" in said.stderr


def test_of_path_the_first_that_the_sandbox_shows(begin):
    sandbox = {"MODELD_SANDBOX": "on", "MODELD_SANDBOX_READ": "\n".join(map(os.path.dirname, (PROGRAM, os.path.realpath(PROGRAM))))}
    held_by = subprocess.run([LAUNCHER, "--run", "/usr/bin/env"], capture_output=True, text=True, env=dict(os.environ, **sandbox))
    if "Landlock" not in held_by.stdout or not os.path.exists(SYSTEMS):
        pytest.skip("no sandbox, or no Python that it would show")
    check(begin(LAUNCHER, "--run", **sandbox), "")


def test_a_shell_that_reads_all_of_it_finds_no_fault():
    """As those do that look scripts through before they are installed."""
    assert subprocess.run(["sh", "-n", PROGRAM], capture_output=True, text=True, check=False).stderr == ""
