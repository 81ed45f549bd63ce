/* fake_device.c: settings, errors and injected failures, and what GPUs there are. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/fakecuda/fake_private.h"

#define MIB		    (UINT64_C(1) << 20)
#define FAULTS_MAX	    16u
#define CALLS_MAX	    96u
#define DRIVER		    13000
#define ATTRIBUTE_READ_ONLY 113

struct fault {
	char name[64];
	unsigned at; /* the call that fails; 0: each */
	int code;    /* 0: it never returns */
};

pthread_mutex_t fake_lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t fake_changed = PTHREAD_COND_INITIALIZER;
struct fake_settings fake;

static struct {
	bool ready;
	bool context; /* fork and exec aside, one a process */
	struct fault faults[FAULTS_MAX];
	unsigned n_faults;
	struct {
		const char *name;
		unsigned n;
	} calls[CALLS_MAX];
	unsigned n_calls;
	cudaError_t stuck;
} state;

static _Thread_local cudaError_t last;

/* --- Settings ----------------------------------------------------------------------------- */

static void add_fault(const char *text, bool hangs)
{
	struct fault *f = &state.faults[state.n_faults];
	int n;

	if (state.n_faults == FAULTS_MAX)
		return;
	n = hangs ? sscanf(text, "%63[^:]:%u", f->name, &f->at)
		  : sscanf(text, "%63[^:]:%u:%d", f->name, &f->at, &f->code);
	if (n != (hangs ? 2 : 3)) {
		fprintf(stderr, "fakecuda: '%s'?\n", text);
		abort();
	}
	state.n_faults++;
}

/* True for the process that makes the file. */
static bool is_first(const char *path)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void set(const char *key, const char *value)
{
	unsigned long n = strtoul(value, NULL, 10);

	if (!strcmp(key, "devices"))
		fake.devices = (unsigned)n;
	else if (!strcmp(key, "driver"))
		fake.driver = n;
	else if (!strcmp(key, "readonly"))
		fake.readonly = n;
	else if (!strcmp(key, "memory_mib"))
		fake.memory_bytes = n * MIB;
	else if (!strcmp(key, "copy_us"))
		fake.copy_us = n;
	else if (!strcmp(key, "kernel_us"))
		fake.kernel_us = n;
	else if (!strcmp(key, "meet"))
		fake.meet = n;
	else if (!strcmp(key, "stall"))
		fake.stall = n;
	else if (!strcmp(key, "log"))
		snprintf(fake.log, sizeof(fake.log), "%s", value);
	else if (!strcmp(key, "calls"))
		snprintf(fake.calls, sizeof(fake.calls), "%s", value);
	else if (!strcmp(key, "ipc"))
		snprintf(fake.ipc, sizeof(fake.ipc), "%s", value);
	else if (!strcmp(key, "fail") || !strcmp(key, "hang"))
		add_fault(value, *key == 'h');
	else if (strcmp(key, "once") != 0) {
		fprintf(stderr, "fakecuda: '%s'?\n", key);
		abort();
	}
}

static void parse(const char *settings)
{
	char text[1024];
	const char *once = NULL;
	char *rest = text;

	snprintf(text, sizeof(text), "%s", settings);
	for (char *word; (word = strsep(&rest, " "));) {
		char *value = strchr(word, '=');

		if (!value)
			continue;
		*value++ = 0;
		if (!strcmp(word, "once"))
			once = value;
		set(word, value);
	}
	if (once && !is_first(once)) {
		state.n_faults = 0;
		fake.stall = false;
	}
}

static void start(const char *settings)
{
	memset(&state, 0, sizeof(state));
	fake = (struct fake_settings){
		.devices = 1, .driver = true, .readonly = true, .memory_bytes = 256 * MIB};
	if (!settings)
		settings = getenv("FAKECUDA");
	parse(settings ? settings : "");
	fake_memory_reset();
	state.ready = true;
}

FAKE_EXPORT void fakecuda_reset(const char *settings)
{
	pthread_mutex_lock(&fake_lock);
	fake_streams_reset();
	start(settings);
	last = cudaSuccess;
	pthread_mutex_unlock(&fake_lock);
}

/* --- Errors ------------------------------------------------------------------------------- */

