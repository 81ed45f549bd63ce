/* fake_dispatch.h: stands in for src/dispatch below lifecycle*.c; the test says how versions are. */
#ifndef TESTS_UNIT_MODELS_FAKE_DISPATCH_H
#define TESTS_UNIT_MODELS_FAKE_DISPATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "dispatch/dispatch.h"

#define FAKE_VERSIONS_MAX 512
#define FAKE_GPUS_MAX	  4

struct version {
	unsigned refs;
	struct version_settings settings;
	struct version *replaces;
	bool retired, ready, hopeful, declared;
	uint32_t failed;
	uint32_t n_requests;
	uint64_t memory_bytes;		   /* on each device that is no GPU */
	uint64_t gpu_bytes[FAKE_GPUS_MAX]; /* on cuda:0, cuda:1, ... */
	struct version_counters counters;
	unsigned n_retries, n_stays;
	const char *detail, *remark;
};

/* struct dispatch */
struct fake_dispatch {
	struct version *versions[FAKE_VERSIONS_MAX]; /* that are found, a reference each */
	size_t n;
	char changes[1024];	/* "add a/1 replace b/2 remove c/1" */
	char default_model[64]; /* as dispatch_set_default() had it */
	char supplied[256];	/* "a: 0, b:2: 14 why" */
	bool demanded;		/* what dispatch_is_demanded() returns */
	uint64_t added_bytes;	/* what versions take */
	uint64_t added_gpu_bytes[FAKE_GPUS_MAX];
	int add_error;	   /* what dispatch_add_version() returns */
	bool added_ready;  /* versions are ready at once; else they load */
	unsigned n_living; /* versions that have references */
	unsigned n_looks;  /* versions that were looked up, by number or by model */
};

extern struct fake_dispatch fake;

/* The one that was added last. */
struct version *fake_last(void);
/* The one of this name and number that is found and replaces none; NULL. */
struct version *fake_find(const char *name, const char *number);
/* As the catalogue does when a candidate is ready. */
void fake_take_over(struct version *v);
/* All references of the fake's own go. */
void fake_clear(void);

#endif
