/* http_page_test.c: what strangers are told. */
#include "http2/http_page.h"

#include <criterion/criterion.h>
#include <string.h>

Test(http_page, http1_is_told_apart_from_noise)
{
	static const uint8_t tls[] = {0x16, 3, 1, 2};
	const char *page = http_page_for_http1((const uint8_t *)"GET / HTTP/1.1\r\n", 16);

	cr_assert(page);
	cr_assert_eq(strncmp(page, "HTTP/1.1 505 ", 13), 0);
	cr_assert(strstr(page, "\r\n\r\nThis is modeld"));
	cr_assert(http_page_for_http1((const uint8_t *)"G", 1));
	cr_assert_null(http_page_for_http1(tls, sizeof(tls)));
	cr_assert_null(http_page_for_http1((const uint8_t *)"GET\n", 4));
}

Test(http_page, texts_say_why)
{
	cr_assert(strstr(http_page_text(405), "POST"));
	cr_assert(strstr(http_page_text(415), "content-type"));
}
