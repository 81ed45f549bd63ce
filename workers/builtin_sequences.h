/*
 * builtin_sequences.h: Triton's example models that take sequences of requests, as builtin functions. Their config.pbtxt
 * says which of their inputs the daemon fills in. INPUT i32 [-1,1] -> OUTPUT i32 [-1,1]:
 *
 *   simple_sequence             READY * (INPUT + START)
 *   simple_dyna_sequence        READY * (INPUT + START + END * CORRID); CORRID is u64
 *   simple_string_dyna_sequence the sum of the sequence so far, and at its end CORRID, a decimal text, is added
 *
 * and with a state between its runs that the daemon keeps:
 *
 *   running_sum                 OUTPUT = OUTPUT_STATE = INPUT_STATE + INPUT
 */
#ifndef WORKERS_BUILTIN_SEQUENCES_H
#define WORKERS_BUILTIN_SEQUENCES_H

#include "workers/builtin_functions.h"

/* NULL: there is none of that name. */
const struct builtin_function *builtin_sequence(const char *name);
/* Free what an instance remembers of sequences. */
void builtin_forget_sums(struct builtin *b);

#endif