static void note_call(const char *name)
{
	int fd = *fake.calls ? open(fake.calls, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600)
			     : -1;

	if (fd < 0)
		return;
	dprintf(fd, "%s\n", name);
	close(fd);
}

static unsigned count(const char *name)
{
	unsigned i = 0;

	while (i < state.n_calls && strcmp(state.calls[i].name, name) != 0)
		i++;
	if (i == state.n_calls && i < CALLS_MAX) {
		state.calls[state.n_calls++].name = name;
		note_call(name);
	}
	return i < CALLS_MAX ? ++state.calls[i].n : 0;
}

void fake_called(const char *name)
{
	pthread_mutex_lock(&fake_lock);
	if (!state.ready)
		start(NULL);
	(void)count(name);
	pthread_mutex_unlock(&fake_lock);
}

FAKE_EXPORT unsigned fakecuda_calls(const char *name)
{
	unsigned n = 0;

	pthread_mutex_lock(&fake_lock);
	for (unsigned i = 0; i < state.n_calls; i++) {
		if (!strcmp(state.calls[i].name, name))
			n = state.calls[i].n;
	}
	pthread_mutex_unlock(&fake_lock);
	return n;
}

/* After these the real runtime asks for a new process. */
static bool sticks(int code)
{
	return (code >= 700 && code < 800 && code != 701 && code != 704 && code != 705 &&
		       code != 712 && code != 713 && code != 720) ||
	       code == 214 || code == 220 || code == 226 || code == 999;
}

static cudaError_t injected(const char *name, unsigned n)
{
	for (unsigned i = 0; i < state.n_faults; i++) {
		const struct fault *f = &state.faults[i];

		if (strcmp(f->name, name) != 0 || (f->at != 0 && f->at != n))
			continue;
		while (f->code == 0)
			pthread_cond_wait(&fake_changed, &fake_lock);
		if (sticks(f->code))
			state.stuck = (cudaError_t)f->code;
		return (cudaError_t)f->code;
	}
	return cudaSuccess;
}

cudaError_t fake_enter(const char *name)
{
	cudaError_t error;

	pthread_mutex_lock(&fake_lock);
	if (!state.ready)
		start(NULL);
	error = injected(name, count(name));
	if (state.stuck != cudaSuccess)
		error = state.stuck;
	else if (!fake.driver && error == cudaSuccess)
		error = cudaErrorInsufficientDriver;
	else if (error == cudaSuccess && fake_visible(0) < 0)
		error = cudaErrorNoDevice;
	pthread_mutex_unlock(&fake_lock);
	return error;
}

cudaError_t fake_done(cudaError_t error)
{
	if (error != cudaSuccess && error != cudaErrorNotReady)
		last = error;
	return error;
}

void fake_stick(cudaError_t error)
{
	state.stuck = error;
}

cudaError_t fake_stuck(void)
{
	return state.stuck;
}

FAKE_EXPORT cudaError_t cudaGetLastError(void)
{
	cudaError_t error = state.stuck != cudaSuccess ? state.stuck : last;

	fake_called(__func__);
	last = cudaSuccess;
	return error;
}

#define NAME(name, value, text) {(value), #name, (text)},
static const struct {
	int code;
	const char *name;
	const char *text;
} errors[] = {FAKECUDA_ERRORS(NAME)};

FAKE_EXPORT const char *cudaGetErrorName(cudaError_t error)
{
	fake_called(__func__);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		if (errors[i].code == (int)error)
			return errors[i].name;
	}
	return "unrecognized error code";
}

FAKE_EXPORT const char *cudaGetErrorString(cudaError_t error)
{
	fake_called(__func__);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		if (errors[i].code == (int)error)
			return errors[i].text;
	}
	return "unrecognized error code";
}

/* --- GPUs --------------------------------------------------------------------------------- */

static void format_uuid(int gpu, char *text, size_t cap)
{
	snprintf(text, cap, "GPU-%08x-0000-4000-8000-%012x", gpu + 1, gpu + 1);
}

