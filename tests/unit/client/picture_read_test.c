/* Tests of picture_read.c: what the libraries themselves have written is read; what is cut, or says that it is huge, is not. */
#include "clients/modelctl/picture_read.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#ifdef MODELCTL_PNG
#include <png.h>
#endif
#ifdef MODELCTL_JPEG
#include <turbojpeg.h>
#endif

#if defined(MODELCTL_PNG) || defined(MODELCTL_JPEG)
/* Red, green; blue, white; black, grey: three rows of two. */
static const uint8_t pixels[] = {
	255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 128, 128, 128};

static void expect_values(const struct tensor *t, uint32_t channels, int tolerance)
{
	cr_assert_eq(t->form, TENSOR_PICTURE);
	cr_assert_eq(t->dtype, DTYPE_F32);
	cr_expect_eq(t->picture.width, 2);
	cr_expect_eq(t->picture.height, 3);
	cr_assert_eq(t->picture.channels, channels);
	cr_assert_eq(t->n, 6 * channels * sizeof(float));
	for (size_t i = 0; channels == 3 && i < sizeof(pixels); i++) {
		float value;

		memcpy(&value, t->data + i * sizeof(value), sizeof(value));
		cr_expect(value >= pixels[i] - tolerance && value <= pixels[i] + tolerance,
			"%zu: %f", i, (double)value);
	}
}

/* It is never read beyond its end. */
static int read_exactly(struct tensor *t, const uint8_t *data, size_t n)
{
	uint8_t *copy = malloc(n + !n);
	int r;

	cr_assert(copy);
	memcpy(copy, data, n);
	r = picture_read(t, copy, n);
	free(copy);
	return r;
}

static void expect_no_part_of_it(const uint8_t *data, size_t n)
{
	struct tensor t;

	for (size_t i = 0; i < n; i++) {
		int r = read_exactly(&t, data, i);

		/* What comes behind the pixels is not missed. */
		if (r == 0)
			tensor_release(&t);
		else
			cr_expect_eq(r, -EINVAL, "%zu of %zu bytes: %d", i, n, r);
		cr_expect(r || i > n / 2, "%zu of %zu bytes", i, n);
	}
}
#endif

#ifdef MODELCTL_PNG
static size_t write_png(uint8_t *out, size_t cap, uint32_t format, const uint8_t *from)
{
	png_image image = {.version = PNG_IMAGE_VERSION, .width = 2, .height = 3, .format = format};
	png_alloc_size_t n = cap;

	cr_assert(
		png_image_write_to_memory(&image, out, &n, 0, from, 0, NULL), "%s", image.message);
	return n;
}

Test(picture_read, a_png)
{
	uint8_t data[1024];
	size_t n = write_png(data, sizeof(data), PNG_FORMAT_RGB, pixels);
	struct tensor t;

	cr_assert_eq(picture_read(&t, data, n), 0);
	expect_values(&t, 3, 0);
	tensor_release(&t);
	expect_no_part_of_it(data, n);
	n = write_png(data, sizeof(data), PNG_FORMAT_GRAY, pixels);
	cr_assert_eq(picture_read(&t, data, n), 0);
	expect_values(&t, 1, 0);
	tensor_release(&t);
}

Test(picture_read, a_png_that_is_transparent)
{
	uint8_t data[1024], from[24] = {200, 100, 50, 0, 200, 100, 50, 255};
	size_t n = write_png(data, sizeof(data), PNG_FORMAT_RGBA, from);
	struct tensor t;
	float values[6];

	cr_assert_eq(picture_read(&t, data, n), 0);
	cr_assert_eq(t.picture.channels, 3);
	memcpy(values, t.data, sizeof(values));
	cr_expect(values[0] == 0 && values[3] == 200 && values[4] == 100 && values[5] == 50);
	tensor_release(&t);
}

/* Sides in the header, whose checksum is not looked at for being right by all versions: either is refused. */
Test(picture_read, a_png_that_says_it_is_huge)
{
	uint8_t data[1024];
	size_t n = write_png(data, sizeof(data), PNG_FORMAT_RGB, pixels);
	struct tensor t;

	memset(data + 17, 0xff, 3);
	memset(data + 21, 0xff, 3);
	cr_expect_eq(picture_read(&t, data, n), -EINVAL);
}
#endif

#ifdef MODELCTL_JPEG
Test(picture_read, a_jpeg)
{
	tjhandle h = tjInitCompress();
	unsigned char *data = NULL;
	unsigned long n = 0;
	struct tensor t;

	cr_assert(h);
	cr_assert_eq(tjCompress2(h, pixels, 2, 0, 3, TJPF_RGB, &data, &n, TJSAMP_444, 100, 0), 0);
	cr_assert_eq(picture_read(&t, data, n), 0);
	expect_values(&t, 3, 4);
	tensor_release(&t);
	expect_no_part_of_it(data, n);
	cr_assert_eq(tjCompress2(h, pixels, 2, 0, 3, TJPF_GRAY, &data, &n, TJSAMP_GRAY, 100, 0), 0);
	cr_assert_eq(picture_read(&t, data, n), 0);
	expect_values(&t, 1, 0);
	tensor_release(&t);
	tjFree(data);
	tjDestroy(h);
}

Test(picture_read, a_jpeg_that_says_it_is_huge)
{
	tjhandle h = tjInitCompress();
	unsigned char *data = NULL;
	unsigned long n = 0;
	struct tensor t;
	uint8_t *frame;

	cr_assert(h);
	cr_assert_eq(tjCompress2(h, pixels, 2, 0, 3, TJPF_RGB, &data, &n, TJSAMP_444, 100, 0), 0);
	frame = memmem(data, n, "\xff\xc0", 2);
	cr_assert(frame);
	memset(frame + 5, 0xff, 4);
	cr_expect_eq(picture_read(&t, data, n), -EINVAL);
	tjFree(data);
	tjDestroy(h);
}
#endif

Test(picture_read, what_is_none)
{
	struct tensor t;

	cr_expect_eq(picture_read(&t, (const uint8_t *)"P5 1 1 255 x", 12), -EINVAL);
	cr_expect_eq(picture_read(&t, NULL, 0), -EINVAL);
	if (picture_lacks_png)
		cr_expect_eq(picture_read(&t, (const uint8_t *)"\x89PNG\r\n\x1a\n", 8), -ENOTSUP);
	if (picture_lacks_jpeg)
		cr_expect_eq(picture_read(&t, (const uint8_t *)"\xff\xd8\xff", 3), -ENOTSUP);
}
