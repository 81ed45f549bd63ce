/* socket.c: the record and the answers of an Express on the wire. */
#include "workers/python/native/native.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/seqpacket.h"

#define FDS_MAX 4u

bool express_advance(struct express *e, size_t used)
{
	if (e->n_left < used)
		return false;
	e->at += used;
	e->n_left -= used;
	return true;
}

static int send_failed(const struct express *e, int r)
{
	if (r == -EPIPE || r == -ECONNRESET) {
		PyErr_SetNone(e->closed);
	} else {
		errno = -r;
		PyErr_SetFromErrno(PyExc_OSError);
	}
	return -1;
}

/* The daemon has much to read: others may run meanwhile, who may add answers. */
static int send_later(struct express *e)
{
	size_t n = e->n_out;
	uint8_t *data = malloc(n);
	int r;

	if (!data) {
		PyErr_NoMemory();
		return -1;
	}
	memcpy(data, e->out, n);
	e->n_out = 0;
	Py_BEGIN_ALLOW_THREADS r = seqpacket_send(e->fd, data, n, NULL, 0, 0);
	Py_END_ALLOW_THREADS free(data);
	return r < 0 ? send_failed(e, r) : 0;
}

int express_flush(struct express *e)
{
	int r;

	if (e->n_out == 0)
		return 0;
	r = seqpacket_send(e->fd, e->out, e->n_out, NULL, 0, 1);
	if (r == -EAGAIN)
		return send_later(e);
	if (r < 0)
		return send_failed(e, r);
	e->n_out = 0;
	return 0;
}

int express_flush_all(struct express *e)
{
	_own_ done = NULL;

	if (e->n_out == 0 || !e->flush)
		return express_flush(e);
	done = PyObject_CallFunctionObjArgs(e->flush, NULL);
	return done ? 0 : -1;
}

/* ([bytes of the record], [descriptors]), the caller's. */
static PyObject *with_descriptors(const struct express *e, size_t n, const int *fds, size_t n_fds)
{
	PyObject *list = PyList_New(0);

	for (size_t i = 0; list && i < n_fds; i++) {
		_own_ fd = PyLong_FromLong(fds[i]);

		if (!fd || PyList_Append(list, fd) < 0)
			Py_CLEAR(list);
	}
	return list ? Py_BuildValue("(y#N)", e->in, (Py_ssize_t)n, list) : NULL;
}

/* -EAGAIN: none came as long as it is worth while not to sleep. */
static int spin_for_record(struct express *e, size_t *ret_n, int fds[FDS_MAX], size_t *ret_n_fds)
{
	int r = -EAGAIN;

	while (r == -EAGAIN && busy_poll_spins(&e->busy, clock_ns())) {
		r = seqpacket_recv(e->fd, e->in, sizeof(e->in), ret_n, fds, FDS_MAX, ret_n_fds, 1);
		if (r == -EAGAIN)
			busy_poll_give_way(&e->busy);
	}
	return r;
}

static int sleep_for_record(struct express *e, size_t *ret_n, int fds[FDS_MAX], size_t *ret_n_fds)
{
	return seqpacket_recv_until_signal(
		e->fd, e->in, sizeof(e->in), ret_n, fds, FDS_MAX, ret_n_fds);
}

/* -EAGAIN: none came so far; -EINTR: a signal did. */
static int wait_for_record(
	struct express *e, bool spin, size_t *ret_n, int fds[FDS_MAX], size_t *ret_n_fds)
{
	int r;

	Py_BEGIN_ALLOW_THREADS r = spin ? spin_for_record(e, ret_n, fds, ret_n_fds)
					: sleep_for_record(e, ret_n, fds, ret_n_fds);
	if (r == 0 && e->busy.limit_ns > 0)
		busy_poll_work(&e->busy, clock_ns());
	Py_END_ALLOW_THREADS return r;
}

PyObject *express_receive(struct express *e)
{
	bool spin = e->busy.limit_ns > 0;
	int fds[FDS_MAX], r;
	size_t n = 0, n_fds = 0;

	while ((r = wait_for_record(e, spin, &n, fds, &n_fds)) == -EINTR ||
		(spin && r == -EAGAIN)) {
		spin = false;
		/* Handlers of models run here, also of signals that came while it spun. */
		if (PyErr_CheckSignals() < 0)
			return NULL;
	}
	if (r == -EMSGSIZE || r == -EPROTO) {
		for (size_t i = 0; i < n_fds; i++)
			close_fd(&fds[i]);
		PyErr_SetString(e->malformed, "a record is longer than it may be");
		return NULL;
	}
	if (r < 0) {
		send_failed(e, r);
		return NULL;
	}
	if (n_fds > 0)
		return with_descriptors(e, n, fds, n_fds);
	e->at = e->in;
	e->n_left = n;
	Py_RETURN_NONE;
}
