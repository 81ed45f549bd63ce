/* comma_list.h: words separated by commas, as in settings of models and in /proc. */
#ifndef BASE_COMMA_LIST_H
#define BASE_COMMA_LIST_H

#include <stdbool.h>

/* Is `word`, which is not empty, one of the list's? Spaces and tabs around words do not count. */
bool comma_list_has(const char *list, const char *word);

#endif
