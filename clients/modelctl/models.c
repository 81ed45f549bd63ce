/* models.c: `modelctl load`, `unload` and `reload`. modelctl, one thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/modelctl/modelctl.h"
#include "proto/control.pb-c.h"

#define SERVICE	  "/modeld.control.v1.Control/"
#define REPLY_MAX 4096u

static const char load_usage[] =
	"usage: modelctl load MODEL[:VERSION] [options]\n"
	"\n"
	"Has the daemon serve a model of its repositories ([models] control = explicit),\n"
	"and returns when it is ready. Without VERSION: the versions that the model's own\n"
	"configuration says. A model that is served already is read again.\n"
	"\n"
	"--timeout limits the wait (default 10); the load goes on. Options of every\n"
	"command: see modelctl --help.\n";

static const char unload_usage[] =
	"usage: modelctl unload MODEL[:VERSION] [options]\n"
	"\n"
	"Has the daemon serve a model no more ([models] control = explicit). What runs is\n"
	"finished; returns when no worker has it any more.\n"
	"\n"
	"Options of every command: see modelctl --help.\n";

static const char reload_usage[] =
	"usage: modelctl reload [MODEL] [options]\n"
	"\n"
	"Has the daemon read MODEL again, and returns when what has changed about it is\n"
	"ready. Without MODEL: the models' part of the configuration and all\n"
	"repositories, as SIGHUP does; what has changed is loaded after it returned.\n"
	"\n"
	"Options of every command: see modelctl --help.\n";

static int call(const struct modelctl *m, const char *path, const char *name, const char *version)
{
	Modeld__Control__V1__ModelRequest request = MODELD__CONTROL__V1__MODEL_REQUEST__INIT;
	_cleanup_(grpc_client_freep) struct grpc_client *c = NULL;
	_cleanup_(buf_deinit) struct buf reply = {.max = REPLY_MAX};
	_cleanup_(freep) uint8_t *packed = NULL;
	struct grpc_piece piece = {0};
	int r = modelctl_connect(m, &c);

	if (r)
		return r;
	request.name = (char *)name;
	request.version = (char *)version;
	packed = malloc(modeld__control__v1__model_request__get_packed_size(&request) + 1);
	if (!packed)
		return modelctl_fail(MODELCTL_FAILED, "out of memory");
	piece.data = packed;
	piece.n = modeld__control__v1__model_request__pack(&request, packed);
	return modelctl_call(m, c, path, &piece, 1, &reply);
}

/* Options; then at most one argument, which is given back. An exit code, or -1 to go on. */
static int parse(
	struct modelctl *m, int argc, char **argv, const char *usage, const char **ret_argument)
{
	const struct modelctl_line line = {.usage = usage, .n_max = 1, .arguments = "one MODEL"};
	int r = modelctl_parse(m, argc, argv, &line);

	*ret_argument = optind < argc ? argv[optind] : "";
	return r;
}

static int load_or_unload(
	struct modelctl *m, int argc, char **argv, const char *usage, const char *path)
{
	const char *argument = "";
	_cleanup_(freep) char *name = NULL;
	char *colon;
	int r = parse(m, argc, argv, usage, &argument);

	if (r >= 0)
		return r;
	if (!*argument)
		return modelctl_fail(MODELCTL_USAGE, "%s needs a MODEL", argv[0]);
	name = strdup(argument);
	if (!name)
		return modelctl_fail(MODELCTL_FAILED, "out of memory");
	colon = strrchr(name, ':');
	if (colon)
		*colon++ = 0;
	if (colon && !*colon)
		return modelctl_fail(
			MODELCTL_USAGE, "'%s': a version is expected behind ':'", argument);
	return call(m, path, name, colon ? colon : "");
}

int command_load(struct modelctl *m, int argc, char **argv)
{
	return load_or_unload(m, argc, argv, load_usage, SERVICE "LoadModel");
}

int command_unload(struct modelctl *m, int argc, char **argv)
{
	return load_or_unload(m, argc, argv, unload_usage, SERVICE "UnloadModel");
}

int command_reload(struct modelctl *m, int argc, char **argv)
{
	const char *argument = "";
	int r = parse(m, argc, argv, reload_usage, &argument);

	return r >= 0 ? r : call(m, SERVICE "ReloadModel", argument, "");
}
