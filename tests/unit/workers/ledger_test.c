/* ledger_test.c: whose the memory is that a process has, and what stays of models that went. */
#include "workers/ledger.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define MIB ((uint64_t)1 << 20)

static uint64_t resident;

static uint64_t read_resident(void)
{
	return resident;
}

static void begin(struct ledger *l)
{
	resident = 100;
	ledger_init(l, read_resident);
}

static void load(struct ledger *l, struct share *s, uint64_t takes)
{
	ledger_look(l);
	resident += takes;
	ledger_enter(l, s);
}

static uint64_t unload(struct ledger *l, struct share *s, uint64_t gives_back)
{
	ledger_look(l);
	ledger_leave(l, s);
	resident -= gives_back;
	return ledger_settle(l);
}

Test(ledger, what_is_given_back_does_not_stay)
{
	struct share a = {0};
	struct ledger l;

	begin(&l);
	load(&l, &a, 50);
	cr_expect_eq(a.bytes, 50);
	cr_expect_eq(unload(&l, &a, 50), 0);
	cr_expect_eq(l.loaded_bytes, 0);
}

Test(ledger, what_is_not_piles_up)
{
	struct ledger l;

	begin(&l);
	for (uint64_t i = 1; i <= 5; i++) {
		struct share a = {0};

		load(&l, &a, 50);
		cr_expect_eq(unload(&l, &a, 40), 10 * i);
	}
}

Test(ledger, loaded_models_are_no_loss)
{
	struct share a = {0}, b = {0};
	struct ledger l;

	begin(&l);
	load(&l, &a, 50);
	load(&l, &b, 1000);
	cr_expect_eq(unload(&l, &a, 45), 5);
	cr_expect_eq(unload(&l, &b, 1000), 5);
}

Test(ledger, who_ran_has_grown)
{
	struct share a = {0}, b = {0};
	struct ledger l;

	begin(&l);
	load(&l, &a, 50);
	load(&l, &b, 50);
	resident += 500;
	share_note_run(&b);
	cr_expect_eq(unload(&l, &a, 50), 0);
	cr_expect_eq(b.bytes, 550);
	cr_expect_eq(unload(&l, &b, 50), 500, "it kept what it took while it ran");
}

Test(ledger, several_that_ran_share_it)
{
	struct share a = {0}, b = {0}, c = {0};
	struct ledger l;

	begin(&l);
	load(&l, &a, 10);
	load(&l, &b, 10);
	load(&l, &c, 10);
	resident += 300;
	share_note_run(&a);
	share_note_run(&c);
	ledger_look(&l);
	cr_expect_eq(a.bytes, 160);
	cr_expect_eq(b.bytes, 10);
	cr_expect_eq(c.bytes, 160);
	resident += 100;
	ledger_look(&l);
	cr_expect_eq(a.bytes, 160, "that it ran counts once");
}

Test(ledger, in_the_end_it_is_exact)
{
	struct share a = {0}, b = {0};
	struct ledger l;

	begin(&l);
	load(&l, &a, 10);
	load(&l, &b, 10);
	/* All of it is a's, but who can know. */
	resident += 300;
	share_note_run(&a);
	share_note_run(&b);
	cr_expect_eq(unload(&l, &b, 10), 150);
	cr_expect_eq(unload(&l, &a, 310), 0);
}

Test(ledger, what_nobody_ran_for_stays)
{
	struct share a = {0};
	struct ledger l;

	begin(&l);
	load(&l, &a, 10);
	resident += 7;
	cr_expect_eq(unload(&l, &a, 10), 7);
}

Test(ledger, one_that_could_not_be_loaded)
{
	struct share a = {0};
	struct ledger l;

	begin(&l);
	ledger_look(&l);
	resident += 30;
	cr_expect_eq(ledger_settle(&l), 30);
	ledger_leave(&l, &a);
	load(&l, &a, 10);
	cr_expect_eq(unload(&l, &a, 10), 30);
}

Test(ledger, less_than_at_the_start)
{
	struct share a = {0};
	struct ledger l;

	begin(&l);
	load(&l, &a, 10);
	cr_expect_eq(unload(&l, &a, 60), 0);
}

static uint64_t read_nothing(void)
{
	return 0;
}

Test(ledger, that_cannot_be_known)
{
	struct share a = {0};
	struct ledger l;

	ledger_init(&l, read_nothing);
	ledger_look(&l);
	ledger_enter(&l, &a);
	share_note_run(&a);
	ledger_look(&l);
	ledger_leave(&l, &a);
	cr_expect_eq(ledger_settle(&l), 0);
}

Test(ledger, this_process)
{
	uint64_t before = ledger_private_bytes(), after;
	char *memory = malloc(64 * MIB);

	cr_assert(memory);
	memset(memory, 1, 64 * MIB);
	after = ledger_private_bytes();
	cr_expect(after >= before + 60 * MIB && after <= before + 80 * MIB);
	free(memory);
}

Test(ledger, that_cannot_be_known_just_now)
{
	struct share a = {0};
	struct ledger l;

	begin(&l);
	load(&l, &a, 10);
	l.read = read_nothing;
	ledger_look(&l);
	l.read = read_resident;
	resident += 5;
	cr_expect_eq(unload(&l, &a, 10), 5);
}
