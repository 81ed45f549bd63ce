/* fingerprint.c: FNV-1a over what stat(2) says. Daemon process, any thread. */
#include "models/fingerprint.h"

#include <dirent.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
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

static uint64_t directory_at(const char *directory, unsigned depth);

static uint64_t entry_at(const char *directory, const char *name, unsigned depth)
{
	_cleanup_(freep) char *path = path_join(directory, name);
	uint64_t hash = hash_bytes(FNV_START, name, strlen(name));
	struct stat st;

	if (!path || stat(path, &st))
		return 0;
	if (!S_ISDIR(st.st_mode))
		return hash_stat(hash, &st);
	return hash + (depth < DEPTH_MAX ? directory_at(path, depth + 1) : 0);
}

/* A sum, so that the order of names does not count. */
static uint64_t directory_at(const char *directory, unsigned depth)
{
	DIR *d = opendir(directory);
	struct dirent *e;
	uint64_t sum = 1;

	if (!d)
		return 0;
	while ((e = readdir(d))) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			sum += entry_at(directory, e->d_name, depth);
	}
	closedir(d);
	return sum;
}

uint64_t fingerprint_directory(const char *directory)
{
	return directory_at(directory, 0);
}

uint64_t fingerprint_file(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : hash_stat(FNV_START, &st);
}
