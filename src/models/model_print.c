/* model_print.c: settings of a model into the words of its files. Daemon process, before it serves. */
#include "models/model_print.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/device_name.h"
#include "base/digits.h"
#include "dispatch/labels.h"
#include "dispatch/queue_settings.h"
#include "models/model_print_tensor.h"
#include "models/repository.h"

static const char *priority_word(enum wire_priority p)
{
	return p == WIRE_PRIORITY_HIGH ? "high" : p == WIRE_PRIORITY_LOW ? "low" : "normal";
}

static void print_numbers(FILE *out, const uint64_t *numbers, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fprintf(out, "%s%" PRIu64, i ? ", " : "", numbers[i]);
}

/* The largest batch that it really gets. UINT32_MAX: not known. */
static uint32_t max_batch(const struct version_settings *s, const struct wire_loaded *declared)
{
	return declared && declared->max_batch_size < s->max_batch_size ? declared->max_batch_size
									: s->max_batch_size;
}

/* Sizes in ascending order: those that a batch can have. */
static uint32_t count_preferred(const struct queue_settings *q, uint32_t max)
{
	uint32_t n = q->n_preferred;

	while (n > 0 && q->preferred[n - 1] > max)
		n--;
	return n;
}

/* --- model.conf ----------------------------------------------------------------------------------- */

static void print_conf_warmup(FILE *out, const struct wire_warmup *w)
{
	fprintf(out, "[warmup.%s]\nbatch_size = %" PRIu32 "\ncount = %" PRIu32 "\n", w->name,
		w->batch_size, w->count);
	for (size_t i = 0; i < w->n_inputs; i++) {
		const struct wire_warmup_input *in = &w->inputs[i];
		bool can = model_print_is_word(in->name) &&
			   (!*in->file || model_print_is_word(in->file));

		fprintf(out, "%sinput = %s %s [", can ? "" : "; only in config.pbtxt: ", in->name,
			dtype_kserve_name(in->dtype));
		model_print_dims(out, in->dims, in->rank);
		fprintf(out, "] %s%s\n",
			*in->file    ? "file:"
			: in->random ? "random"
				     : "zero",
			in->file);
	}
}

static bool is_even(const struct queue_settings *q)
{
	const struct queue_policy *first = &q->policies[0];

	for (uint32_t i = 0; i < q->n_levels; i++) {
		const struct queue_policy *p = &q->policies[i];

		if (p->action != first->action || p->timeout_us != first->timeout_us ||
			p->allow_override != first->allow_override || p->max_requests > 0)
			return false;
	}
	return true;
}

static void print_conf_queue(FILE *out, const struct queue_settings *q, uint32_t max)
{
	const struct queue_policy *p = &q->policies[0];
	uint32_t n = count_preferred(q, max);

	if (!is_even(q))
		fprintf(out,
			"; only in config.pbtxt: policies of their own, or bounds, of levels\n");
	fprintf(out,
		"[queue]\nlevels = %" PRIu32 "\ndefault_level = %" PRIu32 "\ntimeout_us = %" PRIu64
		"\ntimeout_action = %s\ntimeout_override = %s\n",
		q->n_levels, q->default_level + 1, p->timeout_us,
		p->action == QUEUE_DELAY ? "delay" : "reject", p->allow_override ? "yes" : "no");
	if (q->keep_order)
		fprintf(out, "keep_order = yes\n");
	for (uint32_t i = 0; i < n; i++)
		fprintf(out, "%s%" PRIu32 "%s",
			i ? ", " : "preferred_batch_size = ", q->preferred[i],
			i + 1 == n ? "\n" : "");
}

