/* fake_tables.h: tables that use every kind of field. */
#ifndef TESTS_UNIT_PROTO_FAKE_TABLES_H
#define TESTS_UNIT_PROTO_FAKE_TABLES_H

#include "proto/codec.h"

struct part {
	uint32_t id; /* below 100 */
	const char *name;
};

struct sample {
	uint32_t need;	      /* 1: not 0 */
	bool flag;	      /* 2 */
	const char *text;     /* 3: at most 8 bytes */
	const uint8_t *bytes; /* 4: at most 4 */
	size_t n_bytes;
	const uint32_t *numbers; /* 5: at most 5, none above 300 */
	size_t n_numbers;
	const int64_t *longs; /* 6: at most 3, from -1 */
	uint32_t n_longs;
	const char *const *texts; /* 7: at most 3 */
	size_t n_texts;
	const struct part *parts; /* 8: at most 3 */
	size_t n_parts;
	uint64_t far; /* 50: at most 1000, and 13 only with the flag */
};

/* A oneof between two other fields. */
struct choice {
	uint64_t seq;  /* 1 */
	uint32_t type; /* 2 or 3 */
	union {
		struct part part; /* 2 and 3 */
	};
	uint64_t tail; /* 4 */
};

extern const struct codec_message sample_table;
extern const struct codec_message choice_table;

#endif
