/*
 * check.h: the parts of the check on a GPU (docs/gpu.md): what workers rely on, what copies and the
 * daemon cost beside bare loops. What is found goes to standard output and to a file, line by line,
 * so that a run that is cut short has left what it knew. One process, one thread; children are the
 * same program again, since a GPU's faults end a process.
 */
#ifndef GPU_CHECK_H
#define GPU_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/cleanup.h"

#define KIB	    UINT64_C(1024)
#define MIB	    (KIB * 1024)
#define SAMPLES_MAX 100000u
#define RATIOS_MAX  96u

struct ratio {
	char what[96];
	char beside[48];
	double value, base, wanted;
	bool less; /* less is better: value / base is to be at most `wanted` */
	char unit[16];
};

struct check {
	FILE *file;	      /* own */
	const char *programs; /* borrow: where modeld is, absolute */
	const char *models;   /* borrow: the repository */
	const char *config;   /* borrow */
	const char *worker;   /* borrow */
	const char *backends; /* borrow: where cuda.so is */
	uint64_t measure_ns;  /* of each number; 0: those that can be left out are */
	unsigned n_passed, n_failed;
	struct ratio ratios[RATIOS_MAX];
	size_t n_ratios;
	double samples[SAMPLES_MAX];
};

/* --- check.c: what is found ------------------------------------------------------------------ */
void check_say(struct check *c, const char *format, ...) _printf_(2, 3);
void check_heading(struct check *c, const char *title);
/* A statement that must be true. Returns it. */
bool check_true(struct check *c, bool truth, const char *format, ...) _printf_(3, 4);
/* A number and the one that it is compared with; wanted: what value / base is to reach, 0: nothing. */
void check_ratio(struct check *c, const struct ratio *r);
/* The median of c->samples[0, n). Reorders them. */
double check_median(struct check *c, size_t n);
/* One run after another for measure_ns: the median, in microseconds. 0: one has failed, as it says by false. */
double check_latency_us(struct check *c, bool (*run)(void *data), void *data);
/* Runs this program with `--child name` and `variable` (NULL: none) in its environment. Returns its
 * exit status, 128 and more for a signal. */
int check_child(const struct check *c, const char *name, const char *variable);
void check_fill(void *data, size_t n, uint32_t seed);
/* A segment's memory, mapped twice: read-write and read-only, for munmap(). 0 or -1 */
_must_use_ int check_segment(size_t bytes, void **ret_written, void **ret_read);

/* --- The parts ---------------------------------------------------------------------------- */
/* agree.c: what a device does, the stand-in as the real one. */
void check_agree(struct check *c);
/* A child's part of it: its exit status, or -1 for another name. */
int agree_child(const char *name);
/* agree_import.c: memory that another process lends. */
struct device;
void check_import(struct check *c, struct device *d);
int lend_child(void);
/* copy.c: copies by transfer.h beside raw ones of memory that the runtime made. */
void check_copies(struct check *c);
/* overlap.c: what several lanes do at the same time, by event times. */
void check_overlap(struct check *c);
/* footprint.c: what a worker takes. */
void check_footprint(struct check *c);
/* serve.c: the real daemon. */
void check_serve(struct check *c);
/* An mlp of widths 64, 256, 10 gives the right answer. */
struct daemon;
void check_mlp(struct check *c, const struct daemon *d, const char *model, unsigned rows);
/* torch.c: a model of PyTorch's in a worker in Python. told: what torch_loop.py has said of it, or why there is none; NULL: it was not
 * asked. */
void check_torch(struct check *c, const char *told);
/* shared.c: with tensors in this process's memory on the GPU, by the daemon at `address` ("unix:..."), which has identity on
 * cuda:0 and lets clients do that ([server] client_cuda_shm). */
void check_shared(struct check *c, const char *address);
/* A child's part of it: its exit status. */
int shared_child(void);

/* handed.c: the same by the daemon's handoff socket, which lets clients hand over memory on a GPU ([handoff] user_device_bytes). */
void check_handed(struct check *c, const char *handoff);
/* A child's part of it: its exit status. */
int handed_child(void);

/* --- bare.c: the same work without a daemon ------------------------------------------------- */
struct bare;

enum bare_work { BARE_IDENTITY, BARE_MLP };

/* `depth` runs at once of `bytes` in (an mlp takes widths as the model has them). NULL: no GPU. */
struct bare *bare_new(enum bare_work work, size_t bytes, unsigned depth);
struct bare *bare_free(struct bare *b);
/* Of one run after another: check_latency_us(). */
double bare_latency_us(struct bare *b, struct check *c);
/* The latency of `run`, identity with tensors of so many bytes on the GPU, beside that of a bare loop that has them on the host. */
void bare_compare_latency(
	struct check *c, const char *what, size_t bytes, bool (*run)(void *data), void *data);
/* `depth` at once: runs a second. */
double bare_rate(struct bare *b, const struct check *c);
/* A run that was recorded as a graph does what it does by itself, each time that it is launched. */
bool bare_records(void);
/* Puts an illegal access into a stream and waits: the context is lost. The result of device.h. */
int bare_fault(void);

#endif
