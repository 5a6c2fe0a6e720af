"""TLS on both sides: what clients are offered, and what next hops have to show."""
import json
import os
import re
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import time

import pytest

from harness import HOST, PEERS, SOAK, free_port, wait_for
from pki import Authority, fingerprint
from smtp import Smtp
from test_privsep import as_root  # noqa: F401  a fixture

LOCAL = "127.0.0.1"
BODY = b"Subject: tls\r\n\r\nx\r\n"


class Server:
    """An instance with a certificate, and a port for each kind of listener."""

    def __init__(self, house, pairs=None, text="", start=True, **config):
        self.authority = house.authority = getattr(house, "authority", None) or Authority(house)
        self.pairs = pairs or [self.authority.issue(HOST, LOCAL)]
        self.implicit, self.required, self.none = free_port(), free_port(), free_port()
        config.setdefault("route", "discard")
        self.config = dict(config, text=text)
        self.b = house.baton(start=False)
        self.write()
        if start:
            self.b.start()

    def write(self):
        certificates = ", ".join(f'"{c}"' for c, _ in self.pairs)
        keys = ", ".join(f'"{k}"' for _, k in self.pairs)
        config = dict(self.config)
        config["text"] += f"""
tls {{ certificate = {{ {certificates} }}
key = {{ {keys} }} }}
listen "implicit" {{ address = "{LOCAL}:{self.implicit}"  tls = "implicit" }}
listen "required" {{ address = "{LOCAL}:{self.required}"  tls = "required" }}
listen "none" {{ address = "{LOCAL}:{self.none}"  tls = "none" }}
"""
        self.b.write(**config)

    def context(self, **more):
        return self.authority.client(**more)

    def connect(self, ctx=None, port=None, name=LOCAL, session=None):
        """A TLS connection to the implicit port."""
        sock = socket.create_connection((LOCAL, port or self.implicit), 20)
        ctx = ctx or self.context()
        return ctx.wrap_socket(sock, server_hostname=name, session=session)

    def session(self, ctx, name=LOCAL):
        """A session to resume: TLS 1.3 sends it behind the handshake, with the greeting."""
        with self.connect(ctx, name=name) as s:
            s.recv(1000)
            s.sendall(b"NOOP\r\n")
            s.recv(1000)
            return s.session


@pytest.fixture
def server(house):
    return Server(house)


# -- as a server ---------------------------------------------------------------------------------------

def test_offered(server):
    c = smtplib.SMTP(LOCAL, server.b.port)
    c.ehlo()
    assert c.has_extn("starttls")
    assert c.starttls(context=server.context())[0] == 220
    c.ehlo()
    assert not c.has_extn("starttls")
    assert c.docmd("STARTTLS")[0] == 503
    assert c.sock.version() == "TLSv1.3"
    c.sendmail("a@client.example.test", ["b@other.test"], BODY)
    c.quit()
    server.b.wait_log(r" accept [^\n]*listener=test tls=TLSv1\.3/TLS_\w+ ")
    server.b.stop()


def test_required_none_and_implicit(server):
    c = smtplib.SMTP(LOCAL, server.required)
    c.ehlo()
    assert c.docmd("MAIL FROM:<a@client.example.test>") == (530, b"5.7.0 Must issue a STARTTLS command first")
    c.starttls(context=server.context())
    c.sendmail("a@client.example.test", ["b@other.test"], BODY)
    c.quit()
    c = smtplib.SMTP(LOCAL, server.none)
    c.ehlo()
    assert not c.has_extn("starttls")
    assert c.docmd("STARTTLS")[0] == 502
    c.quit()
    c = smtplib.SMTP_SSL(LOCAL, server.implicit, context=server.context())
    c.ehlo()
    assert not c.has_extn("starttls")
    c.sendmail("a@client.example.test", ["b@other.test"], BODY)
    c.quit()
    plain = Smtp(server.implicit, greet=False)
    plain.write(b"EHLO client.example.test\r\n")
    with pytest.raises((EOFError, AssertionError, ConnectionError)):
        plain.reply()
    plain.close()
    server.b.wait_log(r" tls_failed client=127\.0\.0\.1 listener=implicit reason=")
    server.b.stop()


