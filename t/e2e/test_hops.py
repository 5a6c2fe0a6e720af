"""Next hops that misbehave, each a row: every recipient is delivered once, deferred or bounced once, as its row says.

All rows are next hops of one instance, with one connection each. A row's first message goes well, the
second meets the oddity, two more are behind it on the wire; then the hop behaves, so what was deferred arrives.
"""
import collections
import itertools
import os
import re
import time

from harness import PEERS, SOAK, Proc, free_port, wait_for

STAGES = ("CONNECT", "EHLO", "STARTTLS", "RSET", "MAIL", "RCPT", "DATA", "DOT", "QUIT")
BASE = ("8BITMIME", "ENHANCEDSTATUSCODES")
WAYS = {"pipelining": ("PIPELINING", *BASE), "chunking": ("PIPELINING", "CHUNKING", *BASE), "steps": BASE}
GOOD = {"CONNECT": "220 fine", "DATA": "354 go"}


class Odd:
    """Does it once, to the message that asks for it, or to the first connection."""

    def __init__(self, stage, what):
        self.stage, self.what, self.done = stage, what, 0

    def __call__(self, talk, verb, line):
        if verb != self.stage or self.done:
            return None
        if verb in ("MAIL", "RCPT") and "odd" not in line:
            return None
        if verb in ("DATA", "DOT") and not talk.odd_mail:
            return None
        self.done += 1
        return self.what(talk, verb, GOOD.get(verb, "250 fine"))


def close(talk, verb, good):
    raise EOFError


def truncated(talk, verb, good):
    talk.sock.sendall(good[:2].encode())
    raise EOFError


def goodbye(talk, verb, good):
    talk.say("421 4.3.2 going down")
    raise EOFError


def refused_and_close(talk, verb, good):
    talk.say("554 5.7.9 never")
    raise EOFError


def slow(talk, verb, good):
    for byte in b"250-x" if verb not in GOOD and verb != "DOT" else b"":
        talk.sock.sendall(bytes([byte]))
        time.sleep(0.01)
    talk.sock.sendall(b"\r\n" if verb not in GOOD and verb != "DOT" else b"")
    time.sleep(0.2)


def silence(talk, verb, good):
    try:
        while talk.sock.recv(65536):
            pass
    finally:
        raise EOFError


# what it says, and what that is to whom it is said in a transaction: later, never, or nothing at all
KINDS = {
    "4xx": (lambda *a: "451 4.3.0 later", "later"),
    "5xx": (lambda *a: "554 5.7.9 never", "never"),
    "5xx and close": (refused_and_close, "never"),
    "421": (goodbye, "later"),
    "close": (close, "later"),
    "truncated": (truncated, "later"),
    "overlong": (lambda talk, verb, good: good + " " + "x" * 5000, "later"),
    "endless lines": (lambda talk, verb, good: "\r\n".join(f"{good[:3]}-line {i}" for i in range(300)), "later"),
    "malformed": (lambda *a: "what did you say?", "later"),
    "two codes": (lambda talk, verb, good: f"{good[:3]}-a\r\n299 b", "later"),
    "1xx": (lambda *a: "150 hm", "later"),
    "silence": (silence, "later"),
    "slow": (slow, "fine"),
}


