/* config_private.h: the key table and value parsing, shared by config*.c only. */
#ifndef CONFIG_PRIVATE_H
#define CONFIG_PRIVATE_H

#include "config.h"

enum config_type {
	CONFIG_U32,
	CONFIG_U64,
	CONFIG_BYTES32, /* K, M, G suffixes (KiB, MiB, GiB) */
	CONFIG_BYTES64,
	CONFIG_BYTES_AUTO, /* the same, or "auto": CONFIG_AUTO until it is resolved */
	CONFIG_SECONDS,	   /* kept as milliseconds in a uint64_t */
	CONFIG_MODE,	   /* octal */
	CONFIG_BOOL,
	CONFIG_STRING,
	CONFIG_LIST, /* comma-separated -> NULL-terminated array */
	CONFIG_LEVEL,
	CONFIG_RATIO,	   /* 0 to 1, kept as a double */
	CONFIG_LOG_FORMAT, /* text, json */
	CONFIG_CODEC,
	CONFIG_CONTROL,	   /* none, poll, explicit */
	CONFIG_CLIENT_SHM, /* off, local, any */
	CONFIG_UPLOADS,	   /* off, unix, local */
	CONFIG_ISOLATION,  /* device, model, auto */
	CONFIG_EVICTION,   /* lru, lfu, ttl, manual */
	CONFIG_PLACES,	   /* "cpu:0 x2, cuda:1" -> pool.places */
};

#define CONFIG_AUTO UINT64_MAX

struct config_key {
	const char *section;
	const char *name;
	enum config_type type;
	size_t offset;	   /* of the field in struct config; unused for CONFIG_PLACES */
	const char *value; /* default */
	uint64_t min;
	uint64_t max;
};

extern const struct config_key config_keys[];
extern const size_t config_n_keys;

/* One key's text as it stands. */
struct config_entry {
	char *text;  /* own */
	char *where; /* own: "modeld.conf:12", "--set server.listen"; NULL: a default */
	bool from_file;
	bool from_command; /* --set had the last word: paths are relative to the working directory */
};

/* A [backend.NAME] setting. */
struct config_backend_setting {
	char *key;   /* own, "NAME.key" */
	char *value; /* own */
	char *where; /* own */
	bool from_file;
};

struct config_store {
	struct config_entry *entries; /* own; one a key */
	struct config_backend_setting *backend;
	size_t n_backend;
	char *directory; /* own: of the configuration file, "." without one */
	void **blocks;	 /* own: memory that public fields point to */
	size_t n_blocks;
};

/* Memory that lives as long as the configuration. NULL when there is none. */
void *config_alloc(struct config *c, size_t n);
char *config_strdup(struct config *c, const char *text);
char *config_printf(struct config *c, const char *format, ...) _printf_(2, 3);

/* asprintf() that owns up to having failed: NULL. The caller frees it. */
char *config_format(const char *format, ...) _printf_(1, 2);
/* Which of config_keys it is; false: there is none. */
bool config_find_key(const char *section, const char *name, size_t *ret_i);
/* Of a key that there is not: which was meant, or what is missing, as " (…)"; "": nobody knows. */
void config_suggest(const char *section, const char *key, char *text, size_t cap);
/* A key's entry (asserts that the key exists). */
struct config_entry *config_entry(const struct config *c, const char *section, const char *name);
/* text begins with a "[section] key": say before it where that was set. */
void config_locate(const struct config *c, char *text, size_t cap);
/* Have --check print `text` for a key: what an automatic value has become. -ENOMEM */
_must_use_ int config_show(
	struct config *c, const char *section, const char *name, const char *text);
/* Parse `text` for `key` and store it in its field. 0; CONFIG_E_INVALID with a message that does not
 * name the key; -ENOMEM */
_must_use_ int config_store_value(struct config *c, const struct config_key *key, const char *text,
	char *message, size_t cap);
/* Fill in what is "auto" and check what hangs together. */
_must_use_ int config_resolve(struct config *c, char *message, size_t cap);
/* config_programs.c: what [backend.NAME] says of the worker programs of backends; takes these keys out of
 * pool.settings. CONFIG_E_INVALID, -ENOMEM */
_must_use_ int config_find_programs(struct config *c, char *message, size_t cap);
/* config_sandbox.c: pool.sandbox, and pool.programs are run through the launcher; once all paths are absolute.
 * CONFIG_E_INVALID, -ENOMEM */
/* "on", "relaxed", "off". */
bool config_is_sandbox(const char *mode);
_must_use_ int config_resolve_sandbox(struct config *c, char *message, size_t cap);
/* config_memory.c: limits of memory that are "auto", for a machine with so many bytes (0: unknown). -ENOMEM */
_must_use_ int config_resolve_memory(struct config *c, uint64_t machine_bytes);
/* config_gpus.c: replaces "cuda:all" by the GPUs, or their MIG instances, that there are. ret_text: [worker] workers as it is
 * then; NULL: it was not there. CONFIG_E_INVALID, -ENOMEM */
_must_use_ int config_find_gpus(struct config *c, const char **ret_text, char *message, size_t cap);

#endif
