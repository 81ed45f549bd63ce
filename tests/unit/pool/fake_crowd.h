/* fake_crowd.h: sockets in which more descriptors of this user's lie than the kernel lets it have on the way (ETOOMANYREFS). */
#ifndef TESTS_UNIT_POOL_FAKE_CROWD_H
#define TESTS_UNIT_POOL_FAKE_CROWD_H

/* From now on, until both ends of the pair are closed. This process loses its privileges, and may have few descriptors. */
void fake_crowd(int ret_pair[2]);

#endif
