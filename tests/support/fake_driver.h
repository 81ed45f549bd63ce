/* fake_driver.h: the stand-in for the driver's management library (tests/support/fakecuda/nvml.c), loaded. */
#ifndef TESTS_SUPPORT_FAKE_DRIVER_H
#define TESTS_SUPPORT_FAKE_DRIVER_H

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* build/unit/FOLDER/x_test -> build/fakecuda: a library that is loaded is found by its soname. */
static inline void fake_driver_load(const char *settings)
{
	char exe[PATH_MAX], path[PATH_MAX + 64];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	cr_assert_gt(n, 0);
	exe[n] = 0;
	for (int i = 0; i < 3; i++)
		*strrchr(exe, '/') = 0;
	snprintf(path, sizeof(path), "%s/fakecuda/libnvidia-ml.so.1", exe);
	setenv("FAKENVML", settings, 1);
	cr_assert_not_null(dlopen(path, RTLD_NOW), "%s", dlerror());
}

#endif
