/*
 * wakeup.c: what two wake-ups cost on this machine: a one-byte ping-pong over a SOCK_SEQPACKET pair
 * between a process on each of two CPUs, both sleeping in recv(2). Prints the median round trip in
 * nanoseconds.
 *
 *   wakeup CPU_A CPU_B [ROUNDS]
 */
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		perror("sched_setaffinity");
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
	int rounds = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 20000;
	uint64_t *times = calloc((size_t)rounds, sizeof(*times));
	char byte = 0;
	int fds[2];

	if (argc < 3 || !times || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds)) {
		fprintf(stderr, "usage: wakeup CPU_A CPU_B [ROUNDS]\n");
		return 64;
	}
	if (fork() == 0) {
		close(fds[0]);
		pin((int)strtol(argv[2], NULL, 10));
		while (recv(fds[1], &byte, 1, 0) == 1)
			send(fds[1], &byte, 1, MSG_NOSIGNAL);
		_exit(0);
	}
	close(fds[1]);
	pin((int)strtol(argv[1], NULL, 10));
	for (int i = 0; i < rounds; i++) {
		uint64_t began = now_ns();

		if (send(fds[0], &byte, 1, MSG_NOSIGNAL) != 1 || recv(fds[0], &byte, 1, 0) != 1)
			return 71;
		times[i] = now_ns() - began;
	}
	qsort(times, (size_t)rounds, sizeof(*times), compare);
	printf("%llu\n", (unsigned long long)times[rounds / 2]);
	return 0;
}
