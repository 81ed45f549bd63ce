/* fake_sources.h: stands in for what metrics are taken from. */
#ifndef TESTS_UNIT_METRICS_FAKE_SOURCES_H
#define TESTS_UNIT_METRICS_FAKE_SOURCES_H

#include <stdbool.h>

struct fake_sources {
	bool server_ready, draining;
	bool model_serving; /* of "a" and "a:2", the only ones */
};

extern struct fake_sources fake;

#endif
