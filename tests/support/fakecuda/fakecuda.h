/*
 * fakecuda.h: a stand-in for CUDA's runtime: GPUs made of host memory and threads, for tests on
 * machines without one. A stream is a thread that does what it was given in order, later; an event
 * comes to pass when its stream gets there. Device memory cannot be touched through its pointers, so
 * that whoever mistakes it for host memory dies as he would on a host with a GPU. Copies are checked
 * as the runtime checks them: a range is wholly registered or not at all, and what was registered
 * read-only is never written. An error that the real context would not survive sticks.
 *
 * It is told what to be by the environment variable FAKECUDA, words separated by spaces:
 *
 *     devices=N         GPUs that there are (1); CUDA_VISIBLE_DEVICES picks from them
 *     driver=0          there is no driver
 *     readonly=0        memory cannot be registered read-only (attribute 113)
 *     memory_mib=N      memory of each GPU (256)
 *     copy_us=N         each copy takes so long (0)
 *     kernel_us=N       each kernel takes so long (0)
 *     fail=CALL:N:CODE  the N-th call of that entry point (0: each) returns CODE
 *     hang=CALL:N       ... never returns
 *     meet=1            a copy in, a kernel and a copy out of three streams wait for each other, once
 *     stall=1           streams stop: no event comes to pass any more
 *     once=PATH         the failures above happen only to the first process that makes PATH
 *     ipc=DIR           memory can be handed to other processes with the same DIR, by cudaIpcGetMemHandle()
 *     calls=PATH        which entry points each process has called, a line each
 *     log=PATH          what streams do, a line each: STREAM in|out|kernel NAME|record|wait|met
 */
#ifndef FAKECUDA_H
#define FAKECUDA_H

#include <stddef.h>

/* Start anew with other settings (NULL: the environment's): errors, counts and registrations are
 * forgotten. No stream may have work. */
void fakecuda_reset(const char *settings);
/*
 * `bytes` of memory as if another process had made them, which ipc=DIR has to be set for: their handle, 64 bytes. Returns where
 * that process sees them, to be unmapped.
 */
void *fakecuda_foreign(size_t bytes, void *ret_handle);
/*
 * `bytes` of memory of GPU `gpu` as if another process had made and exported them (cuMemExportToShareableHandle()): their descriptor,
 * the caller's. ret_data: where that process sees them, to be unmapped.
 */
int fakecuda_foreign_fd(size_t bytes, int gpu, void **ret_data);
/* Handles, mappings and reserved addresses that there are now. */
unsigned fakecuda_n_vmm(void);
/* Streams that stand still go on. */
void fakecuda_resume(void);
/* How often an entry point was called since. */
unsigned fakecuda_calls(const char *name);
/* Host memory registered or allocated now, in pieces. */
unsigned fakecuda_n_pieces(void);
/* Device memory allocated now, in bytes. */
unsigned long long fakecuda_used(void);

#endif
