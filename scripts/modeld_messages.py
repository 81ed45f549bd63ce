"""The messages of modeld's inference service (proto/model_worker.proto) for Python clients.

Made at run time, so that neither protoc nor generated code is needed:

    import grpc, modeld_messages as m
    channel = grpc.insecure_channel("127.0.0.1:50052")
    infer = m.method(channel, "Infer")
    reply = infer(m.InferRequest(model_id="identity",
                                 tensor_data=m.TensorData(data=b"abc", shape=[3], dtype="u8")))
"""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "remotemedia.model_registry.v1"
SERVICE = f"{PACKAGE}.ModelWorkerService"

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "string": _Field.TYPE_STRING,
    "bytes": _Field.TYPE_BYTES,
    "bool": _Field.TYPE_BOOL,
    "double": _Field.TYPE_DOUBLE,
    "int32": _Field.TYPE_INT32,
    "uint32": _Field.TYPE_UINT32,
    "uint64": _Field.TYPE_UINT64,
}

# message: (name, type, number), a type being one of the above, "repeated X", "map" (of strings to
# strings), or a message; "oneof NAME X" puts the field into that oneof.
_MESSAGES = {
    "TensorRef": [
        ("region_id", "string", 1),
        ("offset", "uint64", 2),
        ("size", "uint64", 3),
        ("shape", "repeated int32", 4),
        ("dtype", "string", 5),
    ],
    "TensorData": [("data", "bytes", 1), ("shape", "repeated int32", 2), ("dtype", "string", 3)],
    "InferRequest": [
        ("model_id", "string", 1),
        ("tensor_ref", "oneof input TensorRef", 2),
        ("tensor_data", "oneof input TensorData", 3),
        ("parameters", "map", 4),
        ("request_id", "string", 5),
    ],
    "InferResponse": [
        ("request_id", "string", 1),
        ("tensor_ref", "oneof output TensorRef", 2),
        ("tensor_data", "oneof output TensorData", 3),
        ("inference_time_ms", "uint64", 4),
        ("metadata", "map", 5),
    ],
    "HealthCheckRequest": [],
    "HealthCheckResponse": [("healthy", "bool", 1), ("status", "string", 2)],
    "GetStatusRequest": [],
    "GetStatusResponse": [
        ("worker_id", "string", 1),
        ("model_id", "string", 2),
        ("status", "string", 3),
        ("current_load", "uint32", 4),
        ("max_batch_size", "uint32", 5),
        ("total_requests", "uint64", 6),
        ("average_latency_ms", "double", 7),
    ],
}
# method: request, reply, both streamed
_METHODS = {
    "Infer": ("InferRequest", "InferResponse", False),
    "InferStream": ("InferRequest", "InferResponse", True),
    "HealthCheck": ("HealthCheckRequest", "HealthCheckResponse", False),
    "GetStatus": ("GetStatusRequest", "GetStatusResponse", False),
}


def _add_map(message, field):
    """A map is a repeated nested message of key and value."""
    entry = message.nested_type.add(name=f"{field.name.capitalize()}Entry")
    entry.options.map_entry = True
    for number, name in enumerate(("key", "value"), 1):
        entry.field.add(name=name, number=number, type=_Field.TYPE_STRING, label=_Field.LABEL_OPTIONAL)
    field.label = _Field.LABEL_REPEATED
    field.type = _Field.TYPE_MESSAGE
    field.type_name = f".{PACKAGE}.{message.name}.{entry.name}"


def _add_field(message, name, kind, number):
    field = message.field.add(name=name, number=number, label=_Field.LABEL_OPTIONAL)
    words = kind.split()
    if words[0] == "repeated":
        field.label = _Field.LABEL_REPEATED
    elif words[0] == "oneof":
        if words[1] not in [o.name for o in message.oneof_decl]:
            message.oneof_decl.add(name=words[1])
        field.oneof_index = len(message.oneof_decl) - 1
    if kind == "map":
        _add_map(message, field)
    elif words[-1] in _SCALARS:
        field.type = _SCALARS[words[-1]]
    else:
        field.type = _Field.TYPE_MESSAGE
        field.type_name = f".{PACKAGE}.{words[-1]}"


def _classes():
    file = descriptor_pb2.FileDescriptorProto(
        name="modeld/model_worker.proto", package=PACKAGE, syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field in fields:
            _add_field(message, *field)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))
        for name in _MESSAGES
    }


globals().update(_classes())


def method(channel, name):
    """A callable for one method of the service on this grpc channel."""
    request, reply, streamed = _METHODS[name]
    make = channel.stream_stream if streamed else channel.unary_unary
    return make(
        f"/{SERVICE}/{name}",
        request_serializer=globals()[request].SerializeToString,
        response_deserializer=globals()[reply].FromString,
    )
