/* socket_file_test.c: stale and live sockets, permissions, and whose file is removed. */
#include "base/socket_file.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/socket-file-XXXXXX";
static struct sockaddr_un at;
static const struct socket_file_options options = {.mode = 0640};
static const char *what;

static void set_up(void)
{
	cr_assert_not_null(mkdtemp(directory));
	at.sun_family = AF_UNIX;
	snprintf(at.sun_path, sizeof(at.sun_path), "%s/s", directory);
}

static void tear_down(void)
{
	unlink(at.sun_path);
	cr_assert_eq(rmdir(directory), 0);
}

TestSuite(socket_file, .init = set_up, .fini = tear_down);

static int new_socket(int type)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	cr_assert_geq(fd, 0);
	return fd;
}

static int bind_to(struct socket_file *f, int fd)
{
	return socket_file_bind(f, fd, &at, sizeof(at), &options, &what);
}

Test(socket_file, mode_and_removal)
{
	struct socket_file f = {0};
	struct stat st;
	int fd = new_socket(SOCK_STREAM);

	cr_assert_eq(bind_to(&f, fd), 0);
	cr_assert_eq(stat(at.sun_path, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0640);
	socket_file_remove(&f);
	cr_assert_eq(stat(at.sun_path, &st), -1);
	socket_file_remove(&f);
	close(fd);
}

static void check_stale(int type)
{
	struct socket_file old = {0};
	struct socket_file f = {0};
	int fd = new_socket(type);
	char kept[sizeof(at.sun_path) + 8];

	cr_assert_eq(bind_to(&old, fd), 0);
	cr_assert_eq(listen(fd, 1), 0);
	close(fd);
	close(old.lock_fd); /* as when its process ends */
	/* Its inode's number is not given to the next one as long as it has a name. */
	snprintf(kept, sizeof(kept), "%s.kept", at.sun_path);
	cr_assert_eq(link(at.sun_path, kept), 0);
	fd = new_socket(type);
	cr_assert_eq(bind_to(&f, fd), 0);
	/* The old one's owner does not remove the new file. */
	socket_file_remove(&old);
	cr_assert_eq(access(at.sun_path, F_OK), 0);
	socket_file_remove(&f);
	unlink(kept);
	close(fd);
}

Test(socket_file, stale_is_replaced)
{
	check_stale(SOCK_STREAM);
	check_stale(SOCK_SEQPACKET);
}

Test(socket_file, live_is_left_alone)
{
	char text[80];
	struct socket_file live = {0};
	struct socket_file f = {0};
	int fd = new_socket(SOCK_STREAM);
	int other = new_socket(SOCK_STREAM);

	cr_assert_eq(bind_to(&live, fd), 0);
	cr_assert_eq(listen(fd, 1), 0);
	cr_assert_eq(bind_to(&f, other), -EADDRINUSE);
	snprintf(text, sizeof(text), "bind: process %d serves there", getpid());
	cr_assert_str_eq(what, text);
	socket_file_remove(&f);
	cr_assert_eq(access(at.sun_path, F_OK), 0);
	socket_file_remove(&live);
	close(fd);
	close(other);
}

/* Between bind() and listen() a socket looks dead. */
Test(socket_file, who_does_not_listen_yet_keeps_the_name)
{
	struct socket_file first = {0};
	struct socket_file second = {0};
	int fd = new_socket(SOCK_STREAM);
	int other = new_socket(SOCK_STREAM);

	cr_assert_eq(bind_to(&first, fd), 0);
	cr_assert_eq(bind_to(&second, other), -EADDRINUSE);
	socket_file_remove(&second);
	cr_assert_eq(access(at.sun_path, F_OK), 0);
	socket_file_remove(&first);
	cr_assert_eq(bind_to(&second, other), 0);
	socket_file_remove(&second);
	close(fd);
	close(other);
}

/* One that knows of no locks. */
Test(socket_file, who_answers_without_a_lock_keeps_the_name)
{
	struct socket_file f = {0};
	int fd = new_socket(SOCK_STREAM);
	int other = new_socket(SOCK_STREAM);

	cr_assert_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	cr_assert_eq(listen(fd, 1), 0);
	cr_assert_eq(bind_to(&f, other), -EADDRINUSE);
	cr_assert_str_eq(what, "bind");
	socket_file_remove(&f);
	cr_assert_eq(access(at.sun_path, F_OK), 0);
	close(fd);
	close(other);
}

Test(socket_file, another_type_of_socket_is_left_alone)
{
	struct socket_file live = {0};
	struct socket_file f = {0};
	int fd = new_socket(SOCK_STREAM);
	int other = new_socket(SOCK_SEQPACKET);

	cr_assert_eq(bind_to(&live, fd), 0);
	cr_assert_eq(listen(fd, 1), 0);
	cr_assert_eq(bind_to(&f, other), -EADDRINUSE);
	socket_file_remove(&live);
	close(fd);
	close(other);
}

Test(socket_file, a_plain_file_is_left_alone)
{
	struct socket_file f = {0};
	int fd = new_socket(SOCK_STREAM);
	FILE *plain = fopen(at.sun_path, "w");

	cr_assert_not_null(plain);
	fclose(plain);
	cr_assert_eq(bind_to(&f, fd), -EADDRINUSE);
	socket_file_remove(&f);
	cr_assert_eq(access(at.sun_path, F_OK), 0);
	close(fd);
}

Test(socket_file, a_name_is_held_by_who_has_made_its_socket)
{
	const struct sockaddr_un abstract = {.sun_family = AF_UNIX, .sun_path = "\0name"};
	struct socket_file f = {0};
	int fd = new_socket(SOCK_STREAM);
	int other = new_socket(SOCK_STREAM);

	/* A service manager, which knows of no locks. */
	cr_assert_eq(bind(other, (struct sockaddr *)&at, sizeof(at)), 0);
	cr_expect_not(socket_file_is_held(&at));
	unlink(at.sun_path);
	cr_assert_eq(bind_to(&f, fd), 0);
	cr_expect(socket_file_is_held(&at));
	socket_file_let_go(&f);
	cr_expect_not(socket_file_is_held(&at));
	cr_expect(socket_file_is_held(&abstract));
	close(fd);
	close(other);
}

Test(socket_file, unknown_group)
{
	const struct socket_file_options unknown = {.mode = 0600, .group = "no-such-group"};
	struct socket_file f = {0};
	int fd = new_socket(SOCK_STREAM);

	cr_assert_eq(socket_file_bind(&f, fd, &at, sizeof(at), &unknown, &what), -ENOENT);
	cr_assert_str_eq(what, "unix_group");
	/* It was made, and is removed. */
	socket_file_remove(&f);
	cr_assert_eq(access(at.sun_path, F_OK), -1);
	close(fd);
}

Test(socket_file, abstract_names_have_no_file)
{
	struct sockaddr_un abstract = {.sun_family = AF_UNIX};
	struct socket_file f = {0};
	int fd = new_socket(SOCK_STREAM);
	int n = snprintf(
		abstract.sun_path + 1, sizeof(abstract.sun_path) - 1, "socket-file-%d", getpid());

	cr_assert_eq(socket_file_bind(&f, fd, &abstract,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n),
			     &options, &what),
		0);
	cr_assert_eq(f.inode, 0);
	socket_file_remove(&f);
	close(fd);
}
