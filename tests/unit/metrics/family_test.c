/* family_test.c: what holds of every family, and what the figures of each are. */
#include "metrics/family.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "fake_sources.h"

static struct text t;
static struct metrics_sources sources;
static struct subject subject;

static void setup(void)
{
	memset(&fake, 0, sizeof(fake));
	text_init(&t, 1 << 20);
	sources = fake_sources();
	fake.workers[0] = (struct worker){.name = "cpu:0/0", .device = "cpu:0"};
	fake.gpus[0] =
		(struct nvml_gpu){.uuid = "GPU-1", .busy_percent = 50, .power_mw = NVML_UNKNOWN};
	subject = (struct subject){.sources = &sources,
		.version = fake_add("a", "1"),
		.worker = &fake.workers[0],
		.gpu = &fake.gpus[0],
		.labels = "l=\"1\""};
}

static void teardown(void)
{
	text_deinit(&t);
}

TestSuite(family, .init = setup, .fini = teardown);

static const struct family *find(const char *name)
{
	for (size_t i = 0; families[i]; i++) {
		for (const struct family *f = families[i]; f->name; f++) {
			if (strcmp(f->name, name) == 0)
				return f;
		}
	}
	cr_assert(false, "no %s", name);
	return NULL;
}

static const char *written(const char *name)
{
	static char copy[1 << 16];

	buf_reset(&t.buf);
	family_write(&t, find(name), &subject);
	cr_assert_eq(t.error, 0);
	cr_assert_lt(t.buf.len, sizeof(copy));
	if (t.buf.len > 0)
		memcpy(copy, t.buf.data, t.buf.len);
	copy[t.buf.len] = '\0';
	return copy;
}

static bool ends_with(const char *s, const char *end)
{
	return strlen(s) >= strlen(end) && strcmp(s + strlen(s) - strlen(end), end) == 0;
}

/* Triton's have names of their own. */
Test(family, names_and_types_hang_together)
{
	for (size_t i = 0; families[i]; i++) {
		for (const struct family *f = families[i]; f->name; f++) {
			bool counter = strcmp(f->type, "counter") == 0;

			cr_expect(counter || strcmp(f->type, "gauge") == 0 ||
					  strcmp(f->type, "histogram") == 0,
				"%s", f->name);
			cr_expect_eq(!f->value, !!f->write, "%s", f->name);
			cr_expect_gt(strlen(f->help), 0, "%s", f->name);
			cr_expect_null(strchr(f->help, '\n'), "%s", f->name);
			cr_expect_eq(find(f->name), f, "%s twice", f->name);
			if (strncmp(f->name, "nv_", 3) != 0)
				cr_expect_eq(counter, ends_with(f->name, "_total"), "%s", f->name);
			if (f->unit == TEXT_SECONDS)
				cr_expect_not_null(strstr(f->name, "_seconds"), "%s", f->name);
			for (const char *c = f->name; *c; c++)
				cr_expect(islower((unsigned char)*c) || *c == '_', "%s", f->name);
		}
	}
}

Test(family, every_one_writes_its_own_name)
{
	for (size_t i = 0; families[i]; i++) {
		for (const struct family *f = families[i]; f->name; f++) {
			const char *s = written(f->name);

			cr_expect(*s == '\0' || strncmp(s, f->name, strlen(f->name)) == 0, "%s: %s",
				f->name, s);
		}
	}
}

