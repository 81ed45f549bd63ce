/* handoff_message_private.h: what handoff_message.c shows its tests. Nobody else includes it. */
#ifndef PROTO_HANDOFF_MESSAGE_PRIVATE_H
#define PROTO_HANDOFF_MESSAGE_PRIVATE_H

#include "proto/codec.h"

extern const struct codec_message handoff_envelope_table; /* struct handoff_message */

#endif
