/* picture_read.h: pictures of formats that libraries read: PNG by libpng, JPEG by libjpeg-turbo, each where it was there when modelctl was built. */
#ifndef CLIENTS_MODELCTL_PICTURE_READ_H
#define CLIENTS_MODELCTL_PICTURE_READ_H

#include "clients/modelctl/tensor_file.h"

/* Red, green and blue, or grey, of all pixels. */
#define PICTURE_VALUES_MAX (256u << 20)

/* By the first bytes. */
bool picture_is_png(const uint8_t *data, size_t n);
bool picture_is_jpeg(const uint8_t *data, size_t n);
/* What has to be there for modelctl to read it, and is not: a package; NULL: it is there. */
extern const char *const picture_lacks_png, *const picture_lacks_jpeg;
/*
 * As tensor_parse_picture(): values from 0 to 255 as f32. What is transparent lies on black; of 16 bits a value the upper 8 count.
 *
 * -EINVAL  it is none, or cut, or has more than PICTURE_VALUES_MAX values
 * -ENOTSUP the library was not there
 * -ENOMEM
 */
_must_use_ int picture_read(struct tensor *t, const uint8_t *data, size_t n);

#endif
