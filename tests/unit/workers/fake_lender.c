/* fake_lender.c: see fake_lender.h. */
#include "fake_lender.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/fakecuda/fakecuda.h"

void lender_init(struct lender *l, size_t bytes, int fill, const char *settings)
{
	char text[256];

	snprintf(l->folder, sizeof(l->folder), "/tmp/modeld-lender-XXXXXX");
	cr_assert_not_null(mkdtemp(l->folder));
	snprintf(text, sizeof(text), "ipc=%s %s", l->folder, settings);
	fakecuda_reset(text);
	l->data = fakecuda_foreign(bytes, l->handle);
	l->bytes = bytes;
	memset(l->data, fill, bytes);
}

void lender_deinit(struct lender *l)
{
	DIR *d = opendir(l->folder);
	struct dirent *e;

	munmap(l->data, l->bytes);
	cr_assert_not_null(d);
	while ((e = readdir(d))) {
		if (*e->d_name != '.')
			cr_assert_eq(unlinkat(dirfd(d), e->d_name, 0), 0);
	}
	closedir(d);
	cr_assert_eq(rmdir(l->folder), 0);
}
