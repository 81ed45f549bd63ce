/*
 * family.h: what metrics there are. A family is all series of one name, of which there is one for each of what it
 * is of (family_of), or a few.
 */
#ifndef METRICS_FAMILY_H
#define METRICS_FAMILY_H

#include <stdint.h>

#include "metrics/metrics.h"
#include "metrics/text.h"

struct nvml_gpu;
struct version;
struct worker;

enum family_of {
	OF_SERVER,
	OF_VERSION, /* each version of a model that is served; labels model, version */
	OF_WORKER,  /* each worker's place; labels worker, device */
	OF_GPU,	    /* each GPU where the driver can be asked; label gpu_uuid */
};

/* One of what a family is of. Borrowed: what it names is there while a family is written. */
struct subject {
	const struct metrics_sources *sources;
	const struct version *version;
	struct worker *worker;
	const struct nvml_gpu *gpu;
	const char *labels;
};

/* Those that the driver does not have are left out. */
#define FAMILY_ABSENT UINT64_MAX

struct family {
	const char *name;
	const char *type; /* "counter", "gauge", "histogram" */
	const char *help;
	enum family_of of;
	/* One figure ... */
	uint64_t (*value)(const struct subject *s);
	enum text_unit unit;
	/* ... or, where it is NULL, all of a subject's series. */
	void (*write)(struct text *t, const struct family *f, const struct subject *s);
};

/* Each ends with a family without a name. */
extern const struct family gpu_families[];
extern const struct family triton_families[];
extern const struct family model_families[];
extern const struct family worker_families[];
extern const struct family server_families[];
/* All of them; NULL-terminated. */
extern const struct family *const families[];

/* Write one subject's series. */
void family_write(struct text *t, const struct family *f, const struct subject *s);

#endif
