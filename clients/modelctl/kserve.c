/* kserve.c: `modelctl models`, `stats` and `config`, by inference.GRPCInferenceService. modelctl, one thread. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/modelctl/json_message.h"
#include "clients/modelctl/kserve_call.h"
#include "clients/modelctl/modelctl.h"
#include "proto/kserve/grpc_service.pb-c.h"

typedef Inference__RepositoryIndexResponse Index;
typedef Inference__RepositoryIndexResponse__ModelIndex IndexModel;
typedef Inference__ModelStatisticsResponse Statistics;
typedef Inference__ModelStatistics ModelStatistics;
typedef Inference__StatisticDuration Duration;

static const char models_usage[] =
	"usage: modelctl models [options]\n"
	"\n"
	"Lists the models of the repositories: state of each version, and what is wrong\n"
	"with it, or with what was to replace it.\n"
	"\n"
	"      --watch              again and again, until interrupted\n"
	"\n"
	"Options of every command: see modelctl --help.\n";

static const char stats_usage[] =
	"usage: modelctl stats [MODEL[:VERSION]] [options]\n"
	"\n"
	"Prints what has been asked of the models since they were loaded: requests, rows,\n"
	"batches, and how long a request waited and ran on average.\n"
	"\n"
	"      --watch              again and again, until interrupted\n"
	"\n"
	"Options of every command: see modelctl --help.\n";

static const char config_usage[] =
	"usage: modelctl config MODEL[:VERSION] [options]\n"
	"\n"
	"Prints the model's configuration as Triton's clients see it, as "
	"JSON.\n"
	"\n"
	"      --watch              again and again, until interrupted\n"
	"\n"
	"Options of every command: see modelctl --help.\n";

/* MODEL[:VERSION] */
struct named {
	char *name; /* own */
	const char *version;
};

static void named_release(struct named *n)
{
	free(n->name);
}

static bool is_given(const struct named *n)
{
	return n->name && *n->name;
}

/* Options; then at most one argument. An exit code, or -1 to go on. */
static int parse(struct modelctl *m, int argc, char **argv, const char *usage, struct named *named)
{
	static const struct option options[] = {MODELCTL_WATCH, {0}};
	const struct modelctl_line line = {
		.usage = usage, .options = options, .n_max = 1, .arguments = "one MODEL"};
	int r = modelctl_parse(m, argc, argv, &line);
	char *colon;

	if (r >= 0)
		return r;
	named->name = strdup(optind < argc ? argv[optind] : "");
	if (!named->name)
		return modelctl_fail(MODELCTL_FAILED, "out of memory");
	colon = strrchr(named->name, ':');
	if (colon)
		*colon++ = '\0';
	named->version = colon ? colon : "";
	return -1;
}

static int print_json(const ProtobufCMessage *m)
{
	struct json j;

	json_init(&j, stdout);
	json_message(&j, NULL, m);
	json_end(&j);
	return MODELCTL_OK;
}

/* --- models ------------------------------------------------------------------------------------ */

static void print_model(const IndexModel *x)
{
	(void)printf("%-24s %-8s %-12s %s\n", x->name, *x->version ? x->version : "-",
		*x->state ? x->state : "not loaded", x->reason);
}

int command_models(struct modelctl *m, int argc, char **argv)
{
	static const Inference__RepositoryIndexRequest request =
		INFERENCE__REPOSITORY_INDEX_REQUEST__INIT;
	_cleanup_(named_release) struct named named = {0};
	Index *index = NULL;
	int r = parse(m, argc, argv, models_usage, &named);

	if (r >= 0)
		return r;
	if (is_given(&named))
		return modelctl_fail(MODELCTL_USAGE, "models takes no argument");
	r = kserve_call(m, "RepositoryIndex", &request.base,
		&inference__repository_index_response__descriptor, (void **)&index);
	if (r)
		return r;
	if (m->json)
		r = print_json(&index->base);
	for (size_t i = 0; !m->json && i < index->n_models; i++)
		print_model(index->models[i]);
	protobuf_c_message_free_unpacked(&index->base, NULL);
	return r;
}

/* --- stats ------------------------------------------------------------------------------------- */

static double mean_us(const Duration *d)
{
	return d && d->count > 0 ? (double)d->ns / (double)d->count / 1000.0 : 0.0;
}

static uint64_t count_of(const Duration *d)
{
	return d ? d->count : 0;
}

static void print_statistics(const ModelStatistics *s)
{
	static const Inference__InferStatistics none = INFERENCE__INFER_STATISTICS__INIT;
	const Inference__InferStatistics *x = s->inference_stats ? s->inference_stats : &none;

	(void)printf("%-15s %-4s %9" PRIu64 " %6" PRIu64 " %8" PRIu64 " %8" PRIu64
		     " %8.0f %8.0f %6.0f\n",
		s->name, s->version, count_of(x->success), count_of(x->fail), s->inference_count,
		s->execution_count, mean_us(x->success), mean_us(x->queue),
		mean_us(x->compute_infer));
}

int command_stats(struct modelctl *m, int argc, char **argv)
{
	Inference__ModelStatisticsRequest request = INFERENCE__MODEL_STATISTICS_REQUEST__INIT;
	_cleanup_(named_release) struct named named = {0};
	Statistics *stats = NULL;
	int r = parse(m, argc, argv, stats_usage, &named);

	if (r >= 0)
		return r;
	request.name = named.name;
	request.version = (char *)named.version;
	r = kserve_call(m, "ModelStatistics", &request.base,
		&inference__model_statistics_response__descriptor, (void **)&stats);
	if (r)
		return r;
	if (m->json)
		r = print_json(&stats->base);
	else
		(void)printf("%-15s %-4s %9s %6s %8s %8s %8s %8s %6s\n", "model", "v.", "requests",
			"failed", "rows", "batches", "total us", "queue us", "run us");
	for (size_t i = 0; !m->json && i < stats->n_model_stats; i++)
		print_statistics(stats->model_stats[i]);
	protobuf_c_message_free_unpacked(&stats->base, NULL);
	return r;
}

/* --- config ------------------------------------------------------------------------------------ */

int command_config(struct modelctl *m, int argc, char **argv)
{
	Inference__ModelConfigRequest request = INFERENCE__MODEL_CONFIG_REQUEST__INIT;
	_cleanup_(named_release) struct named named = {0};
	Inference__ModelConfigResponse *response = NULL;
	int r = parse(m, argc, argv, config_usage, &named);

	if (r >= 0)
		return r;
	if (!is_given(&named))
		return modelctl_fail(MODELCTL_USAGE, "config needs a MODEL");
	request.name = named.name;
	request.version = (char *)named.version;
	r = kserve_call(m, "ModelConfig", &request.base,
		&inference__model_config_response__descriptor, (void **)&response);
	if (r)
		return r;
	r = response->config ? print_json(&response->config->base)
			     : modelctl_fail(MODELCTL_FAILED, "the answer has no configuration");
	protobuf_c_message_free_unpacked(&response->base, NULL);
	return r;
}
