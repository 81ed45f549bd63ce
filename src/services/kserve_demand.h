/*
 * kserve_demand.h: small calls that ask of a version that is not loaded, where requests have models loaded ([models] load_on_request):
 * they wait for it as an inference does, and are charged as one.
 */
#ifndef SERVICES_KSERVE_DEMAND_H
#define SERVICES_KSERVE_DEMAND_H

#include <stdbool.h>

struct call;
struct demand;
struct version;

/* Answers the call; one: a version was named. */
typedef void kserve_answer(struct call *c, const struct version *v, bool one);

/* A call's state. Zeroed: it does not wait. */
struct kserve_demand {
	struct call *call; /* borrow, as all below but the texts */
	struct demand *demand;
	kserve_answer *answer;
	char *name, *version; /* own */
};

/* By name and number, as kserve_find_version() has them. Calls `answer`, now or from the loop, or ends the call with what is wrong. */
void kserve_demand_version(struct call *c, struct kserve_demand *w, const char *name,
	const char *version, kserve_answer *answer);
/* As in struct method. */
void kserve_demand_close(struct call *c, void *state);

#endif
