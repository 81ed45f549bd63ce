/* Tests of codec.c. */
#include "grpc/codec.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "tests/support/failalloc.h"

#define TEXT(text) (const uint8_t *)(text), sizeof(text) - 1

Test(codec, names)
{
	cr_expect_eq(codec_parse("", 0), CODEC_IDENTITY);
	cr_expect_eq(codec_parse("identity", 8), CODEC_IDENTITY);
	cr_expect_eq(codec_parse("gzip", 4), CODEC_GZIP);
	cr_expect_eq(codec_parse("deflate", 7), CODEC_DEFLATE);
	cr_expect_eq(codec_parse("gzip2", 5), CODEC_UNKNOWN);
	cr_expect_eq(codec_parse("gzi", 3), CODEC_UNKNOWN);
	cr_expect_eq(codec_parse("GZIP", 4), CODEC_UNKNOWN);
	cr_expect_eq(codec_parse("snappy", 6), CODEC_UNKNOWN);
	cr_expect_str_eq(codec_name(CODEC_IDENTITY), "identity");
	cr_expect_str_eq(codec_name(CODEC_GZIP), "gzip");
	cr_expect_str_eq(codec_name(CODEC_DEFLATE), "deflate");
}

static bool listed(enum codec c, const char *list)
{
	return codec_listed(c, list, strlen(list));
}

Test(codec, lists)
{
	cr_expect(listed(CODEC_IDENTITY, ""));
	cr_expect(!listed(CODEC_GZIP, ""));
	cr_expect(listed(CODEC_GZIP, "gzip"));
	cr_expect(listed(CODEC_GZIP, "identity, deflate, gzip"));
	cr_expect(listed(CODEC_GZIP, "identity,deflate,gzip\t"));
	cr_expect(listed(CODEC_DEFLATE, "identity,deflate,gzip"));
	cr_expect(listed(CODEC_DEFLATE, ",, deflate ,"));
	cr_expect(!listed(CODEC_DEFLATE, "identity, gzip"));
	cr_expect(!listed(CODEC_GZIP, "xgzip, gzipx, g zip"));
	cr_expect(!listed(CODEC_UNKNOWN, "identity, gzip"));
	cr_expect(codec_listed(CODEC_GZIP, "gzip,deflate", 4), "the length counts");
	cr_expect(!codec_listed(CODEC_GZIP, "gzip,deflate", 3));
}

/* Inflate in pieces of in_step and out_step bytes. */
static int inflate_all(struct inflater *z, const uint8_t *data, size_t n, size_t in_step,
	size_t out_step, uint8_t *out, size_t cap, size_t *ret_n)
{
	size_t got = 0;

	while (n > 0) {
		size_t given = n < in_step ? n : in_step;
		size_t left = given;
		size_t some;

		do {
			size_t room = cap - got < out_step ? cap - got : out_step;
			int r = inflater_read(z, &data, &left, out + got, room, &some);

			if (r)
				return r;
			got += some;
		} while (left > 0 || some > 0);
		n -= given;
	}
	*ret_n = got;
	return 0;
}

static void fill(uint8_t *data, size_t n)
{
	uint32_t random = 1;

	for (size_t i = 0; i < n; i++) {
		random = random * 1664525 + 1013904223;
		data[i] = i % 3 ? (uint8_t)(random >> 28) : (uint8_t)(random >> 24);
	}
}

static void round_trip(enum codec c)
{
	static uint8_t data[100000];
	static uint8_t out[sizeof(data) + 1];
	static const size_t steps[] = {1, 7, 1000, SIZE_MAX};
	const struct deflate_piece pieces[] = {
		{data, 5}, {NULL, 0}, {data + 5, 60000}, {data + 60005, sizeof(data) - 60005}};
	struct inflater *z;
	struct buf packed;

	fill(data, sizeof(data));
	buf_init(&packed, sizeof(data));
	cr_assert_eq(codec_compress(c, pieces, 4, &packed), 0);
	cr_expect_lt(packed.len, sizeof(data));
	cr_assert_eq(inflater_new(&z, c), 0);
	for (size_t i = 0; i < 4; i++) {
		size_t n = 0;

		inflater_reset(z, c);
		cr_expect(!inflater_complete(z));
		cr_assert_eq(inflate_all(z, packed.data, packed.len, steps[i],
				     steps[3 - i] < 7 ? 7 : steps[3 - i], out, sizeof(out), &n),
			0);
		cr_expect(inflater_complete(z));
		cr_expect_eq(n, sizeof(data));
		cr_assert_arr_eq(out, data, sizeof(data));
	}
	inflater_free(z);
	buf_deinit(&packed);
}

Test(codec, gzip_round_trip)
{
	round_trip(CODEC_GZIP);
}