void model_print_conf(FILE *out, const struct version_settings *s,
	const struct wire_loaded *declared, const uint64_t *versions, size_t n)
{
	uint32_t max = max_batch(s, declared);

	model_print_declared_conf(out, declared);
	fprintf(out, "[model]\nbackend = %s\n", s->backend);
	if (n > 0) {
		fprintf(out, "version = ");
		print_numbers(out, versions, n);
		fprintf(out, "\n");
	}
	if (max != UINT32_MAX)
		fprintf(out, "max_batch_size = %" PRIu32 "\n", max);
	fprintf(out, "max_queue_delay_us = %" PRIu64 "\nmax_queue_size = %" PRIu32 "\n",
		s->max_queue_delay_us, s->max_queue_size);
	if (s->instances > 0)
		fprintf(out, "instances = %" PRIu32 "\n", s->instances);
	if (s->devices)
		fprintf(out, "devices = %s\n", s->devices);
	if (s->fallback)
		fprintf(out, "fallback = %s\n", s->fallback);
	if (s->caller_parameters)
		fprintf(out, "caller_parameters = %s\n", s->caller_parameters);
	fprintf(out,
		"gpu_priority = %s\nrun_timeout_ms = %" PRIu64 "\nstateful = %s\nisolation = %s\n",
		priority_word(s->gpu_priority), s->run_timeout_ms, s->stateful ? "yes" : "no",
		isolation_name(s->isolation));
	if (s->sequence)
		fprintf(out, "; only in config.pbtxt: sequence_batching\n");
	if (s->labels)
		fprintf(out, "; only in config.pbtxt: output.label_filename\n");
	if (s->queue)
		print_conf_queue(out, s->queue, max);
	if (s->n_parameters > 0)
		fprintf(out, "[parameters]\n");
	for (size_t i = 0; i < s->n_parameters; i++)
		fprintf(out, "%s = %s\n", s->parameters[i].key, s->parameters[i].value);
	for (size_t i = 0; i < s->n_warmups; i++)
		print_conf_warmup(out, &s->warmups[i]);
}

/* --- config.pbtxt --------------------------------------------------------------------------------- */

/* Of "cuda:1 x2" the GPU's number. False: it is none that a group can name. */
static bool take_gpu(const char *device, uint64_t *ret_n, const char **ret_rest)
{
	const char *gpu = device_name_gpu(device);

	return gpu && !decimal_read(gpu, ret_n, ret_rest) && *ret_n <= INT32_MAX &&
	       (!**ret_rest || **ret_rest == ',' || **ret_rest == ' ');
}

static void print_group(FILE *out, const char *device, size_t length, uint32_t instances)
{
	const char *rest = device;
	uint64_t gpu, count;
	const char *number = strstr(device, " x");
	bool is_cpu = !strncmp(device, "cpu:", 4);

	if (!is_cpu && !take_gpu(device, &gpu, &rest)) {
		fprintf(out, "# only in model.conf: devices = %.*s\n", (int)length, device);
		return;
	}
	if (!number || number > device + length || decimal_read(number + 2, &count, &rest))
		count = instances;
	fprintf(out, "instance_group { count: %" PRIu64, count);
	if (is_cpu)
		fprintf(out, " kind: KIND_CPU }  # %.*s\n", (int)length, device);
	else
		fprintf(out, " kind: KIND_GPU gpus: %" PRIu64 " }\n", gpu);
}

static void print_groups(FILE *out, const struct version_settings *s)
{
	const char *at = s->devices;

	if (!at && s->instances > 0)
		fprintf(out, "instance_group { count: %" PRIu32 " kind: KIND_MODEL }\n",
			s->instances);
	while (at && *at) {
		size_t length;

		at += strspn(at, ", \t");
		length = strcspn(at, ",");
		if (length > 0)
			print_group(out, at, length, s->instances);
		at += length;
	}
}

static void print_policy(FILE *out, const struct queue_policy *p)
{
	fprintf(out,
		"{ timeout_action: %s default_timeout_microseconds: %" PRIu64
		" allow_timeout_override: %s max_queue_size: %" PRIu32 " }",
		p->action == QUEUE_DELAY ? "DELAY" : "REJECT", p->timeout_us,
		p->allow_override ? "true" : "false", p->max_requests);
}

static void print_levels(FILE *out, const struct queue_settings *q)
{
	if (q->n_levels == 1) {
		fprintf(out, "  default_queue_policy ");
		print_policy(out, &q->policies[0]);
		fprintf(out, "\n");
		return;
	}
	fprintf(out, "  priority_levels: %" PRIu32 " default_priority_level: %" PRIu32 "\n",
		q->n_levels, q->default_level + 1);
	for (uint32_t i = 0; i < q->n_levels; i++) {
		fprintf(out, "  priority_queue_policy { key: %" PRIu32 " value ", i + 1);
		print_policy(out, &q->policies[i]);
		fprintf(out, " }\n");
	}
}