def test_received(house):
    hop = house.sink()
    server = Server(house, route=hop)
    for version, suite in ((ssl.TLSVersion.TLSv1_2, rb"TLS_ECDHE_ECDSA_WITH_\w+ \(TLSv1\.2\)"),
                           (ssl.TLSVersion.TLSv1_3, rb"TLS_AES_\w+ \(TLSv1\.3\)")):
        ctx = server.context()
        ctx.minimum_version = ctx.maximum_version = version
        c = smtplib.SMTP_SSL(LOCAL, server.implicit, context=ctx)
        c.sendmail("a@client.example.test", ["b@other.test"], BODY)
        c.quit()
        raw = hop.wait(1)[0].raw
        assert re.match(rb"Received: from [^\r]*\r\n\tby relay\.example\.test with ESMTPS id \w+\r\n"
                        rb"\tfor <b@other\.test>\r\n\ttls " + suite + rb";\r\n\t", raw), raw
        hop.messages.clear()
    server.b.stop()


def test_old_versions_are_refused(server):
    done = subprocess.run(["openssl", "s_client", "-connect", f"{LOCAL}:{server.implicit}", "-tls1_1", "-cipher",
                           "ALL:@SECLEVEL=0"], input=b"", capture_output=True, timeout=20)
    assert done.returncode != 0
    for args in (["-tls1_2"], ["-tls1_3"], ["-alpn", "xmpp-client"], ["-alpn", "smtp"]):
        done = subprocess.run(["openssl", "s_client", "-connect", f"{LOCAL}:{server.implicit}", "-CAfile",
                               server.authority.ca, "-verify_return_error", *args], input=b"QUIT\r\n",
                              capture_output=True, timeout=20)
        assert done.returncode == 0, done.stderr
    done = subprocess.run(["openssl", "s_client", "-connect", f"{LOCAL}:{server.implicit}", "-alpn", "h2,http/1.1"],
                          input=b"", capture_output=True, timeout=20)
    assert done.returncode != 0 and b"no application protocol" in done.stderr
    server.b.stop()


@pytest.mark.parametrize("more", [b"MAIL FROM:<evil@x.test>\r\nRCPT TO:<b@other.test>\r\n", b"NOOP\r\n" * 500, b"QU"])
def test_what_came_before_is_forgotten(server, more):
    """Plaintext behind STARTTLS is no command in TLS, and nothing said before counts."""
    c = Smtp(server.b.port)
    c.write(b"STARTTLS\r\n" + more)
    c.expect(220)
    assert c.buffer == b""
    c.sock = server.context().wrap_socket(c.sock, server_hostname=LOCAL)
    assert c.cmd("MAIL FROM:<a@client.example.test>")[0] == 503
    assert c.cmd("NOOP")[0] == 250
    c.cmd("EHLO again.example.test", 250)
    assert c.cmd("RCPT TO:<b@other.test>")[0] == 503
    c.send("a@client.example.test", "b@other.test", BODY)
    c.quit()
    line = server.b.wait_log(r" accept [^\n]*").group(0)
    assert b"helo=again.example.test" in line and b"evil" not in line
    server.b.stop()


def test_starttls_in_its_place(server):
    c = Smtp(server.b.port, greet=False)
    c.expect(220)
    assert c.cmd("STARTTLS")[0] == 503
    c.cmd("EHLO x", 250)
    assert c.cmd("STARTTLS now")[0] == 501
    c.cmd("MAIL FROM:<a@client.example.test>", 250)
    assert c.cmd("STARTTLS")[0] == 503
    c.cmd("RSET", 250)
    assert c.cmd("STARTTLS")[0] == 220
    c.close()
    server.b.stop()


