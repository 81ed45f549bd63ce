/*
 * probe.c: asks a machine with a GPU what modeld's design needs to know of it (docs/gpu.md) and
 * prints tables. Measures only: no setting of the GPU is changed, nothing is reset, and no process
 * asks for more than a quarter of the device memory that is free.
 *
 * Exit status: 0 also where there is no GPU (it says so) and where something is refused (a row says
 * what); 1 when data came out other than it went in; 2 for a wrong argument.
 *
 * This process is the asker. It has one thread and never touches CUDA, as the daemon will not.
 */
#include <stdio.h>
#include <string.h>

#include "tests/gpu/probe.h"

#define DEFAULT_MIB 1024
#define MAX_MIB	    65536

static int usage(const char *program)
{
	fprintf(stderr,
		"usage: %s [--mib=N] [--self-test]\n"
		"  --mib=N      register N MiB of memfd (16 to %d; %d)\n"
		"  --self-test  check the program's own parts; needs no GPU\n",
		program, MAX_MIB, DEFAULT_MIB);
	return 2;
}

static int ask_all(uint64_t bytes)
{
	struct table t = {0};

	table_heading("Device");
	if (!ask_attributes(&t)) {
		printf("\nNo GPU that CUDA can use: nothing was measured.\n");
		return 0;
	}
	table_heading("Registering memory");
	ask_register(&t, bytes);
	table_heading("Who can write the inputs");
	ask_law(&t);
	table_heading("Seals and registered pages");
	ask_seal(&t);
	table_heading("Copies");
	ask_copy(&t);
	table_heading("Two processes that read the same pages");
	ask_contention(&t);
	table_heading("A kernel that writes out of bounds");
	ask_fault(&t);
	table_heading("Device memory by descriptor");
	ask_vmm(&t);
	table_heading("Contexts");
	ask_context(&t);
	table_heading("NVML");
	ask_nvml(&t);
	printf("\n%u rows, %u checks of data failed\n", t.n_rows, t.n_bad);
	return t.n_bad > 0;
}

int main(int argc, char **argv)
{
	uint64_t mib = DEFAULT_MIB;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--child"))
			return child_main();
		if (!strcmp(argv[i], "--self-test"))
			return self_test();
		if (strncmp(argv[i], "--mib=", 6) != 0 ||
			!parse_number(argv[i] + 6, 16, MAX_MIB, &mib))
			return usage(argv[0]);
	}
	return ask_all(mib * MIB);
}
