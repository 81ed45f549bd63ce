"""Clients without .proto files: what they list, describe and call by grpc.reflection alone."""
import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

import messages as m

SERVED = {"grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection",
          "inference.GRPCInferenceService", "modeld.control.v1.Control",
          "remotemedia.model_registry.v1.ModelWorkerService"}


@pytest.fixture
def database(daemon):
    return ProtoReflectionDescriptorDatabase(daemon.channel())


def test_every_service_is_described(database):
    assert SERVED <= set(database.get_services())
    pool = descriptor_pool.DescriptorPool(database)
    for name in database.get_services():
        service = pool.FindServiceByName(name)
        for method in service.methods:
            assert method.input_type.full_name and method.output_type.full_name


def test_a_call_by_it_alone(daemon, database):
    pool = descriptor_pool.DescriptorPool(database)
    method = pool.FindServiceByName("inference.GRPCInferenceService").methods_by_name["ModelMetadata"]
    request = message_factory.GetMessageClass(method.input_type)(name="identity")
    answer = daemon.call(m.KSERVE_SERVICE + "ModelMetadata", request, message_factory.GetMessageClass(method.output_type))
    assert answer.name == "identity"


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_both_versions(daemon, version):
    ask = daemon.channel().stream_stream(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
                                         request_serializer=lambda q: q.SerializeToString(),
                                         response_deserializer=reflection_pb2.ServerReflectionResponse.FromString)
    questions = [reflection_pb2.ServerReflectionRequest(list_services=""),
                 reflection_pb2.ServerReflectionRequest(file_containing_symbol="inference.ModelInferRequest"),
                 reflection_pb2.ServerReflectionRequest(file_by_filename="nothing")]
    services, file, error = ask(iter(questions), timeout=60)
    assert SERVED <= {s.name for s in services.list_services_response.service}
    parsed = descriptor_pb2.FileDescriptorProto.FromString(file.file_descriptor_response.file_descriptor_proto[0])
    assert parsed.package == "inference"
    assert error.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


def test_a_question_that_is_too_long(daemon):
    stub = reflection_pb2_grpc.ServerReflectionStub(daemon.channel())
    with pytest.raises(grpc.RpcError) as e:
        list(stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(host="x" * 5000)]), timeout=60))
    assert e.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
