/* places_test.c: where a client looks, by what the environment says. */
#include "base/places.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uid_t user;

/* In place of libc's. */
uid_t geteuid(void)
{
	return user;
}

static void init(void)
{
	unsetenv("MODELD_ADDRESS");
	unsetenv("XDG_RUNTIME_DIR");
}

TestSuite(places, .init = init);

static void expect(const char *given, const char *first, size_t n)
{
	struct places p;

	places_list(&p, given);
	cr_assert_eq(p.n, n);
	cr_expect_str_eq(p.address[0], first);
	if (n > 1) {
		cr_expect_str_eq(p.address[n - 2], "unix:/run/modeld/modeld.sock");
		cr_expect_str_eq(p.address[n - 1], "127.0.0.1:50052");
	}
}

Test(places, the_hosts_socket_and_then_tcp)
{
	expect(NULL, "unix:/run/modeld/modeld.sock", 2);
	setenv("XDG_RUNTIME_DIR", "", 1);
	setenv("MODELD_ADDRESS", "", 1);
	expect("", "unix:/run/modeld/modeld.sock", 2);
}

Test(places, the_users_own_comes_first)
{
	setenv("XDG_RUNTIME_DIR", "/run/user/1000", 1);
	expect(NULL, "unix:/run/user/1000/modeld/modeld.sock", 3);
}

Test(places, who_says_where_is_asked_for_nothing_else)
{
	setenv("XDG_RUNTIME_DIR", "/run/user/1000", 1);
	setenv("MODELD_ADDRESS", "inference:50052", 1);
	expect(NULL, "inference:50052", 1);
	expect("unix:/tmp/a.sock", "unix:/tmp/a.sock", 1);
}

/* What no socket can be named is no place. */
Test(places, a_directory_that_is_too_deep)
{
	char deep[200];

	memset(deep, 'd', sizeof(deep));
	deep[0] = '/';
	deep[sizeof(deep) - 1] = 0;
	setenv("XDG_RUNTIME_DIR", deep, 1);
	expect(NULL, "unix:/run/modeld/modeld.sock", 2);
	/* 107 bytes of path, and one more. */
	deep[107 - strlen("/modeld/modeld.sock")] = 0;
	setenv("XDG_RUNTIME_DIR", deep, 1);
	{
		struct places p;

		places_list(&p, NULL);
		cr_assert_eq(p.n, 3);
		cr_assert_eq(strlen(p.address[0]), strlen("unix:") + 107);
	}
	deep[strlen(deep) + 1] = 0;
	deep[strlen(deep)] = 'd';
	setenv("XDG_RUNTIME_DIR", deep, 1);
	expect(NULL, "unix:/run/modeld/modeld.sock", 2);
}

Test(places, the_handoff_is_beside)
{
	char out[64], small[8];

	cr_assert(places_handoff("unix:/run/modeld/modeld.sock", out, sizeof(out)));
	cr_expect_str_eq(out, "/run/modeld/handoff.sock");
	cr_assert(places_handoff("unix:modeld.sock", out, sizeof(out)));
	cr_expect_str_eq(out, "handoff.sock");
	cr_expect_not(places_handoff("127.0.0.1:50052", out, sizeof(out)));
	cr_expect_not(places_handoff("unix:/run/modeld/modeld.sock", small, sizeof(small)));
}

/* Of a user that nobody is, where root may make it. */
Test(places, who_has_no_directory_of_a_session_has_one_in_tmp)
{
	bool root = getuid() == 0;
	char own[PLACES_OWN_MAX], address[64];

	user = root ? 1000000000u + (unsigned)getpid() : getuid();
	places_own_dir(own);
	snprintf(address, sizeof(address), "/tmp/modeld-%u", user);
	cr_assert_str_eq(own, address);
	cr_expect(places_is_own_dir(own));
	cr_expect_not(places_is_own_dir("/run/modeld"));
	if (!root)
		return;
	expect(NULL, "unix:/run/modeld/modeld.sock", 2);
	cr_assert_eq(mkdir(own, 0700), 0);
	expect(NULL, "unix:/run/modeld/modeld.sock", 2); /* another's */
	cr_assert_eq(chown(own, user, (gid_t)-1), 0);
	snprintf(address, sizeof(address), "unix:%s/modeld.sock", own);
	expect(NULL, address, 3);
	cr_assert_eq(chmod(own, 0710), 0);
	expect(NULL, "unix:/run/modeld/modeld.sock", 2); /* others may enter */
	cr_assert_eq(chmod(own, 0700), 0);
	setenv("XDG_RUNTIME_DIR", "/run/user/1", 1);
	expect(NULL, "unix:/run/user/1/modeld/modeld.sock", 3);
	cr_assert_eq(rmdir(own), 0);
}

Test(places, ours_is_a_directory_and_no_link_to_one)
{
	char directory[] = "/tmp/places-XXXXXX", link[64];

	user = getuid();
	cr_assert_not_null(mkdtemp(directory));
	snprintf(link, sizeof(link), "%s/link", directory);
	cr_expect(places_is_ours(directory));
	cr_assert_eq(symlink(directory, link), 0);
	cr_expect_not(places_is_ours(link));
	cr_expect_not(places_is_ours("/nonexistent"));
	cr_assert_eq(unlink(link), 0);
	cr_assert_eq(rmdir(directory), 0);
}
