/* notify.h: the readiness protocol of a service manager (sd_notify(3), NOTES), without libsystemd. */
#ifndef NOTIFY_H
#define NOTIFY_H

#include <stddef.h>

/*
 * Send `state` ("READY=1", "STOPPING=1\nSTATUS=...") to $NOTIFY_SOCKET. Without one, nothing
 * happens. Returns -errno where sending failed: worth a log line, never fatal.
 */
int notify_send(const char *state);
/* The same with descriptors, which the manager gets copies of: FDSTORE. At most SEQPACKET_FDS_MAX. */
int notify_send_fds(const char *state, const int *fds, size_t n_fds);

#endif
