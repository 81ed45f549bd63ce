/*
 * warmup_data.c: the data of a warm-up's input. The worker that runs it and the daemon that checks a configuration come
 * here, so that both say the same. A file may be reached by links, as ConfigMaps have them, and lies below the directory of
 * the model whatever they say. No state; any process, any thread.
 */
#include "proto/warmup_data.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BYTES_LENGTH   4u /* in front of an element of DTYPE_BYTES */
#define WHOLE_BELOW    128u
#define RANDOM_SEED    UINT64_C(0x9e3779b97f4a7c15)
#define RANDOM_FACTOR  UINT64_C(0x2545f4914f6cdd1d)
#define F16_FRACTION   0x03ffu
#define F16_BELOW_ONE  0x3800u /* 0.5 to 1 */
#define BF16_FRACTION  0x007fu
#define BF16_BELOW_ONE 0x3f00u

static _printf_(3, 4) int wrong(char *text, size_t cap, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, cap, format, ap);
	va_end(ap);
	return WARMUP_DATA_E_INVALID;
}

/* --- Files -------------------------------------------------------------------------------------- */

/* The directory above it: that of the model. */
static void cut_last_name(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash)
		*slash = 0;
}

static bool lies_below(const char *path, const char *directory)
{
	size_t n = strlen(directory);

	return !strncmp(path, directory, n) && path[n] == '/';
}

/* Where links lead to. -ENOMEM */
static int resolve(const char *directory, const char *file, char **ret_path, char *text, size_t cap)
{
	_cleanup_(freep) char *model = strdup(directory);
	_cleanup_(freep) char *whole = NULL, *real = NULL, *real_model = NULL;

	if (!model)
		return -ENOMEM;
	if (asprintf(&whole, "%s/%s", directory, file) < 0)
		return -ENOMEM;
	cut_last_name(model);
	real = realpath(whole, NULL);
	if (!real)
		return wrong(text, cap, "%s: %s", whole, strerror(errno));
	real_model = realpath(model, NULL);
	if (!real_model || !lies_below(real, real_model))
		return wrong(text, cap, "%s: lies outside of the model's directory", whole);
	*ret_path = steal_ptr(real);
	return 0;
}

static int open_file(struct warmup_data *d, const char *directory, char *text, size_t cap)
{
	_cleanup_(freep) char *path = NULL;
	struct stat st;
	int r = resolve(directory, d->input->file, &path, text, cap);

	if (r || !path)
		return r;
	/* A pipe is not waited for. */
	d->fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (d->fd < 0 || fstat(d->fd, &st))
		return wrong(text, cap, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return wrong(text, cap, "%s: is no file", path);
	if (d->input->dtype == DTYPE_BYTES)
		d->bytes = (uint64_t)st.st_size;
	if ((uint64_t)st.st_size == d->bytes)
		return 0;
	return wrong(text, cap, "%s: has %" PRIu64 " bytes, and the shape asks for %" PRIu64, path,
		(uint64_t)st.st_size, d->bytes);
}

/* All of it, and not more. */
static int read_file(struct warmup_data *d, uint8_t *to, char *text, size_t cap)
{
	uint64_t n = 0;

	while (n < d->bytes) {
		ssize_t got = pread(d->fd, to + n, d->bytes - n, (off_t)n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return wrong(text, cap, "%s: %s", d->input->file,
				got < 0 ? strerror(errno) : "became shorter while it was read");
		n += (uint64_t)got;
	}
	if (d->input->dtype == DTYPE_BYTES && bytes_tensor_check(to, d->bytes, d->elements))
		return wrong(text, cap,
			"%s: is not %" PRIu64
			" elements of a length of 4 bytes and so many bytes each",
			d->input->file, d->elements);
	return 0;
}

/* --- Random numbers ----------------------------------------------------------------------------- */

/* The same ones in every run: what a warm-up finds can be found again. */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * RANDOM_FACTOR;
}

static float random_f32(uint64_t v)
{
	return (float)(v >> 40) / (float)(1u << 24);
}

/* From 0 to 1; whole numbers from 0 to 127, so that many can be indexes. */
static void put_random(enum dtype d, uint64_t v, uint8_t *to)
{
	uint64_t whole = d == DTYPE_BOOL ? v >> 63 : (v >> 32) % WHOLE_BELOW;
	uint64_t half = d == DTYPE_F16 ? F16_BELOW_ONE | ((v >> 32) & F16_FRACTION)
				       : BF16_BELOW_ONE | ((v >> 32) & BF16_FRACTION);
	double f64 = (double)(v >> 11) / (double)(UINT64_C(1) << 53);
	float f32 = random_f32(v);

	if (d == DTYPE_F64)
		memcpy(to, &f64, sizeof(f64));
	else if (d == DTYPE_F32)
		memcpy(to, &f32, sizeof(f32));
	else if (d == DTYPE_F16 || d == DTYPE_BF16)
		memcpy(to, &half, dtype_size(d));
	else
		memcpy(to, &whole, dtype_size(d));
}

static void fill_random(const struct warmup_data *d, uint8_t *to)
{
	uint64_t state = RANDOM_SEED;
	size_t size = dtype_size(d->input->dtype);

	for (uint64_t i = 0; i < d->elements; i++)
		put_random(d->input->dtype, next_random(&state), to + i * size);
}

/* --- Life --------------------------------------------------------------------------------------- */

static int measure(struct warmup_data *d)
{
	const struct wire_warmup_input *in = d->input;
	int r = shape_elements(in->dims, in->rank, &d->elements);

	if (r)
		return r;
	if (in->dtype != DTYPE_BYTES)
		return shape_bytes(in->dtype, in->dims, in->rank, &d->bytes);
	return __builtin_mul_overflow(d->elements, BYTES_LENGTH, &d->bytes) ? -EOVERFLOW : 0;
}

int warmup_data_open(struct warmup_data *ret_data, const struct wire_warmup_input *input,
	const char *directory, char *text, size_t cap)
{
	struct warmup_data d = {.input = input, .fd = -1};
	int r = measure(&d);

	if (r)
		return wrong(text, cap, "the shape is too large");
	if (input->file && *input->file)
		r = open_file(&d, directory, text, cap);
	if (r)
		warmup_data_close(&d);
	else
		*ret_data = d;
	return r;
}

int warmup_data_fill(struct warmup_data *d, void *to, char *text, size_t cap)
{
	if (d->fd >= 0)
		return read_file(d, to, text, cap);
	if (d->bytes > 0)
		memset(to, 0, d->bytes);
	if (d->input->random && d->input->dtype != DTYPE_BYTES)
		fill_random(d, to);
	return 0;
}

void warmup_data_close(struct warmup_data *d)
{
	close_fd(&d->fd);
}
