/* SPDX-License-Identifier: ISC */
/* Blocks that match the message as far as that goes are kept in a list; each recipient picks one.
 */
#include "lib/classes.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/addr.h"
#include "lib/str.h"

#define ADDRESS_SIZE 320 /* a path has at most 256 octets */

/* A message as the blocks see it. */
struct mail {
	const struct envelope *env;
	const void *data;
	size_t len;
	char sender[ADDRESS_SIZE], user[80], listener[80];
	char uid[12]; /* of this host; "": none */
	struct sockaddr_storage client;
};

/* text - counted bytes as a string, cut */
static void text(char *out, size_t size, struct msg_bytes from)
{
	size_t n = from.len < size ? from.len : size - 1;
	if (n)
		memcpy(out, from.data, n);
	out[n] = '\0';
}

/* set_client - its address, as far as it has one; a local one is AF_UNIX */
static void set_client(struct mail *mail)
{
	char address[INET6_ADDRSTRLEN];
	struct sockaddr_in *in = (struct sockaddr_in *)&mail->client;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&mail->client;
	text(address, sizeof(address), mail->env->client);
	mail->client.ss_family = AF_UNIX;
	if (inet_pton(AF_INET, address, &in->sin_addr) == 1)
		mail->client.ss_family = AF_INET;
	else if (inet_pton(AF_INET6, address, &in6->sin6_addr) == 1)
		mail->client.ss_family = AF_INET6;
}

/* trim - without spaces around */
static struct msg_bytes trim(const char *data, size_t n)
{
	while (n && (*data == ' ' || *data == '\t'))
		data++, n--;
	while (n && (data[n - 1] == ' ' || data[n - 1] == '\t'))
		n--;
	return (struct msg_bytes){.data = data, .len = (uint32_t)n};
}

/* field_is - does a field match "Name" or "Name: value"? */
static bool field_is(struct msg_bytes field, const char *pattern)
{
	const char *colon = memchr(field.data, ':', field.len);
	size_t name_len = strcspn(pattern, ":");
	if (!colon)
		return false;
	struct msg_bytes name = trim(field.data, (size_t)(colon - field.data));
	if (!str_eq_ci(name.data, name.len, pattern, name_len))
		return false;
	if (!pattern[name_len])
		return true;
	struct msg_bytes value = trim(colon + 1, field.len - (size_t)(colon + 1 - field.data));
	struct msg_bytes want = trim(pattern + name_len + 1, strlen(pattern + name_len + 1));
	return str_eq_ci(value.data, value.len, want.data, want.len);
}

/* has_field - one of the noted fields */
static bool has_field(const struct mail *mail, const char *pattern)
{
	struct msg_bytes field;
	size_t pos = 0;
	while (mail->env->nheaders && envelope_next_header(mail->data, mail->len, &pos, &field)) {
		if (field_is(field, pattern))
			return true;
	}
	return false;
}

/* any_field - of a list */
static bool any_field(const struct mail *mail, const struct conf_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		if (has_field(mail, list->v[i]))
			return true;
	}
	return list->n == 0;
}

/* any_sender - of a list */
static bool any_sender(const struct mail *mail, const struct conf_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		if (conf_sender_matches(list->v[i], mail->sender))
			return true;
	}
	return list->n == 0;
}

/* any_name - of a list */
static bool any_name(const char *name, const struct conf_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		if (strcasecmp(list->v[i], name) == 0)
			return true;
	}
	return list->n == 0;
}

/* any_user - by name, or by number where it is one of this host */
static bool any_user(const struct mail *mail, const struct conf_list *list)
{
	return any_name(mail->user, list) || (mail->uid[0] && any_name(mail->uid, list));
}

/* kinds - of things that a block names */
static unsigned kinds(const struct conf_class *block)
{
	return !!block->sender.n + !!block->header.n + !!block->recipient.n + !!block->client.n +
	       !!block->listener.n + !!block->user.n;
}

/* fits - whether a block is for this message, recipients aside */
static bool fits(const struct mail *mail, const struct conf_class *block)
{
	return kinds(block) && any_sender(mail, &block->sender) &&
	       any_name(mail->listener, &block->listener) && any_user(mail, &block->user) &&
	       (!block->client.n ||
		   conf_in_nets(&block->client, (const struct sockaddr *)&mail->client)) &&
	       any_field(mail, &block->header);
}

/* classes_built_in_weight - of a name; 0: of none */
uint32_t classes_built_in_weight(const char *name)
{
	static const struct {
		const char *name;
		uint32_t weight;
	} built_in[] = {{CLASS_URGENT, 1000}, {CLASS_NORMAL, CLASS_WEIGHT}, {CLASS_BULK, 1}};
	for (size_t i = 0; i < sizeof(built_in) / sizeof(built_in[0]); i++) {
		if (!strcmp(built_in[i].name, name))
			return built_in[i].weight;
	}
	return 0;
}

/* weight_of - its share, said or built in */
static uint32_t weight_of(const struct conf_class *block)
{
	uint32_t weight = block->weight ? block->weight : classes_built_in_weight(block->title);
	return weight ? weight : CLASS_WEIGHT;
}

/* classes_match - the blocks that are for it */
void classes_match(struct classes *now, const struct conf *conf, const struct envelope *env,
    const void *data, size_t len)
{
	static const char *const bulk[] = {
	    "Precedence: bulk", "Precedence: list", "Precedence: junk"};
	struct mail mail = {.env = env, .data = data, .len = len};
	now->n = 0;
	now->bulk = false;
	for (size_t i = 0; env->nheaders && i < sizeof(bulk) / sizeof(bulk[0]); i++)
		now->bulk |= has_field(&mail, bulk[i]);
	if (!conf->nclass)
		return;
	text(mail.sender, sizeof(mail.sender), env->sender);
	text(mail.listener, sizeof(mail.listener), env->listener);
	text(mail.user, sizeof(mail.user), env->user);
	if (env->uid != UINT32_MAX)
		snprintf(mail.uid, sizeof(mail.uid), "%u", env->uid);
	set_client(&mail);
	for (size_t i = 0; i < conf->nclass && now->n < CLASSES_MAX; i++) {
		if (fits(&mail, &conf->class[i]))
			now->fits[now->n++] = &conf->class[i];
	}
}

/* better - which of two blocks counts */
static bool better(const struct conf_class *a, const struct conf_class *b)
{
	uint32_t x = weight_of(a), y = weight_of(b);
	if (kinds(a) != kinds(b))
		return kinds(a) > kinds(b);
	return x != y ? x > y : strcmp(a->title, b->title) < 0;
}

/* classes_pick - the best of the blocks, or what the message says itself */
const char *classes_pick(const struct classes *now, const char *address)
{
	const struct conf_class *best = NULL;
	char local[ADDRESS_SIZE] = "", domain[ADDRESS_SIZE] = "";
	for (size_t i = 0; i < now->n; i++) {
		const struct conf_class *block = now->fits[i];
		bool to = !block->recipient.n;
		if (!to && !local[0])
			addr_split(address, local, domain, sizeof(local));
		for (size_t k = 0; !to && k < block->recipient.n; k++)
			to = conf_rcpt_matches(block->recipient.v[k], local, domain);
		if (to && (!best || better(block, best)))
			best = block;
	}
	if (best)
		return best->title;
	return now->bulk ? CLASS_BULK : CLASS_NORMAL;
}