/* What one entry of CUDA_VISIBLE_DEVICES means. */
static int meant(const char *entry)
{
	char uuid[64];
	unsigned of;
	char *end;
	long n;

	for (int i = 0; i < (int)fake.devices && !strncmp(entry, "GPU-", 4); i++) {
		format_uuid(i, uuid, sizeof(uuid));
		if (!strncmp(entry, uuid, strlen(entry)))
			return i;
	}
	if (sscanf(entry, "MIG-%8x-", &of) == 1) /* an instance, as in nvml.c */
		return of >= 1 && of <= fake.devices ? (int)of - 1 : -1;
	n = strtol(entry, &end, 10);
	return *entry && !*end && n >= 0 && n < (long)fake.devices ? (int)n : -1;
}

/* As CUDA: the first entry that means nothing ends the list. */
int fake_visible(int device)
{
	const char *list = getenv("CUDA_VISIBLE_DEVICES");
	char text[1024];
	char *rest = text;
	int n = 0;

	if (!list)
		return device >= 0 && device < (int)fake.devices ? device : -1;
	snprintf(text, sizeof(text), "%s", list);
	for (char *entry; (entry = strsep(&rest, ",")); n++) {
		int gpu = meant(entry);

		if (gpu < 0)
			return -1;
		if (n == device)
			return gpu;
	}
	return -1;
}

FAKE_EXPORT cudaError_t cudaDriverGetVersion(int *version)
{
	fake_called(__func__);
	pthread_mutex_lock(&fake_lock);
	if (!state.ready)
		start(NULL);
	*version = fake.driver ? DRIVER : 0;
	pthread_mutex_unlock(&fake_lock);
	return cudaSuccess;
}

FAKE_EXPORT cudaError_t cudaGetDeviceCount(int *ret_n)
{
	int n = 0;

	*ret_n = 0;
	FAKE_ENTER();
	while (fake_visible(n) >= 0)
		n++;
	*ret_n = n;
	return fake_done(n > 0 ? cudaSuccess : cudaErrorNoDevice);
}

FAKE_EXPORT cudaError_t cudaSetDevice(int device)
{
	FAKE_ENTER();
	if (fake_visible(device) < 0)
		return fake_done(cudaErrorInvalidDevice);
	return fake_done(cudaSuccess);
}

FAKE_EXPORT cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int device)
{
	int gpu = fake_visible(device);

	FAKE_ENTER();
	if (gpu < 0)
		return fake_done(cudaErrorInvalidDevice);
	memset(p, 0, sizeof(*p));
	snprintf(p->name, sizeof(p->name), "Stand-in GPU");
	p->uuid.bytes[3] = (char)(gpu + 1);
	p->uuid.bytes[6] = 0x40;
	p->uuid.bytes[8] = (char)0x80;
	p->uuid.bytes[15] = (char)(gpu + 1);
	p->totalGlobalMem = fake.memory_bytes;
	p->major = 9;
	p->multiProcessorCount = 1;
	return fake_done(cudaSuccess);
}

FAKE_EXPORT cudaError_t cudaDeviceGetAttribute(
	int *value, enum cudaDeviceAttr attribute, int device)
{
	FAKE_ENTER();
	*value = (int)attribute == ATTRIBUTE_READ_ONLY ? fake.readonly : 1;
	return fake_done(cudaSuccess);
}

FAKE_EXPORT cudaError_t cudaDeviceGetPCIBusId(char *id, int length, int device)
{
	FAKE_ENTER();
	snprintf(id, (size_t)length, "0000:%02x:00.0", fake_visible(device) + 1);
	return fake_done(cudaSuccess);
}

FAKE_EXPORT cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t *pool, int device)
{
	FAKE_ENTER();
	*pool = (cudaMemPool_t)&state;
	return fake_done(cudaSuccess);
}

FAKE_EXPORT cudaError_t cudaMemPoolSetAttribute(
	cudaMemPool_t pool, enum cudaMemPoolAttr attribute, void *value)
{
	FAKE_ENTER();
	return fake_done(cudaSuccess);
}

FAKE_EXPORT cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, size_t bytes)
{
	FAKE_ENTER();
	return fake_done(cudaSuccess);
}

void fake_log(const void *stream, const char *what, const char *name)
{
	FILE *f = *fake.log ? fopen(fake.log, "ae") : NULL;

	if (!f)
		return;
	fprintf(f, "%p %s%s%s\n", stream, what, *name ? " " : "", name);
	fclose(f);
}
