/* page_test.c: the page is all of its file. */
#include "metrics/page.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

Test(page, is_the_file)
{
	static char file[1 << 20];
	struct http_reply reply = {.status = 404, .text = ""};
	FILE *f = fopen("src/metrics/page.html", "re");
	size_t n;

	cr_assert_not_null(f);
	n = fread(file, 1, sizeof(file), f);
	fclose(f);
	page_get(&reply);
	cr_expect_eq(reply.status, 200);
	cr_expect_str_eq(reply.type, "text/html; charset=utf-8");
	cr_assert_eq(reply.n, n);
	cr_expect_eq(memcmp(reply.text, file, n), 0);
}
