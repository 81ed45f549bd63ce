/* family_server.c: metrics of the daemon itself. */
#include <stddef.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/busy_poll.h"
#include "base/clock.h"
#include "base/log.h"
#include "dispatch/dispatch.h"
#include "dispatch/tally.h"
#include "handoff/handoff.h"
#include "metrics/family.h"
#include "services/frontend.h"
#include "trace/tracer.h"

static struct frontend_counters front(const struct subject *s)
{
	return frontend_counters(s->sources->frontend);
}

static void write_build(struct text *t, const struct family *f, const struct subject *s)
{
	(void)s;
	text_sample(t, f->name, "version=\"" MODELD_VERSION "\"", "", 1, TEXT_PLAIN);
}

static uint64_t ready(const struct subject *s)
{
	return frontend_ready(s->sources->frontend);
}

static uint64_t uptime_ns(const struct subject *s)
{
	return clock_ns() - s->sources->started_ns;
}

static uint64_t connections(const struct subject *s)
{
	return front(s).connections;
}

static uint64_t streams(const struct subject *s)
{
	return front(s).calls;
}

static uint64_t calls(const struct subject *s)
{
	return front(s).calls_total;
}

static uint64_t stalls(const struct subject *s)
{
	return dispatch_stalls(s->sources->dispatch);
}

static uint64_t log_lines_dropped(const struct subject *s)
{
	(void)s;
	return log_dropped();
}

static void write_spans(struct text *t, const struct family *f, const struct subject *s)
{
	const struct tracer_counters c = tracer_counters(s->sources->tracer);

	text_sample(t, f->name, "result=\"sent\"", "", c.sent, TEXT_PLAIN);
	text_sample(t, f->name, "result=\"dropped\"", "", c.dropped, TEXT_PLAIN);
	text_sample(t, f->name, "result=\"failed\"", "", c.failed, TEXT_PLAIN);
}

static void write_turns(struct text *t, const struct family *f, const struct subject *s)
{
	text_histogram(t, f->name, "", "", s->sources->turns, HISTOGRAM_SHIFT_NS);
}

static void write_spins(struct text *t, const struct family *f, const struct subject *s)
{
	uint64_t n_paid = 0, n_vain = 0;

	for (size_t i = 0; i < s->sources->n_polls; i++) {
		n_paid += s->sources->polls[i].n_paid;
		n_vain += s->sources->polls[i].n_vain;
	}
	text_sample(t, f->name, "result=\"paid\"", "", n_paid, TEXT_PLAIN);
	text_sample(t, f->name, "result=\"not_paid\"", "", n_vain, TEXT_PLAIN);
}

/* --- Memory, and what is charged for ------------------------------------------------------------- */

static void write_arena(struct text *t, const struct family *f, const struct subject *s)
{
	const struct arena *a = dispatch_arena(s->sources->dispatch);
	const struct arena_memory memory = arena_memory(a);

	text_sample(t, f->name, "state=\"used\"", "", arena_used(a), TEXT_PLAIN);
	text_sample(t, f->name, "state=\"resident\"", "", memory.resident, TEXT_PLAIN);
	text_sample(t, f->name, "state=\"mapped\"", "", memory.mapped, TEXT_PLAIN);
	text_sample(t, f->name, "state=\"limit\"", "", arena_limit(a), TEXT_PLAIN);
}

static struct handoff_counters local(const struct subject *s)
{
	return s->sources->handoff ? handoff_counters(s->sources->handoff)
				   : (struct handoff_counters){.connections = 0};
}

static uint64_t region_bytes(const struct subject *s)
{
	return local(s).region_bytes;
}

static void write_charges(struct text *t, const struct family *f, const struct subject *s)
{
	struct dispatch *d = s->sources->dispatch;
	const struct tally *tally = dispatch_tally(d);
	const struct handoff_counters h = local(s);
	const struct frontend_counters c = front(s);

	text_sample(t, f->name, "kind=\"requests\"", "", tally->n_requests, TEXT_PLAIN);
	text_sample(
		t, f->name, "kind=\"arena_bytes\"", "", arena_used(dispatch_arena(d)), TEXT_PLAIN);
	text_sample(t, f->name, "kind=\"held_bytes\"", "", c.held_bytes, TEXT_PLAIN);
	text_sample(t, f->name, "kind=\"output_bytes\"", "", tally->outputs.used, TEXT_PLAIN);
	text_sample(t, f->name, "kind=\"expected_output_bytes\"", "", tally->outputs.expected,
		TEXT_PLAIN);
	text_sample(t, f->name, "kind=\"compressing_bytes\"", "", c.compressing_bytes, TEXT_PLAIN);
	text_sample(t, f->name, "kind=\"regions\"", "", h.regions, TEXT_PLAIN);
	text_sample(t, f->name, "kind=\"region_bytes\"", "", h.region_bytes, TEXT_PLAIN);
}

static uint64_t clients(const struct subject *s)
{
	return dispatch_tally(s->sources->dispatch)->n_clients;
}