def test_tickets_hold_in_every_worker(server):
    """Also in those that come later: after a kill and after a reload."""
    ctx = server.context()
    b, workers = server.b, server.b.pids("smtpd")
    os.kill(workers[1], signal.SIGSTOP)
    session = server.session(ctx)
    os.kill(workers[1], signal.SIGCONT)
    os.kill(workers[0], signal.SIGSTOP)
    with server.connect(ctx, session=session) as s:
        assert s.session_reused, "another worker knows nothing of the session"
        s.recv(1000)
    os.kill(workers[0], signal.SIGCONT)
    session = server.session(ctx)
    for pid in workers:
        b.kill("smtpd", which=0) if pid in b.pids("smtpd") else None
        b.replaced("smtpd", pid)
    wait_for(lambda: len(b.pids("smtpd")) == 2 and not set(workers) & set(b.pids("smtpd")), 10)
    with server.connect(ctx, session=session) as s:
        assert s.session_reused, "new workers know nothing of the session"
        s.recv(1000)
    session = server.session(ctx)
    b.hup()
    b.wait_log(r"reload result=done")
    b.ctl("status")
    with server.connect(ctx, session=session) as s:
        assert s.session_reused, "a reload made the session worthless"
    b.stop()


def test_names_and_reload(house):
    """SNI chooses among certificates; a reload brings new ones, and refuses what is no pair."""
    authority = house.authority = Authority(house)
    server = Server(house, pairs=[authority.issue(HOST, LOCAL), authority.issue("two.example.test", key="rsa:2048")])
    ctx = server.context()

    def serial(name):
        with server.connect(ctx, name=name) as s:
            return int(s.getpeercert()["serialNumber"], 16)
    assert (serial(HOST), serial("two.example.test"), serial(LOCAL)) == (1, 2, 1)
    with pytest.raises(ssl.SSLCertVerificationError, match="match|mismatch"):
        serial("three.example.test")
    keep = server.connect(ctx)
    server.pairs.append(authority.issue("three.example.test"))
    server.write()
    before = server.b.pids("smtpd")
    server.b.hup()
    server.b.wait_log("reload result=done")
    # until the new generation is complete the old one takes clients too
    wait_for(lambda: all(try_serial(serial) == 3 for _ in range(10)), 20)
    assert set(before) & set(server.b.pids("smtpd")), "the old generation still serves who is there"
    keep.sendall(b"NOOP\r\n")
    assert b"250 2.0.0 Ok" in keep.recv(1000) + keep.recv(1000)
    keep.close()
    server.pairs[2] = (server.pairs[2][0], server.pairs[0][1])
    server.write()
    line = open(server.b.conf).read().split("\n").index(next(
        row for row in open(server.b.conf).read().split("\n") if row.startswith("key = {"))) + 1
    server.b.hup()
    server.b.wait_log(re.escape(f"{server.b.conf}:{line}: tls: ") + r"[^\n]*this key is not the certificate's")
    assert serial("three.example.test") == 3
    server.b.stop()


def test_files_are_read_once(server):
    """A worker that is replaced serves with what was in force, whatever became of the files."""
    for path in server.pairs[0]:
        os.unlink(path)
    for pid in server.b.pids("smtpd"):
        os.kill(pid, signal.SIGKILL)
        server.b.replaced("smtpd", pid)
    wait_for(lambda: len(server.b.pids("smtpd")) == 2, 10)
    with server.connect() as s:
        assert s.recv(1000).startswith(b"220 ")
    server.b.hup()
    server.b.wait_log("reload level=warning result=\"refused")
    with server.connect() as s:
        assert s.recv(1000).startswith(b"220 ")
    server.b.stop()


def try_serial(serial):
    try:
        return serial("three.example.test")
    except (ssl.SSLError, OSError):
        return None


def test_certificates_as_leave_to_relay(house):
    authority = house.authority = Authority(house)
    friend, stranger = authority.issue("friend.test"), authority.issue("stranger.test")
    server = Server(house, relay_from='"192.0.2.1"', local='"localhost"',
                    text=f'relay_certificates = {{ "{fingerprint(friend[0])}" }}', listen='auth = "required"')
    for pair, port, code in ((friend, server.required, 250), (stranger, server.required, 554),
                             (None, server.required, 554), (friend, server.b.port, 250), (stranger, server.b.port, 530)):
        c = smtplib.SMTP(LOCAL, port)
        c.starttls(context=server.context(pair=pair))
        c.ehlo()
        got = c.docmd("MAIL FROM:<a@client.example.test>")
        if got[0] == 250:
            got = c.docmd("RCPT TO:<b@other.test>")
        assert got[0] in (code, 550 if code == 554 else code), (pair, port, got)
        c.quit()
    server.b.stop()


