/*
 * agree_import.c: what a worker relies on when it opens memory on the GPU that another process has made: here a child, which lends
 * some by its handle, and some by a descriptor that it was exported to, until its socket ends.
 */
#include <cuda.h>
#include <cuda_runtime_api.h>
#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/seqpacket.h"
#include "tests/gpu/check/check.h"
#include "workers/device_cuda_private.h"

#define BYTES	   (4 * MIB)
#define TOO_MANY   (BYTES + 64 * MIB)
#define PATTERN	   0x5a
#define CHILD_SIDE 0 /* its descriptor of the socket */

extern char **environ;

struct lender {
	pid_t pid;
	int socket; /* own: closed, it ends */
	int memory; /* own: a descriptor of what it has exported */
	cudaIpcMemHandle_t handle;
};

struct bed {
	struct device *d;
	struct device_stream *s;
	struct device_event *e;
	unsigned char *here; /* own: BYTES */
};

/* --- The other process ------------------------------------------------------------------------ */

static int spawn(struct lender *l, int fd)
{
	char *const argv[] = {(char *)"check", (char *)"--child", (char *)"lend", NULL};
	posix_spawn_file_actions_t actions;
	int r = posix_spawn_file_actions_init(&actions);

	if (r)
		return -r;
	r = posix_spawn_file_actions_adddup2(&actions, fd, CHILD_SIDE);
	if (!r)
		r = posix_spawn(&l->pid, "/proc/self/exe", &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

static int begin(struct lender *l)
{
	int fds[2] = {-1, -1}, r = seqpacket_pair(fds);
	size_t n = 0, n_fds = 0;

	l->socket = fds[0];
	if (!r)
		r = spawn(l, fds[1]);
	close_fd(&fds[1]);
	if (!r)
		r = seqpacket_recv(
			l->socket, &l->handle, sizeof(l->handle), &n, &l->memory, 1, &n_fds, false);
	return r || (n == sizeof(l->handle) && n_fds == 1) ? r : -EPROTO;
}

/* Its exit status. */
static int end(struct lender *l)
{
	int status = 0;

	close_fd(&l->socket);
	close_fd(&l->memory);
	if (l->pid <= 0 || waitpid(l->pid, &status, 0) != l->pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static int lend_by_handle(cudaIpcMemHandle_t *ret_handle)
{
	cudaStream_t stream = NULL;
	void *data = NULL;

	return cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) ||
	       cudaMalloc(&data, BYTES) || cudaMemsetAsync(data, PATTERN, BYTES, stream) ||
	       cudaStreamSynchronize(stream) || cudaIpcGetMemHandle(ret_handle, data);
}

static int lend_by_descriptor(int *ret_fd)
{
	const CUmemAllocationProp properties = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
		.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
		.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0}};
	CUmemGenericAllocationHandle handle;
	__typeof__(&cuMemCreate) create;
	__typeof__(&cuMemExportToShareableHandle) export;

	if (!cuda_driver_find("cuMemCreate", &create) ||
		!cuda_driver_find("cuMemExportToShareableHandle", &export))
		return -ENOTSUP;
	return create(&handle, BYTES, &properties, 0) ||
	       export(ret_fd, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0);
}

int lend_child(void)
{
	cudaIpcMemHandle_t handle;
	size_t n = 0;
	char byte;
	int fd = -1;

	if (lend_by_handle(&handle))
		return 1;
	if (lend_by_descriptor(&fd))
		return 2;
	if (seqpacket_send(CHILD_SIDE, &handle, sizeof(handle), &fd, 1, false))
		return 3;
	(void)!seqpacket_recv(CHILD_SIDE, &byte, 1, &n, NULL, 0, NULL, false);
	return 0;
}

/* --- This one --------------------------------------------------------------------------------- */

static int bed_open(struct bed *b, struct device *d)
{
	int r;

	*b = (struct bed){.d = d, .here = malloc(BYTES)};
	r = b->here ? device_stream_new(d, &b->s) : -ENOMEM;
	return r ? r : device_event_new(d, &b->e);
}

static void bed_close(struct bed *b)
{
	device_event_free(b->e);
	device_stream_free(b->s);
	free(b->here);
}

/* What is there, to here. */
static int fetch(struct bed *b, const void *there)
{
	int r = device_copy_out(b->s, b->here, there, BYTES);

	if (!r)
		r = device_event_record(b->e, b->s);
	return r ? r : device_event_wait(b->e, clock_add(clock_ns(), 10 * NS_PER_S));
}

static bool is_all(const struct bed *b, unsigned char value)
{
	size_t n = 0;

	while (n < BYTES && b->here[n] == value)
		n++;
	return n == BYTES;
}

static void by_handle(struct check *c, struct bed *b, const struct lender *l)
{
	cudaIpcMemHandle_t forged = l->handle;
	struct device_import import = {0};
	int r = device_import(b->d, &l->handle, TOO_MANY, &import);

	check_true(c, r == -ERANGE, "more of another process's memory than there is is not opened");
	r = device_import(b->d, &l->handle, BYTES, &import);
	if (check_true(c, r == 0, "what there is is, by its handle")) {
		r = fetch(b, import.data);
		check_true(c, r == 0 && is_all(b, PATTERN), "and has that process's bytes");
		check_true(c, device_give_back(b->d, &import) == 0, "it is given back");
	}
	memset(&forged, 0xff, sizeof(forged));
	r = device_import(b->d, &forged, BYTES, &import);
	check_true(c, device_class(r) == DEVICE_E_REQUEST,
		"a handle of nothing is refused, and nothing else");
}

/* What is written through one mapping is read through the other. */
static void by_descriptor(struct check *c, struct bed *b, const struct lender *l)
{
	struct device_import import = {0};
	int r = device_import_fd(b->d, l->memory, TOO_MANY, false, &import);

	check_true(c, r == -ERANGE, "more than was exported to a descriptor is not opened");
	r = device_import_fd(b->d, l->socket, BYTES, false, &import);
	check_true(
		c, device_class(r) == DEVICE_E_REQUEST, "a descriptor of something else neither");
	r = device_import_fd(b->d, l->memory, BYTES, true, &import);
	if (!check_true(c, r == 0, "what there is is, for reading and for writing"))
		return;
	r = device_clear(b->s, import.target, BYTES);
	memset(b->here, PATTERN, BYTES);
	if (!r)
		r = fetch(b, import.data);
	check_true(c, r == 0 && is_all(b, 0), "what is written in one place is read in the other");
	check_true(c, device_give_back(b->d, &import) == 0, "both are given back");
}

void check_import(struct check *c, struct device *d)
{
	struct lender l = {.pid = -1, .socket = -1, .memory = -1};
	struct bed b;

	if (check_true(c, bed_open(&b, d) == 0 && begin(&l) == 0,
		    "another process lends memory on the GPU")) {
		by_handle(c, &b, &l);
		by_descriptor(c, &b, &l);
	}
	check_true(c, end(&l) == 0, "it ends well");
	bed_close(&b);
}