static uint64_t local_connections(const struct subject *s)
{
	return local(s).connections;
}

static uint64_t local_requests(const struct subject *s)
{
	return local(s).requests_total;
}

static void write_tensor_bytes(struct text *t, const struct family *f, const struct subject *s)
{
	const struct frontend_counters c = front(s);

	text_sample(t, f->name, "way=\"received\"", "", c.tensor_bytes_received, TEXT_PLAIN);
	text_sample(t, f->name, "way=\"copied_in\"", "", c.tensor_bytes_copied_in, TEXT_PLAIN);
	text_sample(t, f->name, "way=\"sent\"", "", c.tensor_bytes_sent, TEXT_PLAIN);
	text_sample(t, f->name, "way=\"copied_out\"", "", c.tensor_bytes_copied_out, TEXT_PLAIN);
	text_sample(t, f->name, "way=\"handed\"", "", local(s).tensor_bytes_handed, TEXT_PLAIN);
}

/* --- The process, under the names that every exporter has ----------------------------------------- */

static uint64_t of_timeval(struct timeval v)
{
	return (uint64_t)v.tv_sec * NS_PER_S + (uint64_t)v.tv_usec * NS_PER_US;
}

static uint64_t cpu_ns(const struct subject *s)
{
	struct rusage usage;

	(void)s;
	if (getrusage(RUSAGE_SELF, &usage))
		return FAMILY_ABSENT;
	return of_timeval(usage.ru_utime) + of_timeval(usage.ru_stime);
}

static uint64_t resident_bytes(const struct subject *s)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long total, resident;
	int n;

	(void)s;
	if (!file)
		return FAMILY_ABSENT;
	n = fscanf(file, "%lu %lu", &total, &resident);
	fclose(file);
	return n == 2 ? (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE) : FAMILY_ABSENT;
}

static uint64_t start_ns(const struct subject *s)
{
	return clock_wall_ns() - uptime_ns(s);
}

const struct family server_families[] = {
	{"modeld_build_info", "gauge", "1; the version is in the label", OF_SERVER,
		.write = write_build},
	{"modeld_ready", "gauge", "1 while the server is ready, as grpc.health.v1 has it",
		OF_SERVER, .value = ready},
	{"modeld_uptime_seconds", "gauge", "Since it was started", OF_SERVER, .value = uptime_ns,
		.unit = TEXT_SECONDS},
	{"modeld_connections", "gauge", "Connections of gRPC clients", OF_SERVER,
		.value = connections},
	{"modeld_streams", "gauge", "Calls that are open on them", OF_SERVER, .value = streams},
	{"modeld_calls_total", "counter", "Calls so far", OF_SERVER, .value = calls},
	{"modeld_clients", "gauge", "Clients that requests are charged to", OF_SERVER,
		.value = clients},
	{"modeld_charged", "gauge", "What clients hold and are charged for, by kind", OF_SERVER,
		.write = write_charges},
	{"modeld_arena_bytes", "gauge", "The input arena, by state", OF_SERVER,
		.write = write_arena},
	{"modeld_region_bytes", "gauge", "Memory that local clients share", OF_SERVER,
		.value = region_bytes},
	{"modeld_handoff_connections", "gauge", "Connections of local clients", OF_SERVER,
		.value = local_connections},
	{"modeld_handoff_requests_total", "counter", "Requests over the handoff socket", OF_SERVER,
		.value = local_requests},
	{"modeld_tensor_bytes_total", "counter",
		"Tensor data by way: received and sent inline, copied on either way, handed over "
		"in "
		"shared memory",
		OF_SERVER, .write = write_tensor_bytes},
	{"modeld_loop_turn_seconds", "histogram",
		"Turns of the event loop, without the time that it sleeps", OF_SERVER,
		.write = write_turns},
	{"modeld_loop_spins_total", "counter",
		"Times that the event loop looked for work instead of sleeping (busy_poll_us, "
		"lone_poll_us): paid when some came meanwhile",
		OF_SERVER, .write = write_spins},
	{"modeld_stalls_total", "counter",
		"Requests found waiting although a worker was free: 0, unless modeld is wrong",
		OF_SERVER, .value = stalls},
	{"modeld_log_lines_dropped_total", "counter", "Log lines that nobody took", OF_SERVER,
		.value = log_lines_dropped},
	{"modeld_trace_spans_total", "counter",
		"Spans of traces by what became of them: dropped when the queue was full, failed "
		"when the collector did not take them",
		OF_SERVER, .write = write_spans},
	{"process_cpu_seconds_total", "counter", "CPU time of the daemon, without its workers",
		OF_SERVER, .value = cpu_ns, .unit = TEXT_SECONDS},
	{"process_resident_memory_bytes", "gauge", "Memory of the daemon, without its workers",
		OF_SERVER, .value = resident_bytes},
	{"process_start_time_seconds", "gauge", "When it was started, Unix time", OF_SERVER,
		.value = start_ns, .unit = TEXT_SECONDS},
	{.name = NULL},
};