Test(family, triton)
{
	struct version *v = &fake.versions[0];

	v->counters = (struct version_counters){.requests_ok = 2,
		.rows = 5,
		.batches = 1,
		.total_ns = 3500000,
		.queue_ns = 1000,
		.compute_ns = 2000};
	v->queue_depth = 9;
	v->figures.failures[VERSION_BACKEND] = 4;
	cr_expect_str_eq(written("nv_inference_request_success"),
		"nv_inference_request_success{l=\"1\"} 2\n");
	cr_expect_str_eq(written("nv_inference_count"), "nv_inference_count{l=\"1\"} 5\n");
	cr_expect_str_eq(
		written("nv_inference_exec_count"), "nv_inference_exec_count{l=\"1\"} 1\n");
	cr_expect_str_eq(written("nv_inference_request_duration_us"),
		"nv_inference_request_duration_us{l=\"1\"} 3500\n");
	cr_expect_str_eq(written("nv_inference_queue_duration_us"),
		"nv_inference_queue_duration_us{l=\"1\"} 1\n");
	cr_expect_str_eq(written("nv_inference_compute_infer_duration_us"),
		"nv_inference_compute_infer_duration_us{l=\"1\"} 2\n");
	cr_expect_str_eq(written("nv_inference_pending_request_count"),
		"nv_inference_pending_request_count{l=\"1\"} 9\n");
	cr_expect_str_eq(written("nv_inference_request_failure"),
		"nv_inference_request_failure{l=\"1\",reason=\"REJECTED\"} 0\n"
		"nv_inference_request_failure{l=\"1\",reason=\"CANCELED\"} 0\n"
		"nv_inference_request_failure{l=\"1\",reason=\"BACKEND\"} 4\n"
		"nv_inference_request_failure{l=\"1\",reason=\"OTHER\"} 0\n");
}

Test(family, gpus_say_what_they_know)
{
	cr_expect_str_eq(written("nv_gpu_utilization"), "nv_gpu_utilization{l=\"1\"} 0.5\n");
	cr_expect_str_eq(written("nv_gpu_power_usage"), "");
	fake.gpus[0].power_limit_mw = 700500;
	fake.gpus[0].temperature_c = 34;
	fake.gpus[0].sm_clock_mhz = 1980;
	fake.gpus[0].xid_errors = 2;
	fake.gpus[0].last_xid = fake.gpus[0].recovery_action = NVML_UNKNOWN;
	cr_expect_str_eq(written("nv_gpu_power_limit"), "nv_gpu_power_limit{l=\"1\"} 700.5\n");
	cr_expect_str_eq(written("modeld_gpu_temperature_celsius"),
		"modeld_gpu_temperature_celsius{l=\"1\"} 34\n");
	cr_expect_str_eq(written("modeld_gpu_sm_clock_hertz"),
		"modeld_gpu_sm_clock_hertz{l=\"1\"} 1980000000\n");
	cr_expect_str_eq(
		written("modeld_gpu_xid_errors_total"), "modeld_gpu_xid_errors_total{l=\"1\"} 2\n");
	cr_expect_str_eq(written("modeld_gpu_last_xid"), "");
	cr_expect_str_eq(written("modeld_gpu_recovery_action"), "");
	fake.gpus[0].recovery_action = 1;
	cr_expect_str_eq(
		written("modeld_gpu_recovery_action"), "modeld_gpu_recovery_action{l=\"1\"} 1\n");
}

Test(family, models)
{
	struct version *v = &fake.versions[0];

	histogram_add(&v->figures.stages[VERSION_QUEUE], HISTOGRAM_SHIFT_NS, 1000);
	histogram_add(&v->figures.batch_rows, HISTOGRAM_SHIFT_COUNT, 4);
	v->counters.requests_ok = 6;
	v->figures.sequences_lost = 3;
	cr_expect_str_eq(
		written("modeld_sequences_lost_total"), "modeld_sequences_lost_total{l=\"1\"} 3\n");
	cr_expect_not_null(strstr(written("modeld_stage_duration_seconds"),
		"modeld_stage_duration_seconds_count{l=\"1\",stage=\"queue\"} 1\n"));
	cr_expect_not_null(strstr(written("modeld_stage_duration_seconds"),
		"modeld_stage_duration_seconds_count{l=\"1\",stage=\"reply\"} 0\n"));
	cr_expect_not_null(strstr(
		written("modeld_batch_size"), "modeld_batch_size_bucket{l=\"1\",le=\"4\"} 1\n"));
	cr_expect_not_null(strstr(written("modeld_requests_total"),
		"modeld_requests_total{l=\"1\",result=\"ok\"} 6\n"));
	cr_expect_str_eq(written("modeld_queue_limit"), "modeld_queue_limit{l=\"1\"} 7\n");
}

