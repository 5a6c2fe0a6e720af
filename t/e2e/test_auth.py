"""Logins: SCRAM, order and form, users, who may send as whom, slowing down. test_clients.py has the rest."""
import base64
import os
import re
import smtplib
import subprocess
import threading
import time

import pytest

from harness import HOST, SANITIZED, SOAK, TOP, free_port, wait_for
from pki import Authority
from scram import Scram, b64
from smtp import Smtp

LOCAL = "127.0.0.1"
USER, PASSWORD = "ann", "correct horse"
MESSAGE = b"Subject: auth\r\n\r\nx\r\n"


class Server:
    """Ports: b.port (STARTTLS offered, auth offered), submission, submissions, and plain (no TLS, auth_plaintext).
    The client's address has no rights."""

    def __init__(self, house, text="", accounts="", **config):
        house.authority = getattr(house, "authority", None) or Authority(house)
        self.authority = house.authority
        self.certificate, key = self.authority.issue(HOST, LOCAL)
        self.submission, self.submissions, self.plain = free_port(), free_port(), free_port()
        self.users = house.path("users")
        self.sink = house.sink()
        self.b = house.baton(start=False)
        self.config = {"route": self.sink, "listen": 'auth = "offered"', "relay_from": '"192.0.2.0/24"', **config}
        self.config.setdefault("users", self.users)
        self.text = f"""
tls {{ certificate = "{self.certificate}"  key = "{key}" }}
listen "submission" {{ address = "{LOCAL}:{self.submission}"  tls = "required"  auth = "required" }}
listen "submissions" {{ address = "{LOCAL}:{self.submissions}"  tls = "implicit"  auth = "required" }}
listen "plain" {{ address = "{LOCAL}:{self.plain}"  tls = "none"  auth = "offered"  auth_plaintext = true }}
{text}
"""
        self.b.write(text=self.text, **self.config)
        if self.config["users"] == self.users:
            self.add(USER, PASSWORD)
            with open(self.users, "a") as f:
                f.write(accounts)
        self.b.start()

    def add(self, user, password, verb="add"):
        self.b.ctl("user", verb, user, stdin=password.encode() + b"\n")

    def context(self):
        return self.authority.client()

    def client(self, port=None):
        """smtplib on a port, under TLS where there is any."""
        port = port or self.submissions
        if port == self.submissions:
            c = smtplib.SMTP_SSL(LOCAL, port, context=self.context())
            c.ehlo()
            return c
        c = smtplib.SMTP(LOCAL, port)
        c.ehlo()
        if port != self.plain:
            c.starttls(context=self.context())
            c.ehlo()
        return c

    def login(self, user=USER, password=PASSWORD, port=None):
        c = self.client(port)
        c.login(user, password)
        return c

    @property
    def ports(self):
        return {"25": self.b.port, "587": self.submission, "465": self.submissions}


@pytest.fixture
def server(house):
    return Server(house)


def plain(user=USER, password=PASSWORD, other=""):
    return b64(f"{other}\0{user}\0{password}")


# -- SCRAM step by step (test_clients.py has the other mechanisms) ----------------------------------------------

def scram(server, s, port=None, initial=True):
    """(code, text) of a whole exchange."""
    c = server.client(port)
    code, text = c.docmd("AUTH", "SCRAM-SHA-256" + (f" {b64(s.first)}" if initial else ""))
    if not initial:
        assert (code, text) == (334, b"")
        code, text = c.docmd(b64(s.first))
    if code != 334:
        return code, text, c
    code, text = c.docmd(b64(s.final(base64.b64decode(text).decode())))
    if code != 334:
        return code, text, c
    assert base64.b64decode(text).decode() == s.expect
    code, text = c.docmd("")
    return code, text, c


def test_scram(server):
    for name, port in server.ports.items():
        code, text, c = scram(server, Scram(USER, PASSWORD), port, initial=name != "25")
        assert code == 235, text
        c.sendmail("a@b.test", ["c@d.test"], MESSAGE)
        c.quit()
    assert scram(server, Scram(USER, "wrong"))[0] == 535
    assert scram(server, Scram("nobody", PASSWORD))[0] == 535
    c = server.client()
    assert c.docmd("AUTH", "SCRAM-SHA-256 " + b64("nonsense"))[0] == 535
    assert c.docmd("AUTH", "SCRAM-SHA-256 " + b64(Scram(USER, PASSWORD).first))[0] == 334
    assert c.docmd("*")[0] == 501
    assert c.docmd("AUTH", "PLAIN " + plain())[0] == 235


def test_scram_survives_no_keeper(server):
    """An exchange that a dead keeper began is answered 454; the next one works."""
    c, s = server.client(), Scram(USER, PASSWORD)
    code, text = c.docmd("AUTH", "SCRAM-SHA-256 " + b64(s.first))
    assert code == 334
    pid = server.b.kill("keeper")
    server.b.replaced("keeper", pid)
    assert c.docmd(b64(s.final(base64.b64decode(text).decode())))[0] == 454
    assert c.docmd("AUTH", "PLAIN " + plain())[0] == 235