static void print_batching(FILE *out, const struct version_settings *s, uint32_t max)
{
	const struct queue_settings *q = s->queue;

	if (!q) {
		fprintf(out,
			"# only in model.conf: max_queue_delay_us = %" PRIu64
			", max_queue_size = %" PRIu32 "\n",
			s->max_queue_delay_us, s->max_queue_size);
		return;
	}
	fprintf(out, "dynamic_batching {\n  max_queue_delay_microseconds: %" PRIu64 "\n",
		s->max_queue_delay_us);
	for (uint32_t i = 0; i < count_preferred(q, max); i++)
		fprintf(out, "  preferred_batch_size: %" PRIu32 "\n", q->preferred[i]);
	if (q->keep_order)
		fprintf(out, "  preserve_ordering: true\n");
	print_levels(out, q);
	fprintf(out, "}\n");
}

/* Where the model itself says nothing. */
static void print_labels(FILE *out, const struct labels *l)
{
	for (uint32_t i = 0; l && i < l->n_outputs; i++) {
		fprintf(out, "output { name: ");
		model_print_text(out, l->outputs[i].output);
		fprintf(out, " label_filename: ");
		model_print_text(out, l->outputs[i].file);
		fprintf(out, " }\n");
	}
}

static void print_control(
	FILE *out, enum sequence_control kind, const struct sequence_control_input *c)
{
	static const char *const kinds[] = {"START", "READY", "END", "CORRID"};
	int32_t whole[2];
	float real[2];

	fprintf(out, "  control_input { name: ");
	model_print_text(out, c->name);
	fprintf(out, " control { kind: CONTROL_SEQUENCE_%s", kinds[kind]);
	memcpy(&whole[0], c->values[0], sizeof(whole[0]));
	memcpy(&whole[1], c->values[1], sizeof(whole[1]));
	memcpy(real, whole, sizeof(real));
	if (kind == SEQUENCE_CORRID)
		fprintf(out, " data_type: TYPE_%s", model_print_type(c->dtype));
	else if (c->dtype == DTYPE_I32)
		fprintf(out, " int32_false_true: [ %" PRId32 ", %" PRId32 " ]", whole[0], whole[1]);
	else if (c->dtype == DTYPE_F32)
		fprintf(out, " fp32_false_true: [ %.9g, %.9g ]", (double)real[0], (double)real[1]);
	else
		fprintf(out, " bool_false_true: [ %s, %s ]", c->values[0][0] ? "true" : "false",
			c->values[1][0] ? "true" : "false");
	fprintf(out, " } }\n");
}

static void print_state(FILE *out, const struct sequence_state *s)
{
	fprintf(out, "  state { input_name: ");
	model_print_text(out, s->input);
	fprintf(out, " output_name: ");
	model_print_text(out, s->output);
	fprintf(out, " data_type: TYPE_%s", model_print_type(s->dtype));
	model_print_dims_field(out, s->dims, s->rank);
	fprintf(out, " }\n");
}

static void print_sequences(FILE *out, const struct sequence_settings *q)
{
	fprintf(out, "sequence_batching {\n  max_sequence_idle_microseconds: %" PRIu64 "\n",
		q->idle_us);
	if (q->strategy == SEQUENCE_OLDEST)
		fprintf(out, "  oldest { max_candidate_sequences: %" PRIu32 " }\n",
			q->max_candidates);
	else
		fprintf(out, "  direct { }\n");
	for (int k = 0; k < SEQUENCE_CONTROLS_; k++) {
		if (*q->controls[k].name)
			print_control(out, (enum sequence_control)k, &q->controls[k]);
	}
	for (uint32_t i = 0; i < q->n_states; i++)
		print_state(out, &q->states[i]);
	fprintf(out, "}\n");
}

