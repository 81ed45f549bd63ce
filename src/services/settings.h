/* settings.h: limits of what services do. Each has a name in modeld.conf. */
#ifndef SERVICES_SETTINGS_H
#define SERVICES_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "services/key_region.h"
#include "services/kserve_upload.h"
#include "services/model_handles.h"

struct services_settings {
	uint32_t max_request_metadata_bytes; /* of a message, without its tensor data */
	uint32_t max_stream_requests;	     /* requests in flight of one streaming call */
	uint32_t max_unread_answers;	 /* answers in part of a request that wait for the client */
	uint64_t arena_wait_ms;		 /* how long a request waits for input arena space */
	enum client_shm client_shm;	 /* who may name shared memory by its key */
	enum client_shm client_cuda_shm; /* who may name memory of a GPU by its handle */
	enum kserve_uploads uploads;	 /* from whom files of models are taken */
	uint32_t max_shm_regions;	 /* named so, of all clients */
	struct model_handles_settings handles;
	bool strict_readiness; /* health "" is SERVING only with every model ready */
};

#endif
