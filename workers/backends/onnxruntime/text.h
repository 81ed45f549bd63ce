/*
 * text.h: texts of ONNX Runtime, for people: what went wrong, without the place in its source, the
 * function there and the condition that was false.
 */
#ifndef WORKERS_BACKENDS_ONNXRUNTIME_TEXT_H
#define WORKERS_BACKENDS_ONNXRUNTIME_TEXT_H

#include <stdbool.h>

/* Cut in place; never longer than before. */
void text_cut(char *text);

/* A warning in each sandbox, of what nobody misses: a file for its telemetry, the list of all devices. */
bool text_is_idle(const char *text);

/* Take the path `directory` and the slash behind it out wherever it stands: clients see texts, and
 * the server's directories are not theirs to know. */
void text_hide(char *text, const char *directory);

#endif