Test(family, workers)
{
	struct worker *w = &fake.workers[0];

	w->state = WORKER_LOST;
	cr_expect_str_eq(written("modeld_worker_up"), "modeld_worker_up{l=\"1\"} 0\n");
	w->state = WORKER_LOADING;
	cr_expect_str_eq(written("modeld_worker_up"), "modeld_worker_up{l=\"1\"} 1\n");
	cr_expect_str_eq(
		written("modeld_worker_ready_seconds"), "modeld_worker_ready_seconds{l=\"1\"} 0\n");
	w->ends[WORKER_HUNG] = 3;
	cr_expect_not_null(strstr(written("modeld_worker_ends_total"),
		"modeld_worker_ends_total{l=\"1\",cause=\"hung\"} 3\n"));
}

Test(family, what_workers_take_and_may_take)
{
	static const char *const names[] = {"modeld_worker_memory_bytes",
		"modeld_worker_memory_limit_bytes", "modeld_worker_processes",
		"modeld_worker_processes_limit", "modeld_worker_cpu_limit_ratio"};
	struct worker *w = &fake.workers[0];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		cr_expect_str_eq(written(names[i]), "");
	w->limits = (struct worker_limits){
		.max_memory_bytes = 11, .max_cpu_percent = 150, .max_processes = 13};
	w->use = (struct group_use){.memory_bytes = 14, .processes = 15};
	cr_expect_str_eq(written(names[0]), "modeld_worker_memory_bytes{l=\"1\"} 14\n");
	cr_expect_str_eq(written(names[1]), "modeld_worker_memory_limit_bytes{l=\"1\"} 11\n");
	cr_expect_str_eq(written(names[2]), "modeld_worker_processes{l=\"1\"} 15\n");
	cr_expect_str_eq(written(names[3]), "modeld_worker_processes_limit{l=\"1\"} 13\n");
	cr_expect_str_eq(written(names[4]), "modeld_worker_cpu_limit_ratio{l=\"1\"} 1.5\n");
}

Test(family, without_a_handoff)
{
	sources.handoff = NULL;
	subject.labels = "";
	cr_expect_str_eq(written("modeld_region_bytes"), "modeld_region_bytes 0\n");
	sources.handoff = (struct handoff *)&fake;
	cr_expect_str_eq(written("modeld_region_bytes"), "modeld_region_bytes 43\n");
}

/* What is under way may pay yet: a counter that went back would be taken for a daemon that has begun anew. */
Test(family, spins_are_counted_when_they_have_ended)
{
	fake.polls[0] = (struct busy_poll){.n_spins = 9, .n_paid = 3, .n_vain = 5};
	fake.polls[1] = (struct busy_poll){.n_spins = 2, .n_paid = 1, .n_vain = 1};
	cr_expect_str_eq(written("modeld_loop_spins_total"),
		"modeld_loop_spins_total{result=\"paid\"} 4\n"
		"modeld_loop_spins_total{result=\"not_paid\"} 6\n");
}

Test(family, what_clients_are_charged_for)
{
	cr_expect_str_eq(written("modeld_charged"),
		"modeld_charged{kind=\"requests\"} 22\n"
		"modeld_charged{kind=\"arena_bytes\"} 31\n"
		"modeld_charged{kind=\"held_bytes\"} 58\n"
		"modeld_charged{kind=\"output_bytes\"} 24\n"
		"modeld_charged{kind=\"expected_output_bytes\"} 25\n"
		"modeld_charged{kind=\"compressing_bytes\"} 59\n"
		"modeld_charged{kind=\"regions\"} 42\n"
		"modeld_charged{kind=\"region_bytes\"} 43\n");
}
