/*
 * poison.h: memory that nobody may touch now, known to AddressSanitizer where the program is built with
 * it; nothing otherwise. Header only.
 */
#ifndef BASE_POISON_H
#define BASE_POISON_H

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define POISON_KNOWN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISON_KNOWN 1
#endif
#endif
#ifndef POISON_KNOWN
#define POISON_KNOWN 0 /* is touching it seen? */
#endif

#if POISON_KNOWN
#include <sanitizer/asan_interface.h>
#endif

static inline void poison(void *memory, size_t n)
{
#if POISON_KNOWN
	__asm__(""
		: "+r"(memory)); /* to the compiler, poisoning fresh memory looks like reading it */
	__asan_poison_memory_region(memory, n);
#else
	(void)memory;
	(void)n;
#endif
}

static inline void unpoison(void *memory, size_t n)
{
#if POISON_KNOWN
	__asan_unpoison_memory_region(memory, n);
#else
	(void)memory;
	(void)n;
#endif
}

#endif
