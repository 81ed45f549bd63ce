/* log_ring_test.c: the last lines, whatever their lengths and however often the ring was gone round. */
#include "base/log_ring.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/failalloc.h"

struct seen {
	uint64_t first, last, n, most;
	char text[64];
};

static bool see(void *data, const struct log_ring_line *line)
{
	struct seen *s = data;

	cr_assert_eq(strlen(line->text), line->n);
	if (s->n++ == 0)
		s->first = line->number;
	else
		cr_assert_eq(line->number, s->last + 1);
	s->last = line->number;
	(void)snprintf(s->text, sizeof(s->text), "%d %s", (int)line->level, line->text);
	return s->n != s->most;
}

static struct seen look(struct log_ring *r, uint64_t after)
{
	struct seen s = {0};

	log_ring_each(r, after, see, &s);
	return s;
}

static void add(struct log_ring *r, const char *text)
{
	log_ring_add(r, LOG_LEVEL_WARNING, 7, text, strlen(text));
}

Test(log_ring, lines_in_order)
{
	struct log_ring *r;

	cr_assert_eq(log_ring_new(&r, 1024), 0);
	cr_assert_eq(look(r, 0).n, 0);
	cr_assert_eq(log_ring_last(r), 0);
	add(r, "one");
	add(r, "");
	add(r, "three");
	cr_assert_eq(look(r, 0).n, 3);
	cr_assert_str_eq(look(r, 0).text, "1 three");
	cr_assert_eq(look(r, 2).first, 3);
	cr_assert_eq(look(r, 3).n, 0);
	cr_assert_eq(look(r, UINT64_MAX).n, 0);
	cr_assert_eq(log_ring_last(r), 3);
	log_ring_free(r);
}

Test(log_ring, a_reader_may_stop)
{
	struct seen s = {.most = 2};
	struct log_ring *r;

	cr_assert_eq(log_ring_new(&r, 1024), 0);
	for (int i = 0; i < 5; i++)
		add(r, "x");
	log_ring_each(r, 0, see, &s);
	cr_assert_eq(s.n, 2);
	log_ring_free(r);
}

Test(log_ring, the_oldest_make_room)
{
	/* Sizes around those of the lines, so that lines and heads lie over the end in every way. */
	for (size_t size = 40; size < 140; size++) {
		struct log_ring *r;
		char text[32];

		cr_assert_eq(log_ring_new(&r, size), 0);
		for (unsigned i = 1; i <= 200; i++) {
			struct seen s;

			(void)snprintf(text, sizeof(text), "%.*s%u", (int)(i % 20),
				"....................", i);
			add(r, text);
			s = look(r, 0);
			cr_assert_eq(s.last, i);
			cr_assert_str_eq(s.text + 2, text);
		}
		log_ring_free(r);
	}
}

Test(log_ring, what_is_too_large)
{
	static char large[10000];
	struct log_ring *r;

	memset(large, 'x', sizeof(large) - 1);
	cr_assert_eq(log_ring_new(&r, 64), 0);
	add(r, "small");
	add(r, large);
	cr_assert_eq(look(r, 0).n, 1);
	log_ring_free(r);
	cr_assert_eq(log_ring_new(&r, 8192), 0);
	add(r, large);
	cr_assert_eq(look(r, 0).n, 1, "cut");
	log_ring_free(r);
	cr_assert_eq(log_ring_new(&r, 0), 0);
	add(r, "x");
	cr_assert_eq(look(r, 0).n, 0);
	log_ring_free(r);
}

static void *add_many(void *ring)
{
	for (int i = 0; i < 2000; i++)
		add(ring, "a line of some length");
	return NULL;
}

Test(log_ring, several_threads)
{
	pthread_t threads[4];
	struct log_ring *r;

	cr_assert_eq(log_ring_new(&r, 512), 0);
	for (int i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, add_many, r), 0);
	for (int i = 0; i < 100; i++)
		(void)look(r, 0);
	for (int i = 0; i < 4; i++)
		cr_assert_eq(pthread_join(threads[i], NULL), 0);
	cr_assert_eq(log_ring_last(r), 8000);
	log_ring_free(r);
}

static int make(void *unused)
{
	struct log_ring *r = NULL;
	int e = log_ring_new(&r, 100);

	(void)unused;
	log_ring_free(r);
	return e;
}

Test(log_ring, fault_loop)
{
	FAULT_LOOP(make, NULL);
}
