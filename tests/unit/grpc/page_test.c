/* page_test.c: what strangers are told. */
#include "grpc/page.h"

#include <criterion/criterion.h>
#include <string.h>

Test(page, http1_is_told_apart_from_noise)
{
	static const uint8_t tls[] = {0x16, 3, 1, 2};
	const char *page = page_for_http1((const uint8_t *)"GET / HTTP/1.1\r\n", 16);

	cr_assert(page);
	cr_assert_eq(strncmp(page, "HTTP/1.1 505 ", 13), 0);
	cr_assert(strstr(page, "\r\n\r\nThis is modeld"));
	cr_assert(page_for_http1((const uint8_t *)"G", 1));
	cr_assert_null(page_for_http1(tls, sizeof(tls)));
	cr_assert_null(page_for_http1((const uint8_t *)"GET\n", 4));
}

Test(page, texts_say_why)
{
	cr_assert(strstr(page_text(405), "POST"));
	cr_assert(strstr(page_text(415), "content-type"));
}