def test_slow_handshakes_starve_nobody(house):
    """Clients that begin and don't go on hold a place and nothing else."""
    server = Server(house, text="limits { per_client = 0 }")
    count = 2000 if SOAK else 200
    half = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    slow = []
    for i in range(count):
        s = socket.create_connection((LOCAL, server.implicit), 20)
        s.sendall(half if i % 2 else half[:3])
        slow.append(s)
    ctx = server.context()
    c = smtplib.SMTP_SSL(LOCAL, server.implicit, context=ctx, timeout=20)
    for _ in range(5):
        c.sendmail("a@client.example.test", ["b@other.test"], BODY)
    c.quit()
    for s in slow:
        s.close()
    server.b.wait_log(r"tls_failed [^\n]*reason=\"the client closed the connection\"")
    server.b.stop()


def test_large_and_many(house):
    """Through two instances, both ways encrypted: every byte and every message."""
    hop = house.sink()
    server = Server(house, route=hop, message_size="50M")
    b = house.baton(route=f"[{LOCAL}]:{server.b.port}", site='tls = "required"  connections = 4')
    rows = [("a@client.example.test", f"b{i}@other.test", b"Subject: n\r\n\r\n%d\r\n" % i) for i in range(200)]
    b.smtp().send_batch(rows)
    big = b"Subject: big\r\n\r\n" + (b"y" * 76 + b"\r\n") * 80000
    b.smtp().send("a@client.example.test", "big@other.test", big)
    hop.wait(201, 60)
    assert {m.to[0] for m in hop.messages} == {r[1] for r in rows} | {"big@other.test"}
    raw = next(m.raw for m in hop.messages if m.to == ["big@other.test"])
    assert raw.endswith(big)
    assert b" with ESMTPS id " in raw
    b.wait_log(r"to=big@other\.test result=sent [^\n]*tls=TLSv1\.3/TLS_AES_128_GCM_SHA256/unverified")
    b.stop()
    server.b.stop()


# -- configuration -----------------------------------------------------------------------------------------

def test_config_is_checked(house):
    authority = Authority(house)
    pair, other, old = authority.issue("x.test"), authority.issue("y.test"), authority.issue("z.test", days=-1)
    weak = authority.issue("w.test", key="rsa:1024")
    b = house.baton(start=False)
    missing = house.path("missing.pem")
    rows = [
        (f'tls {{ certificate = "{pair[0]}"\nkey = "{pair[1]}" }}', 0, None),
        (f'tls {{ certificate = "{pair[0]}"\nkey = "{other[1]}" }}', 1, "this key is not the certificate's"),
        (f'tls {{ certificate = "{pair[1]}"\nkey = "{pair[1]}" }}', 0, "no usable certificate"),
        (f'tls {{ certificate = "{missing}"\nkey = "{pair[1]}" }}', 0, "can't read .*No such file"),
        (f'tls {{ certificate = {{ "{pair[0]}",\n"{weak[0]}" }} key = {{ "{pair[1]}", "{weak[1]}" }} }}', 1, "too small"),
        (f'tls {{\nkey = "{house.dir}" certificate = "{pair[0]}" }}', 1, "no regular file"),
        (f'deliver {{ certificate = "{pair[0]}" }}', 0, "certificate and key belong together"),
        (f'route "*" {{ tls = "verify" }}\ndeliver {{ ca = "{pair[1]}" }}', 1, "no certificate in it"),
        ('relay_certificates = { "00:11" }', 0, "SHA-256 fingerprint"),
    ]
    for text, at, words in rows:
        b.write(text=text)
        first = open(b.conf).read().split("\n").index(text.split("\n")[0]) + 1
        done = subprocess.run([b.program("baton"), "-n", "-c", b.conf], env=b.env(), capture_output=True, text=True)
        if words is None:
            assert done.returncode == 0, done.stderr
        else:
            assert done.returncode != 0, text
            assert re.search(re.escape(f"{b.conf}:{first + at}: ") + f".*{words}", done.stderr), done.stderr
    b.write(text=f'tls {{ certificate = "{old[0]}"\nkey = "{old[1]}" }}')
    done = subprocess.run([b.program("baton"), "-n", "-c", b.conf], env=b.env(), capture_output=True, text=True)
    assert done.returncode == 0 and "the certificate expired on " in done.stderr


