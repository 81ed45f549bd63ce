/*
 * fake_worker.h: a worker process for tests. A test program that is started with FAKE_WORKER in its
 * environment never reaches main(): it serves descriptor 3 as a worker does, and misbehaves
 * where it is told to.
 *
 * FAKE_WORKER is a comma-separated list, one word for each process that the pool starts, in order;
 * the last one goes for all further ones. "good" is a worker as it should be; the other words are
 * in fake_worker.c. How a batch is answered depends on the model's name: "echo" gives the first
 * input back; "imports" fails with the number of imports so far as its code.
 */
#ifndef TESTS_UNIT_POOL_FAKE_WORKER_H
#define TESTS_UNIT_POOL_FAKE_WORKER_H

#define FAKE_WORKER_VARIABLE "FAKE_WORKER"
/* Id of the input segment. */
#define FAKE_INPUT_ARENA 7u

#endif
