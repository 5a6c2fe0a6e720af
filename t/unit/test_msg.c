/* SPDX-License-Identifier: ISC */
/* Every row of lib/msg.def: there and back, cut short, prolonged, and said by the wrong role. */
#include "lib/msg.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static unsigned char packet[MSG_PACKET_MAX];

struct sample {
	unsigned type;
	const char *name;
	unsigned senders, receivers;
	void (*fill)(union msg_any *msg);
	void (*same)(const union msg_any *a, const union msg_any *b);
};

/* Fill functions: every field a value of its own. */
static uint64_t next_value;
#define U8(f)    m->f = (uint8_t)++next_value;
#define U16(f)   m->f = (uint16_t)(0x1100 + ++next_value);
#define U32(f)   m->f = (uint32_t)(0x11220000 + ++next_value);
#define U64(f)   m->f = 0x1122334455660000ull + ++next_value;
#define STR(f)   m->f = msg_str("text " #f);
#define BYTES(f) m->f = msg_bytes("bytes\0" #f, sizeof("bytes\0" #f));
#define FD(f)    m->f = 0;
#define MSG(number, name, kind, senders, receivers, max, fields) \
	static void fill_##name(union msg_any *any)              \
	{                                                        \
		struct msg_##name *m = &any->name;               \
		(void)m;                                         \
		fields                                           \
	}
#include "lib/msg.def"
#undef MSG
#undef U8
#undef U16
#undef U32
#undef U64
#undef STR
#undef BYTES
#undef FD

static void same_bytes(struct msg_bytes a, struct msg_bytes b)
{
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.data, b.data, a.len);
}

#define U8(f)    assert_int_equal(x->f, y->f);
#define U16(f)   assert_int_equal(x->f, y->f);
#define U32(f)   assert_int_equal(x->f, y->f);
#define U64(f)   assert_int_equal(x->f, y->f);
#define STR(f)   same_bytes(x->f, y->f);
#define BYTES(f) same_bytes(x->f, y->f);
#define FD(f)    assert_int_equal(x->f, y->f);
#define MSG(number, name, kind, senders, receivers, max, fields)                \
	static void same_##name(const union msg_any *a, const union msg_any *b) \
	{                                                                       \
		const struct msg_##name *x = &a->name, *y = &b->name;           \
		(void)x, (void)y;                                               \
		fields                                                          \
	}
#include "lib/msg.def"
#undef MSG
#undef FD

