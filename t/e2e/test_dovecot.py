"""Logins where `users` names Dovecot's auth socket: by a real Dovecot, and by one that misbehaves."""
import base64
import re

import pytest

from dovecot import Dovecot, Fake
from harness import wait_for
from smtp import Smtp
from test_auth import PASSWORD, USER, Scram, Server, attempt, b64, plain, scram


def server(house, dovecot):
    return Server(house, users=f"dovecot:{dovecot.socket}")


def login_by_login(s, user, password):
    c = s.client(s.submission)
    assert c.docmd("AUTH", "LOGIN") == (334, b64("Username:").encode())
    assert c.docmd(b64(user)) == (334, b64("Password:").encode())
    return c.docmd(b64(password))[0]


def test_dovecot(house):
    """Each mechanism, right and wrong; its name for the user counts; it may be started anew."""
    d = house.keep(Dovecot(house, {USER: PASSWORD, "scram": "two"}))
    s = server(house, d)
    s.login().sendmail("a@b.test", ["c@d.test"], b"Subject: x\r\n\r\nx\r\n")
    s.login(user="ANN")  # Dovecot's own form of it

    def both():
        """a line for each"""
        return len(re.findall(rb" listener=submissions tls=TLSv1.3 mechanism=PLAIN user=ann result=ok", s.b.log)) == 2
    wait_for(both)
    s.b.wait_log(r"accept client=127.0.0.1 .*user=ann")
    assert login_by_login(s, USER, PASSWORD) == 235
    assert login_by_login(s, USER, "wrong") == 535
    assert attempt(s, "nobody")[0] == 535
    for initial in (True, False):
        code, text, c = scram(s, Scram("scram", "two"), initial=initial)
        assert code == 235, text
        assert c.docmd("MAIL", "FROM:<a@b.test>")[0] == 250
    assert scram(s, Scram("scram", "one"))[0] == 535
    c = s.client()
    assert c.docmd("AUTH", "SCRAM-SHA-256 " + b64(Scram(USER, PASSWORD).first))[0] == 334
    assert c.docmd("*")[0] == 501
    s.b.wait_log(r"mechanism=SCRAM-SHA-256 user=scram result=wrong")

    d.stop()
    assert attempt(s, password=PASSWORD)[0] == 454
    d.start()

    def again():
        """a login at the new Dovecot"""
        return attempt(s, password=PASSWORD)[0] == 235
    wait_for(again, 15, every=0.3)
    assert s.b.tool("batonctl", "user", "add", "x", stdin=b"y\n", check=False).returncode != 0


def test_many_at_once(house):
    """Requests share one connection; each answer finds its own, whatever their order."""
    held = []

    def say(line):
        word = line.split(b"\t")
        held.append((word[1], base64.b64decode(line.split(b"resp=")[1]).split(b"\0")[1]))
        if len(held) < 6:
            return b""
        return b"".join(b"OK\t%s\tuser=%s\n" % h if h[1][-1:] in b"024" else b"FAIL\t%s\tuser=%s\n" % h for h in reversed(held))
    fake = Fake(house, say)
    s = server(house, fake)
    clients = [Smtp(s.plain) for _ in range(6)]
    for i, c in enumerate(clients):
        c.write(f"AUTH PLAIN {plain(f'user{i}', 'x')}\r\n".encode())
    assert [c.reply()[0] for c in clients] == [235, 535, 235, 535, 235, 535]
    assert fake.clients == 1
    asked = [line for line in fake.lines if line.startswith(b"AUTH")][0].decode().rstrip("\n").split("\t")
    assert asked[2:6] == ["PLAIN", "service=smtp", "nologin", "secured"] and asked[6:7] == ["rip=127.0.0.1"], asked
    assert asked[-1].startswith("resp=")


@pytest.mark.parametrize("name, say, hello, log", [
    ("closes", lambda line: None, Fake.HELLO, "closed the connection"),
    ("long line", lambda line: b"x" * 9000, Fake.HELLO, "sent a line that is too long"),
    ("no number", lambda line: b"OK\tx\tuser=ann\n", Fake.HELLO, "speaks another protocol"),
    ("other version", None, b"VERSION\t2\t0\n", "speaks another protocol"),
    ("no mechanism", None, b"VERSION\t1\t1\nMECH\tXOAUTH2\nDONE\n", "does not offer PLAIN"),
    ("no user", lambda line: b"OK\t%s\n" % line.split(b"\t")[1], Fake.HELLO, None),
    ("bad user", lambda line: b"OK\t%s\tuser=a\1nb\n" % line.split(b"\t")[1], Fake.HELLO, None),
    ("temporary", lambda line: b"FAIL\t%s\tuser=ann\ttemp\n" % line.split(b"\t")[1], Fake.HELLO, None),
    ("challenge", lambda line: b"CONT\t%s\teA==\n" % line.split(b"\t")[1], Fake.HELLO, None),
], ids=lambda v: v if isinstance(v, str) and len(v) < 14 else "")
def test_misbehaves(house, name, say, hello, log):
    """454, a line in the log, and keeper lives on."""
    s = server(house, Fake(house, say, hello))
    pid = s.b.pids("keeper")
    assert attempt(s, password=PASSWORD)[0] == 454
    if log:
        s.b.wait_log(log)
    s.b.wait_log("result=unknown")
    assert s.b.pids("keeper") == pid


def test_client_gives_up(house):
    """An exchange that its client cancels is cancelled with Dovecot too."""
    def say(line):
        return b"CONT\t%s\t%s\n" % (line.split(b"\t")[1], base64.b64encode(b"r=xy,s=c2FsdA==,i=4096"))
    fake = Fake(house, say, Fake.HELLO.replace(b"MECH\tPLAIN\tplaintext", b"MECH\tSCRAM-SHA-256"))
    s = server(house, fake)
    c = Smtp(s.plain)
    assert c.cmd("AUTH SCRAM-SHA-256 " + b64(Scram(USER, PASSWORD).first))[0] == 334
    assert c.cmd("*")[0] == 501

    def told():
        """CANCEL"""
        return any(line.startswith(b"CANCEL\t") for line in fake.lines)
    wait_for(told)
