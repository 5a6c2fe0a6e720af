/* SPDX-License-Identifier: ISC */
/*
 * An exchange is in one state; only enter() changes it. It stays in the table as long as its asker
 * may speak of it, and lives on outside of it while a thread or a timer still has it.
 */
#include "master/login.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/counters.h"
#include "lib/hash.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/str.h"
#include "master/checks.h"
#include "master/dovecot.h"
#include "master/failures.h"
#include "master/sasl.h"
#include "master/users.h"

enum state {
	LOGIN_NEW,    /* not judged yet */
	LOGIN_CHECK,  /* a thread has its password, or it is Dovecot's turn */
	LOGIN_CLIENT, /* the client is to answer a challenge */
	LOGIN_PROVEN, /* likewise, and whatever it says, it is who it says */
	LOGIN_WAIT,   /* wrong, which is said when its time is over */
	LOGIN_OVER,
	LOGIN_STATES
};

struct exchange {
	struct { /* no padding: a key */
		struct chan *chan;
		uint64_t request;
	} key;
	UT_hash_handle hh;
	struct exchange *prev, *next; /* of those that wait for their client, oldest first */
	bool listed;                  /* in the table */
	enum state state;
	unsigned asker;
	char client[64], user[USERS_NAME_MAX + 1];
	bool password;     /* not an exchange: one step */
	struct sasl *sasl; /* NULL: Dovecot's exchange */
	uint32_t dovecot;  /* its request, while it has it; 0 */
	struct failures_try tried;
	bool trying; /* failures_end() is owed */
	struct event *timer;
	int64_t until_ms;
};

static struct exchange *table, *waiting;
static unsigned nwaiting;
static struct event *sweep_timer;

#define BIT(state) (1u << (state))
static const unsigned allowed[LOGIN_STATES] = {
    [LOGIN_NEW] = BIT(LOGIN_CHECK) | BIT(LOGIN_CLIENT) | BIT(LOGIN_PROVEN) | BIT(LOGIN_WAIT) |
		  BIT(LOGIN_OVER),
    [LOGIN_CHECK] = BIT(LOGIN_CLIENT) | BIT(LOGIN_WAIT) | BIT(LOGIN_OVER),
    [LOGIN_CLIENT] = BIT(LOGIN_CHECK) | BIT(LOGIN_CLIENT) | BIT(LOGIN_PROVEN) | BIT(LOGIN_WAIT) |
		     BIT(LOGIN_OVER),
    [LOGIN_PROVEN] = BIT(LOGIN_OVER),
    [LOGIN_WAIT] = BIT(LOGIN_OVER),
};

/* is_clients - whether it is the client's turn in that state */
static bool is_clients(enum state state)
{
	return state == LOGIN_CLIENT || state == LOGIN_PROVEN;
}

/* sweep_later - only while somebody is waited for */
static void sweep_later(void)
{
	static const struct timeval after = {.tv_sec = 10};
	if (sweep_timer && !evtimer_pending(sweep_timer, NULL))
		evtimer_add(sweep_timer, &after);
}

/* unlist - its asker speaks of it no more */
static void unlist(struct exchange *x)
{
	if (x->listed)
		HASH_DEL(table, x);
	x->listed = false;
	x->key.chan = NULL;
}

/* enter - the one place where the state changes; an exchange that is over is freed */
static void enter(struct exchange *x, enum state next)
{
	if (!(allowed[x->state] & BIT(next)))
		log_bug("login of %s: state %d to %d", x->client, (int)x->state, (int)next);
	if (is_clients(x->state)) {
		DL_DELETE(waiting, x);
		nwaiting--;
	}
	x->state = next;
	if (is_clients(next)) {
		x->until_ms = clock_ms() + LOGIN_CLIENT_MS;
		DL_APPEND(waiting, x);
		nwaiting++;
		sweep_later();
	}
	if (next != LOGIN_OVER)
		return;
	unlist(x);
	if (x->trying)
		failures_end(&x->tried);
	if (x->timer)
		event_free(x->timer);
	dovecot_cancel(x->dovecot);
	sasl_free(x->sasl);
	free(x);
}

/* say - an answer, if anybody still wants it */
static void say(const struct exchange *x, enum login_verdict verdict, struct msg_bytes challenge)
{
	if (x->key.chan)
		CHAN_SEND(x->key.chan, keeper_login_is, .request = (uint32_t)x->key.request,
		    .verdict = (uint8_t)verdict, .user = msg_str(x->user), .challenge = challenge);
}

/* end - with that answer */
static void end(struct exchange *x, enum login_verdict verdict)
{
	say(x, verdict, msg_str(""));
	enter(x, LOGIN_OVER);
}

/* on_waited - a wrong answer is due */
static void on_waited(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	end(arg, LOGIN_WRONG);
}

