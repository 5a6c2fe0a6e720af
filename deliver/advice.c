/* SPDX-License-Identifier: ISC */
/* From the end of the way to its beginning; texts of peers aren't read but where codes say nothing.
 */
#include "deliver/advice.h"

#include <stdio.h>
#include <string.h>

/* says - whether the text contains it */
static bool says(const struct words *words, const char *phrase)
{
	return memmem(words->text, words->len, phrase, strlen(phrase)) != NULL;
}

/* of_connection - nothing there, or nothing that talks */
static const char *of_connection(const struct advice *a, const struct words *words)
{
	if (!a->any && a->by_mx)
		return "Many networks let nobody connect to port 25 outside: if other MX hosts "
		       "don't "
		       "answer either, ask the provider, or relay through one on 587.";
	if (!a->any && says(words, "timed out"))
		return "A firewall on the way may swallow the port, as many do with 25: try 587, "
		       "465 or "
		       "2525.";
	if (!a->any)
		return "Is that the port? Relays listen on 587, 465, 2525 or 25.";
	if (!a->implicit_tls && !a->secured)
		return "If the port wants TLS from the first byte, write tls://[host]:port.";
	return "";
}

/* of_tls - the handshake, or what came before it */
static const char *of_tls(const struct advice *a, const struct words *words, char *out, size_t size)
{
	if (says(words, "certificate") || says(words, "hostname")) {
		snprintf(out, size,
		    "tls = \"verify\" wants a certificate for %s that a CA in deliver.ca vouches "
		    "for. Put the name that the certificate has into `to`, its CA into deliver.ca, "
		    "or say tls = \"required\" to take any.",
		    a->host);
		return out;
	}
	if (says(words, "doesn't offer"))
		return "Another port may offer it: 587, or 465 with tls://. Without TLS only "
		       "tls = \"none\" goes, and then the secret is in the clear too.";
	if (a->implicit_tls && a->last == STEP_CONNECTED)
		return "If the port speaks SMTP first and offers STARTTLS, write [host]:port "
		       "without "
		       "tls://, and not port 465.";
	return "The two sides find no TLS in common: TLS 1.2 is the least that is spoken.";
}

/* of_login - AUTH */
static const char *of_login(
    const struct advice *a, const struct words *words, char *out, size_t size)
{
	if (says(words, "there is no login"))
		snprintf(out, size, "Put a line \"%s USER SECRET\" into %s, mode 0600, and reload.",
		    a->credential, a->credentials);
	else if (says(words, "the host offers none"))
		snprintf(out, size,
		    "%s, or the host wants no login: then take `auth` out of the route.",
		    a->secured ? "Another port may offer one: 587 or 465"
			       : "It may offer one under TLS: tls = \"required\" or another port");
	else if (says(words, "offers logins with"))
		snprintf(
		    out, size, "OAuth isn't spoken here: ask for an app password or an API key.");
	else if (words->code / 100 == 5)
		snprintf(out, size,
		    "Check user and secret of the line \"%s\" in %s. Many relays want an app "
		    "password or an API key there, not the account's own password.",
		    a->credential, a->credentials);
	else
		snprintf(out, size, "It may pass: too many logins, or trouble of theirs.");
	return out;
}

/* of_envelope - MAIL and RCPT */
static const char *of_envelope(const struct advice *a, const struct words *words, bool mail)
{
	if (words->code == 530)
		return says(words, "TLS") ? "It wants TLS: tls = \"required\"."
					  : "It wants a login: auth = \"NAME\" in the route.";
	if (a->by_mx)
		return mail
			   ? "It takes no mail from that sender, or from this address: are SPF and "
			     "the address's name in DNS (PTR) right? Try another one with --from."
			   : "Does the recipient exist? If so, its words say what it has against "
			     "us.";
	if (mail)
		return "It takes no mail from that sender: is its domain registered with the "
		       "relay? "
		       "Try another one with --from.";
	return a->login ? "Try another recipient with --to; a real one, if this one doesn't exist."
			: "It relays for us only after a login, or from addresses that it knows.";
}

const char *advice_give(const struct advice *a, enum open_verdict why, const struct words *words,
    char *out, size_t size)
{
	out[0] = '\0';
	if (why == OPEN_LOCAL_LIMIT)
		return "That was our own limit, not the host's fault.";
	if (why == OPEN_TLS)
		return of_tls(a, words, out, size);
	if (a->any && a->last == STEP_MAIL)
		return of_envelope(a, words, false);
	if (a->any && (a->last == STEP_AUTH || (a->last == STEP_EHLO && !a->login)))
		return of_envelope(a, words, true);
	if (a->any && a->last == STEP_EHLO)
		return of_login(a, words, out, size);
	if (words->code)
		return "It refuses this host as such: is our address one that it lets in?";
	return of_connection(a, words);
}
