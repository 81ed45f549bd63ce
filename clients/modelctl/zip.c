/* zip.c: the part of PKWARE's APPNOTE that .npz files use; zlib inflates. modelctl, one thread. */
#include "clients/modelctl/zip.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define LOCAL_SIZE     30u
#define CENTRAL_SIZE   46u
#define END_SIZE       22u
#define LOCAL_MAGIC    0x04034B50u
#define CENTRAL_MAGIC  0x02014B50u
#define END_MAGIC      0x06054B50u
#define COMMENT_MAX    65535u
#define MEMBERS_MAX    65534u
#define INFLATES_MAX   1032u /* times: deflate packs no tighter */
#define FLAG_ENCRYPTED 1u
#define STORED	       0u
#define DEFLATED       8u
#define VERSION	       20u

static unsigned u16(const uint8_t *at)
{
	return at[0] | (unsigned)at[1] << 8;
}

static uint32_t u32(const uint8_t *at)
{
	return u16(at) | (uint32_t)u16(at + 2) << 16;
}

bool zip_is_one(const uint8_t *data, size_t n)
{
	return n >= 4 && (u32(data) == LOCAL_MAGIC || u32(data) == END_MAGIC);
}

/* --- Reading ------------------------------------------------------------------------------------ */

/* Where the record at the end begins, which a comment may follow; n where there is none. */
static size_t find_end(const uint8_t *data, size_t n)
{
	for (size_t back = END_SIZE; back <= n && back <= END_SIZE + COMMENT_MAX; back++) {
		if (u32(data + n - back) == END_MAGIC)
			return n - back;
	}
	return n;
}

int zip_open(struct zip_reader *z, const uint8_t *data, size_t n)
{
	size_t end = find_end(data, n);

	if (end == n || u16(data + end + 4) != 0 || u16(data + end + 8) != u16(data + end + 10) ||
		u16(data + end + 10) > MEMBERS_MAX || u32(data + end + 16) > end)
		return -EINVAL;
	*z = (struct zip_reader){
		.data = data, .n = end, .at = u32(data + end + 16), .left = u16(data + end + 10)};
	return 0;
}

/* Where the member's bytes are, behind a header of its own. */
static int find_packed(const struct zip_reader *z, size_t at, struct zip_member *m)
{
	size_t lead;

	if (at > z->n || z->n - at < LOCAL_SIZE || u32(z->data + at) != LOCAL_MAGIC)
		return -EINVAL;
	lead = LOCAL_SIZE + u16(z->data + at + 26) + u16(z->data + at + 28);
	if (z->n - at < lead || z->n - at - lead < m->n_packed)
		return -EINVAL;
	m->packed = z->data + at + lead;
	return 0;
}

int zip_next(struct zip_reader *z, struct zip_member *m)
{
	const uint8_t *at = z->data + z->at;
	size_t size;

	if (z->left == 0)
		return -ENOENT;
	if (z->n - z->at < CENTRAL_SIZE || u32(at) != CENTRAL_MAGIC)
		return -EINVAL;
	size = CENTRAL_SIZE + u16(at + 28) + u16(at + 30) + u16(at + 32);
	if (z->n - z->at < size || (u16(at + 8) & FLAG_ENCRYPTED) ||
		(u16(at + 10) != STORED && u16(at + 10) != DEFLATED))
		return -EINVAL;
	*m = (struct zip_member){
		.name = (const char *)at + CENTRAL_SIZE,
		.n_name = u16(at + 28),
		.deflated = u16(at + 10) == DEFLATED,
		.crc = u32(at + 16),
		.n_packed = u32(at + 20),
		.n = u32(at + 24),
	};
	z->at += size;
	z->left--;
	return find_packed(z, u32(at + 42), m);
}

static int inflate_member(const struct zip_member *m, uint8_t *out)
{
	z_stream s = {.next_in = (Bytef *)m->packed,
		.avail_in = (uInt)m->n_packed,
		.next_out = out,
		.avail_out = (uInt)m->n};
	int z;

	if (inflateInit2(&s, -MAX_WBITS) != Z_OK)
		return -ENOMEM;
	z = inflate(&s, Z_FINISH);
	(void)inflateEnd(&s);
	return z == Z_STREAM_END && s.avail_out == 0 && s.avail_in == 0 ? 0 : -EINVAL;
}

