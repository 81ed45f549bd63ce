/* kserve_demand.c: models that calls wait for which are no inferences. Daemon process, loop thread. */
#include "services/kserve_demand.h"

#include <stdlib.h>
#include <string.h>

#include "dispatch/demand.h"
#include "dispatch/dispatch.h"
#include "services/caller.h"
#include "services/kserve_models.h"
#include "services/kserve_small.h"

static struct dispatch *dispatch_of(const struct call *c)
{
	return ((const struct services *)call_context(c))->dispatch;
}

static void on_end(void *data, enum grpc_status status, const char *text)
{
	struct kserve_demand *w = data;
	struct infer_failure failure = {0};
	struct version *v = NULL;

	w->demand = NULL;
	if (status != GRPC_OK)
		call_finish(w->call, status,
			strcmp(text, DISPATCH_ENDING_TEXT) != 0 ? text : KSERVE_ENDING);
	else if (kserve_find_version(dispatch_of(w->call), w->name, w->version, &v, &failure))
		kserve_small_fail(w->call, &failure);
	else
		w->answer(w->call, v, w->version[0] != '\0');
}

/* Would an inference wait for it? No name is the default model elsewhere. */
static bool is_to_come(
	const struct call *c, const char *name, const char *version, enum grpc_status status)
{
	if (status == GRPC_NOT_FOUND)
		return *name && !kserve_is_known(dispatch_of(c), name, version);
	return status == GRPC_UNAVAILABLE;
}

/* False: it is not to be had. Else it waits, or the call has ended. */
static bool demand(struct call *c, struct kserve_demand *w)
{
	const struct origin origin = caller_origin(c);
	const struct demand_wish wish = {.model = w->name,
		.version = w->version,
		.client = origin.client,
		.deadline_ns = origin.deadline_ns,
		.on_end = on_end,
		.data = w};

	switch (dispatch_demand(dispatch_of(c), &wish, &w->demand)) {
	case 0:
		return true;
	case DEMAND_E_NOBODY:
		return false;
	case DEMAND_E_FULL:
		call_finish(c, GRPC_RESOURCE_EXHAUSTED, DEMAND_FULL_TEXT);
		return true;
	default:
		message_no_memory(c);
		return true;
	}
}

static bool keep(struct call *c, struct kserve_demand *w, const char *name, const char *version,
	kserve_answer *answer)
{
	w->call = c;
	w->answer = answer;
	w->name = strdup(name);
	w->version = strdup(version);
	return w->name && w->version;
}

void kserve_demand_version(struct call *c, struct kserve_demand *w, const char *name,
	const char *version, kserve_answer *answer)
{
	struct infer_failure failure = {0};
	struct version *v = NULL;

	if (!kserve_find_version(dispatch_of(c), name, version, &v, &failure)) {
		answer(c, v, version[0] != '\0');
		return;
	}
	if (!is_to_come(c, name, version, failure.status)) {
		kserve_small_fail(c, &failure);
		return;
	}
	if (!keep(c, w, name, version, answer))
		message_no_memory(c);
	else if (!demand(c, w))
		kserve_small_fail(c, &failure);
	infer_failure_deinit(&failure);
}

void kserve_demand_close(struct call *c, void *state)
{
	struct kserve_demand *w = state;

	(void)c;
	w->demand = demand_free(w->demand);
	free(w->name);
	free(w->version);
}
