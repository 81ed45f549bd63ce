/* json_message.h: any message of protobuf as JSON, its fields named as in the .proto file. */
#ifndef CLIENTS_MODELCTL_JSON_MESSAGE_H
#define CLIENTS_MODELCTL_JSON_MESSAGE_H

#include <protobuf-c/protobuf-c.h>

#include "clients/modelctl/json.h"

/* An object of all fields. Left out: a single int64 below 0, by which our messages say that something is
 * not known, and what was not chosen of a oneof. An enum is the name of its value, a map an object. Asserts that there are no bytes,
 * and no fixed numbers but doubles. */
void json_message(struct json *j, const char *key, const ProtobufCMessage *m);

#endif
