/* comma_list.h: words separated by commas, as in settings of models and in /proc. */
#ifndef BASE_COMMA_LIST_H
#define BASE_COMMA_LIST_H

#include <stdbool.h>
#include <stdint.h>

/* Is `word`, which is not empty, one of the list's? Spaces and tabs around words do not count. */
bool comma_list_has(const char *list, const char *word);
/* The same where words may have a number behind them, "cpu:0 x2", from 1 to 2^32 - 1. *ret_n: it; 0: there is none. */
bool comma_list_find(const char *list, const char *word, uint32_t *ret_n);

#endif
