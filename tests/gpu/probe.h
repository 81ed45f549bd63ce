/*
 * probe.h: what the files of the GPU probe share. One program, many processes: the first one (the
 * asker) stands for the daemon and never touches CUDA; each question is put to a child made by
 * fork and exec of the same program, with a channel on descriptor 3 and, where it is lent memory,
 * a memfd on 4. The asker sends a task; the child answers with rows of the table and with marks,
 * which are moments that the asker waits for and that are not printed.
 */
#ifndef GPU_PROBE_H
#define GPU_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

#define CHANNEL_FD 3
#define MEMORY_FD  4

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

/* --- probe_table.c: no CUDA, no processes -------------------------------------------------- */
enum row_kind {
	ROW_VALUE,   /* value in unit */
	ROW_TEXT,    /* text, where a number does not say it */
	ROW_REFUSED, /* text is the error's name */
	ROW_BAD,     /* a check of data failed: the program will exit 1 */
	ROW_MARK,    /* not printed: `what` has happened at at_ns; value may say more */
};

struct row {
	enum row_kind kind;
	char what[96];
	char text[96];
	char unit[16];
	char note[96];
	double value;
	uint64_t at_ns; /* CLOCK_MONOTONIC, which all processes share */
};

struct table {
	unsigned n_rows;
	unsigned n_bad;
};

/* Markdown, so that a run can be put into docs/gpu.md as it is. */
void table_heading(const char *title);
void table_row(struct table *t, const struct row *r);
/* Rows of the asker's own. note may be NULL. */
void table_value(
	struct table *t, const char *what, double value, const char *unit, const char *note);
void table_text(struct table *t, const char *what, const char *text);
/* Sorts values[0..n), n > 0. */
double median(double *values, size_t n);
/* Random words that follow from seed and position; bytes is a multiple of 8. */
void data_fill(void *data, uint64_t bytes, uint64_t seed);
/* Where the data is not what data_fill() wrote: the offset of the first such word, or bytes. */
uint64_t data_check(const void *data, uint64_t bytes, uint64_t seed);
uint64_t random_seed(void);
/* A whole number within [min, max]; false where text is anything else. */
_must_use_ bool parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value);

/* --- probe_memory.c: memfds and their mappings ---------------------------------------------- */
enum memory_kind {
	MEMORY_PLAIN,  /* may be sealed later, is not */
	MEMORY_SEALED, /* mapped, then SHRINK | GROW | FUTURE_WRITE | SEAL, as the arenas are */
	MEMORY_HUGE,   /* plain, of huge pages */
	MEMORY_LENT,   /* MEMORY_FD, from the asker */
};
enum memory_access {
	ACCESS_READ,	/* shared, PROT_READ */
	ACCESS_WRITE,	/* shared, PROT_READ | PROT_WRITE */
	ACCESS_PRIVATE, /* MAP_PRIVATE, PROT_READ | PROT_WRITE: writes go to a copy */
	ACCESS_REVOKED, /* as ACCESS_WRITE; PROT_READ from the registration on */
};

struct memory {
	int fd; /* own */
	uint8_t *base;
	uint64_t bytes;
};

/* Made, filled with data of `seed` (every page is there afterwards), mapped writable. -errno. */
_must_use_ int memory_make(
	struct memory *ret_m, enum memory_kind kind, uint64_t bytes, uint64_t seed);
/* Maps a borrowed descriptor. ret_m owns a duplicate. -errno. */
_must_use_ int memory_map(struct memory *ret_m, int fd, uint64_t bytes, enum memory_access access);
/* NULL base and fd -1 are accepted. */
void memory_free(struct memory *m);

/* --- probe_child.c: processes --------------------------------------------------------------- */
enum { /* of task.mode, where a child is asked in several ways */
	MODE_ONCE,
	MODE_HOLD, /* keep what was made until told to go on */
	MODE_WRITE_COPY,
	MODE_WRITE_DEVICE,
	MODE_SYNCHRONISE,
	MODE_QUERY,
};

struct task {
	char name[24];	/* of the child's function */
	char label[80]; /* begins what the rows say */
	enum memory_kind memory;
	enum memory_access access;
	unsigned flags; /* of cudaHostRegister */
	int mode;
	unsigned limit_s; /* a child that takes longer is ended */
	uint64_t bytes;
	uint64_t seed;
	uint64_t spawn_ns; /* set by child_start() */
};

struct child {
	pid_t pid;
	int channel; /* own */
	int pidfd;   /* own */
	uint64_t deadline_ns;
	uint64_t reaped_ns; /* 0 before */
	char label[80];
};

/* The asker's side. memory_fd -1: none. A child that cannot be made is a row and a child that has
 * ended already: the others may be called as usual. */
void child_start(struct child *c, struct table *t, struct task *task, int memory_fd);
/* Prints rows up to the mark `what`. False: the child ended without it. ret_fd may be NULL; else it
 * is a descriptor that came with the mark (own), -1 if none. */
_must_use_ bool child_mark(
	struct child *c, struct table *t, const char *what, struct row *ret_mark, int *ret_fd);
/* Lets a child that waits in wait_go() go on, with a descriptor (borrowed) or -1. */
void child_go(struct child *c, int fd);
/* Prints what rows there still are and waits for the exit. */
void child_end(struct child *c, struct table *t);
/* child_start() and child_end(). */
void child_ask(struct table *t, struct task *task, int memory_fd);
/* The same with child_mark() between them, for a child that is lent nothing. */
_must_use_ bool child_ask_mark(
	struct table *t, struct task *task, const char *what, struct row *ret_mark);

/* The child's side. */
void report_value(const char *what, double value, const char *unit, const char *note);
void report_text(const char *what, const char *text, const char *note);
void report_refused(const char *what, const char *error);
/* -errno. */
void report_errno(const char *what, int error);
void report_bad(const char *what, uint64_t offset);
/* fd: borrowed, or -1. */
void report_mark(const char *what, double value, uint64_t at_ns, int fd);
/* Until child_go(). ret_fd as for child_mark(). */
void wait_go(int *ret_fd);
/* Does the task that waits on CHANNEL_FD; the exit status. */
_must_use_ int child_main(void);
/* "label: what" in a buffer of the caller's. */
const char *labelled(char *to, size_t cap, const struct task *task, const char *what);

/* --- One file each: the asker's part and the child's ---------------------------------------- */
/* False: there is no GPU that CUDA can use, and `t` has a row that says why. */
_must_use_ bool ask_attributes(struct table *t);
void ask_register(struct table *t, uint64_t bytes);
void ask_law(struct table *t);
void ask_seal(struct table *t);
void ask_copy(struct table *t);
void ask_contention(struct table *t);
void ask_fault(struct table *t);
void ask_vmm(struct table *t);
void ask_context(struct table *t);
void ask_nvml(struct table *t);
/* Without a GPU: the table, the data, and the processes. The exit status. */
_must_use_ int self_test(void);

void answer_attributes(const struct task *task);
void answer_register(const struct task *task);
void answer_law(const struct task *task);
void answer_seal(const struct task *task);
void answer_seal_control(const struct task *task);
void answer_copy(const struct task *task);
void answer_contention(const struct task *task);
void answer_fault(const struct task *task);
void answer_restart(const struct task *task);
void answer_export(const struct task *task);
void answer_import(const struct task *task);
void answer_context(const struct task *task);
void answer_watch(const struct task *task);
void answer_nvml(const struct task *task);
void answer_self_test(const struct task *task);

#endif