# -- order and form -----------------------------------------------------------------------------------------

def test_offer(server):
    c = Smtp(server.b.port)
    assert "AUTH" not in c.hello
    assert c.cmd("AUTH PLAIN " + plain())[0] == 538
    c = Smtp(server.plain)
    assert c.hello["AUTH"] == "AUTH PLAIN LOGIN SCRAM-SHA-256"
    c = server.client(server.submission)
    assert c.esmtp_features["auth"].split() == ["PLAIN", "LOGIN", "SCRAM-SHA-256"]
    assert c.docmd("MAIL", "FROM:<a@b.test>")[0] == 530
    c.login(USER, PASSWORD)
    assert c.docmd("AUTH", "PLAIN " + plain())[0] == 503
    assert c.docmd("MAIL", "FROM:<a@b.test> AUTH=<>")[0] == 250
    assert c.docmd("AUTH", "PLAIN " + plain())[0] == 503


# -- what a login is worth --------------------------------------------------------------------------------------

def test_relay_and_trace(server):
    """Strangers may not relay, users may; Received, envelope and log know who it was."""
    c = server.client(server.b.port)
    assert c.mail("a@b.test")[0] == 250 and c.rcpt("c@d.test")[0] == 550
    c.rset()
    c.login(USER, PASSWORD)
    c.sendmail("a@b.test", ["c@d.test"], MESSAGE)
    server.login(port=server.plain).sendmail("a@b.test", ["c@d.test"], MESSAGE)
    server.b.wait_empty()
    a, b = [m.raw for m in server.sink.messages]
    assert b"with ESMTPSA id" in a and b"with ESMTPA id" in b
    server.b.wait_log(r"accept client=127.0.0.1 .*user=ann")
    server.b.wait_log(r"login client=127.0.0.1 listener=test tls=TLSv1.3 mechanism=PLAIN user=ann result=ok")


def test_class_by_user(house):
    s = Server(house, text='class "vip" { user = { "ann" } }\nroute "later.test" { to = "[127.0.0.1]:9" }')
    s.login().sendmail("a@b.test", ["c@later.test"], MESSAGE)
    wait_for(lambda: s.b.queue(), 10)
    assert s.b.queue()[0]["class"] == "vip"


def test_users_file(server):
    """The four verbs; keeper sees each change. Hashes of others' making are good too."""
    server.add("bob", "one")
    server.add("bob", "two", verb="passwd")
    assert server.b.ctl("user", "list").split() == ["ann", "hash+scram", "bob", "hash+scram"]
    assert os.stat(server.users).st_mode & 0o777 == 0o600
    for args in (["add", "bob"], ["passwd", "nobody"], ["remove", "nobody"], ["add", "a:b"], ["list", "x"]):
        assert server.b.tool("batonctl", "user", *args, stdin=b"x\n", check=False).returncode != 0
    crypt = subprocess.run(["openssl", "passwd", "-6", "six"], capture_output=True, text=True, check=True).stdout.strip()
    verifier = [line for line in open(server.users) if line.startswith("bob:")][0].split(":")[2]
    with open(server.users, "a") as f:
        f.write(f"# a comment\nsix:{crypt}\nscram:{verifier.strip()}\nbroken:nothing\n")

    def in_force():
        """the file's users"""
        try:
            return server.login("six", "six")
        except smtplib.SMTPAuthenticationError:
            return None
    wait_for(in_force, 10, every=0.3)
    server.login("bob", "two")
    server.login("scram", "two")
    assert scram(server, Scram("scram", "two"))[0] == 235
    server.b.wait_log(r"users:\d+: not a user and a hash")
    server.b.ctl("user", "remove", "six")
    assert "# a comment" in open(server.users).read()

    def gone():
        """six to be forgotten"""
        try:
            server.login("six", "six").close()
        except smtplib.SMTPAuthenticationError as e:
            return e.smtp_code == 535
    wait_for(gone, 10, every=0.3)


def test_sender_owners(house):
    path = house.path("owners")
    with open(path, "w") as f:
        f.write("boss@b.test bob\nsales@b.test ann, bob\n@c.test ann\n# nobody has this\nnone@c.test\n")
    s = Server(house, sender_owners=path)
    c = s.login()
    verdicts = {"sales@b.test": 250, "SALES@B.test": 250, "x@c.test": 250, f"ann@{HOST}": 250, "": 250,
                "boss@b.test": 553, "none@c.test": 553, "ann@elsewhere.test": 553, f"bob@{HOST}": 553}
    for sender, code in verdicts.items():
        assert c.mail(sender)[0] == code, sender
        c.rset()
    s.b.wait_log(r"refuse client=127.0.0.1 user=ann .*code=553 status=5.7.1")


