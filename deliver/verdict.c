/* SPDX-License-Identifier: ISC */
/*
 * Codes first, enhanced status second, text only where peers leave nothing else.
 */
#include "deliver/verdict.h"

#include <string.h>

/* status_is - the enhanced status without its class ("5.3" of "4.5.3") */
static bool status_is(const struct words *words, const char *detail)
{
	return words->status[0] && words->status[1] == '.' && !strcmp(words->status + 2, detail);
}

/* says - whether the text contains a phrase, in any case */
static bool says(const struct words *words, const char *phrase)
{
	size_t n = strlen(phrase);
	for (size_t i = 0; i + n <= words->len; i++)
		if (!strncasecmp(words->text + i, phrase, n))
			return true;
	return false;
}

unsigned verdict_class(const struct words *words)
{
	return words->code >= 200 && words->code < 600 ? words->code / 100u : 0;
}

bool verdict_closing(const struct words *words)
{
	return words->code == 421;
}

enum outcome verdict_rcpt(const struct words *words, unsigned accepted)
{
	/*
	 * 452 and 552 without a status of their own mean too many recipients (RFC 5321 §4.5.3.1.10
	 * wants 552 read as 452), some say it with another code and 5.3.
	 */
	bool bare = status_is(words, "0.0") || status_is(words, "5.3");
	bool many = status_is(words, "5.3") ||
		    ((words->code == 452 || words->code == 552) && bare) ||
		    says(words, "multiple destination domains");
	if (many && accepted)
		return OUT_TOO_MANY;
	if (words->code == 552 && bare)
		return OUT_DEFERRED;
	return verdict_class(words) == 5 ? OUT_FAILED : OUT_DEFERRED;
}

enum outcome verdict_message(const struct words *words)
{
	switch (verdict_class(words)) {
	case 2:
		return OUT_SENT;
	case 5:
		return OUT_FAILED;
	default:
		return OUT_DEFERRED;
	}
}

bool verdict_no_ipv6(const struct words *words)
{
	static const char *const phrases[] = {
	    "IPv6", "PTR", "reverse DNS", "rDNS", "reverse lookup"};
	/* 7.25: no PTR (RFC 7372 §3.4); 7.1 and bare codes say it in words. */
	bool policy = status_is(words, "7.1") || status_is(words, "7.0") || status_is(words, "0.0");
	if (verdict_class(words) < 4)
		return false;
	for (size_t i = 0; policy && i < sizeof(phrases) / sizeof(phrases[0]); i++)
		if (says(words, phrases[i]))
			return true;
	return status_is(words, "7.25") || (status_is(words, "7.26") && says(words, "IPv6"));
}

bool verdict_refuses_us(const struct words *words)
{
	return words->code == 530;
}

enum open_verdict verdict_open(const struct words *words)
{
	return verdict_class(words) == 5 ? OPEN_REFUSED : OPEN_THROTTLED;
}
