"""What goes in comes out, byte for byte: by SMTP and sendmail, to a next hop and into a Maildir."""
import os
import pwd
import subprocess

import pytest

from harness import HOST, PEERS, Proc, free_port, wait_for
from smtp import own_received_cut, stuff

HEAD = (b"From: a@client.example.test\r\nTo: b@other.test\r\nSubject: bytes\r\n"
        b"Date: Fri, 21 Nov 2025 10:00:00 +0000\r\nMessage-ID: <1@client.example.test>\r\n\r\n")


def big(size):
    """Lines of every length from 0 to 998 with every byte but NUL, CR and LF."""
    alphabet = bytes(b for b in range(1, 256) if b not in (10, 13)) * 5
    parts, total, n = [], 0, 0
    while total < size:
        line = alphabet[n % 253:n % 253 + n % 999]
        parts.append(line + b"\r\n")
        total += len(line) + 2
        n += 7
    return b"".join(parts)


BODIES = {
    "nothing": b"",
    "one line": HEAD + b"x\r\n",
    "1 KiB": HEAD + b"y" * 510 + b"\r\n" + b"z" * 510 + b"\r\n",
    "5 MiB": HEAD + big(5 << 20),
    "leading dots": HEAD + b".\r\n..\r\n...\r\n.a\r\n\r\n.\r\n..\r\n",
    "a dot first": b"\r\n.\r\nbody\r\n",
    "8 bit": HEAD + "grüße äöü €\r\n".encode() + bytes(range(128, 256)) + b"\r\n",
    "998 characters": HEAD + b"".join(bytes([c]) * 998 + b"\r\n" for c in b"abc."),
    "no header": b"\r\njust text\r\n",
    "empty lines": HEAD + b"\r\n" * 50,
}


def local_user():
    """Somebody on this host who may get mail: whoever runs this."""
    return pwd.getpwuid(os.getuid() or 65534).pw_name


@pytest.fixture
def relay(house):
    house.next_hop = house.sink()
    house.b = house.baton(route=house.next_hop)
    return house


@pytest.mark.parametrize("name", BODIES)
def test_smtp_to_a_next_hop(relay, name):
    relay.b.smtp().send("a@client.example.test", "b@other.test", BODIES[name], " BODY=8BITMIME")
    (got,) = relay.next_hop.wait(1)
    assert own_received_cut(got.raw) == BODIES[name]
    assert got.sender == "a@client.example.test" and got.to == ["b@other.test"]
    relay.b.stop()


def test_all_on_one_connection(relay):
    """The same messages behind each other: no byte of one gets into the next."""
    c = relay.b.smtp()
    for body in BODIES.values():
        c.send("a@client.example.test", "b@other.test", body, " BODY=8BITMIME")
    c.quit()
    got = sorted(own_received_cut(m.raw) for m in relay.next_hop.wait(len(BODIES)))
    assert got == sorted(BODIES.values())
    relay.b.stop()


def begin(c):
    c.cmd("MAIL FROM:<a@client.example.test>", 250)
    c.cmd("RCPT TO:<b@other.test>", 250)
    c.cmd("DATA", 354)


