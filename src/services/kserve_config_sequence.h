/* kserve_config_sequence.h: what a ModelConfig says of sequences. */
#ifndef SERVICES_KSERVE_CONFIG_SEQUENCE_H
#define SERVICES_KSERVE_CONFIG_SEQUENCE_H

#include "dispatch/sequence_settings.h"
#include "grpc/message.h"
#include "proto/kserve/grpc_service.pb-c.h"

/* Fill m's sequence_batching, in `memory`; names are s's own. -ENOMEM */
_must_use_ int kserve_config_sequence(struct message_memory *memory, Inference__ModelConfig *m,
	const struct sequence_settings *s);

#endif
