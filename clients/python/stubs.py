#!/usr/bin/env python3
"""Messages and stubs of the daemon's services for grpcio, made by grpcio-tools, or by Debian's
protobuf-compiler and protobuf-compiler-grpc.

    stubs.py DIRECTORY      modeld/grpc/*_pb2.py and *_pb2_grpc.py below it
"""
import pathlib
import re
import shutil
import subprocess
import sys

PROTOS = pathlib.Path(__file__).resolve().parent.parent.parent / "proto"
PACKAGE = "modeld/grpc"
FILES = ["model_worker.proto", "control.proto"]


def run(arguments):
    try:
        from grpc_tools import protoc
    except ImportError:
        plugin = shutil.which("grpc_python_plugin")
        if not plugin:
            raise RuntimeError("neither grpcio-tools nor grpc_python_plugin (Debian: protobuf-compiler-grpc) is here") from None
        return subprocess.run(["protoc", f"--plugin=protoc-gen-grpc_python={plugin}", *arguments], check=False).returncode
    return protoc.main(["protoc", *arguments])


def generate(directory):
    out = pathlib.Path(directory)
    (out / PACKAGE).mkdir(parents=True, exist_ok=True)
    arguments = [f"-I{PACKAGE}={PROTOS}", f"--python_out={out}", f"--pyi_out={out}", f"--grpc_python_out={out}"]
    if run([*arguments, *(f"{PACKAGE}/{name}" for name in FILES)]):
        raise RuntimeError("protoc failed")


def needs(directory):
    """What generated code asks of the packages that it runs with."""
    out = pathlib.Path(directory) / PACKAGE
    messages = re.search(r"Protobuf Python Version: ([\d.]+)", (out / "model_worker_pb2.py").read_text())
    stubs = re.search(r"GRPC_GENERATED_VERSION = '([\d.]+)'", (out / "model_worker_pb2_grpc.py").read_text())
    return [f"protobuf>={messages.group(1) if messages else '3.21'}", f"grpcio>={stubs.group(1) if stubs else '1.51'}"]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    generate(sys.argv[1])