int zip_extract(const struct zip_member *m, uint8_t **ret_data)
{
	_cleanup_(freep) uint8_t *out = NULL;
	int r = 0;

	/* So small a member cannot become so much: nothing is allocated for what only claims to be large. */
	if (m->deflated ? m->n / INFLATES_MAX > m->n_packed : m->n != m->n_packed)
		return -EINVAL;
	out = malloc(m->n + 1);
	if (!out)
		return -ENOMEM;
	if (m->deflated)
		r = inflate_member(m, out);
	else
		memcpy(out, m->packed, m->n);
	if (!r && crc32_z(0, out, m->n) != m->crc)
		r = -EINVAL;
	if (!r)
		*ret_data = steal_ptr(out);
	return r;
}

/* --- Writing ------------------------------------------------------------------------------------ */

void zip_writer_init(struct zip_writer *w, FILE *out)
{
	*w = (struct zip_writer){.out = out};
	buf_init(&w->table, UINT32_MAX);
}

void zip_writer_deinit(struct zip_writer *w)
{
	buf_deinit(&w->table);
}

static void put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)value;
	at[1] = (uint8_t)(value >> 8);
}

static void put32(uint8_t *at, uint32_t value)
{
	put16(at, value & 0xFFFF);
	put16(at + 2, value >> 16);
}

/* What a member's two headers have alike: from the version on, 26 bytes. */
static void describe(uint8_t *at, uint32_t crc, uint32_t n, size_t n_name)
{
	put16(at, VERSION);
	put16(at + 8, 0x21); /* the first of January 1980 */
	put32(at + 10, crc);
	put32(at + 14, n);
	put32(at + 18, n);
	put16(at + 22, (unsigned)n_name);
}

static int put_out(struct zip_writer *w, const void *data, size_t n)
{
	return n == 0 || fwrite(data, 1, n, w->out) == n ? 0 : -errno;
}

static int add_to_table(struct zip_writer *w, const char *name, const uint8_t *described)
{
	uint8_t central[CENTRAL_SIZE] = {0};
	int r;

	put32(central, CENTRAL_MAGIC);
	put16(central + 4, VERSION);
	memcpy(central + 6, described, 24);
	put32(central + 42, w->at);
	r = buf_append(&w->table, central, sizeof(central));
	return r ? r : buf_append(&w->table, name, strlen(name));
}

int zip_add(struct zip_writer *w, const char *name, const struct zip_piece *pieces, size_t n_pieces)
{
	uint8_t local[LOCAL_SIZE] = {0};
	size_t n = 0, n_name = strlen(name);
	uLong crc = 0;
	int r;

	for (size_t i = 0; i < n_pieces; i++) {
		n += pieces[i].n;
		if (pieces[i].n > 0) /* of NULL it would begin anew */
			crc = crc32_z(crc, pieces[i].data, pieces[i].n);
	}
	if (w->n == MEMBERS_MAX || n_name > UINT16_MAX ||
		(uint64_t)w->at + LOCAL_SIZE + n_name + n >= UINT32_MAX)
		return -EFBIG;
	put32(local, LOCAL_MAGIC);
	describe(local + 4, (uint32_t)crc, (uint32_t)n, n_name);
	r = add_to_table(w, name, local + 4);
	if (!r)
		r = put_out(w, local, sizeof(local));
	if (!r)
		r = put_out(w, name, n_name);
	for (size_t i = 0; !r && i < n_pieces; i++)
		r = put_out(w, pieces[i].data, pieces[i].n);
	w->at += (uint32_t)(LOCAL_SIZE + n_name + n);
	w->n++;
	return r;
}

int zip_end(struct zip_writer *w)
{
	uint8_t end[END_SIZE] = {0};

	put32(end, END_MAGIC);
	put16(end + 8, w->n);
	put16(end + 10, w->n);
	put32(end + 12, (uint32_t)w->table.len);
	put32(end + 16, w->at);
	if (put_out(w, w->table.data, w->table.len) || put_out(w, end, sizeof(end)))
		return -EIO;
	return 0;
}
