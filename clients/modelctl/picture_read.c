/* picture_read.c: sides are looked at before there is memory for what they say. modelctl, one thread. */
#include "clients/modelctl/picture_read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#ifdef MODELCTL_PNG
#include <png.h>
const char *const picture_lacks_png = NULL;
#else
const char *const picture_lacks_png = "libpng-dev";
#endif
#ifdef MODELCTL_JPEG
#include <turbojpeg.h>
const char *const picture_lacks_jpeg = NULL;
#else
const char *const picture_lacks_jpeg = "libturbojpeg0-dev";
#endif

bool picture_is_png(const uint8_t *data, size_t n)
{
	return n >= 8 && !memcmp(data, "\x89PNG\r\n\x1a\n", 8);
}

bool picture_is_jpeg(const uint8_t *data, size_t n)
{
	return n >= 3 && !memcmp(data, "\xff\xd8\xff", 3);
}

#if defined(MODELCTL_PNG) || defined(MODELCTL_JPEG)
/* Zeroed bytes for the pixels. -EINVAL: they are too many, or none; -ENOMEM */
static int make_room(const struct picture *p, uint8_t **ret_bytes)
{
	uint64_t n;

	if (__builtin_mul_overflow((uint64_t)p->width * p->height, p->channels, &n) || n == 0 ||
		n > PICTURE_VALUES_MAX)
		return -EINVAL;
	*ret_bytes = calloc(1, (size_t)n);
	return *ret_bytes ? 0 : -ENOMEM;
}

static int take(struct tensor *t, const struct picture *p, const uint8_t *bytes)
{
	size_t n = (size_t)p->width * p->height * p->channels;
	float *values = malloc(n * sizeof(*values));

	if (!values)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		values[i] = bytes[i];
	*t = (struct tensor){.form = TENSOR_PICTURE, .dtype = DTYPE_F32, .picture = *p};
	t->n = n * sizeof(*values);
	t->data = (uint8_t *)values;
	return 0;
}
#endif

#ifdef MODELCTL_PNG
static int read_png(struct tensor *t, const uint8_t *data, size_t n)
{
	png_image image = {.version = PNG_IMAGE_VERSION};
	_cleanup_(freep) uint8_t *bytes = NULL;
	struct picture p;
	bool coloured;
	int r;

	if (!png_image_begin_read_from_memory(&image, data, n))
		return -EINVAL;
	coloured = image.format & PNG_FORMAT_FLAG_COLOR;
	p = (struct picture){image.width, image.height, coloured ? 3 : 1};
	image.format = coloured ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
	r = make_room(&p, &bytes);
	/* It frees the image in any case. */
	if (!r && !png_image_finish_read(&image, NULL, bytes, 0, NULL))
		r = -EINVAL;
	png_image_free(&image);
	return r ? r : take(t, &p, bytes);
}
#else
static int read_png(struct tensor *t, const uint8_t *data, size_t n)
{
	return -ENOTSUP;
}
#endif

#ifdef MODELCTL_JPEG
static int decompress(tjhandle h, struct tensor *t, const uint8_t *data, size_t n)
{
	_cleanup_(freep) uint8_t *bytes = NULL;
	int width, height, sampling, colours, r;
	struct picture p;

	if (tjDecompressHeader3(h, data, n, &width, &height, &sampling, &colours) || width <= 0 ||
		height <= 0)
		return -EINVAL;
	p = (struct picture){(uint32_t)width, (uint32_t)height, colours == TJCS_GRAY ? 1 : 3};
	r = make_room(&p, &bytes);
	if (r)
		return r;
	if (tjDecompress2(h, data, n, bytes, width, 0, height,
		    p.channels == 1 ? TJPF_GRAY : TJPF_RGB, TJFLAG_STOPONWARNING))
		return -EINVAL;
	return take(t, &p, bytes);
}

static int read_jpeg(struct tensor *t, const uint8_t *data, size_t n)
{
	tjhandle h = tjInitDecompress();
	int r = h ? decompress(h, t, data, n) : -ENOMEM;

	if (h)
		(void)tjDestroy(h);
	return r;
}
#else
static int read_jpeg(struct tensor *t, const uint8_t *data, size_t n)
{
	return -ENOTSUP;
}
#endif

int picture_read(struct tensor *t, const uint8_t *data, size_t n)
{
	if (picture_is_png(data, n))
		return read_png(t, data, n);
	return picture_is_jpeg(data, n) ? read_jpeg(t, data, n) : -EINVAL;
}