@pytest.mark.root
def test_keys_of_root(as_root, house):  # noqa: F811
    """Keys that only root can read serve roles that are nobody, also after one of them was replaced."""
    authority = Authority(house)
    pair = authority.issue(HOST, LOCAL)
    os.chmod(pair[1], 0o600)
    sink = house.sink(tls=authority.server(LOCAL))
    b = as_root(route=sink, site='tls = "verify"',
                text=f'tls {{ certificate = "{pair[0]}" key = "{pair[1]}" }}\ndeliver {{ ca = "{authority.ca}" }}')
    for count in (1, 2):
        c = smtplib.SMTP(LOCAL, b.port)
        c.starttls(context=authority.client())
        c.sendmail("a@client.example.test", ["b@other.test"], BODY)
        c.quit()
        assert sink.wait(count)[count - 1].tls
        b.replaced("smtpd", b.kill("smtpd"))
        b.replaced("deliver", b.kill("deliver"))
    b.wait_log(r"result=sent [^\n]*tls=TLSv1\.3/\w+/verified")
    b.stop()


# -- as a client ---------------------------------------------------------------------------------------------

KINDS = {
    # next hop: (with TLS wanted, required, verified)
    "good": ("tls", "tls", "tls"),
    "implicit": ("tls", "tls", "tls"),
    "expired": ("tls", "tls", "down"),
    "wrong-name": ("tls", "tls", "down"),
    "unknown-ca": ("tls", "tls", "down"),
    "no-tls": ("plain", "down", "down"),
    "refuses": ("plain", "down", "down"),
    "garbage": ("plain", "down", "down"),
    "closes": ("plain", "down", "down"),
}
MODES = ("opportunistic", "required", "verify")


def sink_of(house, kind, issued):
    if kind == "no-tls":
        return house.sink()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*issued.get(kind, issued["good"]))
    more = {"implicit": {"implicit": True}, "refuses": {"refuse": {"STARTTLS": "454 4.7.0 TLS not available"}},
            "garbage": {"starttls": "garbage"}, "closes": {"starttls": "close"}}.get(kind, {})
    return house.sink(tls=tls, **more)


def test_matrix(house):
    """Every mode against every kind of next hop: encrypted, in plaintext, or kept and the site down."""
    authority, stranger = Authority(house), Authority(house, "Strange CA")
    issued = {"good": authority.issue(LOCAL), "expired": authority.issue(LOCAL, days=-1),
              "wrong-name": authority.issue("other.example.test"), "unknown-ca": stranger.issue(LOCAL)}
    sinks, routes = {}, []
    for kind in KINDS:
        for mode in MODES:
            s = sinks[kind, mode] = sink_of(house, kind, issued)
            scheme = "tls://" if kind == "implicit" else ""
            routes.append(f'route "{kind}.{mode}.test" {{ to = "{scheme}[{LOCAL}]:{s.port}"  tls = "{mode}" }}')
    b = house.baton(text=f'deliver {{ ca = "{authority.ca}" }}\n' + "\n".join(routes))
    c = b.smtp()
    for kind, mode in sinks:
        c.send("a@client.example.test", f"b@{kind}.{mode}.test", BODY)
    for (kind, mode), s in sinks.items():
        want = KINDS[kind][MODES.index(mode)]
        if want == "down":
            b.wait_log(rf"site level=warning site=\[127\.0\.0\.1\]:{s.port} state=down reason=tls ", 30)
            assert not s.messages, (kind, mode)
        else:
            got = s.wait(1, 30)[0]
            assert bool(got.tls) == (want == "tls"), (kind, mode)
            verdict = "verified" if mode == "verify" else "unverified"
            tls = rf"tls=TLSv1\.3/\w+/{verdict} " if want == "tls" else ""
            b.wait_log(rf"to=b@{kind}\.{mode}\.test result=sent site=\S+ relay=\S+ address=\S+ {tls}delay_ms=")
    left = {r["address"] for m in b.queue() for r in m["recipients"]}
    assert left == {f"b@{k}.{m}.test" for k, m in sinks if KINDS[k][MODES.index(m)] == "down"}
    assert b"result=failed" not in b.log
    b.stop()


