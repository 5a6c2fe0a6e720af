"""Sessions drawn by lot over real sockets: plaintext, STARTTLS and implicit TLS, with and without logins, one by
one, pipelined and cut anywhere. What must be answered says a model of its own (t/unit/test_generated.c has all
pairs)."""
import base64
import random
import re
import socket
from dataclasses import dataclass

from accounts import write_accounts
from harness import SOAK, free_port
from scram import Scram, b64
from test_tls import BODY, LOCAL, Server

SAMPLES = 2000 if SOAK else 200
USER, PASSWORD = "ann", "correct horse"
PLAIN = b64(f"\0{USER}\0{PASSWORD}").encode()

# kind, reply where its place is right, bytes
ITEMS = [
    ("hello", 250, b"EHLO me.test\r\n"), ("hello", 250, b"helo me.test\r\n"), ("always", 501, b"EHLO\r\n"),
    ("mail", 250, b"MAIL FROM:<a@b.test>\r\n"), ("mail", 501, b"MAIL FROM:<a@b@c>\r\n"),
    ("mail", 555, b"MAIL FROM:<> X=1\r\n"), ("rcpt", 250, b"RCPT TO:<c@d.test>\r\n"),
    ("rcpt", 501, b"RCPT TO:bob@\r\n"), ("data", 354, b"DATA\r\nsubject:\r\n..\r\n.\r\n"),
    ("chunk", 250, b"BDAT 6\r\nQUIT\r\n"), ("chunk", 250, b"BDAT 0\r\n"), ("last", 250, b"BDAT 7 LAST\r\n.\r\nDATA"),
    ("chunk", 501, b"BDAT 6 FIRST\r\nRSET\r\n"), ("lost", 501, b"BDAT x LAST\r\n"), ("reset", 250, b"RSET\r\n"),
    ("always", 250, b"NOOP x\r\n"), ("always", 252, b"VRFY bob\r\n"), ("always", 501, b"VRFY\r\n"),
    ("always", 214, b"HELP\r\n"), ("always", 500, b"WHAT\r\n"), ("always", 500, b"NOOP\0\r\n"),
    ("lost", 221, b"QUIT\r\n"), ("lost", 500, b"NOOP\nQUIT\r\n"), ("tls", 220, b"STARTTLS\r\n"),
]
# A wrong password has no place here: after a few of them answers are slow (test_auth.py).
LOGINS = [
    ("auth", [235], b"AUTH PLAIN " + PLAIN + b"\r\n"), ("auth", [334, 235], b"auth plain\r\n" + PLAIN + b"\r\n"),
    ("auth", [334, 334, 235], f"AUTH LOGIN\r\n{b64(USER)}\r\n{b64(PASSWORD)}\r\n".encode()),
    ("scram", [334, 334, 235], b"AUTH SCRAM-SHA-256\r\n"),
]
NO_LOGINS = [
    ("auth", [501], b"AUTH\r\n"), ("auth", [504], b"AUTH CRAM-MD5\r\n"), ("auth", [334, 501], b"AUTH PLAIN\r\n*\r\n"),
    ("auth", [334, 501], b"AUTH PLAIN\r\nMAIL FROM:<a@b.test>\r\n"), ("auth", [501], b"AUTH PLAIN !\r\n"),
]
# Drawn by lot most sessions would never get to a body.
WAY = [ITEMS[0], ITEMS[3], ITEMS[6]]


@dataclass
class Listener:
    port: int
    implicit: bool = False
    offers: bool = False  # STARTTLS
    wants: bool = False  # ... before MAIL
    auth: str = "none"  # offered, required: before MAIL
    plaintext: bool = False  # AUTH without TLS too


