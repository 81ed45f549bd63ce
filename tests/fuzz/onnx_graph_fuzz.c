/*
 * onnx_graph_fuzz.c: any file as a model.onnx whose operators are looked at. Whatever it holds, the
 * walk ends, within its limits, and a verdict against joining has a reason.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "workers/backends/onnxruntime/rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct modeld_declaration inputs[] = {
	{.name = "x", .rank = 2, .dims = {-1, 4}},
	{.name = "z", .rank = 4, .dims = {-1, 3, 8, 8}},
};
static const struct modeld_declaration output = {.name = "y", .rank = 2, .dims = {-1, -1}};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static int fd = -1;
	struct rows_verdict verdict = {0};
	char path[64];
	int e;

	if (fd < 0)
		fd = memfd_create("model", MFD_CLOEXEC);
	assert(fd >= 0);
	assert(ftruncate(fd, 0) == 0 && pwrite(fd, data, n, 0) == (ssize_t)n);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	e = rows_judge(path, inputs, 2, &output, 1, &verdict);
	assert(e == 0 && (verdict.apart || verdict.why[0]));
	return 0;
}
