/* tree.h: files made for a test, below a directory of its own. */
#ifndef TESTS_UNIT_MODELS_TREE_H
#define TESTS_UNIT_MODELS_TREE_H

#include <criterion/criterion.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/modeld-test-XXXXXX";

static inline void tree_make(void)
{
	cr_assert_not_null(mkdtemp(root));
}

static inline int tree_remove_one(
	const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void tree_remove(void)
{
	nftw(root, tree_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* What is at a path, and below it, goes. */
static inline void take_away(const char *path)
{
	char whole[512];

	snprintf(whole, sizeof(whole), "%s/%s", root, path);
	nftw(whole, tree_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* A file, or a directory where content is NULL; its parents are made. */
static inline void put(const char *path, const char *content)
{
	char whole[512];
	FILE *f;

	snprintf(whole, sizeof(whole), "%s/%s", root, path);
	for (char *slash = whole + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = 0;
		cr_assert(!mkdir(whole, 0755) || errno == EEXIST);
		*slash = '/';
	}
	if (!content) {
		cr_assert(!mkdir(whole, 0755) || errno == EEXIST);
		return;
	}
	f = fopen(whole, "we");
	cr_assert_not_null(f);
	fputs(content, f);
	fclose(f);
}

static inline void set_descriptors(rlim_t n)
{
	struct rlimit limit;

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = n;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* No more than n descriptors can be opened from now on. Returns what set_descriptors() is to be told then. */
static inline rlim_t leave_descriptors(unsigned n)
{
	struct rlimit limit;
	int probes[32];

	/* The lowest that are free; the one behind them is the limit. */
	cr_assert_lt(n, 32);
	for (unsigned i = 0; i <= n; i++)
		probes[i] = dup(STDERR_FILENO);
	for (unsigned i = 0; i <= n; i++)
		cr_assert_eq(close(probes[i]), 0);
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	set_descriptors((rlim_t)probes[n]);
	return limit.rlim_cur;
}

/* `expected` with the directory for each '%'. */
static inline const char *in_tree(const char *expected)
{
	static char whole[2048];
	size_t n = 0;

	for (const char *at = expected; *at && n < sizeof(whole) - sizeof(root); at++) {
		if (*at != '%') {
			whole[n++] = *at;
			continue;
		}
		memcpy(whole + n, root, strlen(root));
		n += strlen(root);
	}
	whole[n] = 0;
	return whole;
}

#endif
