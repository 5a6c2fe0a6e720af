"""What is mended in mail that is submitted here, and that mail from elsewhere passes as it is."""
import email
import email.policy
import os
import pwd
import re
import smtplib

import pytest

from harness import HOST, free_port, wait_for
from smtp import Smtp, message, own_received_cut

MASKS = '{ "root@*=admin@example.org", "*@host.lan=*@example.org" }'


def parsed(raw):
    """What a strict reader of RFC 5322 makes of it, which must find no fault."""
    m = email.message_from_bytes(raw, policy=email.policy.default)
    assert not m.defects, m.defects
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    assert b"\n" not in raw.replace(b"\r\n", b"") and b"\r" not in raw.replace(b"\r\n", b"")
    return m


@pytest.fixture
def relay(house):
    house.hop = house.sink()
    house.b = house.baton(route=house.hop, origin="example.net", masquerade=MASKS)
    yield house
    house.b.stop()


def test_smtplib(relay):
    """Everything at once, from a program in relay_from."""
    with smtplib.SMTP("127.0.0.1", relay.b.port) as c:
        c.sendmail("app@host.lan", ["b@other.test", "secret@other.test"],
                   "From: \"App, the\" <app@host.lan> (daily)\r\nReply-To: root\r\nTo: bob,\r\n\tb@other.test\r\n"
                   "Bcc: secret@other.test,\r\n x@other.test\r\nX-Mailer: kept\r\nSubject: s\r\n\r\n" + "y" * 3000 + "\r\n.\r\n")
    (got,) = relay.hop.wait(1)
    assert got.sender == "app@example.org" and sorted(got.to) == ["b@other.test", "secret@other.test"]
    m = parsed(got.raw)
    head = got.raw.split(b"\r\n\r\n")[0]
    assert b'From: "App, the" <app@example.org> (daily)\r\n' in head
    assert m["Reply-To"] == "admin@example.org" and b"To: bob@example.net,\r\n\tb@other.test\r\n" in head
    assert not m["Bcc"] and b"secret" not in head and m["X-Mailer"] == "kept"
    assert m["Date"] and m["Message-ID"].strip("<>").endswith("@" + HOST)
    assert m["Message-ID"].encode() in relay.b.log, "the line of acceptance names the ID that was made"
    assert m.get_content().replace("\r\n ", "").split() == ["y" * 3000, "."]


def test_sendmail(relay):
    """cron's mail: a bare user in From and To, no date."""
    relay.b.tool("sendmail", "-i", "-f", "root", "b@other.test", stdin=(
        b"From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@here> x\n\nout\n"))
    (got,) = relay.hop.wait(1)
    assert got.sender == "admin@example.org"
    m = parsed(got.raw)
    assert m["To"] == "root@example.net" and m["Date"] and m["Message-ID"]
    assert b"\r\nFrom: admin@example.org (Cron Daemon)\r\n" in got.raw


def test_users_of_this_host(house):
    """The kernel's word for the user becomes a name, in the log, for a class and for the limits of users."""
    me = pwd.getpwuid(os.getuid()).pw_name
    owners = house.path("owners")
    with open(owners, "w") as f:
        f.write(f"boss@b.test somebody\nsales@b.test {me}\n")
    b = house.baton(route="[127.0.0.1]:9", sender_owners=owners,
                    text=f'class "mine" {{ user = {{ "{me}" }} }}\nlimits {{ per_user_hour = 4 }}')

    def send(sender, *to):
        return b.tool("sendmail", "-i", "-f", sender, *to, stdin=b"Subject: x\n\nx\n", check=False).returncode
    assert send("sales@b.test", "c@d.test") == 0
    assert send(f"{me}@{HOST}", "c@d.test") == 0
    b.wait_log(rf"accept client=local .*user={me} ")
    wait_for(lambda: len(b.queue()) == 2)
    assert [m["class"] for m in b.queue()] == ["mine", "mine"]
    if me == "root":  # may be anybody
        return
    assert send("boss@b.test", "c@d.test") != 0
    b.wait_log(rf"refuse client=local user={me} .*code=553 status=5.7.1")
    send("sales@b.test", "1@d.test", "2@d.test", "3@d.test")
    b.wait_log(rf"refuse client=local user={me} .*stage=RCPT.*code=452 status=4.7.1")


