/* kserve_config_instances.h: the groups of instances of a ModelConfig. */
#ifndef SERVICES_KSERVE_CONFIG_INSTANCES_H
#define SERVICES_KSERVE_CONFIG_INSTANCES_H

#include "base/cleanup.h"
#include "grpc/message_memory.h"
#include "proto/kserve/grpc_service.pb-c.h"

struct dispatch;
struct version;

/*
 * Where the model's settings name devices, a group for each of them that there is a worker on, in the order of workers, named
 * as Triton names them; else one for all. m->name is set. -ENOMEM
 */
_must_use_ int kserve_config_instances(struct message_memory *memory, Inference__ModelConfig *m,
	const struct dispatch *d, const struct version *v);

#endif
