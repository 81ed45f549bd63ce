/* settings.h: where models come from, which of them are served, and what they get when their files do not say. */
#ifndef MODELS_SETTINGS_H
#define MODELS_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "models/eviction.h"
#include "pool/isolation.h"

struct pool_place;

/* What a model gets when its model.conf does not say. */
struct models_defaults {
	uint32_t max_batch_size;
	uint64_t max_queue_delay_us;
	uint32_t max_queue_size;
	uint64_t run_timeout_ms;
	enum isolation isolation;
};

/* Who says which models there are, once the daemon serves. */
enum models_control {
	MODELS_CONTROL_NONE,	 /* what is there at start; again when asked to reload */
	MODELS_CONTROL_POLL,	 /* the files */
	MODELS_CONTROL_EXPLICIT, /* callers, model by model */
};

/* All borrowed by whoever is given one. */
struct models_settings {
	const char *const *repositories; /* absolute; NULL-terminated */
	const char *const *serve;	 /* names of models; {"*", NULL}: all */
	enum models_control control;
	const char *const *load;   /* EXPLICIT: what is loaded at start; {"*", NULL}: all */
	bool load_on_request;	   /* EXPLICIT: requests for what is not loaded have it loaded */
	uint32_t max_models;	   /* EXPLICIT, as what follows; 0: no limit */
	uint64_t max_memory_bytes; /* of the host's memory, as workers measure it; 0: no limit */
	uint64_t max_gpu_memory_bytes; /* of each GPU's; 0: no limit */
	enum eviction_policy eviction;
	uint64_t ttl_ms;	   /* a model that was not used for so long: EVICTION_TTL */
	uint64_t poll_interval_ms; /* POLL: files are looked at so often in any case */
	uint64_t settle_ms;	   /* POLL: a change counts when nothing moved for so long */
	const char *default_model; /* "": none */
	struct models_defaults defaults;
	const struct pool_place *places; /* whose devices there are */
	size_t n_places;
};

#endif