class Model:
    def __init__(self, listener):
        self.listener, self.tls = listener, listener.implicit
        self.hello, self.place, self.closed = False, "idle", False
        self.esmtp = self.user = False
        self.logins = 0

    def login(self, codes, text):
        """What AUTH and the lines behind it are answered with; refused, those are commands that nobody knows."""
        may = self.tls or self.listener.plaintext
        bad = ([503] if not self.hello or self.place != "idle" else [502] if self.listener.auth == "none" else
               [538] if not may else [503] if not self.esmtp or self.user else None)
        if bad:
            lines = text.split(b"\r\n")[1:-1]
            return bad + [self.step("mail", 250)[0] if line.startswith(b"MAIL") else 500 for line in lines]
        if codes[-1] == 235:
            self.user = True
            self.logins += 1
        return codes

    def steps(self, kind, code, text):
        """The codes that an item is answered with."""
        if kind in ("auth", "scram"):
            return self.login(code, text)
        if kind == "hello":
            self.esmtp = text[:4].upper() == b"EHLO"
        return self.step(kind, code)

    def step(self, kind, code):
        at = self.place
        if kind == "hello":
            self.hello, self.place = True, "idle"
        elif kind == "mail":
            if not self.hello or at != "idle":
                return [503]
            if code == 250 and self.listener.wants and not self.tls:
                return [530]
            if code == 250 and self.listener.auth == "required" and not self.user:
                return [530]
            if code == 250:
                self.place = "mail"
        elif kind == "rcpt":
            if at not in ("mail", "rcpt"):
                return [503]
            if code == 250:
                self.place = "rcpt"
        elif kind == "data":
            if at != "rcpt":
                return [503, 500, 500, 500]
            self.place = "idle"
            return [354, 250]
        elif kind in ("chunk", "last"):
            ready = at in ("rcpt", "chunks")
            self.place = "chunks" if ready and kind == "chunk" and code == 250 else "idle"
            return [code if ready else 503]
        elif kind == "reset":
            self.place = "idle"
        elif kind == "tls":
            if not self.hello or at != "idle" or self.tls:
                return [503]
            if not self.listener.offers:
                return [502]
            self.hello, self.tls, self.user = False, True, False
        elif kind == "lost":
            self.closed = True
        return [code]


class Wire:
    def __init__(self, port, context, implicit):
        self.sock = socket.create_connection((LOCAL, port), 20)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.context, self.buffer = context, b""
        if implicit:
            self.secure()

    def secure(self):
        assert not self.buffer
        self.sock = self.context.wrap_socket(self.sock, server_hostname=LOCAL)

    def code(self):
        """Of the next reply; each final line but greeting, EHLO, HELO and 354 has an enhanced code."""
        while True:
            while b"\r\n" not in self.buffer:
                chunk = self.sock.recv(65536)
                if not chunk:
                    return None
                self.buffer += chunk
            line, self.buffer = self.buffer.split(b"\r\n", 1)
            assert re.match(rb"\d{3}[ -]", line), line
            if line[3:4] == b" ":
                self.last = line
                bare = re.match(rb"220 \S+ ESMTP|354 |334 |250 (\S+\.\S+$|[A-Z0-9]+$)", line)
                assert bare or re.match(rb"(.)\d\d \1\.\d+\.\d+ ", line), line
                return int(line[:3])

    def codes(self, want):
        return [self.code() for _ in want]

    def scram(self):
        """What follows 334; the codes."""
        s, codes = Scram(USER, PASSWORD), []
        text = s.first
        while True:
            self.sock.sendall(b64(text).encode() + b"\r\n")
            codes.append(self.code())
            if codes[-1] != 334:
                return codes
            text = s.answer(base64.b64decode(self.last[4:]))


def run(rng, wire, model):
    """One session; the script is what a failure shows."""
    how = rng.choice(("one by one", "pipelined", "cut"))
    way, drawn = [i for i in WAY if rng.random() < 0.8], ITEMS
    if model.listener.auth != "none":
        way[1:1] = [rng.choice(LOGINS)] if rng.random() < 0.8 else []
        drawn = ITEMS + LOGINS + NO_LOGINS
    items = way + rng.choices(drawn, k=rng.randint(1, 6))
    if how == "one by one":
        for kind, code, text in items:
            want = model.steps(kind, code, text)
            wire.sock.sendall(text)
            if kind == "scram" and want[0] == 334:
                assert [wire.code(), *wire.scram()] == [334, *want], (items, text)
                continue
            assert wire.codes(want) == want, (items, text)
            if want == [220]:
                wire.secure()
            if model.closed:
                break
    else:
        want, sent = [], b""
        for kind, code, text in items:
            if kind == "scram":  # which nobody can say beforehand
                continue
            want += model.steps(kind, code, text)
            sent += text
            if model.closed or want[-1] == 220:
                break
        # What comes with STARTTLS is nobody's, what comes behind QUIT isn't either.
        if want[-1] == 220 and how == "pipelined":
            sent += b"NOOP\r\nQUIT\r\n"
        at = 0
        while at < len(sent):
            n = len(sent) if how == "pipelined" else rng.randint(1, 40)
            wire.sock.sendall(sent[at:at + n])
            at += n
        assert wire.codes(want) == want, (how, items)
        if want[-1] == 220:
            wire.secure()
    if not model.closed:
        wire.sock.sendall(b"NOOP\r\n")
        assert wire.code() == 250, items
        wire.sock.sendall(b"QUIT\r\n")
        assert wire.code() == 221, items
    assert wire.code() is None, items
    wire.sock.close()


