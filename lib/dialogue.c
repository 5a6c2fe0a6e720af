/* SPDX-License-Identifier: ISC */
#include "lib/dialogue.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/clock.h"
#include "lib/log.h"

/* A rule of this process. */
struct kept {
	uint8_t kind;
	int64_t until_ms;
	char name[DIALOGUE_NAME_MAX + 1];
};

bool dialogue_any;
static struct kept rules[DIALOGUES_MAX];
static unsigned nrules;

/* dialogue_kind_name - for lines and lists */
const char *dialogue_kind_name(unsigned kind)
{
	return kind == DIALOGUE_SITE ? "site" : kind == DIALOGUE_CLIENT ? "client" : "all";
}

/* dialogue_put - one rule */
void dialogue_put(struct wire_out *out, const struct dialogue_rule *rule)
{
	wire_put_u8(out, rule->kind);
	wire_put_u64(out, (uint64_t)rule->until_ms);
	wire_put_bytes(out, rule->name.data, rule->name.len);
}

/* dialogue_next - one rule */
int dialogue_next(struct msg_bytes list, size_t *pos, struct dialogue_rule *rule)
{
	struct wire_in in;
	size_t len;
	if (*pos == list.len)
		return 0;
	if (*pos > list.len)
		return -EBADMSG;
	wire_in_init(&in, list.data + *pos, list.len - *pos);
	rule->kind = wire_get_u8(&in);
	rule->until_ms = (int64_t)wire_get_u64(&in);
	const char *name = wire_get_bytes(&in, &len);
	if (in.err || len > DIALOGUE_NAME_MAX)
		return -EBADMSG;
	rule->name = msg_bytes(name, len);
	*pos = list.len - wire_left(&in);
	return 1;
}

/* dialogue_set - all anew */
void dialogue_set(struct msg_bytes list)
{
	struct dialogue_rule rule;
	size_t pos = 0;
	nrules = 0;
	while (nrules < DIALOGUES_MAX && dialogue_next(list, &pos, &rule) == 1) {
		struct kept *k = &rules[nrules++];
		k->kind = rule.kind;
		k->until_ms = rule.until_ms;
		memcpy(k->name, rule.name.data, rule.name.len);
		k->name[rule.name.len] = '\0';
	}
	dialogue_any = nrules > 0;
}

/* dialogue_wanted - a rule matches whose time isn't over */
bool dialogue_wanted(const struct dialogue *with)
{
	int64_t now;
	if (!dialogue_any || !with->name)
		return false;
	now = clock_ms();
	for (unsigned i = 0; i < nrules; i++)
		if (rules[i].kind == with->kind && rules[i].until_ms > now &&
		    (strcasecmp(rules[i].name, with->name) == 0 ||
			(with->host && strcasecmp(rules[i].name, with->host) == 0)))
			return true;
	return false;
}

/* put - one line into the log */
static void put(const struct dialogue *with, bool ours, const char *text, size_t len)
{
	const struct log_kv kv[] = {with->kind == DIALOGUE_SITE ? LOG_STR("site", with->name)
								: LOG_STR("client", with->name),
	    LOG_STR("host", with->host), LOG_U64("session", with->session),
	    ours ? LOG_BYTES("we", text, len) : LOG_BYTES("they", text, len), {.type = LOG_KV_END}};
	log_event_kv(LOG_INFO, 0, "dialogue", kv);
}

/* dialogue_say - line by line */
void dialogue_say(const struct dialogue *with, bool ours, const char *text, size_t len)
{
	while (len) {
		const char *lf = memchr(text, '\n', len);
		size_t n = lf ? (size_t)(lf - text) : len, used = lf ? n + 1 : n;
		put(with, ours, text, n && text[n - 1] == '\r' ? n - 1 : n);
		text += used;
		len -= used;
	}
}

/* dialogue_say_from - what was put into a buffer last */
void dialogue_say_from(const struct dialogue *with, bool ours, struct evbuffer *out, size_t before)
{
	char text[DIALOGUE_OUTPUT_MAX];
	struct evbuffer_ptr at;
	if (evbuffer_ptr_set(out, &at, before, EVBUFFER_PTR_SET) != 0)
		return;
	ssize_t n = evbuffer_copyout_from(out, &at, text, sizeof(text));
	if (n > 0)
		dialogue_say(with, ours, text, (size_t)n);
}

/* dialogue_vnote - what isn't shown */
void dialogue_vnote(const struct dialogue *with, bool ours, const char *fmt, va_list ap)
{
	char text[256];
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	if (n > 0)
		put(with, ours, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

/* dialogue_note - likewise */
void dialogue_note(const struct dialogue *with, bool ours, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	dialogue_vnote(with, ours, fmt, ap);
	va_end(ap);
}
