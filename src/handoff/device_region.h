/* device_region.h: Register of memory on a GPU. */
#ifndef HANDOFF_DEVICE_REGION_H
#define HANDOFF_DEVICE_REGION_H

struct guest;
struct handoff_message;

/* m: a Register that names a device. *fd, the one that came with it, is taken where it is kept, and -1 then. Always answered, later. */
void device_region_register(struct guest *p, const struct handoff_message *m, int *fd);

#endif
