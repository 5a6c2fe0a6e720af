/* SPDX-License-Identifier: ISC */
/* What a tool may say to qmgr, and what qmgr reads back from its index: filters, rows, keys. */
#include <stdint.h>
#include <stdlib.h>

#include "lib/explain.h"
#include "lib/query.h"
#include "qmgr/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* filters - one that is accepted survives being encoded again */
static void filters(struct msg_bytes in)
{
	static uint64_t ids[QUERY_IDS_MAX];
	static unsigned char out[QUERY_FILTER_MAX];
	struct query_filter f;
	if (query_filter_get(in, &f, ids) == 0 && query_filter_put(&f, out, sizeof(out)) > 0)
		(void)query_match(f.sender, in.data, in.len);
}

/* rows - of messages, sites and pauses */
static void rows(struct msg_bytes in)
{
	struct query_row row;
	struct query_rcpt rcpt;
	struct query_site site;
	struct query_pause_row pause;
	struct query_totals totals;
	size_t pos = 0, at = 0;
	while (query_next_row(in, &pos, &row) == 1) {
		size_t rpos = 0;
		while (query_next_rcpt(row.rcpts, &rpos, &rcpt) == 1)
			(void)(query_state_name(rcpt.state) && query_wait_name(rcpt.wait));
	}
	while (query_next_site(in, &at, &site) == 1)
		(void)query_site_state_name(site.state);
	at = 0;
	while (query_next_pause(in, &at, &pause) == 1)
		(void)query_pause_name(pause.kind);
	(void)query_totals_get(in, &totals);
	struct explain_row fact;
	at = 0;
	while (explain_next(in, &at, &fact) == 1)
		(void)explain_name(fact.fact);
}

/* keys - of the index; a row that is read can be written */
static void keys(struct msg_bytes in)
{
	unsigned char buf[KEYS_ROW_MAX], row[KEYS_ROW_MAX], key[KEYS_DUE_MAX];
	struct row_msg msg;
	struct row_rcpt rcpt;
	struct row_seg seg;
	struct row_site site;
	struct msg_bytes dest;
	struct due_key at;
	uint64_t id;
	uint32_t number;
	if (keys_get_due(in.data, in.len, &dest, &at) == 0 &&
	    keys_due(key, dest.data, dest.len, &at) != in.len)
		abort();
	(void)keys_get_rcpt(in.data, in.len, &id, &number);
	if (in.len < 8 || in.len > sizeof(row))
		return;
	memcpy(row, in.data, in.len);
	keys_seal_row(row, in.len); /* else nothing would get past the sum */
	in.data = (const char *)row;
	if (keys_get_msg_row(in.data, in.len, &msg) == 0)
		(void)keys_put_msg_row(&msg, buf);
	if (keys_get_rcpt_row(in.data, in.len, &rcpt) == 0)
		(void)keys_put_rcpt_row(&rcpt, buf);
	if (keys_get_seg_row(in.data, in.len, &seg) == 0 && keys_put_seg_row(&seg, buf) < 0)
		abort();
	if (keys_get_site_row(in.data, in.len, &site) == 0 && keys_put_site_row(&site, buf) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct msg_bytes in = {.data = (const char *)data + 1, .len = (uint32_t)size - 1};
	if (!size)
		return 0;
	switch (data[0] % 3) {
	case 0:
		filters(in);
		break;
	case 1:
		rows(in);
		break;
	default:
		keys(in);
	}
	return 0;
}
