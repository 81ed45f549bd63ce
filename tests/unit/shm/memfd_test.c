/* Tests of memfd.c: each thing that a client's memory may lack; what ours is like. */
#include "shm/memfd.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "tests/support/failalloc.h"

#define PAGE   4096u
#define SEALED (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static struct memfd_identity identity;
static char text[512];

static int fake_memfd(uint64_t size, int seals, unsigned flags)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);

	cr_assert_geq(fd, 0);
	cr_assert_eq(ftruncate(fd, (off_t)size), 0);
	cr_assert(!seals || fcntl(fd, F_ADD_SEALS, seals) == 0);
	return fd;
}

/* Takes fd. */
static void expect_unfit(int fd, uint64_t size, bool read_only, const char *why)
{
	text[0] = '\0';
	cr_assert_geq(fd, 0);
	cr_expect_eq(
		memfd_check(fd, size, read_only, &identity, text, sizeof(text)), MEMFD_E_UNFIT);
	cr_expect(strstr(text, why), "got: %s", text);
	close(fd);
}

Test(memfd, a_sealed_one_will_do)
{
	int fd = fake_memfd(2 * PAGE, SEALED, 0);
	struct stat st;

	cr_assert_eq(memfd_check(fd, 2 * PAGE, false, &identity, text, sizeof(text)), 0);
	cr_assert_eq(fstat(fd, &st), 0);
	cr_expect_eq(identity.inode, st.st_ino);
	cr_expect_eq(identity.device, st.st_dev);
	close(fd);
}

Test(memfd, each_seal_is_needed)
{
	expect_unfit(fake_memfd(PAGE, 0, 0), PAGE, false, "not sealed");
	expect_unfit(fake_memfd(PAGE, F_SEAL_GROW | F_SEAL_SEAL, 0), PAGE, false, "not sealed");
	expect_unfit(fake_memfd(PAGE, F_SEAL_SHRINK | F_SEAL_SEAL, 0), PAGE, false, "not sealed");
	expect_unfit(fake_memfd(PAGE, F_SEAL_SHRINK | F_SEAL_GROW, 0), PAGE, false, "not sealed");
}

Test(memfd, sealed_against_writing_is_read_only)
{
	int fd = fake_memfd(PAGE, SEALED | F_SEAL_WRITE, 0);

	cr_expect_eq(memfd_check(fd, PAGE, true, &identity, text, sizeof(text)), 0);
	expect_unfit(fd, PAGE, false, "register it read_only");
	expect_unfit(fake_memfd(PAGE, SEALED | F_SEAL_FUTURE_WRITE, 0), PAGE, false, "read_only");
}

Test(memfd, the_size_must_be_as_said_and_whole_pages)
{
	expect_unfit(fake_memfd(PAGE, SEALED, 0), 2 * PAGE, false, "has 4096 bytes, not 8192");
	expect_unfit(fake_memfd(2 * PAGE, SEALED, 0), PAGE, false, "has 8192 bytes, not 4096");
	expect_unfit(fake_memfd(100, SEALED, 0), 100, false, "not whole pages");
	expect_unfit(fake_memfd(0, SEALED, 0), 0, false, "has 0 bytes");
}

Test(memfd, other_files)
{
	int pair[2];

	cr_assert_eq(pipe(pair), 0);
	close(pair[1]);
	expect_unfit(pair[0], PAGE, false, "not a memfd");
	expect_unfit(open("/dev/zero", O_RDWR), PAGE, false, "not a memfd");
	expect_unfit(open("/tmp", O_TMPFILE | O_RDWR, 0600), PAGE, false, "memfd");
	expect_unfit(open("/proc/self/exe", O_RDONLY), PAGE, true, "memfd");
}

static int reopen(int fd, int flags)
{
	char path[64];
	int other;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	other = open(path, flags | O_CLOEXEC);
	close(fd);
	return other;
}

Test(memfd, access)
{
	int fd = reopen(fake_memfd(PAGE, SEALED, 0), O_RDONLY);

	cr_expect_eq(memfd_check(fd, PAGE, true, &identity, text, sizeof(text)), 0);
	expect_unfit(fd, PAGE, false, "not open for reading and writing");
	expect_unfit(reopen(fake_memfd(PAGE, SEALED, 0), O_WRONLY), PAGE, true, "reading");
	expect_unfit(reopen(fake_memfd(PAGE, SEALED, 0), O_PATH), PAGE, true, "reading");
}

Test(memfd, huge_pages)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);

	if (fd < 0)
		return; /* the kernel has none */
	cr_assert_eq(ftruncate(fd, 2 << 20), 0);
	cr_assert_geq(fcntl(fd, F_ADD_SEALS, SEALED), 0);
	expect_unfit(fd, 2 << 20, false, "MFD_HUGETLB");
}

