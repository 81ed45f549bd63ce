/* output_test.c: blocks, pieces and batches. */
#include "http2/output.h"

#include <criterion/criterion.h>
#include <string.h>

static struct blocks blocks;
static struct batch batch;
static unsigned n_released;

static void set_up(void)
{
	blocks_init(&blocks);
}

static void tear_down(void)
{
	blocks_deinit(&blocks);
}

TestSuite(output, .init = set_up, .fini = tear_down);

static void on_release(void *owner)
{
	cr_assert_eq(owner, &n_released);
	n_released++;
}

Test(output, blocks_come_back)
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

Test(output, small_things_share_a_segment)
{
	struct piece *p = piece_new(&blocks, 100);

	cr_assert_eq(piece_append(p, "body", 4), 4);
	batch_copy(&batch, "head", 4);
	batch_piece(&batch, p, 1, 2);
	batch_copy(&batch, "tail", 4);
	cr_assert_eq(batch.n_segments, 1);
	cr_assert_eq(batch.n_bytes, 10);
	cr_assert_arr_eq(batch.segments[0].base, "headodtail", 10);
	batch_reset(&batch, 0);
	piece_unref(p);
}

Test(output, lent_bytes_are_released_once_by_the_last)
{
	static const uint8_t data[10000];
	struct piece *p = piece_lent(&blocks, data, sizeof(data), on_release, &n_released);

	/* Even its small parts go by reference. */
	batch_piece(&batch, p, 0, 5000);
	batch_piece(&batch, p, 5000, 10);
	batch_piece(&batch, p, 5010, 4990);
	cr_assert_eq(batch.n_segments, 3);
	cr_assert_eq(batch.n_copy, 0);
	piece_unref(p);
	cr_assert_eq(n_released, 0);
	cr_assert_eq(batch_advance(&batch, 5005), 1);
	cr_assert_eq(batch.segments[1].len, 5);
	cr_assert_eq((const uint8_t *)batch.segments[1].base, data + 5005);
	cr_assert_eq(batch_advance(&batch, 0), 0);
	cr_assert_eq(n_released, 0);
	batch_reset(&batch, 1);
	cr_assert_eq(n_released, 1);
}

Test(output, piece_takes_what_fits)
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
