/* descriptors.h: the .proto files of what is served, as protoc describes them; made at build. */
#ifndef PROTO_DESCRIPTORS_H
#define PROTO_DESCRIPTORS_H

#include <stddef.h>
#include <stdint.h>

/* A google.protobuf.FileDescriptorSet. */
extern const uint8_t descriptors_data[];
extern const size_t descriptors_size;

#endif