def test_a_large_body_ends_where_it_ends(relay):
    """Nothing but CRLF.CRLF ends it, wherever that is cut; commands right behind it are answered."""
    c, body = relay.b.smtp(), HEAD + big(900_000)
    for forged in (b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r", b"\r\n\0.\r\n\n.\r\n"):
        begin(c)
        c.write(stuff(body)[:-3] + b"x" + forged + b"MAIL FROM:<evil@client.example.test>\r\n" + stuff(body) + b"NOOP\r\n")
        assert c.reply()[0] == 554
        c.expect(250)
    for cut in range(7):
        begin(c)
        wire = stuff(body) + b"NOOP\r\nRSET\r\n"
        c.write(wire[:len(wire) - 12 - cut])
        c.write(wire[len(wire) - 12 - cut:])
        for _ in range(3):
            c.expect(250)
    c.quit()
    assert {own_received_cut(m.raw) for m in relay.next_hop.wait(7)} == {body}
    relay.b.stop()


def test_a_large_body_with_long_lines(relay):
    """They are broken far inside as anywhere, and nothing else changes."""
    body, end = HEAD + big(700_000), big(400_000)
    relay.b.smtp().send("a@client.example.test", "b@other.test", body + b"x" * 2500 + b"\r\n" + end, " BODY=8BITMIME")
    (got,) = relay.next_hop.wait(1)
    broken = b"x" * 998 + b"\r\n " + b"x" * 997 + b"\r\n " + b"x" * 505 + b"\r\n"
    assert own_received_cut(got.raw) == body + broken + end
    relay.b.stop()


@pytest.mark.parametrize("name", BODIES)
def test_smtp_to_a_maildir(house, name):
    b = house.baton()
    b.smtp().send("a@client.example.test", f"{local_user()}@{HOST}", BODIES[name], " BODY=8BITMIME")
    (raw,) = wait_for(lambda: b.maildir(local_user()), 20)
    assert own_received_cut(raw) == BODIES[name].replace(b"\r\n", b"\n")
    b.stop()


@pytest.mark.parametrize("name", ["nothing", "1 KiB", "5 MiB", "leading dots", "8 bit", "998 characters"])
def test_swaks(relay, name):
    """swaks with the wire form as it is (it would mend and expand otherwise)."""
    path = relay.path("data")
    with open(path, "wb") as f:
        f.write(stuff(BODIES[name]))
    subprocess.run(["swaks", "--silent", "2", "--server", f"127.0.0.1:{relay.b.port}", "--from", "a@client.example.test",
                    "--to", "b@other.test", "--no-data-fixup", "--data", f"@{path}"], check=True, timeout=60)
    (got,) = relay.next_hop.wait(1)
    assert own_received_cut(got.raw) == BODIES[name]
    relay.b.stop()


@pytest.mark.parametrize("name", ["one line", "1 KiB", "5 MiB", "leading dots", "8 bit", "998 characters"])
def test_sendmail(relay, name):
    """sendmail -i takes lines as they come, dots and all; the headers are there, none is added."""
    text = BODIES[name].replace(b"\r\n", b"\n")
    relay.b.tool("sendmail", "-i", "-f", "a@client.example.test", "b@other.test", stdin=text)
    (got,) = relay.next_hop.wait(1)
    assert own_received_cut(got.raw) == BODIES[name]
    relay.b.stop()


def test_sendmail_of_nothing(relay):
    """An empty message arrives with an empty body, whatever header is added."""
    relay.b.tool("sendmail", "-i", "-f", "a@client.example.test", "b@other.test", stdin=b"")
    (got,) = relay.next_hop.wait(1)
    head, mark, body = own_received_cut(got.raw).rpartition(b"\r\n\r\n")
    assert body == b"" or not mark
    assert b"\n" not in head.replace(b"\r\n", b"")
    relay.b.stop()


def test_sendmail_ends_at_a_dot_without_i(relay):
    relay.b.tool("sendmail", "-f", "a@client.example.test", "b@other.test", stdin=b"Subject: dot\n\nfirst\n.\nsecond\n")
    (got,) = relay.next_hop.wait(1)
    assert b"first\r\n" in got.raw and b"second" not in got.raw
    relay.b.stop()


def test_sendmail_into_a_maildir(house):
    b = house.baton()
    b.tool("sendmail", "-i", "-f", "a@client.example.test", local_user(), stdin=BODIES["leading dots"].replace(b"\r\n", b"\n"))
    (raw,) = wait_for(lambda: b.maildir(local_user()), 20)
    assert own_received_cut(raw) == BODIES["leading dots"].replace(b"\r\n", b"\n")
    b.stop()


@pytest.mark.parametrize("name", ["1 KiB", "5 MiB", "leading dots", "998 characters"])
def test_to_smtp_sink(house, name):
    """Postfix's smtp-sink as the next hop; it dumps with LF and X- lines of its own in front."""
    port = free_port()
    dump = house.path("dump")
    os.makedirs(dump)
    user = ["-u", "nobody"] if os.getuid() == 0 else []
    if user:
        os.chmod(dump, 0o777)
    hop = house.keep(Proc([f"{PEERS}/smtp-sink", *user, "-d", f"{dump}/m", f"127.0.0.1:{port}", "100"], port))
    b = house.baton(route=hop)
    b.smtp().send("a@client.example.test", "b@other.test", BODIES[name], " BODY=8BITMIME")
    b.wait_empty()
    want = BODIES[name].replace(b"\r\n", b"\n")

    def arrived():
        """the dump of smtp-sink"""
        files = [open(os.path.join(dump, n), "rb").read() for n in os.listdir(dump)]
        return [f for f in files if f.rstrip(b"\n").endswith(want.rstrip(b"\n"))]
    wait_for(arrived, 10)
    b.stop()


@pytest.mark.parametrize("name", ["1 KiB", "5 MiB", "leading dots", "8 bit"])
def test_to_aiosmtpd(house, name):
    """Somebody else's server in Python, which offers SIZE, 8BITMIME and SMTPUTF8 but no PIPELINING."""
    from aiosmtpd.controller import Controller
    got = []

    class Handler:
        async def handle_DATA(self, server, session, envelope):
            got.append(envelope)
            return "250 2.0.0 taken"
    hop = Controller(Handler(), hostname="127.0.0.1", port=free_port())
    hop.start()
    try:
        b = house.baton(route=hop)
        b.smtp().send("a@client.example.test", "b@other.test", BODIES[name], " BODY=8BITMIME")
        wait_for(lambda: got, 20)
        assert own_received_cut(got[0].original_content) == BODIES[name]
        assert got[0].mail_from == "a@client.example.test" and got[0].rcpt_tos == ["b@other.test"]
        b.wait_empty()
        b.stop()
    finally:
        hop.stop()