def test_a_site_that_mends_itself(house):
    """A certificate that failed is asked for again, and then the mail goes."""
    authority, stranger = Authority(house), Authority(house, "Strange CA")
    sink = house.sink(tls=stranger.server(LOCAL))
    b = house.baton(route=sink, site='tls = "verify"', text=f'deliver {{ ca = "{authority.ca}" }}')
    b.smtp().send("a@client.example.test", "b@other.test", BODY)
    b.wait_log(r"state=down reason=tls words=\"[^\n]*certificate: ")
    sink.tls = authority.server(LOCAL)
    assert sink.wait(1)[0].tls
    b.stop()


def test_a_reload_brings_other_authorities(house):
    """deliver takes them in place, in its empty root, without a restart."""
    authority, stranger = Authority(house), Authority(house, "Strange CA")
    sink = house.sink(tls=authority.server(LOCAL))
    b = house.baton(start=False)
    b.write(route=sink, site='tls = "verify"', text=f'deliver {{ ca = "{stranger.ca}" }}')
    b.start()
    workers = b.pids("deliver")
    b.smtp().send("a@client.example.test", "b@other.test", BODY)
    b.wait_log(r"state=down reason=tls words=\"[^\n]*certificate: ")
    b.write(route=sink, site='tls = "verify"', text=f'deliver {{ ca = "{authority.ca}" }}')
    b.hup()
    assert sink.wait(1)[0].tls
    assert b.pids("deliver") == workers
    b.stop()


def test_sessions_are_resumed(house):
    """From connection to connection; on one connection as many messages as it may carry."""
    authority = Authority(house)
    sink = house.sink(tls=authority.server(LOCAL))
    b = house.baton(route=sink, workers=1, site='tls = "verify"  messages_per_connection = 3  connections = 1',
                    text=f'deliver {{ ca = "{authority.ca}" }}')
    b.smtp().send_batch([("a@client.example.test", f"b{i}@other.test", BODY) for i in range(12)])
    sink.wait(12)
    assert sink.connections == 4
    first = {m.connection: m.resumed for m in reversed(sink.messages)}
    assert [first[n] for n in sorted(first)] == [False, True, True, True]
    b.wait_log(r"tls=TLSv1\.3/\w+/verified/resumed")
    b.stop()


def test_what_failed_is_remembered(house):
    """Where TLS is an opportunity, one that fails is not tried with every connection."""
    sink = house.sink(tls=Authority(house).server(LOCAL), starttls="close")
    b = house.baton(route=sink, workers=1, site="messages_per_connection = 1  connections = 1")
    b.smtp().send_batch([("a@client.example.test", f"b{i}@other.test", BODY) for i in range(5)])
    sink.wait(5)
    assert [line for _, line in sink.commands].count("STARTTLS") == 1
    b.wait_log(r"tls_failed host=127\.0\.0\.1 port=\d+ reason=")
    b.stop()


def test_all_workers_remember(house):
    """What one worker found the others needn't find out; a person sees it, and a reload forgets it."""
    sink = house.sink(tls=Authority(house).server(LOCAL), starttls="close")
    b = house.baton(route=sink, workers=4, site="messages_per_connection = 1  connections = 4")

    def handshakes():
        return [line for _, line in sink.commands].count("STARTTLS")

    def send(n):
        before = len(sink.messages)
        b.smtp().send_batch([("a@client.example.test", f"b{i}@other.test", BODY) for i in range(n)])
        sink.wait(before + n)
    send(1)
    assert handshakes() == 1
    site = wait_for(lambda: [s for s in map(json.loads, b.ctl("sites", "--json").splitlines()) if s["plaintext_until"]], 5)[0]
    assert time.time() + 1700 < site["plaintext_until"] < time.time() + 1900
    assert re.search(r"plaintext until [^ ]+ [^ ]+, for TLS fails", b.ctl("status")), b.ctl("status")
    send(40)
    assert handshakes() == 1
    b.ctl("reload")
    for _ in range(5):  # connections that were opened before it go on
        if handshakes() == 1:
            send(1)
    assert handshakes() == 2
    b.stop()


