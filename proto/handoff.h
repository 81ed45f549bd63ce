/*
 * handoff.h: limits of the handoff protocol, which client libraries share with the daemon. The messages are in
 * proto/handoff.proto.
 */
#ifndef PROTO_HANDOFF_H
#define PROTO_HANDOFF_H

#include <stdint.h>

#define HANDOFF_PROTOCOL    1u
#define HANDOFF_MESSAGE_MAX (128u * 1024u) /* bytes of a record */
#define HANDOFF_INLINE_MAX  (64u * 1024u)  /* outputs without a target, all of an answer together */
#define HANDOFF_TENSORS_MAX 1024u	   /* inputs, targets, outputs of an inference, each */
#define HANDOFF_TOKEN_BYTES 16u

#endif
