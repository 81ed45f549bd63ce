/* host_port_test.c: "host:port" into its parts. */
#include "base/host_port.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static void splits(const char *text, const char *host, uint16_t port)
{
	char got[HOST_MAX];
	uint16_t got_port;

	cr_assert_eq(host_port_split(text, got, &got_port), 0, "%s", text);
	cr_assert_str_eq(got, host);
	cr_assert_eq(got_port, port);
}

Test(host_port, good)
{
	splits("127.0.0.1:50052", "127.0.0.1", 50052);
	splits("localhost:0", "localhost", 0);
	splits("[::1]:65535", "::1", 65535);
	splits("[name]:1", "name", 1);
	splits("*:8080", "*", 8080);
}

Test(host_port, bad)
{
	static const char *const texts[] = {"", ":", "host", "host:", ":1", "::1:1", "[::1]",
		"[::1:1", "[]:1", "[:1", "host:65536", "host:-1", "host:+1", "host: 1", "host:1x",
		"host:000001", "::1", "a]:b:1"};
	char host[HOST_MAX];
	uint16_t port;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		cr_assert_eq(host_port_split(texts[i], host, &port), -EINVAL, "%s", texts[i]);
}

Test(host_port, a_host_that_does_not_fit)
{
	char text[HOST_MAX + 3];
	char host[HOST_MAX];
	uint16_t port;

	memset(text, 'a', HOST_MAX);
	memcpy(text + HOST_MAX - 1, ":1", 3);
	cr_assert_eq(host_port_split(text, host, &port), 0);
	cr_assert_eq(strlen(host), HOST_MAX - 1);
	memset(text, 'a', HOST_MAX);
	memcpy(text + HOST_MAX, ":1", 3);
	cr_assert_eq(host_port_split(text, host, &port), -EINVAL);
}

Test(host_port, what_people_mean)
{
	static const char *const cases[][2] = {{"\"127.0.0.1:1\"", "quotes"},
		{"http://127.0.0.1:1", "://"}, {"/run/x.sock", "unix:"},
		{"127.0.0.1:1 127.0.0.1:2", "commas"}, {"::1:50052", "brackets"}, {"50052", "host"},
		{"localhost", "port is missing"}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect(strstr(host_port_hint(cases[i][0]), cases[i][1]), "%s: %s", cases[i][0],
			host_port_hint(cases[i][0]));
	cr_expect_str_eq(host_port_hint("127.0.0.1:99999"), "");
	cr_expect_str_eq(host_port_hint("[::1"), "");
}
