/* gather_test.c: blocks, pieces and gathers. */
#include "http2/gather.h"

#include <criterion/criterion.h>
#include <string.h>

static struct blocks blocks;
static struct gather gather;
static unsigned n_released;

static void set_up(void)
{
	blocks_init(&blocks);
}

static void tear_down(void)
{
	blocks_deinit(&blocks);
}

TestSuite(gather, .init = set_up, .fini = tear_down);

static void on_release(void *owner)
{
	cr_assert_eq(owner, &n_released);
	n_released++;
}

Test(gather, blocks_come_back)
{
	static const size_t sizes[] = {1, 64, 65, 1000, 8192, 8193, 100000};

	for (unsigned turn = 0; turn < 3; turn++) {
		void *taken[7];

		for (size_t i = 0; i < 7; i++) {
			taken[i] = blocks_take(&blocks, sizes[i]);
			cr_assert(taken[i]);
			memset(taken[i], 0xa5, sizes[i]);
		}
		cr_assert_eq(blocks.n_taken, 7);
		for (size_t i = 0; i < 7; i++)
			blocks_give(&blocks, taken[i], sizes[i]);
	}
	blocks_give(&blocks, NULL, 5);
	cr_assert_eq(blocks.n_taken, 0);
}

Test(gather, small_things_share_a_buffer)
{
	struct piece *p = piece_new(&blocks, 100);

	cr_assert_eq(piece_append(p, "body", 4), 4);
	gather_copy(&gather, "head", 4);
	gather_piece(&gather, p, 1, 2);
	gather_copy(&gather, "tail", 4);
	cr_assert_eq(gather.n_bufs, 1);
	cr_assert_eq(gather.n_bytes, 10);
	cr_assert_arr_eq(gather.bufs[0].base, "headodtail", 10);
	gather_reset(&gather, 0);
	piece_unref(p);
}

Test(gather, lent_bytes_are_released_once_by_the_last)
{
	static const uint8_t data[10000];
	struct piece *p = piece_lent(&blocks, data, sizeof(data), on_release, &n_released);

	/* Even its small parts go by reference. */
	gather_piece(&gather, p, 0, 5000);
	gather_piece(&gather, p, 5000, 10);
	gather_piece(&gather, p, 5010, 4990);
	cr_assert_eq(gather.n_bufs, 3);
	cr_assert_eq(gather.n_copy, 0);
	piece_unref(p);
	cr_assert_eq(n_released, 0);
	cr_assert_eq(gather_advance(&gather, 5005), 1);
	cr_assert_eq(gather.bufs[1].len, 5);
	cr_assert_eq((const uint8_t *)gather.bufs[1].base, data + 5005);
	cr_assert_eq(gather_advance(&gather, 0), 0);
	cr_assert_eq(n_released, 0);
	gather_reset(&gather, 1);
	cr_assert_eq(n_released, 1);
}

Test(gather, piece_takes_what_fits)
{
	struct piece *p = piece_new(&blocks, 5);

	cr_assert_eq(piece_append(p, "abc", 3), 3);
	cr_assert_eq(piece_append(p, "def", 3), 2);
	cr_assert_eq(piece_append(p, "x", 1), 0);
	cr_assert_arr_eq(p->data, "abcde", 5);
	piece_unref(p);
	p = piece_lent(&blocks, "abc", 3, on_release, &n_released);
	cr_assert_eq(piece_append(p, "x", 1), 0);
	piece_unref(p);
	cr_assert_eq(n_released, 1);
}
