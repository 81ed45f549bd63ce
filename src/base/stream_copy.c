/* stream_copy.c: non-temporal stores, 64 bytes a turn. Any process, any thread. */
#include "base/stream_copy.h"

#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>

#define LINE 64u

static void copy_line(uint8_t *to, const uint8_t *from)
{
	const __m128i *in = (const __m128i *)(const void *)from;
	__m128i *out = (__m128i *)(void *)to;
	__m128i a = _mm_loadu_si128(in);
	__m128i b = _mm_loadu_si128(in + 1);
	__m128i c = _mm_loadu_si128(in + 2);
	__m128i d = _mm_loadu_si128(in + 3);

	_mm_stream_si128(out, a);
	_mm_stream_si128(out + 1, b);
	_mm_stream_si128(out + 2, c);
	_mm_stream_si128(out + 3, d);
}

void stream_copy(void *to, const void *from, size_t n)
{
	uint8_t *out = to;
	const uint8_t *in = from;
	size_t head = (size_t)(-(uintptr_t)out & (LINE - 1));

	if (n < 2 * (size_t)LINE) {
		memcpy(to, from, n);
		return;
	}
	memcpy(out, in, head);
	for (n -= head, out += head, in += head; n >= LINE; n -= LINE, out += LINE, in += LINE)
		copy_line(out, in);
	memcpy(out, in, n);
}

void stream_copy_end(void)
{
	_mm_sfence();
}
#else
void stream_copy(void *to, const void *from, size_t n)
{
	memcpy(to, from, n);
}

void stream_copy_end(void)
{
}
#endif
