/* json_message.h: any message of protobuf as JSON, its fields named as in the .proto file. */
#ifndef CLIENTS_MODELCTL_JSON_MESSAGE_H
#define CLIENTS_MODELCTL_JSON_MESSAGE_H

#include <protobuf-c/protobuf-c.h>

#include "clients/modelctl/json.h"

/* An object of all fields. Left out: a single int64 below 0, by which our messages say that something is
 * not known. Asserts that there are but strings, booleans, doubles, uint32, uint64, int64 and messages. */
void json_message(struct json *j, const char *key, const ProtobufCMessage *m);

#endif
