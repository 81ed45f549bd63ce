/* service_test.c: the index of methods. */
#include "grpc/service.h"

#include <criterion/criterion.h>
#include <errno.h>

Test(service, one_path_twice)
{
	static const struct method a[] = {{.path = "/a.B/C"}, {0}};
	static const struct service x1 = {.name = "a.B", .methods = a};
	static const struct service *const tables[] = {&x1, &x1, NULL};
	struct service_index *x = NULL;

	cr_assert_eq(service_index_new(&x, tables), -EEXIST);
	cr_assert_null(x);
}

Test(service, no_methods)
{
	static const struct service *const tables[] = {NULL};
	struct service_index *x = NULL;

	cr_assert_eq(service_index_new(&x, tables), 0);
	cr_assert_null(service_index_find(x, "/a.B/C", 6));
	service_index_free(x);
}
