/* tables_test.c: every service that modeld offers, and the index of their methods. */
#include "services/tables.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#define EACH_SERVICE(x)	  (const struct service *const *x = service_list(); *x; x++)
#define EACH_METHOD(m, x) (const struct method *m = (x)->methods; m->path; m++)

Test(tables, every_method_is_found_by_its_path)
{
	struct service_index *x = NULL;

	cr_assert_eq(service_index_new(&x, service_list()), 0);
	for
		EACH_SERVICE(service)
		{
		for
			EACH_METHOD(m, *service)
			{
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

static const struct method *find_method(const struct service *x, const char *name)
{
	for
		EACH_METHOD(m, x)
		{
			if (!strcmp(strrchr(m->path, '/') + 1, name))
				return m;
		}
	return NULL;
}

/* What was published is served, under its name: "/NAME/" begins the path of each method. */
Test(tables, services_are_as_published)
{
	for
		EACH_SERVICE(service)
		{
			const struct service *x = *service;
			size_t n = strlen(x->name);
			unsigned n_methods = 0;

			cr_assert_str_eq(x->name, x->descriptor->name);
		for
			EACH_METHOD(m, x)
			{
				cr_assert_eq(m->path[0], '/');
				cr_assert_eq(strncmp(m->path + 1, x->name, n), 0, "%s", m->path);
				cr_assert_eq(m->path[n + 1], '/');
				n_methods++;
			}
		cr_assert_eq(n_methods, x->descriptor->n_methods, "%s", x->name);
		for (unsigned i = 0; i < x->descriptor->n_methods; i++)
			cr_assert(find_method(x, x->descriptor->methods[i].name), "%s",
				x->descriptor->methods[i].name);
		}
}

/* What the transport relies on: a service takes messages whole or in pieces. */
Test(tables, methods_are_complete)
{
	for
		EACH_SERVICE(service)
		{
		for
			EACH_METHOD(m, *service)
			{
				if (m->collect_max)
					cr_assert(m->message, "%s", m->path);
				else
					cr_assert(m->message_begin && m->message_data &&
							  m->message_end,
						"%s", m->path);
			}
		}
}
