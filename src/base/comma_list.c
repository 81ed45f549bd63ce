/* comma_list.c: see comma_list.h. Any process, any thread. */
#include "base/comma_list.h"

#include <string.h>

#define BLANK " \t"

/* "x2" and blanks, and nothing else. */
static bool take_number(const char *text, size_t length, uint32_t *ret_n)
{
	uint64_t n = 0;
	size_t i = 1;

	if (length < 2 || text[0] != 'x')
		return false;
	for (; i < length && text[i] >= '0' && text[i] <= '9' && n <= UINT32_MAX; i++)
		n = 10 * n + (uint64_t)(text[i] - '0');
	if (n < 1 || n > UINT32_MAX || i + strspn(text + i, BLANK) < length)
		return false;
	*ret_n = (uint32_t)n;
	return true;
}

/* The word, and maybe a number behind it. */
static bool is_counted(const char *text, size_t length, const char *word, uint32_t *ret_n)
{
	size_t n = strspn(text, BLANK) + strlen(word);
	size_t blank;

	if (n >= length || memcmp(text + n - strlen(word), word, strlen(word)) != 0)
		return false;
	blank = strspn(text + n, BLANK);
	return blank > 0 && n + blank < length &&
	       take_number(text + n + blank, length - n - blank, ret_n);
}

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

bool comma_list_find(const char *list, const char *word, uint32_t *ret_n)
{
	for (;;) {
		size_t length = strcspn(list, ",");

		if (is_word(list, length, word)) {
			*ret_n = 0;
			return true;
		}
		if (is_counted(list, length, word, ret_n))
			return true;
		if (!list[length])
			return false;
		list += length + 1;
	}
}
