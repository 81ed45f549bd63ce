/* kserve_models.c: versions of models by Triton's rules. Daemon process, loop thread. */
#include "services/kserve_models.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/digits.h"
#include "dispatch/dispatch.h"
#include "dispatch/version.h"

#define NAME_SHOWN 255

static int fail_version(struct infer_failure *f, const char *number)
{
	const char *digits = number[0] == '-' ? number + 1 : number;
	uint64_t value;

	if (number[0] == '-' && !decimal_parse(digits, &value) && value <= INT64_MAX)
		return infer_fail(f, GRPC_INVALID_ARGUMENT,
			"invalid model version specified '%s' , version should be an integral "
			"value > 0",
			number);
	return infer_fail(f, GRPC_INVALID_ARGUMENT,
		"failed to get model version from specified version string '%.64s' (details: "
		"stol), version should be an integral value > 0",
		number);
}

static int fail_unknown(struct infer_failure *f, const char *name, const char *number)
{
	if (number[0] == '\0')
		return infer_fail(f, GRPC_NOT_FOUND,
			"Request for unknown model: '%.*s' is not found", NAME_SHOWN, name);
	return infer_fail(f, GRPC_NOT_FOUND,
		"Request for unknown model: '%.*s' version %s is not found", NAME_SHOWN, name,
		number);
}

static bool is_number(const char *number)
{
	uint64_t value;

	return !decimal_parse(number, &value) && value <= INT64_MAX;
}

/* Triton's words in front, by which clients may know it. */
static int fail_hopeless(struct infer_failure *f, const struct version *v)
{
	const char *detail = version_detail(v);

	return infer_fail(f, GRPC_NOT_FOUND,
		"Request for unknown model: '%s' has no available versions%s%s",
		version_settings(v)->name, *detail ? ": " : "", detail);
}

/* What has no declaration was never ready: it has nothing to be asked for. */
static int judge(struct infer_failure *f, const struct version *v)
{
	const struct version_settings *s = version_settings(v);

	if (version_declared(v))
		return 0;
	if (!version_hopeful(v))
		return fail_hopeless(f, v);
	return infer_fail(f, GRPC_UNAVAILABLE,
		"Request for unknown model: '%s' version %s is not at ready state", s->name,
		s->version);
}

static int find(struct dispatch *d, const char *name, const char *number,
	struct version **ret_version, struct infer_failure *failure)
{
	struct version *v = NULL;

	/* No name is the default model elsewhere. */
	if (number[0] != '\0' && !is_number(number))
		return fail_version(failure, number);
	if (name[0] != '\0' && number[0] != '\0')
		v = dispatch_find_number(d, name, strlen(name), number, strlen(number));
	else if (name[0] != '\0')
		v = dispatch_find_version(d, name, strlen(name));
	if (!v)
		return fail_unknown(failure, name, number);
	*ret_version = v;
	return 0;
}

bool kserve_is_known(struct dispatch *d, const char *name, const char *number)
{
	if (number[0] == '\0')
		return dispatch_find_version(d, name, strlen(name)) != NULL;
	return !is_number(number) ||
	       dispatch_find_number(d, name, strlen(name), number, strlen(number)) != NULL;
}

int kserve_find_hopeful(struct dispatch *d, const char *name, const char *number,
	struct version **ret_version, struct infer_failure *failure)
{
	struct version *v = NULL;
	int r = find(d, name, number, &v, failure);

	if (!r && !version_hopeful(v))
		r = judge(failure, v);
	if (!r)
		*ret_version = v;
	return r;
}

int kserve_find_version(struct dispatch *d, const char *name, const char *number,
	struct version **ret_version, struct infer_failure *failure)
{
	struct version *v = NULL;
	int r = find(d, name, number, &v, failure);

	if (!r)
		r = judge(failure, v);
	if (!r)
		*ret_version = v;
	return r;
}

int kserve_is_ready(struct dispatch *d, const char *name, const char *number, bool *ret_ready,
	struct infer_failure *failure)
{
	struct version *v = NULL;
	bool found = kserve_find_version(d, name, number, &v, failure) == 0;

	*ret_ready = found && version_ready(v);
	if (found || failure->status == GRPC_INVALID_ARGUMENT)
		return found ? 0 : INFER_E_FAILED;
	infer_failure_deinit(failure);
	*failure = (struct infer_failure){0};
	return 0;
}

const char *kserve_platform(const struct version *v)
{
	const char *backend = version_settings(v)->backend;

	return !strcmp(backend, "onnxruntime") ? "onnxruntime_onnx" : backend;
}
