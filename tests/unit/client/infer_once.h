/* infer_once.h: a request of which only the end matters. */
#ifndef TESTS_UNIT_CLIENT_INFER_ONCE_H
#define TESTS_UNIT_CLIENT_INFER_ONCE_H

#include <criterion/criterion.h>

#include "clients/c/modeld.h"

/* The request, of this model, from now on; its result is given back. A code of modeld.h. */
static inline int infer_once(struct modeld *m, struct modeld_request *request, const char *model,
	struct modeld_error *error)
{
	struct modeld_result *result = NULL;
	int e;

	request->model = model;
	e = modeld_infer(m, request, &result, error);
	cr_assert_eq(e == 0, result != NULL);
	modeld_result_free(result);
	return e;
}

#endif
