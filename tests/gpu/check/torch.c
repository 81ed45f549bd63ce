/*
 * torch.c: a model of PyTorch's in a worker in Python, beside the same model in a loop of PyTorch's own. That was run ahead of this
 * process, by an interpreter that has PyTorch (torch_loop.py), which tells what it took, and what a worker needs to do the same.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/gpu/check/check.h"
#include "tests/gpu/check/daemon.h"
#include "tests/gpu/check/inline.h"
#include "tests/gpu/check/link.h"

#define MODEL	   "torch_mlp"
#define N_SETTINGS 6

/* What torch_loop.py says. */
struct told {
	char python[512], version[64], device[32], library_path[1024], read[3072];
	double latency_us, rate;
};

/* Of the line NAME=VALUE. False: there is none, or it is too long. */
static bool value_of(const char *text, const char *name, char *value, size_t cap)
{
	size_t n_name = strlen(name);

	for (const char *line = text; *line; line += *line == '\n') {
		size_t n = strcspn(line, "\n");

		if (n > n_name && !strncmp(line, name, n_name) && line[n_name] == '=')
			return (size_t)snprintf(value, cap, "%.*s", (int)(n - n_name - 1),
				       line + n_name + 1) < cap;
		line += n;
	}
	return false;
}

static bool parse(const char *text, struct told *t)
{
	char latency[32], rate[32];

	if (!value_of(text, "python", t->python, sizeof(t->python)) ||
		!value_of(text, "version", t->version, sizeof(t->version)) ||
		!value_of(text, "device", t->device, sizeof(t->device)) ||
		!value_of(text, "library_path", t->library_path, sizeof(t->library_path)) ||
		!value_of(text, "read", t->read, sizeof(t->read)) ||
		!value_of(text, "latency_us", latency, sizeof(latency)) ||
		!value_of(text, "rate", rate, sizeof(rate)))
		return false;
	t->latency_us = strtod(latency, NULL);
	t->rate = strtod(rate, NULL);
	return true;
}

static void say(struct check *c, const char *what, const char *unit, double value, double base)
{
	struct ratio r = {.value = value, .base = base, .less = !strcmp(unit, "us")};

	snprintf(r.what, sizeof(r.what), "mlp in PyTorch %s", what);
	snprintf(r.unit, sizeof(r.unit), "%s", unit);
	snprintf(r.beside, sizeof(r.beside), "loop in PyTorch");
	check_ratio(c, &r);
}

/* Its loop runs one at a time: more at once is what a client may do besides. */
static void measure(struct check *c, const struct daemon *d, const struct told *t)
{
	const struct inline_input row = {MODEL, "f32", 2, {1, 64}, 64 * sizeof(float)};
	struct inline_call k;
	struct link l;

	if (link_open_mlp(&l, d, MODEL, 1)) {
		memset(link_data(&l, 0, false), 0, 2 * LINK_DEPTH * 4096);
		say(c, "by handoff, latency", "us", link_latency_us(&l, c), t->latency_us);
		say(c, "by handoff, 8 at once", "/s", link_rate(&l, c), t->rate);
	}
	link_close(&l);
	if (inline_open_as(&k, d, &row, 10 * sizeof(float))) {
		memset(k.payload, 0, k.bytes);
		say(c, "in messages, latency", "us", inline_latency_us(&k, c), t->latency_us);
		say(c, "in messages, 8 at once", "/s", inline_rate(&k, c), t->rate);
	}
	inline_close(&k);
}

static void serve(struct check *c, const struct told *t)
{
	char text[N_SETTINGS][6144];
	const char *settings[N_SETTINGS + 1] = {NULL};
	struct daemon d;

	snprintf(text[0], sizeof(text[0]), "models.repository=%s/../torch_models", c->models);
	snprintf(text[1], sizeof(text[1]), "models.default=" MODEL);
	snprintf(text[2], sizeof(text[2]), "backend.python.worker=%s/modeld-python", c->programs);
	snprintf(text[3], sizeof(text[3]), "backend.python.interpreter=%s", t->python);
	snprintf(text[4], sizeof(text[4]), "backend.python.worker_environment=LD_LIBRARY_PATH=%s",
		t->library_path);
	snprintf(text[5], sizeof(text[5]), "worker.sandbox_read=%s, %s", c->programs, t->read);
	for (size_t i = 0; i < N_SETTINGS; i++)
		settings[i] = text[i];
	if (!daemon_start(&d, c, t->device, settings))
		return;
	check_mlp(c, &d, MODEL, 1);
	check_mlp(c, &d, MODEL, 32);
	measure(c, &d, t);
	daemon_stop(&d, c);
}

void check_torch(struct check *c, const char *told)
{
	struct told t;

	check_heading(c, "A model of PyTorch's");
	if (!told || !parse(told, &t)) {
		check_say(c, "- It is not tried: %.600s",
			told && *told ? told : "no Python was asked");
		return;
	}
	check_say(c, "PyTorch %s of %s, on %s\n", t.version, t.python, t.device);
	serve(c, &t);
}
