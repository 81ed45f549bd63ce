/*
 * small_tmpfs.c: for LD_PRELOAD. Files of memfd_create(2) lie in the directory $SMALL_TMPFS instead, a tmpfs that may be as
 * small as the test likes: once it is full the kernel refuses pages, as it does where vm.overcommit_memory is 2. Files
 * there cannot be sealed, so seals are promised only: those that are asked for are said to be there.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>

/* What segments have: SEAL, SHRINK, GROW, FUTURE_WRITE. */
#define PROMISED 0x17

int memfd_create(const char *name, unsigned flags)
{
	const char *directory = getenv("SMALL_TMPFS");

	(void)name;
	(void)flags;
	return open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

static int promise(int (*real)(int, int, ...), int fd, int command, long argument)
{
	int r = real(fd, command, argument);

	if (command == F_GET_SEALS && r >= 0)
		return PROMISED;
	return command == F_ADD_SEALS && r < 0 && errno == EPERM ? 0 : r;
}

int fcntl(int fd, int command, ...)
{
	int (*real)(int, int, ...) = (int (*)(int, int, ...))dlsym(RTLD_NEXT, "fcntl");
	va_list list;
	long argument;

	va_start(list, command);
	argument = va_arg(list, long);
	va_end(list);
	return promise(real, fd, command, argument);
}

int fcntl64(int fd, int command, ...)
{
	int (*real)(int, int, ...) = (int (*)(int, int, ...))dlsym(RTLD_NEXT, "fcntl64");
	va_list list;
	long argument;

	va_start(list, command);
	argument = va_arg(list, long);
	va_end(list);
	return promise(real, fd, command, argument);
}
