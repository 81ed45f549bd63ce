/*
 * kserve_upload.h: the message of a RepositoryModelLoad, which may have files in it. As long as it is small it is collected as any
 * other; more is taken only from who may bring files, and is reserved in the spool, byte by byte.
 */
#ifndef SERVICES_KSERVE_UPLOAD_H
#define SERVICES_KSERVE_UPLOAD_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"

struct call;
struct spool_dir;

/* From whom files of models are taken: [models] uploads. Of either it is the daemon's own user, or root. */
enum kserve_uploads {
	KSERVE_UPLOADS_OFF,
	KSERVE_UPLOADS_UNIX, /* who calls by a Unix socket */
	KSERVE_UPLOADS_LOCAL, /* and by TCP from this host, which a proxy may have done for somebody else */
};

/* Zeroed: nothing has come. Who finishes the call may have freed it. */
struct kserve_upload {
	struct buf message; /* own */
	uint64_t reserved;  /* bytes of the spool */
};

/* As in struct method. */
void kserve_upload_begin(struct call *c, struct kserve_upload *u, uint64_t length);
size_t kserve_upload_data(struct call *c, struct kserve_upload *u, const uint8_t *data, size_t n);
/* All is there, and there are files in it: where they go, with what is reserved. NULL: the call is finished. */
_must_use_ struct spool_dir *kserve_upload_keep(struct call *c, struct kserve_upload *u);
void kserve_upload_release(struct call *c, struct kserve_upload *u);

#endif
