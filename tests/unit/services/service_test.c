/* service_test.c: the table of services and its index. */
#include "grpc/service.h"
#include "services/tables.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

Test(service, every_method_is_found_by_its_path)
{
	struct service_index *x = NULL;

	cr_assert_eq(service_index_new(&x, service_tables()), 0);
	for (const struct method *const *table = service_tables(); *table; table++) {
		for (const struct method *m = *table; m->path; m++) {
			size_t n = strlen(m->path);

			cr_assert_eq(service_index_find(x, m->path, n), m);
			cr_assert_null(service_index_find(x, m->path, n - 1));
			cr_assert_null(service_index_find(x, m->path + 1, n - 1));
		}
	}
	cr_assert_null(service_index_find(x, "", 0));
	cr_assert_null(service_index_find(x, "/a.B/C", 6));
	service_index_free(x);
}

/* "/NAME/" begins the path of each method of a service, and each service has one. */
Test(service, names_match_the_paths)
{
	size_t n_tables = 0;
	size_t n_names = 0;

	for (const char *const *name = service_names(); *name; name++)
		n_names++;
	for (const struct method *const *table = service_tables(); *table; table++) {
		const char *name = service_names()[n_tables++];
		size_t n = strlen(name);

		for (const struct method *m = *table; m->path; m++) {
			cr_assert_eq(m->path[0], '/');
			cr_assert_eq(strncmp(m->path + 1, name, n), 0, "%s, %s", m->path, name);
			cr_assert_eq(m->path[n + 1], '/');
		}
	}
	cr_assert_eq(n_tables, n_names);
}

/* What the transport relies on: a service takes messages whole or in pieces. */
Test(service, methods_are_complete)
{
	for (const struct method *const *table = service_tables(); *table; table++) {
		for (const struct method *m = *table; m->path; m++) {
			if (m->collect_max)
				cr_assert(m->message, "%s", m->path);
			else
				cr_assert(m->message_begin && m->message_data && m->message_end,
					"%s", m->path);
		}
	}
}

Test(service, one_path_twice)
{
	static const struct method a[] = {{.path = "/a.B/C"}, {0}};
	static const struct method *const tables[] = {a, a, NULL};
	struct service_index *x = NULL;

	cr_assert_eq(service_index_new(&x, tables), -EEXIST);
	cr_assert_null(x);
}

Test(service, no_methods)
{
	static const struct method *const tables[] = {NULL};
	struct service_index *x = NULL;

	cr_assert_eq(service_index_new(&x, tables), 0);
	cr_assert_null(service_index_find(x, "/a.B/C", 6));
	service_index_free(x);
}
