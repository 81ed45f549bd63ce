/* parting_test.c: it comes as a Bye; nobody who could hear it is no matter. */
#include "workers/parting.h"

#include <criterion/criterion.h>
#include <string.h>

#include "fake_daemon.h"

Test(parting, is_a_bye)
{
	char long_text[2 * PARTING_TEXT_MAX];
	struct fake_daemon d;

	fake_daemon_open(&d);
	parting_say(d.worker_fd, "no such %s here", "device");
	cr_expect_str_eq(fake_daemon_receive(&d, WIRE_BYE)->bye.reason, "no such device here");
	memset(long_text, 'x', sizeof(long_text));
	parting_say(d.worker_fd, "%.*s", (int)sizeof(long_text), long_text);
	cr_expect_eq(strlen(fake_daemon_receive(&d, WIRE_BYE)->bye.reason), PARTING_TEXT_MAX - 1);
	close_fd(&d.worker_fd);
	fake_daemon_close(&d);
}

Test(parting, where_nobody_hears_it)
{
	struct fake_daemon d;

	parting_say(-1, "nothing");
	fake_daemon_open(&d);
	close_fd(&d.fd);
	parting_say(d.worker_fd, "nothing");
	close_fd(&d.worker_fd);
	fake_daemon_close(&d);
}