#define R(role) | ROLE_BIT(ROLE_##role)
#define MSG(number, name, kind, senders, receivers, max, fields) \
	{number, #name, 0 senders, 0 receivers, fill_##name, same_##name},
static const struct sample samples[] = {
#include "lib/msg.def"
};
#define SAMPLES (sizeof(samples) / sizeof(samples[0]))

/* encode - one filled sample into the packet; its length */
static int encode(const struct sample *s, union msg_any *msg, unsigned *nfds)
{
	int fds[MSG_FDS_MAX], n;

	memset(msg, 0, sizeof(*msg));
	s->fill(msg);
	n = msg_encode(s->type, msg, packet, sizeof(packet), fds, nfds);
	assert_true(n >= MSG_HEADER);
	return n;
}

static void test_round_trip(void **state)
{
	const int fds[MSG_FDS_MAX] = {0, 0};

	(void)state;
	for (size_t i = 0; i < SAMPLES; i++) {
		union msg_any sent, got;
		unsigned type, nfds, count;
		size_t body;
		int n = encode(&samples[i], &sent, &nfds);

		assert_int_equal(msg_peek(packet, (size_t)n, &type, &count, &body), 0);
		assert_int_equal(type, samples[i].type);
		assert_int_equal(count, nfds);
		assert_int_equal(body + MSG_HEADER, n);
		assert_int_equal(msg_decode(type, packet + MSG_HEADER, body, fds, nfds, &got), 0);
		samples[i].same(&sent, &got);
		assert_string_equal(msg_name(type), samples[i].name);
	}
}

static void test_every_wrong_length(void **state)
{
	const int fds[MSG_FDS_MAX + 1] = {0, 0, 0};

	(void)state;
	for (size_t i = 0; i < SAMPLES; i++) {
		union msg_any msg;
		unsigned nfds;
		size_t body = (size_t)encode(&samples[i], &msg, &nfds) - MSG_HEADER;

		for (size_t len = 0; len < body; len++)
			assert_int_equal(
			    msg_decode(samples[i].type, packet + MSG_HEADER, len, fds, nfds, &msg),
			    -EBADMSG);
		packet[MSG_HEADER + body] = 0;
		assert_int_equal(
		    msg_decode(samples[i].type, packet + MSG_HEADER, body + 1, fds, nfds, &msg),
		    -EBADMSG);
		assert_int_equal(
		    msg_decode(samples[i].type, packet + MSG_HEADER, body, fds, nfds + 1, &msg),
		    -EBADMSG);
	}
}

static void test_permissions(void **state)
{
	(void)state;
	for (size_t i = 0; i < SAMPLES; i++)
		for (unsigned from = 0; from < ROLE_COUNT; from++)
			for (unsigned to = 0; to < ROLE_COUNT; to++)
				assert_int_equal(msg_allowed(samples[i].type, from, to),
				    (samples[i].senders >> from & 1) &&
					(samples[i].receivers >> to & 1));
	assert_false(msg_allowed(0, ROLE_MASTER, ROLE_SMTPD));
	assert_false(msg_allowed(MSG_TYPES, ROLE_MASTER, ROLE_SMTPD));
	assert_false(msg_allowed(65535, ROLE_MASTER, ROLE_SMTPD));
}

static void test_text_with_nul(void **state)
{
	struct msg_keeper_recipient msg = {.request = 1, .local = msg_bytes("a\0b", 3)};
	int fds[MSG_FDS_MAX];
	unsigned nfds;

	(void)state;
	assert_int_equal(
	    msg_encode(MSG_keeper_recipient, &msg, packet, sizeof(packet), fds, &nfds), -EINVAL);
	msg.local = msg_str("a.b");
	assert_int_equal(msg_encode(MSG_keeper_recipient, &msg, packet, sizeof(packet), fds, &nfds),
	    MSG_HEADER + 4 + 4 + 3 + 4);
	packet[MSG_HEADER + 9] = 0;
	assert_int_equal(
	    msg_decode(MSG_keeper_recipient, packet + MSG_HEADER, 15, fds, 0, &(union msg_any){0}),
	    -EBADMSG);
}

static void test_row_maximum(void **state)
{
	static char big[4096];
	struct msg_keeper_recipient msg = {.request = 1, .local = {big, 900}};
	int fds[MSG_FDS_MAX];
	unsigned nfds;

	(void)state;
	memset(big, 'a', sizeof(big));
	assert_int_equal(
	    msg_encode(MSG_keeper_recipient, &msg, packet, sizeof(packet), fds, &nfds), -EMSGSIZE);
}

static void test_headers_that_lie(void **state)
{
	unsigned type, nfds;
	size_t body;

	(void)state;
	memset(packet, 0, 16);
	packet[1] = MSG_smtpd_submit;
	packet[7] = 16;
	assert_int_equal(msg_peek(packet, 24, &type, &nfds, &body), 0);
	assert_int_equal(msg_peek(packet, 23, &type, &nfds, &body), -EBADMSG);
	assert_int_equal(msg_peek(packet, 7, &type, &nfds, &body), -EBADMSG);
	packet[3] = 1;
	assert_int_equal(msg_peek(packet, 24, &type, &nfds, &body), -EBADMSG);
}

static void test_untaken_descriptors_are_closed(void **state)
{
	union msg_any msg = {.config = {.sealed = open("/dev/null", O_RDONLY | O_CLOEXEC)}};
	int fd = msg.config.sealed;

	(void)state;
	assert_true(fd >= 0);
	msg_close_fds(MSG_config, &msg);
	assert_int_equal(msg.config.sealed, -1);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	msg_close_fds(MSG_config, &msg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_every_wrong_length),
	    cmocka_unit_test(test_permissions),
	    cmocka_unit_test(test_text_with_nul),
	    cmocka_unit_test(test_row_maximum),
	    cmocka_unit_test(test_headers_that_lie),
	    cmocka_unit_test(test_untaken_descriptors_are_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
