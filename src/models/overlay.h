/*
 * overlay.h: settings that a caller gives a model for as long as it is loaded: some keys on top of what its files say, or a whole
 * configuration in place of them. Callers are not the administrator: what decides on code, files, isolation or other models is not
 * among what they may give (overlay_rules.h).
 *
 * Immutable. References are counted on the loop thread; another thread borrows what the loop thread holds for it meanwhile.
 */
#ifndef MODELS_OVERLAY_H
#define MODELS_OVERLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "proto/wire.h"

struct model_conf;
struct models_settings;
struct overlay;
struct overlay_bytes;
struct overlay_files;
struct spool_dir;

#define OVERLAY_BYTES_MAX (64u << 10)

enum {
	OVERLAY_E_INVALID = 1, /* text names key and value, and says what is wrong */
};

/*
 * Keys of [model], parameters of backends, and those that a model's files leave to callers (caller_parameters), as model.conf has them; none
 * is NULL. All are copied. Whether there is such a key is known when it is applied.
 *
 * OVERLAY_E_INVALID  text: cap bytes
 * -ENOMEM
 */
_must_use_ int overlay_new_keys(struct overlay **ret_overlay, const struct wire_pair *pairs,
	size_t n, char *text, size_t cap);
/*
 * An inference.ModelConfig on the wire (n bytes, copied), as pbtxt_read() writes it; present: bit i: field number i was said. What it means
 * is looked at when it is applied.
 *
 * OVERLAY_E_INVALID  it is larger than OVERLAY_BYTES_MAX
 * -ENOMEM
 */
_must_use_ int overlay_new_config(struct overlay **ret_overlay, const uint8_t *config, size_t n,
	uint64_t present, char *text, size_t cap);
/* The same of one in JSON (n bytes; pbjson.h). OVERLAY_E_INVALID as well: it is no ModelConfig, and text has the place. */
_must_use_ int overlay_new_json(
	struct overlay **ret_overlay, const char *json, size_t n, char *text, size_t cap);
/* Files in place of the model's own: of a whole one, before anybody else has it. Takes over what overlay_files_new() does; its errors,
 * as OVERLAY_E_INVALID. */
_must_use_ int overlay_set_files(struct overlay *o, struct spool_dir *dir,
	const struct overlay_bytes *bytes, char *text, size_t cap);
/* NULL: it has none. Accepts NULL. */
struct overlay_files *overlay_files(const struct overlay *o);
/* Accept NULL. overlay_unref() returns NULL. */
struct overlay *overlay_ref(struct overlay *o);
struct overlay *overlay_unref(struct overlay *o);
DEFINE_CLEANUP(struct overlay *, overlay_unref)
/* The same settings, in whatever order? NULL: none. */
bool overlay_equal(const struct overlay *a, const struct overlay *b);
/* Does it stand in place of the model's files? NULL: no. */
bool overlay_is_whole(const struct overlay *o);

/*
 * Put it onto *m, which has what the files say (of a whole one: the defaults, and `files` has what they say; both have the model's name).
 * directory: the model's. *ret_ignored as of model_pbtxt_read().
 *
 * OVERLAY_E_INVALID  text: cap bytes
 * -ENOMEM
 */
_must_use_ int overlay_apply(const struct overlay *o, struct model_conf *m,
	const struct model_conf *files, const struct models_settings *settings,
	const char *directory, char **ret_ignored, char *text, size_t cap);
/* Does a parameter of it mean nothing to this backend? text says which. */
_must_use_ int overlay_check_backend(
	const struct overlay *o, const char *backend, char *text, size_t cap);

/* --- Those of several models -------------------------------------------------------------------- */

struct overlay_of {
	const char *model;	 /* borrow */
	struct overlay *overlay; /* ref */
};

/* Zeroed: none. */
struct overlays {
	struct overlay_of *list; /* own */
	size_t n, cap;
};

/* NULL is none, and not kept. Takes a reference; model is borrowed. -ENOMEM */
_must_use_ int overlays_add(struct overlays *o, const char *model, struct overlay *overlay);
/* Once, before any is looked for. */
void overlays_sort(struct overlays *o);
/* NULL: it has none. Accepts NULL. */
const struct overlay *overlays_find(const struct overlays *o, const char *model);
void overlays_release(struct overlays *o);

#endif
