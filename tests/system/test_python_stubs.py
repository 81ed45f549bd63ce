"""The generated messages and stubs, and the examples of the README, as a new user runs them."""
import os
import re
import shutil
import subprocess
import sys

import pytest

from daemon import ROOT

PACKAGE = os.path.join(ROOT, "clients", "python")
pytest.importorskip("grpc_tools", reason="grpcio-tools makes the stubs")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The package as pip would lay it down."""
    path = tmp_path_factory.mktemp("site")
    shutil.copytree(os.path.join(PACKAGE, "modeld"), path / "modeld", ignore=shutil.ignore_patterns("*_pb2*", "__pycache__"))
    subprocess.run([sys.executable, os.path.join(PACKAGE, "stubs.py"), path], check=True)
    return path


@pytest.fixture(scope="module")
def server(start_once):
    return start_once(models=["digits"], repository=os.path.join(ROOT, "conf", "models"))


def run(installed, program, **env):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120,
                          env=dict(os.environ, PYTHONPATH=str(installed), **env))
    assert done.returncode == 0, done.stderr
    return done.stdout


def examples():
    readme = open(os.path.join(ROOT, "README.md"), encoding="utf-8").read()
    section = readme[readme.index("## A client in Python"):readme.index("## Local clients")]
    return re.findall(r"```python\n(.*?)```", section, re.S)


def test_the_first_example(installed, server):
    said = run(installed, examples()[0], MODELD_ADDRESS=server.unix)
    assert len(said.strip(" []\n").split()) == 10


def test_the_example_of_plain_grpcio(installed, server):
    program = examples()[1]
    assert "localhost:50052" in program
    said = run(installed, program.replace("localhost:50052", server.tcp))
    assert "'queue_us'" in said and said.startswith("[")


def test_what_is_there(installed):
    said = run(installed, "from modeld.grpc import control_pb2, control_pb2_grpc, model_worker_pb2 as m\n"
                          "print(m.InferRequest.DESCRIPTOR.full_name, control_pb2_grpc.ControlStub.__name__)")
    assert said.split() == ["remotemedia.model_registry.v1.InferRequest", "ControlStub"]
    assert (installed / "modeld" / "grpc" / "model_worker_pb2.pyi").exists()


def test_no_version_of_protobuf_is_refused(installed):
    """tritonclient wants another one than the newest, for which the messages are made."""
    for made in (installed / "modeld" / "grpc").glob("*_pb2.py"):
        text = made.read_text()
        assert "ValidateProtobufRuntimeVersion" not in text and "runtime_version" not in text
        assert "AddSerializedFile(" in text and "BuildTopDescriptorsAndMessages(" in text


def test_what_it_needs_is_said(installed):
    said = subprocess.run([sys.executable, "-c", f"import sys; sys.path.insert(0, {PACKAGE!r}); import stubs; "
                           f"print(*stubs.needs({str(installed)!r}))"], capture_output=True, text=True, check=True).stdout
    assert re.fullmatch(r"protobuf>=\d+\.[\d.]+ grpcio>=\d+\.[\d.]+\n", said)