def add_listeners(house):
    """Where logins are offered: their text, and what a model has to know of each."""
    logins = [Listener(free_port(), offers=True, auth="offered"), Listener(free_port(), implicit=True, auth="required"),
              Listener(free_port(), offers=True, wants=True, auth="required"),
              Listener(free_port(), offers=True, auth="offered", plaintext=True)]
    text = "".join(f"""listen "auth{n}" {{ address = "{LOCAL}:{x.port}"  auth = "{x.auth}"
tls = "{'implicit' if x.implicit else 'required' if x.wants else 'offered'}"  auth_plaintext = {str(x.plaintext).lower()} }}
""" for n, x in enumerate(logins))
    return text, logins


def test_samples(house):
    text, listeners = add_listeners(house)
    server = Server(house, text="limits { errors = 1000 }\n" + text, users=house.path("users"), start=False)
    write_accounts(server.b, house.path("users"), PASSWORD, USER)
    server.b.start()
    rng, context, logins = random.Random(1), server.context(), 0
    listeners += [Listener(server.b.port, offers=True), Listener(server.none),
                  Listener(server.required, offers=True, wants=True), Listener(server.implicit, implicit=True)]
    for _ in range(SAMPLES):
        listener = rng.choice(listeners)
        wire, model = Wire(listener.port, context, listener.implicit), Model(listener)
        assert wire.code() == 220
        run(rng, wire, model)
        logins += model.logins
    print(f"{SAMPLES} sessions, {logins} logins")
    assert logins > SAMPLES / 8
    server.b.stop()
    assert server.b.log.count(b"result=ok") == logins


BEHIND = [b"\r\n", b"\n", b"\0", b"N", b"QUIT\r\n", b"RSET\r\nQUIT\r\n", b"EHLO evil.test\r\n", b"STARTTLS\r\n",
          b"EHLO evil.test\r\nMAIL FROM:<evil@x.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n" + BODY + b".\r\n",
          b"MAIL FROM:<evil@x.test>\r\nRCPT TO:<c@d.test>\r\nBDAT 4 LAST\r\nevil", b"BDAT 9 LAST\r\nevil",
          b"EHLO evil.test", b"AUTH PLAIN AGJvYgBib2I=\r\n", b"NOOP\r\n" * 3000]


def test_behind_starttls(house):
    """Whatever comes with STARTTLS is gone: no reply to it, no effect of it, also not of half a line."""
    mends = free_port()
    server = Server(house, text=f'listen "mends" {{ address = "{LOCAL}:{mends}"  line_endings = "normalise" }}\n')
    context = server.context()
    for port in (server.b.port, server.required, mends):
        for more in BEHIND:
            wire = Wire(port, context, False)
            wire.sock.sendall(b"EHLO me.test\r\n")
            assert wire.codes([220, 250]) == [220, 250]
            wire.sock.sendall(b"STARTTLS\r\n" + more)
            assert wire.code() == 220
            wire.secure()
            wire.sock.sendall(b"NOOP\r\nMAIL FROM:<a@b.test>\r\nEHLO me.test\r\nRCPT TO:<c@d.test>\r\nQUIT\r\n")
            want = [250, 503, 250, 503, 221, None]
            assert wire.codes(want) == want, more
            wire.sock.close()
    assert b"evil" not in server.b.log
    server.b.stop()
