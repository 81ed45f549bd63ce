/* config_default_test.c: programs where `make install` lays them, and elsewhere. */
#include "config_default.h"

#include <criterion/criterion.h>

static const char *of(const char *program)
{
	static char file[64];

	return config_default_file(program, file, sizeof(file)) ? file : "";
}

Test(config_default, as_it_is_installed)
{
	cr_expect_str_eq(of("/usr/local/bin/modeld"), "/usr/local/etc/modeld/modeld.conf");
	cr_expect_str_eq(of("/opt/modeld/bin/modeld"), "/opt/modeld/etc/modeld/modeld.conf");
	cr_expect_str_eq(of("/usr/bin/modeld"), "/etc/modeld/modeld.conf");
	cr_expect_str_eq(of("/bin/modeld"), "/etc/modeld/modeld.conf");
	cr_expect_str_eq(of("/home/usr/bin/modeld"), "/home/usr/etc/modeld/modeld.conf");
}

Test(config_default, elsewhere)
{
	cr_expect_str_eq(of("/home/me/modeld/build/modeld"), "");
	cr_expect_str_eq(of("/home/me/cabin/modeld"), "");
	cr_expect_str_eq(of("bin/modeld"), "");
	cr_expect_str_eq(of("modeld"), "");
	cr_expect_str_eq(of("/modeld"), "");
	cr_expect_str_eq(of(""), "");
	cr_expect_str_eq(
		of("/a/path/that/is/too/long/for/what/it/is/to/be/kept/in/bin/modeld"), "");
}