static void print_pbtxt_warmup(FILE *out, const struct wire_warmup *w)
{
	fprintf(out, "model_warmup {\n  name: ");
	model_print_text(out, w->name);
	fprintf(out, " batch_size: %" PRIu32 " count: %" PRIu32 "\n", w->batch_size, w->count);
	for (size_t i = 0; i < w->n_inputs; i++) {
		const struct wire_warmup_input *in = &w->inputs[i];

		fprintf(out, "  inputs { key: ");
		model_print_text(out, in->name);
		fprintf(out, " value { data_type: TYPE_%s", model_print_type(in->dtype));
		model_print_dims_field(out, in->dims, in->rank);
		fputc(' ', out);
		if (*in->file) {
			fprintf(out, "input_data_file: ");
			model_print_text(out, in->file);
		} else {
			fprintf(out, "%s_data: true", in->random ? "random" : "zero");
		}
		fprintf(out, " } }\n");
	}
	fprintf(out, "}\n");
}

/* What Triton has no word for. */
static void print_ours(FILE *out, const struct version_settings *s)
{
	fprintf(out, "# only in model.conf: run_timeout_ms = %" PRIu64 ", isolation = %s",
		s->run_timeout_ms, isolation_name(s->isolation));
	if (s->fallback)
		fprintf(out, ", fallback = %s", s->fallback);
	if (s->caller_parameters)
		fprintf(out, ", caller_parameters = %s", s->caller_parameters);
	if (s->gpu_priority != WIRE_PRIORITY_NORMAL)
		fprintf(out, ", gpu_priority = %s", priority_word(s->gpu_priority));
	if (s->stateful && !s->sequence)
		fprintf(out, ", stateful = yes");
	fprintf(out, "\n");
}

static void print_parameters(FILE *out, const struct version_settings *s)
{
	for (size_t i = 0; i < s->n_parameters; i++) {
		fprintf(out, "parameters { key: ");
		model_print_text(out, s->parameters[i].key);
		fprintf(out, " value { string_value: ");
		model_print_text(out, s->parameters[i].value);
		fprintf(out, " } }\n");
	}
}

void model_print_pbtxt(FILE *out, const struct version_settings *s,
	const struct wire_loaded *declared, const uint64_t *versions, size_t n)
{
	uint32_t max = max_batch(s, declared);

	fprintf(out, "name: ");
	model_print_text(out, s->name);
	fprintf(out, "\nbackend: ");
	model_print_text(out, s->backend);
	fprintf(out, "\n");
	if (max != UINT32_MAX)
		fprintf(out, "max_batch_size: %" PRIu32 "\n", max);
	if (n > 0) {
		fprintf(out, "version_policy { specific { versions: [ ");
		print_numbers(out, versions, n);
		fprintf(out, " ] } }\n");
	}
	if (s->sequence)
		print_sequences(out, s->sequence);
	else
		print_batching(out, s, max);
	print_groups(out, s);
	if (declared)
		model_print_declared_pbtxt(out, s, declared, max > 0);
	else
		print_labels(out, s->labels);
	print_parameters(out, s);
	for (size_t i = 0; i < s->n_warmups; i++)
		print_pbtxt_warmup(out, &s->warmups[i]);
	print_ours(out, s);
}

/* --- Entries -------------------------------------------------------------------------------------- */

int model_print_entry(FILE *out, enum model_form form, const struct repository_entry *e,
	const struct wire_loaded *declared)
{
	_cleanup_(freep) uint64_t *versions = calloc(e->n_versions + 1, sizeof(*versions));
	const struct version_settings *first = NULL;
	size_t n = 0;

	if (!versions)
		return -ENOMEM;
	for (size_t i = 0; i < e->n_versions; i++) {
		if (!e->versions[i].chosen)
			continue;
		versions[n++] = e->versions[i].number;
		first = first ? first : &e->versions[i].settings;
	}
	if (!first)
		return 0;
	fprintf(out, "%s %s/%s\n", form == MODEL_FORM_PBTXT ? "#" : ";", e->name,
		form == MODEL_FORM_PBTXT ? "config.pbtxt" : "model.conf");
	if (form == MODEL_FORM_PBTXT)
		model_print_pbtxt(out, first, declared, versions, n);
	else
		model_print_conf(out, first, declared, versions, n);
	fputc('\n', out);
	return 0;
}