def test_a_large_message(relay):
    """5 MiB with a To line of 20,000 characters, which comes in one piece and leaves in several."""
    to = ", ".join(f"user{i}@other.test" for i in range(1000))
    body = (b"z" * 70 + b"\r\n") * 70000 + b"w" * 5000 + b"\r\n"
    relay.b.smtp().send("a@host.lan", "b@other.test", b"From: a\r\nTo: " + to.encode() + b"\r\n\r\n" + body)
    (got,) = relay.hop.wait(1, 60)
    m = parsed(got.raw)
    assert m["To"] == to and m["From"] == "a@example.net" and m["Date"]
    assert re.sub(rb"(w+)\r\n (?=w)", rb"\1", got.raw.split(b"\r\n\r\n", 1)[1]) == body


def test_nothing_to_mend(relay):
    """What has everything comes out byte for byte."""
    raw = message("whole", b"x\r\n", Bcc_Not="z", X_Mailer="m")
    relay.b.smtp().send("a@client.example.test", "b@other.test", raw)
    assert own_received_cut(relay.hop.wait(1)[0].raw) == raw


def test_mail_from_elsewhere_is_left_alone(house):
    hop = house.sink()
    b = house.baton(route=hop, masquerade=MASKS, relay_from='"192.0.2.0/24"', relay_to='{ "backup.test" }',
                    listen="privacy = true")
    raw = b"From: root\r\nBcc: x@backup.test\r\nX-Mailer: m\r\nSubject: " + b"s" * 2000 + b"\r\n\r\n" + b"l" * 3000 + b"\r\n"
    b.smtp().send("app@host.lan", "b@backup.test", raw)
    (got,) = hop.wait(1)
    assert got.sender == "app@host.lan" and own_received_cut(got.raw) == raw
    b.stop()


def printers(house, hop):
    """An instance with a listener for devices beside its own; returns it and the port."""
    port = free_port()
    b = house.baton(route=hop, text=f'listen "printers" {{ address = "127.0.0.1:{port}" line_endings = "normalise" privacy = true }}')
    return b, port


def test_an_old_device(house):
    """HELO, bare LF, no TLS, no header to speak of: what leaves is proper mail."""
    hop = house.sink()
    b, port = printers(house, hop)
    c = house.keep(Smtp(port, greet=False))
    c.expect(220)
    for line, code in ((b"HELO mfp", 250), (b"MAIL FROM:<scan@office.test>", 250), (b"RCPT TO:<b@other.test>", 250), (b"DATA", 354)):
        c.write(line + b"\n")
        c.expect(code)
    c.write(b"Subject: scan\nX-Mailer: MFP 3000\nTo: b@other.test\n\npage 1\n..dot\n" + b"p" * 2000 + b"\n.\n")
    c.expect(250)
    c.write(b"QUIT\n")
    c.expect(221)
    (got,) = hop.wait(1)
    m = parsed(got.raw)
    assert m["From"] == "scan@office.test" and m["Date"] and m["Message-ID"] and m["Subject"] == "scan"
    assert not m["X-Mailer"] and b"127.0.0.1" not in got.raw and b"mfp" not in got.raw
    assert m.get_content().replace("\r\n ", "").split() == ["page", "1", ".dot", "p" * 2000]
    b.stop()


def test_nothing_is_smuggled_through_a_listener_that_mends(house):
    """Behind a body that has one proper line, only CRLF.CRLF ends it, and what is sent on has no other
    line ends than CRLF and no end of data inside, whatever came.
    """
    hop = house.sink()
    b, port = printers(house, hop)
    ends = [b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r", b"\0\n", b""]
    inner = b"MAIL FROM:<evil@client.example.test>\r\nRCPT TO:<evil@other.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nx"
    tried = 0
    for first in ends:
        for last in ends:
            if (first, last) == (b"\r\n", b"\r\n") or (first, last) == (b"\r\r\n", b"\r\n"):
                continue
            c = house.keep(Smtp(port))
            c.cmd("MAIL FROM:<a@client.example.test>", 250)
            c.cmd("RCPT TO:<b@other.test>", 250)
            c.cmd("DATA", 354)
            c.write(b"Subject: outer\r\n\r\nx" + first + b"." + last + inner + b"\r\n.\r\n")
            c.expect(250)
            assert c.cmd("NOOP")[0] == 250, (first, last)
            c.quit()
            tried += 1
    got = hop.wait(tried, 60)
    wait_for(lambda: len(hop.messages) >= tried, 10)
    assert len(hop.messages) == tried and all(m.to == ["b@other.test"] for m in got)
    for m in got:
        assert b"\n" not in m.raw.replace(b"\r\n", b"") and b"\r" not in m.raw.replace(b"\r\n", b"")
        assert m.raw.count(b"smuggled") == 1
    b.stop()