def test_per_user_hour(house):
    """Over all workers and sessions."""
    s = Server(house, text="limits { per_user_hour = 5 }", workers=2)
    codes = []
    for _ in range(4):
        c = s.login()
        if c.mail("a@b.test")[0] != 250:
            codes.append("mail")
            continue
        codes += [c.rcpt(f"{i}@d.test")[0] for i in range(2)]
    assert codes == [250, 250, 250, 250, 250, 452, "mail"], codes
    assert s.client(s.b.port).mail("a@b.test")[0] == 250  # others aren't concerned


# -- failures ------------------------------------------------------------------------------------------------------

def attempt(server, user=USER, password="wrong"):
    c = Smtp(server.plain)
    begin = time.monotonic()
    code, _ = c.cmd("AUTH PLAIN " + plain(user, password))
    c.sock.close()
    return code, time.monotonic() - begin


def test_failures_slow_down(server):
    took = []
    for _ in range(6):
        code, seconds = attempt(server)
        assert code == 535
        took.append(seconds)
    assert took[3] > 0.45 and took[4] > 0.9 and took[5] > 1.9, took
    assert attempt(server, password=PASSWORD)[0] == 235  # who knows it doesn't wait
    assert len(re.findall(rb"login client=127.0.0.1 listener=plain mechanism=PLAIN user=ann result=wrong",
                          server.b.log)) == 6
    counters = server.b.ctl("status", "--counters")
    assert re.search(r"smtp_logins_failed +6\b", counters), counters


def test_fail2ban(server):
    """The filter that is installed finds who failed, and nobody else, whatever the user's name."""
    with open(os.path.join(TOP, "etc/packaging/fail2ban.conf")) as f:
        (rule,) = [line.split("= ", 1)[1].strip() for line in f if line.startswith("failregex")]
    rule = re.compile(rule.replace("<ADDR>", r"(?P<ip>[0-9a-f.:]+)"))
    assert attempt(server, password=PASSWORD)[0] == 235
    names = ["ann", "a b", 'x" result=ok', "smtpd/1 - login client=192.0.2.1 mechanism=PLAIN user=x"]
    for name in names:
        assert attempt(server, name)[0] in (535, 454)

    def logins():
        """a line for each"""
        lines = [line for line in server.b.log.decode().split("\n")[:-1] if " login client=" in line]
        return len(lines) == 1 + len(names) and lines
    lines = wait_for(logins)
    found = [rule.search(line) for line in lines]
    assert [m and m["ip"] for m in found] == [None] + [LOCAL] * len(names), lines


@pytest.mark.skipif(not SOAK, reason="takes its time; t/unit/test_login.c has the counts")
def test_failures_no_way_around(server):
    """Twenty guesses at a time get no further: most aren't checked at all."""
    for _ in range(6):
        attempt(server, user="somebody")
    codes = []
    threads = [threading.Thread(target=lambda: codes.append(attempt(server, user="somebody")[0])) for _ in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert sorted(codes) == [454] * 16 + [535] * 4, codes


def test_slow_hash_delays_nobody(house):
    """While logins with a slow hash keep both threads busy, other sessions go on as before."""
    rounds = 20000000 if not SANITIZED else 2000000
    s = Server(house, accounts=f"slow:$6$rounds={rounds}$saltsalt$" + "x" * 86 + "\n",
               relay_from='"127.0.0.0/8"')  # whose errors aren't slowed down

    def round_trips(n):
        """Seconds of each transaction up to RCPT, with a question to keeper in it."""
        c, took = Smtp(s.b.port), []
        for i in range(n):
            begin = time.monotonic()
            c.cmd("MAIL FROM:<a@b.test>", 250)
            c.cmd(f"RCPT TO:<postmaster{i}@{HOST}>", 550)
            c.cmd("RSET", 250)
            took.append(time.monotonic() - begin)
            if i % 15 == 14:  # before there are too many errors
                c.sock.close()
                c = Smtp(s.b.port)
        return sorted(took)
    quiet = round_trips(200)
    slow = [Smtp(s.plain) for _ in range(4)]
    begin = time.monotonic()
    for c in slow:
        c.write(f"AUTH PLAIN {plain('slow', 'x')}\r\n".encode())
    busy = round_trips(200)
    took = time.monotonic() - begin
    for c in slow:  # none has been answered yet, or the test says nothing
        c.sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            c.sock.recv(1)
    print(f"median {quiet[100] * 1e3:.2f} ms, with slow logins {busy[100] * 1e3:.2f} ms; "
          f"99 %: {quiet[198] * 1e3:.1f} and {busy[198] * 1e3:.1f} ms; {took:.2f} s")
    assert busy[100] < 0.1 and busy[198] < 1.0, (quiet, busy)
