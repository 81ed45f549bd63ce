/* kserve_config_queue.h: what a ModelConfig says of how requests wait. */
#ifndef SERVICES_KSERVE_CONFIG_QUEUE_H
#define SERVICES_KSERVE_CONFIG_QUEUE_H

#include "dispatch/queue_settings.h"
#include "grpc/message.h"
#include "proto/kserve/grpc_service.pb-c.h"

/* Fill preferred sizes, levels and policies of m, in `memory`; where no size is preferred it is max_batch_size. s may be
 * NULL. -ENOMEM */
_must_use_ int kserve_config_queue(struct message_memory *memory,
	Inference__ModelDynamicBatching *m, const struct queue_settings *s,
	uint32_t max_batch_size);

#endif