def rows():
    """(name, way, stage, kind); a part of them, where not all are asked for"""
    every = list(itertools.product(STAGES, KINDS))
    ways = list(WAYS)
    for i, (stage, kind) in enumerate(every):
        for k, way in enumerate(ways):
            if stage == "DATA" and way == "chunking":
                continue
            if SOAK or (i + i // len(KINDS)) % len(ways) == k or (stage == "DOT" and way == "chunking"):
                yield f"{way} {stage} {kind}", way, stage, kind


def odd_mail(odd):
    """Notes for the later stages whether the transaction at hand is the one."""
    def watch(talk, verb, line):
        if verb in ("MAIL", "CONNECT"):
            talk.odd_mail = "odd" in line
        return odd(talk, verb, line)
    return watch


def expected(stage, kind):
    """Of the odd message's recipients: bounced ones"""
    if KINDS[kind][1] != "never" or stage not in ("MAIL", "RCPT", "DATA", "DOT"):
        return set()
    return {"odd"} if stage == "RCPT" else {"odd", "a", "b"}


def goes_on(way, stage, kind):
    """Whether the hop takes what is whole on the wire behind words that ended the connection for us: then
    nobody can keep it from arriving twice."""
    return way == "chunking" and (stage == "RSET" or kind in ("overlong", "endless lines", "malformed", "two codes", "1xx"))


def results(b, what):
    """How often each recipient had that result."""
    found = re.findall(rb" to=(\S+) result=" + what + rb"\b", b.log)
    return collections.Counter(r.decode() for r in found)


def test_matrix(house):
    table = list(rows())
    home = house.sink()
    hops, routes = [], [f'route "sender.test" {{ to = "[127.0.0.1]:{home.port}" }}']
    for n, (name, way, stage, kind) in enumerate(table):
        hop = house.sink(extensions=WAYS[way] + (("STARTTLS",) if stage == "STARTTLS" else ()), odd=odd_mail(Odd(stage, KINDS[kind][0])))
        hops.append(hop)
        routes.append(f'route "row{n}.test" {{ to = "[127.0.0.1]:{hop.port}" }}')
    b = house.baton(text="\n".join(routes) + "\nlimits { per_client = 1000 }\n", retry='first = "1s"  max = "2s"',
                    site='connections = 1  reply_timeout = "2s"  idle = "1s"')
    b.ctl("pause", "out")
    c = b.smtp()
    for n in range(len(table)):
        for m in range(4):
            sender = f"odd{n}@sender.test" if m == 1 else f"m{m}.{n}@sender.test"
            names = ("a", "odd", "b") if m == 1 else ("r",)
            c.send(sender, [f"{x}.{m}@row{n}.test" for x in names], b"Subject: x\r\n\r\ntext\r\n")
    c.quit()
    b.ctl("resume", "out")
    b.wait_empty(90)
    sent, bounced, wrong = results(b, b"sent"), results(b, b"bounced"), []
    for n, (name, way, stage, kind) in enumerate(table):
        got = collections.Counter(to for m in hops[n].messages for to in m.to)
        gone = expected(stage, kind)
        for m, x in [(1, "a"), (1, "odd"), (1, "b"), (0, "r"), (2, "r"), (3, "r")]:
            to, fails = f"{x}.{m}@row{n}.test", m == 1 and x in gone
            if got[to] == 2 and goes_on(way, stage, kind):
                got[to] = 1
            if (got[to], sent[to], bounced[to]) != ((0, 0, 1) if fails else (1, 1, 0)):
                wrong.append((name, to, f"arrived {got[to]}, sent {sent[to]}, bounced {bounced[to]}"))
    assert not wrong, "\n".join(map(str, wrong))
    # one notice for each message that has failed
    assert len(home.messages) == sum(bool(expected(stage, kind)) for _, _, stage, kind in table)
    b.stop()


# -- smtp-sink: the same at every command, for good -----------------------------------------------

SINK_STAGES = ("connect", "ehlo", "helo", "mail", "rcpt", "data", ".", "rset", "quit")
SINK_FLAGS = {"-f": "hard", "-r": "soft", "-q": "close", "-Q": "421"}


def sink_row(flag, stage):
    """sent, bounced, or later: nobody has it and nobody is told"""
    if stage in ("helo", "quit") or (stage == "ehlo" and flag == "-f"):
        return "sent"
    if stage == "rset":  # after one message on each connection, at the latest
        return "sent"
    if flag == "-f" and stage in ("mail", "rcpt", "data", "."):
        return "bounced"
    return "later"


def test_smtp_sink(house):
    """Postfix's own misbehaving server, refusing, deferring and closing at each of its commands."""
    table = list(itertools.product(SINK_FLAGS, SINK_STAGES))
    home, user = house.sink(), ["-u", "nobody"] if not os.getuid() else []
    routes, hops = [f'route "sender.test" {{ to = "[127.0.0.1]:{home.port}" }}'], []
    for n, (flag, stage) in enumerate(table):
        hops.append(house.keep(Proc([f"{PEERS}/smtp-sink", *user, flag, stage, f"127.0.0.1:{(port := free_port())}", "100"])))
        hops[-1].port = port
        routes.append(f'route "row{n}.test" {{ to = "[127.0.0.1]:{port}" }}')
    for hop in hops:
        wait_for(hop.listens, 20)
    b = house.baton(text="\n".join(routes) + "\nlimits { per_client = 1000 }\n", retry='first = "1s"  max = "2s"',
                    site='connections = 1  reply_timeout = "5s"  idle = "1s"')
    b.ctl("pause", "out")
    c = b.smtp()
    for n in range(len(table)):
        for m in range(3):
            c.send(f"m{m}.{n}@sender.test", f"r.{m}@row{n}.test", b"Subject: x\r\n\r\ntext\r\n")
    c.quit()
    b.ctl("resume", "out")
    want = {f"r.{m}@row{n}.test": sink_row(*row) for n, row in enumerate(table) for m in range(3)}
    done = {to for to, end in want.items() if end != "later"}

    def decided():
        """everybody who is to be has been delivered or bounced"""
        return done <= set(results(b, b"sent")) | set(results(b, b"bounced"))
    try:
        wait_for(decided, 60)
    finally:
        sent, bounced = results(b, b"sent"), results(b, b"bounced")
        wrong = [(table[int(re.search(r"row(\d+)", to)[1])], to, end, sent[to], bounced[to]) for to, end in want.items()
                 if (sent[to], bounced[to]) != (int(end == "sent"), int(end == "bounced"))]
    assert not wrong, "\n".join(map(str, wrong))
    b.stop()
