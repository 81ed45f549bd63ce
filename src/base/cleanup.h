/* cleanup.h: cleanup by attribute, hand-over by steal. Header only. */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((cleanup(fn)))
#define _must_use_    __attribute__((warn_unused_result))
/* Called where something went wrong, or rarely: the code around such calls is kept out of the way of the rest. */
#define _cold_ __attribute__((cold))
/* Texts are made where something is to be said, which is not on a request's usual way. */
#define _printf_(f, a) _cold_ __attribute__((format(printf, f, a)))

/* Take the value of a pointer variable and leave NULL behind. */
#define steal_ptr(p)                                                                               \
	({                                                                                         \
		__auto_type _stolen = (p);                                                         \
		(p) = NULL;                                                                        \
		_stolen;                                                                           \
	})

/* Take a descriptor and leave -1 behind. */
static inline int steal_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* Close and set to -1; -1 is accepted. errno is not reported: nothing is left to do about it. */
static inline void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* For _cleanup_ on a char * or any other malloc'ed pointer. */
static inline void freep(void *p)
{
	free(*(void **)p);
}

/* Defines static inline x_freep(T **) for _cleanup_; fn must accept NULL. */
#define DEFINE_CLEANUP(type, fn)                                                                   \
	static inline void fn##p(type *p)                                                          \
	{                                                                                          \
		if (*p)                                                                            \
			fn(*p);                                                                    \
	}

#endif
