/* bench_shm.c: the object is written by its descriptor, never mapped. modelctl, one thread. */
#include "clients/modelctl/bench_shm.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "clients/modelctl/kserve_call.h"

#define DIRECTORY "/dev/shm" /* where glibc has what shm_open(3) opens */

static int write_at(int fd, const uint8_t *data, size_t n, uint64_t offset)
{
	while (n > 0) {
		ssize_t written = pwrite(fd, data, n, (off_t)offset);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return written < 0 ? -errno : -EIO;
		data += written;
		n -= (size_t)written;
		offset += (uint64_t)written;
	}
	return 0;
}

static int fill(int fd, const struct bench_tensors *inputs, uint64_t bytes)
{
	uint64_t offset = 0;
	int e = posix_fallocate(fd, 0, (off_t)bytes);

	e = -e;
	for (size_t i = 0; !e && i < inputs->n; i++) {
		const struct tensor *t = &inputs->list[i].tensor;

		e = write_at(fd, t->data, t->n, offset);
		offset += t->n;
	}
	return e;
}

static int make_object(const char *path, const struct bench_tensors *inputs, uint64_t bytes)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	int e = fd < 0 ? -errno : fill(fd, inputs, bytes);

	if (fd >= 0)
		(void)close(fd);
	if (e && fd >= 0)
		(void)unlink(path);
	return e ? modelctl_fail(MODELCTL_FAILED, "shared memory of %" PRIu64 " bytes: %s", bytes,
			   err_str(e))
		 : 0;
}

static int register_object(
	struct bench_shm *x, struct grpc_client *client, const char *key, uint64_t bytes)
{
	Inference__SystemSharedMemoryRegisterRequest q =
		INFERENCE__SYSTEM_SHARED_MEMORY_REGISTER_REQUEST__INIT;
	Inference__SystemSharedMemoryRegisterResponse *answer = NULL;
	int r;

	q.name = x->name;
	q.key = (char *)key;
	q.byte_size = bytes;
	r = kserve_call_on(x->m, client, "SystemSharedMemoryRegister", &q.base,
		&inference__system_shared_memory_register_response__descriptor, (void **)&answer);
	inference__system_shared_memory_register_response__free_unpacked(answer, NULL);
	return r;
}

int bench_shm_make(struct bench_shm *x, const struct modelctl *m, struct grpc_client *client,
	const struct bench_tensors *inputs, uint64_t bytes)
{
	char path[sizeof(DIRECTORY) + sizeof(x->name)];
	int r;

	x->m = m;
	(void)snprintf(x->name, sizeof(x->name), "modelctl-bench-%d", (int)getpid());
	(void)snprintf(path, sizeof(path), DIRECTORY "/%s", x->name);
	r = make_object(path, inputs, bytes > 0 ? bytes : 1);
	if (!r) {
		r = register_object(x, client, path + strlen(DIRECTORY), bytes > 0 ? bytes : 1);
		/* The daemon has it open: nothing stays behind, however this ends. */
		(void)unlink(path);
	}
	if (r)
		x->name[0] = 0;
	return r;
}

void bench_shm_release(struct bench_shm *x, struct grpc_client *client)
{
	Inference__SystemSharedMemoryUnregisterRequest q =
		INFERENCE__SYSTEM_SHARED_MEMORY_UNREGISTER_REQUEST__INIT;
	Inference__SystemSharedMemoryUnregisterResponse *answer = NULL;

	if (!x->name[0] || grpc_client_is_lost(client))
		return;
	q.name = x->name;
	if (!kserve_call_on(x->m, client, "SystemSharedMemoryUnregister", &q.base,
		    &inference__system_shared_memory_unregister_response__descriptor,
		    (void **)&answer))
		inference__system_shared_memory_unregister_response__free_unpacked(answer, NULL);
	x->name[0] = 0;
}
