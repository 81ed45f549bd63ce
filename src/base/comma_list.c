/* comma_list.c: see comma_list.h. Any process, any thread. */
#include "base/comma_list.h"

#include <string.h>

#define BLANK " \t"

static bool is_word(const char *text, size_t length, const char *word)
{
	size_t n = strlen(word);
	size_t blank = strspn(text, BLANK);

	return length >= blank + n && !memcmp(text + blank, word, n) &&
	       blank + n + strspn(text + blank + n, BLANK) >= length;
}

bool comma_list_has(const char *list, const char *word)
{
	for (;;) {
		size_t length = strcspn(list, ",");

		if (is_word(list, length, word))
			return true;
		if (!list[length])
			return false;
		list += length + 1;
	}
}