Test(codec, deflate_round_trip)
{
	round_trip(CODEC_DEFLATE);
}

Test(codec, an_empty_message)
{
	struct buf packed;
	struct inflater *z;
	uint8_t out[8];
	size_t n = 1;

	buf_init(&packed, 100);
	cr_assert_eq(codec_compress(CODEC_GZIP, NULL, 0, &packed), 0);
	cr_assert_eq(inflater_new(&z, CODEC_GZIP), 0);
	cr_assert_eq(inflate_all(z, packed.data, packed.len, 100, 8, out, 8, &n), 0);
	cr_expect_eq(n, 0);
	cr_expect(inflater_complete(z));
	inflater_free(z);
	buf_deinit(&packed);
}

Test(codec, formats_are_told_apart)
{
	const struct deflate_piece piece = {"hello", 5};
	struct inflater *z;
	struct buf packed;
	uint8_t out[8];
	size_t n;

	buf_init(&packed, 100);
	cr_assert_eq(codec_compress(CODEC_DEFLATE, &piece, 1, &packed), 0);
	cr_expect_eq(packed.data[0] & 0x0f, 8, "RFC 1950");
	cr_assert_eq(inflater_new(&z, CODEC_GZIP), 0);
	cr_expect_eq(inflate_all(z, packed.data, packed.len, 100, 8, out, 8, &n), INFLATER_E_DATA);
	inflater_reset(z, CODEC_DEFLATE);
	cr_expect_eq(inflate_all(z, packed.data, packed.len, 100, 8, out, 8, &n), 0);
	cr_expect_arr_eq(out, "hello", 5);
	inflater_free(z);
	buf_deinit(&packed);
}

Test(codec, what_is_not_valid)
{
	const struct deflate_piece piece = {"hello", 5};
	struct inflater *z;
	struct buf packed;
	uint8_t out[64];
	size_t n;

	buf_init(&packed, 100);
	cr_assert_eq(codec_compress(CODEC_GZIP, &piece, 1, &packed), 0);
	cr_assert_eq(inflater_new(&z, CODEC_GZIP), 0);
	cr_expect_eq(inflate_all(z, TEXT("no gzip at all"), 99, 64, out, 64, &n), INFLATER_E_DATA);
	inflater_reset(z, CODEC_GZIP);
	cr_expect_eq(inflate_all(z, packed.data, packed.len - 1, 99, 64, out, 64, &n), 0);
	cr_expect(!inflater_complete(z), "cut short");
	inflater_reset(z, CODEC_GZIP);
	cr_assert_eq(buf_append(&packed, "x", 1), 0);
	cr_expect_eq(inflate_all(z, packed.data, packed.len, 99, 64, out, 64, &n), INFLATER_E_DATA,
		"a byte behind the end");
	inflater_reset(z, CODEC_GZIP);
	packed.len--;
	packed.data[packed.len - 5] ^= 1;
	cr_expect_eq(inflate_all(z, packed.data, packed.len, 99, 64, out, 64, &n), INFLATER_E_DATA,
		"a wrong checksum");
	inflater_free(z);
	buf_deinit(&packed);
}

Test(codec, output_is_bounded)
{
	uint8_t data[1000];
	const struct deflate_piece piece = {data, sizeof(data)};
	struct buf packed;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * i * 7 + i / 3);
	buf_init(&packed, 50);
	cr_expect_eq(codec_compress(CODEC_GZIP, &piece, 1, &packed), -ENOBUFS);
	buf_deinit(&packed);
	buf_init(&packed, 50);
	cr_expect_eq(codec_compress(CODEC_IDENTITY, &piece, 1, &packed), -EINVAL);
	cr_expect_eq(codec_compress(CODEC_UNKNOWN, &piece, 1, &packed), -EINVAL);
	buf_deinit(&packed);
}

static int compress_and_back(void *arg)
{
	const struct deflate_piece piece = {"hello, hello, hello", 19};
	_cleanup_(inflater_freep) struct inflater *z = NULL;
	struct buf packed;
	uint8_t out[64];
	size_t n = 0;
	int r;

	(void)arg;
	buf_init(&packed, 1000);
	r = codec_compress(CODEC_GZIP, &piece, 1, &packed);
	if (!r)
		r = inflater_new(&z, CODEC_GZIP);
	if (!r)
		r = inflate_all(z, packed.data, packed.len, 99, 64, out, 64, &n);
	buf_deinit(&packed);
	cr_assert(r == 0 || r == -ENOMEM);
	cr_assert(r != 0 || n == 19);
	return r;
}

Test(codec, without_memory)
{
	FAULT_LOOP(compress_and_back, NULL);
}
