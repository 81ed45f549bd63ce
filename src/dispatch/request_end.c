/*
 * request_end.c: how a request ends: its answer is counted and told, or kept until it may be, and what it held goes
 * back. Daemon process, loop thread.
 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "dispatch/client_private.h"
#include "dispatch/ordering.h"
#include "dispatch/output_share.h"
#include "dispatch/request_private.h"
#include "dispatch/version_private.h"
#include "pool/worker.h"

static void fill_result(
	const struct request *r, const struct request_answer *a, struct request_result *result)
{
	*result = (struct request_result){
		.partial = a->partial,
		.status = a->status,
		.message = a->message,
		.outputs = a->outputs,
		.n_outputs = a->n_outputs,
		.targets = r->targets,
		.n_targets = r->n_targets,
		.lease = a->lease,
		.worker = a->worker ? worker_name(a->worker) : "",
		.device = a->worker ? worker_device(a->worker) : "",
		.batch_requests = a->batch_requests,
		.times = r->times,
	};
	result->times.compute_ns = a->compute_ns;
	result->times.done_ns = a->now_ns;
}

/* How long the stages of its life took, until its answer came. */
static void note_stages(struct request *r, const struct request_answer *a)
{
	struct version_figures *figures = &r->version->figures;
	const struct request_times *t = &r->times;
	struct histogram *stages = figures->stages;
	uint64_t away_ns = a->now_ns - t->dispatched_ns;
	uint64_t sent_ns = away_ns > a->compute_ns ? away_ns - a->compute_ns : 0;
	uint64_t begun_ns = t->received_ns ? t->received_ns : t->submitted_ns;

	if (t->received_ns && t->received_ns <= t->submitted_ns)
		histogram_add(&stages[VERSION_RECEIVE], HISTOGRAM_SHIFT_NS,
			t->submitted_ns - t->received_ns);
	histogram_add(
		&stages[VERSION_QUEUE], HISTOGRAM_SHIFT_NS, t->dispatched_ns - t->submitted_ns);
	histogram_add(&stages[VERSION_SEND], HISTOGRAM_SHIFT_NS, sent_ns);
	histogram_add(&stages[VERSION_COMPUTE], HISTOGRAM_SHIFT_NS, a->compute_ns);
	histogram_add(&figures->total, HISTOGRAM_SHIFT_NS, a->now_ns - begun_ns);
}

static void count(struct request *r, const struct request_answer *a)
{
	struct version_counters *counters = &r->version->counters;
	uint64_t total_ns = a->now_ns - r->times.submitted_ns;

	if (a->status != GRPC_OK) {
		counters->requests_failed++;
		counters->failed_ns += total_ns;
		r->version->figures.failures[a->worker ? VERSION_BACKEND : VERSION_OTHER]++;
		return;
	}
	counters->requests_ok++;
	counters->total_ns += total_ns;
	counters->queue_ns += r->times.dispatched_ns - r->times.submitted_ns;
	counters->compute_ns += a->compute_ns;
	counters->rows += r->rows;
	counters->last_ns = a->now_ns;
	note_stages(r, a);
}

/* What the callback keeps is its client's. */
static void call_back(struct request *r, const struct request_answer *a)
{
	struct request_result result;

	fill_result(r, a, &result);
	r->on_done(r->data, &result);
	output_share_charge(r->client, a->lease);
}

static void tell_counted(struct request *r, const struct request_answer *a)
{
	if (r->silent)
		return;
	r->silent = true;
	call_back(r, a);
}

void request_tell(struct request *r, const struct request_answer *a)
{
	if (!r->silent && !r->kept)
		count(r, a);
	ordering_leave(r);
	tell_counted(r, a);
}

static void refund(struct request *r)
{
	if (!r->refunded)
		client_refund_request(r->client);
	r->refunded = true;
}

/* Where another one is to be told first. It is counted, and its client's, from now on. */
static bool keep(struct request *r, const struct request_answer *a)
{
	bool kept = r->kept;

	if (!ordering_keep(r, a))
		return false;
	if (kept)
		return true;
	count(r, a);
	output_share_charge(r->client, a->lease);
	return true;
}

void request_tell_ahead(struct request *r, const struct request_answer *a)
{
	if (!a->partial) {
		refund(r);
		if (!keep(r, a))
			request_tell(r, a);
		return;
	}
	r->begun = true;
	if (r->silent)
		return;
	call_back(r, a);
}

/* Charges are back before anybody is told, so that the callback may submit the next one. */
static void request_refund(struct request *r)
{
	if (r->sequence)
		r->leave(r);
	ordering_leave(r);
	request_set_state(r, REQUEST_DONE);
	refund(r);
}

static void finish_counted(struct request *r, const struct request_answer *a)
{
	request_refund(r);
	tell_counted(r, a);
	request_drop_leases(r);
	request_unref(r);
}

void request_await_turn(struct request *r)
{
	request_drop_inputs(r);
	if (r->state != REQUEST_LEAVING)
		request_set_state(r, REQUEST_LEAVING);
}

void request_finish(struct request *r, const struct request_answer *a)
{
	if (keep(r, a)) {
		request_await_turn(r);
		return;
	}
	if (!r->silent)
		count(r, a);
	finish_counted(r, a);
}

void request_fail(
	struct request *r, uint64_t now_ns, enum grpc_status status, const char *format, ...)
{
	char text[REQUEST_TEXT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	request_finish(
		r, &(struct request_answer){.status = status, .message = text, .now_ns = now_ns});
}

void request_drop(struct request *r)
{
	request_refund(r);
	r->silent = true;
	request_drop_leases(r);
	request_unref(r);
}

bool request_tell_ordered(struct work *w)
{
	struct kept_answer *k;
	struct request *r;
	bool any = false;

	while ((r = ordering_take(w, &k))) {
		any = true;
		if (r->state == REQUEST_SENT)
			tell_counted(r, &k->answer);
		else
			finish_counted(r, &k->answer);
		kept_answer_free(k);
	}
	return any;
}
