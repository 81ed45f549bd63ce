/* near.h: how alike two words are, for who misspells one. */
#ifndef BASE_NEAR_H
#define BASE_NEAR_H

#include <stddef.h>

#define NEAR_MAX 64u /* letters that are looked at */

/* Letters to be put in, left out or changed in one to have the other; words of NEAR_MAX letters or more are far from all. */
size_t near_distance(const char *a, const char *b);

#endif
