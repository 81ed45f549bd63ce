/*
 * model_conf_fuzz.c: any bytes as a model.conf. What is refused names the file.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "models/model_conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct model_conf m = {0};
	char path[64], text[512] = "";
	int fd = memfd_create("model.conf", MFD_CLOEXEC);
	int r;

	assert(fd >= 0 && write(fd, data, n) == (ssize_t)n);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = model_conf_read(path, &m, text, sizeof(text));
	assert(r == 0 || (r == MODEL_CONF_E_INVALID && strstr(text, path)));
	model_conf_release(&m);
	close(fd);
	return 0;
}
