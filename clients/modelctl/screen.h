/* screen.h: a terminal that a program draws on, by plain escape codes, and gives back as it was. */
#ifndef CLIENTS_MODELCTL_SCREEN_H
#define CLIENTS_MODELCTL_SCREEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

/* One a process: it has the terminal. */
struct screen;

/* Can one be drawn on? Standard input and output are a terminal, which is not dumb. */
bool screen_is_there(void);
/*
 * Take the terminal: another page of it, no cursor, keys as they are pressed. Until screen_free() SIGINT, SIGTERM, SIGHUP
 * and SIGQUIT do not end the process but are keys, too. -ENOMEM; -errno of the terminal
 */
_must_use_ int screen_new(struct screen **ret_screen);
/* The terminal is as it was. Accepts NULL; returns NULL. */
struct screen *screen_free(struct screen *s);
DEFINE_CLEANUP(struct screen *, screen_free)

/* Show text, as much of it as fits, in place of what there was. */
void screen_show(struct screen *s, const char *text);

enum screen_key {
	SCREEN_NONE,   /* the time is over */
	SCREEN_RESIZE, /* there is another number of rows and columns */
	SCREEN_QUIT,   /* q, a signal, or the terminal is gone */
	SCREEN_OTHER,
};

/* Wait for a key for at most `ms`. */
enum screen_key screen_key(struct screen *s, int ms);

#endif
