/* key_object.h: an object of POSIX shared memory for a test: made, looked into and removed. */
#ifndef TESTS_UNIT_SERVICES_KEY_OBJECT_H
#define TESTS_UNIT_SERVICES_KEY_OBJECT_H

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

struct key_object {
	char key[64];
	int fd;
};

static inline void key_object_make(struct key_object *o, const char *name, uint64_t size)
{
	snprintf(o->key, sizeof(o->key), "/modeld-test-%ld-%s", (long)getpid(), name);
	o->fd = shm_open(o->key, O_CREAT | O_EXCL | O_RDWR, 0600);
	cr_assert_geq(o->fd, 0);
	cr_assert_eq(ftruncate(o->fd, (off_t)size), 0);
}

static inline void key_object_remove(struct key_object *o)
{
	cr_assert_eq(shm_unlink(o->key), 0);
	close(o->fd);
}

#endif
