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
# What is made refuses an older protobuf than the one that it was made for, and all of the next but one major version. These messages
# are plain proto3, of which each since OLDEST makes the same classes: so they are at home beside tritonclient, which wants another one.
CHECK = re.compile(r"^from google\.protobuf import runtime_version as _runtime_version\n"
                   r"|^_runtime_version\.ValidateProtobufRuntimeVersion\(.*?^\)\n", re.MULTILINE | re.DOTALL)
OLDEST = "4.25"


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
    for made in (out / PACKAGE).glob("*_pb2.py"):
        made.write_text(CHECK.sub("", made.read_text()))


def needs(directory):
    """What generated code asks of the packages that it runs with."""
    out = pathlib.Path(directory) / PACKAGE
    modern = "Protobuf Python Version: " in (out / "model_worker_pb2.py").read_text()
    stubs = re.search(r"GRPC_GENERATED_VERSION = '([\d.]+)'", (out / "model_worker_pb2_grpc.py").read_text())
    return [f"protobuf>={OLDEST if modern else '3.21'}", f"grpcio>={stubs.group(1) if stubs else '1.51'}"]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    generate(sys.argv[1])
