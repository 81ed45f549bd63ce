/* fingerprint.c: FNV-1a over what stat(2) says. Daemon process, any thread. */
#include "models/fingerprint.h"

#include <dirent.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "models/path.h"

#define DEPTH_MAX 8u
#define FNV_START UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

static uint64_t hash_bytes(uint64_t hash, const void *data, size_t n)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ p[i]) * FNV_PRIME;
	return hash;
}

static uint64_t hash_stat(uint64_t hash, const struct stat *st)
{
	hash = hash_bytes(hash, &st->st_dev, sizeof(st->st_dev));
	hash = hash_bytes(hash, &st->st_ino, sizeof(st->st_ino));
	hash = hash_bytes(hash, &st->st_size, sizeof(st->st_size));
	return hash_bytes(hash, &st->st_mtim, sizeof(st->st_mtim));
}

static int directory_at(const char *directory, unsigned depth, uint64_t *ret_sum);

static int entry_at(const char *directory, const char *name, unsigned depth, uint64_t *ret_hash)
{
	_cleanup_(freep) char *path = path_join(directory, name);
	uint64_t hash = hash_bytes(FNV_START, name, strlen(name)), below = 0;
	struct stat st;
	int r = 0;

	*ret_hash = 0;
	if (!path)
		return -ENOMEM;
	if (stat(path, &st))
		return 0;
	if (!S_ISDIR(st.st_mode)) {
		*ret_hash = hash_stat(hash, &st);
		return 0;
	}
	if (depth < DEPTH_MAX)
		r = directory_at(path, depth + 1, &below);
	*ret_hash = hash + below;
	return r;
}

/* A sum, so that the order of names does not count. */
static int directory_at(const char *directory, unsigned depth, uint64_t *ret_sum)
{
	DIR *d = opendir(directory);
	int r = d || !err_is_shortage(-errno) ? 0 : -errno;
	struct dirent *e;
	uint64_t hash;

	*ret_sum = d ? 1 : 0;
	if (!d)
		return r;
	while (!r && (e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		r = entry_at(directory, e->d_name, depth, &hash);
		*ret_sum += hash;
	}
	closedir(d);
	return r;
}

int fingerprint_directory(const char *directory, uint64_t *ret_fingerprint)
{
	return directory_at(directory, 0, ret_fingerprint);
}

uint64_t fingerprint_file(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : hash_stat(FNV_START, &st);
}
