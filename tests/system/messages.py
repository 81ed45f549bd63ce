"""Message classes of proto/*.proto, made at run time from protoc's descriptor set: no generated code that would
have to fit the protobuf package's version."""
import os
import subprocess
import tempfile
from types import SimpleNamespace

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
FILES = ["model_worker.proto", "model_registry.proto", "health.proto", "control.proto", "handoff.proto", "wire.proto",
         "kserve/model_config.proto", "kserve/grpc_service.proto"]


def load():
    files = [os.path.join("proto", f) for f in FILES if os.path.exists(os.path.join(ROOT, "proto", f))]
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(["protoc", "-I.", f"--descriptor_set_out={out.name}", *files], cwd=ROOT, check=True)
        found = descriptor_pb2.FileDescriptorSet.FromString(open(out.name, "rb").read())
    pool = descriptor_pool.DescriptorPool()
    for file in found.file:
        pool.Add(file)
    result = {}
    for file in found.file:
        names = SimpleNamespace()
        for message in file.message_type:
            descriptor = pool.FindMessageTypeByName(f"{file.package}.{message.name}")
            setattr(names, message.name, message_factory.GetMessageClass(descriptor))
        result[os.path.basename(file.name).split(".")[0]] = names
    return result


_ALL = load()
worker = _ALL["model_worker"]
registry = _ALL["model_registry"]
health = _ALL["health"]
control = _ALL["control"]
handoff = _ALL.get("handoff")
wire = _ALL["wire"]
kserve = _ALL["grpc_service"]
model_config = _ALL["model_config"]
WORKER_SERVICE = "/remotemedia.model_registry.v1.ModelWorkerService/"
REGISTRY_SERVICE = "/remotemedia.model_registry.v1.ModelRegistryService/"
HEALTH_SERVICE = "/grpc.health.v1.Health/"
KSERVE_SERVICE = "/inference.GRPCInferenceService/"
CONTROL_SERVICE = "/modeld.control.v1.Control/"
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3