Test(memfd, rounding)
{
	uint64_t size = 1;

	cr_expect_eq(memfd_round(0, &size), -EOVERFLOW);
	cr_expect_eq(memfd_round(UINT64_MAX, &size), -EOVERFLOW);
	cr_expect_eq(memfd_round(INT64_MAX, &size), -EOVERFLOW);
	cr_expect_eq(size, 1);
	cr_assert_eq(memfd_round(1, &size), 0);
	cr_expect_eq(size, PAGE);
	cr_assert_eq(memfd_round(2 * PAGE, &size), 0);
	cr_expect_eq(size, 2 * PAGE);
}

Test(memfd, ours_is_what_we_ask_of_others)
{
	struct stat st;
	int fd = -1;

	cr_assert_eq(memfd_new("test", 4 * PAGE, &fd), 0);
	cr_expect_eq(
		memfd_check(fd, 4 * PAGE, false, &identity, text, sizeof(text)), MEMFD_E_UNFIT);
	cr_assert_eq(memfd_seal(fd, MEMFD_SIZE_SEALED), 0);
	cr_expect_eq(
		memfd_check(fd, 4 * PAGE, false, &identity, text, sizeof(text)), 0, "%s", text);
	cr_expect_eq(memfd_seal(fd, MEMFD_WRITER_SEALED), -EPERM); /* for good */
	cr_assert_eq(fstat(fd, &st), 0);
	cr_expect_eq(st.st_mode & 0777, 0600);
	cr_expect_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
}

/* Copies of a descriptor count as that one does. */
Test(memfd, is_alone_when_nobody_else_has_it)
{
	int fd, ours, copy, theirs = -1;
	void *at;

	cr_assert_eq(memfd_new("test", PAGE, &fd), 0);
	cr_assert_eq(memfd_reopen(fd, &ours), 0);
	close(fd);
	copy = dup(ours);
	cr_expect(memfd_is_alone(ours));
	cr_assert_eq(memfd_reopen(ours, &theirs), 0);
	cr_expect_not(memfd_is_alone(ours));
	at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, theirs, 0);
	cr_assert_neq(at, MAP_FAILED);
	close(theirs);
	cr_expect_not(memfd_is_alone(ours));
	munmap(at, PAGE);
	cr_expect(memfd_is_alone(ours));
	close(copy);
	close(ours);
}

Test(memfd, populating_takes_all_pages_unless_it_is_stopped)
{
	atomic_bool stop = false;
	struct stat st;
	int fd = -1;

	cr_assert_eq(memfd_new("test", 64 * PAGE, &fd), 0);
	cr_expect_eq(memfd_populate_all(fd, 64 * PAGE, &(atomic_bool){true}), -ECANCELED);
	cr_assert_eq(fstat(fd, &st), 0);
	cr_expect_eq(st.st_blocks, 0);
	cr_expect_eq(memfd_populate_all(fd, 64 * PAGE, &stop), 0);
	cr_assert_eq(fstat(fd, &st), 0);
	cr_expect_geq((uint64_t)st.st_blocks * 512, 64 * PAGE);
	close(fd);
}

Test(memfd, writing_without_a_mapping)
{
	const uint64_t size = 9000 * PAGE; /* more than a chunk */
	atomic_bool stop = false;
	uint8_t *data = malloc(size), *back = malloc(size);
	int fd = -1;

	cr_assert(data && back);
	for (uint64_t i = 0; i < size; i++)
		data[i] = (uint8_t)(i % 251);
	cr_assert_eq(memfd_new("test", size, &fd), 0);
	cr_assert_eq(memfd_seal(fd, MEMFD_SIZE_SEALED), 0);
	cr_expect_eq(memfd_write(fd, 0, data, size, &(atomic_bool){true}), -ECANCELED);
	cr_assert_eq(memfd_write(fd, 64, data, size - 64, &stop), 0);
	cr_assert_eq(pread(fd, back, size, 0), (ssize_t)size);
	cr_expect_arr_eq(back + 64, data, size - 64);
	cr_expect_eq(back[63], 0);
	cr_expect_eq(memfd_write(fd, size - 64, data, 65, &stop), -EPERM, "a sealed size is kept");
	close(fd);
	free(data);
	free(back);
}

static int make(void *arg)
{
	atomic_bool stop = false;
	int fd = -1;
	int r = memfd_new("test", PAGE, &fd);

	if (!r)
		r = memfd_seal(fd, MEMFD_SIZE_SEALED);
	if (!r)
		r = memfd_populate_all(fd, PAGE, &stop);
	close_fd(&fd);
	return r;
}

Test(memfd, faults)
{
	FAULT_LOOP(make, NULL);
}
