/*
 * replay.c: main() of a fuzzer that is built without libFuzzer: what is in the folders and files named, once.
 * An input that takes longer than 10 s ends it.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define INPUT_S 10

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static unsigned runs;

static void fail(const char *what, const char *path)
{
	fprintf(stderr, "replay: %s %s\n", what, path);
	exit(1);
}

static void replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	struct stat st;
	uint8_t *data;

	if (!f || fstat(fileno(f), &st) != 0)
		fail("cannot open", path);
	/* Exactly as large as the input: a sanitizer sees what reads on. */
	data = malloc((size_t)st.st_size);
	if (!data || fread(data, 1, (size_t)st.st_size, f) != (size_t)st.st_size)
		fail("cannot read", path);
	fclose(f);
	fprintf(stderr, "%s\n", path); /* the last one said is the one that failed */
	alarm(INPUT_S);
	LLVMFuzzerTestOneInput(data, (size_t)st.st_size);
	alarm(0);
	free(data);
	runs++;
}

static void replay_folder(const char *path)
{
	struct dirent **entries;
	int n = scandir(path, &entries, NULL, alphasort);

	if (n < 0)
		fail("cannot read", path);
	for (int i = 0; i < n; i++) {
		char name[4096];

		snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
		if (entries[i]->d_name[0] != '.')
			replay_file(name);
		free(entries[i]);
	}
	free(entries);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		struct stat st;

		if (stat(argv[i], &st) != 0)
			fail("cannot find", argv[i]);
		if (S_ISDIR(st.st_mode))
			replay_folder(argv[i]);
		else
			replay_file(argv[i]);
	}
	fprintf(stderr, "Done %u runs\n", runs);
	return runs == 0;
}
