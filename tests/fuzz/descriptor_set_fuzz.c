/* descriptor_set_fuzz.c: any bytes as a FileDescriptorSet, and any text, up to the first NUL of them, as a name. */
#include "services/descriptor_set.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/descriptors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(const uint8_t *set, size_t n, const char *name)
{
	struct descriptor_file file;

	if (descriptor_set_file(set, n, name, &file))
		assert(file.data >= set && file.n <= n);
	if (descriptor_set_symbol(set, n, name, &file))
		assert(file.data >= set && file.n <= n);
	else
		assert(!descriptor_set_message(set, n, name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const uint8_t *end = memchr(data, 0, n);
	size_t n_name = end ? (size_t)(end - data) : n;
	char *name = malloc(n_name + 1);

	memcpy(name, data, n_name);
	name[n_name] = '\0';
	check(descriptors_data, descriptors_size, name);
	if (end)
		check(end + 1, n - n_name - 1, name);
	free(name);
	return 0;
}
