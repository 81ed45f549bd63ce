/*
 * stream_copy.h: copying large data to where this core will not look at it again: past the caches, where the
 * processor has stores for that (x86-64). The target's lines are then not read first, and what is in the
 * caches stays there. Below some hundred KiB memcpy() is better: the reader finds the data in a cache.
 */
#ifndef BASE_STREAM_COPY_H
#define BASE_STREAM_COPY_H

#include <stddef.h>

/* From where it pays. */
#define STREAM_COPY_MIN (512u * 1024u)

/* As memcpy(), but other cores may see what was written later than what is written after it, until stream_copy_end(). */
void stream_copy(void *to, const void *from, size_t n);
/* Before anybody is told of what was copied. To wait for all of it after each of many pieces takes a fifth of the time again. */
void stream_copy_end(void);

#endif
