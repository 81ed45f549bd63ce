/* address_test.c: listen addresses. */
#include "base/address.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static void expect(const char *listen, const char *formatted)
{
	struct address a[ADDRESSES_MAX];
	char text[200] = "";
	char out[ADDRESS_TEXT_MAX];
	size_t n = 0;

	cr_assert_eq(address_parse(listen, a, &n, text, sizeof(text)), 0, "%s", text);
	cr_assert_geq(n, 1);
	address_format(&a[0], out);
	cr_assert_str_eq(out, formatted);
}

Test(address, good)
{
	expect("127.0.0.1:50052", "127.0.0.1:50052");
	expect("0.0.0.0:0", "0.0.0.0:0");
	expect("[::1]:65535", "[::1]:65535");
	expect("[::]:1", "[::]:1");
	expect("unix:/run/x.sock", "unix:/run/x.sock");
	expect("unix:relative", "unix:relative");
	expect("unix:@abstract", "unix:@abstract");
}

Test(address, star_is_both_families)
{
	struct address a[ADDRESSES_MAX];
	char text[200];
	char out[ADDRESS_TEXT_MAX];
	size_t n;

	cr_assert_eq(address_parse("*:7", a, &n, text, sizeof(text)), 0);
	cr_assert_eq(n, 2);
	address_format(&a[1], out);
	cr_assert_str_eq(out, "[::]:7");
	address_set_port(&a[1], 8);
	cr_assert_eq(address_port(&a[1]), 8);
	cr_assert_eq(address_port(&a[0]), 7);
}

Test(address, bad)
{
	static const char *const bad[] = {"", ":1", "1.2.3.4", "1.2.3.4:", "1.2.3.4:65536",
		"1.2.3.4:-1", "1.2.3.4:1x", "::1:5", "[::1]5", "[::1:5", "[]:5", "unix:", "unix:@",
		"unix:/run/", "1.2.3.4:000001"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct address a[ADDRESSES_MAX];
		char text[200] = "";
		size_t n = 77;

		cr_assert_eq(
			address_parse(bad[i], a, &n, text, sizeof(text)), -EINVAL, "%s", bad[i]);
		cr_assert_eq(n, 77);
		cr_assert(strstr(text, bad[i]));
	}
}

Test(address, too_long)
{
	struct address a[ADDRESSES_MAX];
	char listen[300] = "unix:/";
	char text[400] = "";
	size_t n;

	/* 108 bytes of path, one more than sun_path holds with its end. */
	memset(listen + 6, 'x', 107);
	cr_assert_eq(address_parse(listen, a, &n, text, sizeof(text)), -ENAMETOOLONG);
	cr_assert(strstr(text, "at most 107"));
	listen[5 + 107] = 0;
	cr_assert_eq(address_parse(listen, a, &n, text, sizeof(text)), 0);
}