/* wrong - say so, in good time */
static void wrong(struct exchange *x)
{
	unsigned ms = x->trying ? failures_wrong(&x->tried, clock_ms()) : 0;
	if (ms == 0) {
		end(x, LOGIN_WRONG);
		return;
	}
	const struct timeval after = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	counter_add(C_keeper_logins_slowed, 1);
	x->timer = evtimer_new(loop_base(), on_waited, x);
	if (!x->timer || evtimer_add(x->timer, &after) != 0)
		end(x, LOGIN_TEMPFAIL);
	else
		enter(x, LOGIN_WAIT);
}

/* right - say so */
static void right(struct exchange *x)
{
	if (x->trying)
		failures_right(&x->tried, clock_ms());
	end(x, LOGIN_OK);
}

/* begin_try - may this client try that user now; false: answered */
static bool begin_try(struct exchange *x)
{
	x->trying = failures_begin(&x->tried, x->client, x->user, clock_ms());
	if (x->trying)
		return true;
	counter_add(C_keeper_logins_slowed, 1);
	end(x, LOGIN_SLOW);
	return false;
}

/* -- a password ------------------------------------------------------------------------------ */

/* on_checked - a thread's word */
static void on_checked(int verdict, void *arg)
{
	struct exchange *x = arg;
	if (verdict == 1) {
		right(x);
	} else if (verdict == 0) {
		wrong(x);
	} else {
		log_warnc(verdict, "cannot check the password of %s", x->user);
		end(x, LOGIN_TEMPFAIL);
	}
}

/* on_decoy - nobody has that name, and it took as long to say so */
static void on_decoy(int verdict, void *arg)
{
	(void)verdict;
	wrong(arg);
}

/* check_password - of a user, or for the time it takes */
static void check_password(struct exchange *x, const char *password)
{
	const struct user *user, *decoy;
	if (users_find(x->user, &user, &decoy) != 0) {
		end(x, LOGIN_TEMPFAIL);
		return;
	}
	const struct user *u = user ? user : decoy;
	if (!u) {
		wrong(x);
		return;
	}
	int e = checks_ask(x->asker, &u->secret, password, user ? on_checked : on_decoy, x);
	if (e)
		end(x, LOGIN_TEMPFAIL);
	else
		enter(x, LOGIN_CHECK);
}

/* -- Dovecot --------------------------------------------------------------------------------- */

/* challenged - Dovecot's challenge, for the client */
static void challenged(struct exchange *x, struct msg_bytes challenge)
{
	if (!x->key.chan || x->password || nwaiting >= LOGIN_OPEN_MAX) {
		end(x, LOGIN_TEMPFAIL);
		return;
	}
	say(x, LOGIN_MORE, challenge);
	enter(x, LOGIN_CLIENT);
}

/* on_dovecot - its word */
static void on_dovecot(
    enum dovecot_verdict verdict, const char *user, struct msg_bytes challenge, void *arg)
{
	struct exchange *x = arg;
	if (verdict == DOVECOT_MORE) {
		challenged(x, challenge);
		return;
	}
	x->dovecot = 0;
	if (verdict == DOVECOT_RIGHT && str_copy(x->user, sizeof(x->user), user) == 0)
		right(x);
	else if (verdict == DOVECOT_WRONG)
		wrong(x);
	else
		end(x, LOGIN_TEMPFAIL);
}

/* ask_dovecot - with the first message of that mechanism */
static void ask_dovecot(struct exchange *x, const char *mechanism, const void *message, size_t n)
{
	x->dovecot = dovecot_ask(mechanism, x->client, message, n, on_dovecot, x);
	if (x->dovecot)
		enter(x, LOGIN_CHECK);
	else
		end(x, LOGIN_TEMPFAIL);
}

/* ask_plain - as a client would say it (RFC 4616) */
static void ask_plain(struct exchange *x, const char *password)
{
	char message[1 + USERS_NAME_MAX + 1 + SECRET_PASSWORD_MAX];
	size_t user = strlen(x->user), len = strlen(password);
	message[0] = '\0';
	memcpy(message + 1, x->user, user + 1);
	memcpy(message + 1 + user + 1, password, len);
	ask_dovecot(x, "PLAIN", message, 1 + user + 1 + len);
	explicit_bzero(message, sizeof(message));
}

/* pass_on - the client's message to Dovecot */
static void pass_on(struct exchange *x, struct msg_bytes message)
{
	if (x->state == LOGIN_NEW) {
		sasl_claim(message.data, message.len, x->user, sizeof(x->user));
		if (begin_try(x))
			ask_dovecot(x, "SCRAM-SHA-256", message.data, message.len);
	} else if (dovecot_go_on(x->dovecot, message.data, message.len)) {
		enter(x, LOGIN_CHECK);
	} else {
		end(x, LOGIN_TEMPFAIL);
	}
}

/* -- one step --------------------------------------------------------------------------------- */