def test_our_certificate(house):
    """Shown to a fixed next hop that asks for one."""
    authority = Authority(house)
    own = authority.issue("client.example.test")
    tls = authority.server(LOCAL)
    tls.load_verify_locations(authority.ca)
    tls.verify_mode = ssl.CERT_OPTIONAL
    sink = house.sink(tls=tls)
    b = house.baton(route=sink, text=f'deliver {{ certificate = "{own[0]}"  key = "{own[1]}" }}')
    b.smtp().send("a@client.example.test", "b@other.test", BODY)
    got = sink.wait(1)[0].certificate
    assert got and int(got["serialNumber"], 16) == 1
    b.stop()


@pytest.mark.skipif(not os.path.exists(f"{PEERS}/nsd"), reason="no NSD")
def test_mx_names_are_verified(house):
    """For mail by MX it is the host's own name that the certificate must have, and that is asked for."""
    authority = Authority(house)
    asked = []
    tls = authority.server("mx1.good.test")
    tls.sni_callback = lambda sock, name, ctx: asked.append(name)
    sink = house.sink(tls=tls)
    zones = {z: "@ IN MX 10 mx1\nmx1 IN A 127.0.0.1" for z in ("good.test", "bad.test")}
    b = house.baton(resolver=house.nsd(zones), route="mx", site='tls = "verify"',
                    text=f'deliver {{ port = {sink.port}  ca = "{authority.ca}" }}')
    b.smtp().send("a@client.example.test", "b@good.test", BODY)
    assert sink.wait(1)[0].tls
    b.smtp().send("a@client.example.test", "b@bad.test", BODY)
    b.wait_log(r"site=mx1\.bad\.test state=down reason=tls [^\n]*hostname mismatch")
    assert set(asked) == {"mx1.good.test", "mx1.bad.test"}
    assert len(sink.messages) == 1
    b.stop()


# -- what scanners say ------------------------------------------------------------------------------------------

@pytest.mark.skipif(not SOAK or not shutil.which("testssl") or not shutil.which("sslscan"), reason="soak only")
@pytest.mark.limit(900)
def test_scanners_find_nothing(server, house):
    """testssl.sh and sslscan, implicit and after STARTTLS: nothing of LOW or above but what they say of the
    test's certificate and of its domain's DNS."""
    import json
    for extra, port in (([], server.implicit), (["--starttls", "smtp"], server.b.port)):
        out = house.path(f"testssl{port}.json")
        subprocess.run(["testssl", "--quiet", "--color", "0", "--ip", "one", "--severity", "LOW", "--jsonfile", out, *extra,
                        f"{LOCAL}:{port}"], capture_output=True, timeout=800)
        print(port, [(f["id"], f["severity"], f["finding"][:60]) for f in json.load(open(out))])
        found = [f for f in json.load(open(out)) if not f["id"].startswith(("cert", "DNS_")) and f["severity"] in
                 ("LOW", "MEDIUM", "HIGH", "CRITICAL")]
        assert found == [], found
    for args in ([f"{LOCAL}:{server.implicit}"], ["--starttls-smtp", f"{LOCAL}:{server.b.port}"]):
        done = subprocess.run(["sslscan", "--no-colour", *args], capture_output=True, text=True, timeout=300)
        assert re.search(r"TLSv1.1\s+disabled", done.stdout) and re.search(r"TLSv1.3\s+enabled", done.stdout)
        assert "not vulnerable to heartbleed" in done.stdout
        assert not re.search(r"Accepted.*(CBC|RC4|3DES|NULL|EXP)", done.stdout), done.stdout
    server.b.stop()