/* take_password - PLAIN */
static void take_password(struct exchange *x, const struct msg_keeper_login *m)
{
	char password[SECRET_PASSWORD_MAX + 1];
	bool good = m->user.len &&
		    str_copy_n(x->user, sizeof(x->user), m->user.data, m->user.len) == 0 &&
		    str_copy_n(password, sizeof(password), m->secret.data, m->secret.len) == 0;
	if (!begin_try(x))
		return;
	if (!good)
		wrong(x);
	else if (dovecot_used())
		ask_plain(x, password);
	else
		check_password(x, password);
	explicit_bzero(password, sizeof(password));
}

/* step - one message of the client */
static void step(struct exchange *x, struct msg_bytes message)
{
	char challenge[SASL_CHALLENGE_MAX];
	size_t len = 0;
	if (x->state == LOGIN_PROVEN) {
		if (message.len)
			wrong(x);
		else
			right(x);
		return;
	}
	bool first = x->state == LOGIN_NEW;
	enum sasl_verdict v = sasl_step(x->sasl, message.data, message.len, challenge, &len);
	str_copy(x->user, sizeof(x->user), sasl_user(x->sasl));
	if (first && !begin_try(x))
		return;
	if (v == SASL_WRONG) {
		wrong(x);
		return;
	}
	if (v == SASL_FAILURE || (first && nwaiting >= LOGIN_OPEN_MAX)) {
		end(x, LOGIN_TEMPFAIL);
		return;
	}
	say(x, LOGIN_MORE, msg_bytes(challenge, len));
	enter(x, v == SASL_DONE ? LOGIN_PROVEN : LOGIN_CLIENT);
}

/* -- the channel ------------------------------------------------------------------------------ */

/* find - what is known of that request; a new exchange when its first step comes */
static struct exchange *find(struct chan *chan, const struct msg_keeper_login *m)
{
	struct exchange *x, key = {.key = {chan, m->request}};
	HASH_FIND(hh, table, &key.key, sizeof(key.key), x);
	if (x || m->step > 0)
		return x;
	x = calloc(1, sizeof(*x));
	if (!x)
		return NULL;
	x->key = key.key;
	x->asker = chan_instance(chan);
	str_copy_n(x->client, sizeof(x->client), m->client.data, m->client.len);
	x->password = m->mechanism == LOGIN_PLAIN;
	bool own = !x->password && !dovecot_used();
	if (own)
		x->sasl = sasl_new();
	if (!own || x->sasl)
		HASH_ADD(hh, table, key, sizeof(x->key), x);
	if (!hash_added(x)) {
		sasl_free(x->sasl);
		free(x);
		return NULL;
	}
	x->listed = true;
	return x;
}

/* login_asked - one step */
void login_asked(struct chan *chan, union msg_any *msg, void *arg)
{
	const struct msg_keeper_login *m = &msg->keeper_login;
	(void)arg;
	struct exchange *x = find(chan, m);
	if (!x) /* no memory; or begun with a keeper before this one */
		CHAN_SEND(chan, keeper_login_is, .request = m->request, .verdict = LOGIN_TEMPFAIL,
		    .user = msg_str(""), .challenge = msg_str(""));
	else if (x->password && x->state == LOGIN_NEW)
		take_password(x, m);
	else if (!x->password && (x->state == LOGIN_NEW || is_clients(x->state)))
		x->sasl ? step(x, m->secret) : pass_on(x, m->secret);
	/* else it is asked again over the same link: its answer is under way */
}

/* drop - nobody wants its answer; what a thread or the timer has ends with that */
static void drop(struct exchange *x)
{
	unlist(x);
	if (is_clients(x->state))
		enter(x, LOGIN_OVER);
}

/* login_ended - the client gave up */
void login_ended(struct chan *chan, union msg_any *msg, void *arg)
{
	struct exchange *x, key = {.key = {chan, msg->keeper_login_end.request}};
	(void)arg;
	HASH_FIND(hh, table, &key.key, sizeof(key.key), x);
	if (x)
		drop(x);
}

/* login_forget - all of that asker */
void login_forget(struct chan *chan)
{
	struct exchange *x, *next;
	HASH_ITER (hh, table, x, next) {
		if (x->key.chan == chan)
			drop(x);
	}
}

/* on_sweep - clients that never answered */
static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	while (waiting && waiting->until_ms <= clock_ms())
		end(waiting, LOGIN_TEMPFAIL);
	if (waiting)
		sweep_later();
}

/* login_prepare - libgsasl */
int login_prepare(void)
{
	return sasl_prepare();
}

/* login_use - the users file, or Dovecot's socket */
void login_use(const struct conf *conf)
{
	size_t n = strlen(CONF_DOVECOT);
	bool dovecot = strncmp(conf->users, CONF_DOVECOT, n) == 0;
	dovecot_use(dovecot ? conf->users + n : "");
	users_use(dovecot ? "" : conf->users);
}

/* login_start - threads and timer */
int login_start(void)
{
	sweep_timer = evtimer_new(loop_base(), on_sweep, NULL);
	return sweep_timer ? checks_start() : -ENOMEM;
}
