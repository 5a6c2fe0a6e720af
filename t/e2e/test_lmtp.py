"""LMTP: each recipient's own end, over TCP and a Unix socket, to a server of the test's and to Dovecot."""
import getpass

from dovecot_lmtp import Dovecot
from harness import wait_for
from lmtp import Lmtp
from smtp import message

BODY = message("hello", b"one\r\n..two dots\r\n.\r\n")


def test_every_recipient_has_its_own_end(house):
    """One message to five: taken, refused at RCPT, deferred and refused after the data; the taken ones
    have it once, the deferred one again when the server takes it, the sender hears of the two."""
    server = house.keep(Lmtp(rcpt={"nobody": "550 5.1.1 no such user"},
                             final={"full": "452 4.2.2 mailbox full", "never": "554 5.7.1 not here"}))
    bounces = house.sink()
    b = house.baton(text=f'route "box.test" {{ to = "{server.to}" }}\n'
                         f'route "from.test" {{ to = "[127.0.0.1]:{bounces.port}" }}')
    people = ["ann", "nobody", "full", "never", "bob"]
    b.smtp().send("me@from.test", [f"{p}@box.test" for p in people], BODY)
    bounces.wait(1)
    wait_for(lambda: b"4.2.2" in b.log, 20)
    assert sorted(to for _, to, _ in server.messages) == ["ann@box.test", "bob@box.test"]
    assert all(raw.endswith(BODY) for _, _, raw in server.messages)
    assert any(c.startswith("LHLO ") for c in server.commands) and not any(c.startswith("EHLO") for c in server.commands)
    told = b"".join(m.raw for m in bounces.messages)
    assert b"nobody@box.test" in told and b"no such user" in told
    wait_for(lambda: b"never@box.test" in b"".join(m.raw for m in bounces.messages), 20)
    server.final.pop("full")
    server.wait(3)
    wait_for(lambda: not b.queue(), 20)
    assert sorted(to for _, to, _ in server.messages) == [f"{p}@box.test" for p in ("ann", "bob", "full")]


def test_a_unix_socket(house):
    """A route to a Unix socket: nothing there, it waits; there, it goes; another process takes over."""
    path = house.path("s")
    b = house.baton(text=f'route "box.test" {{ to = "lmtp:unix:{path}" }}')
    b.smtp().send("me@from.test", "ann@box.test", BODY)
    wait_for(lambda: b"No such file" in b.log, 20)
    server = house.keep(Lmtp(path))
    server.wait(1)
    for _ in range(5):
        b.smtp().send("me@from.test", ["ann@box.test", "bob@box.test"], BODY)
    server.wait(11)
    wait_for(lambda: not b.queue(), 20)
    assert len(server.messages) == 11
    b.stop()


def test_what_was_taken_is_delivered(house):
    """Who asked for a report is told that the mailbox has it, not that a relay does."""
    server, reports = house.keep(Lmtp()), house.sink()
    b = house.baton(text=f'route "box.test" {{ to = "{server.to}" }}\n'
                         f'route "from.test" {{ to = "[127.0.0.1]:{reports.port}" }}')
    c = b.smtp()
    for line, code in (("MAIL FROM:<me@from.test>", 250), ("RCPT TO:<ann@box.test> NOTIFY=SUCCESS", 250), ("DATA", 354)):
        c.cmd(line, code)
    c.write(BODY.replace(b"\r\n.", b"\r\n..") + b".\r\n")
    c.expect(250)
    assert b"Action: delivered" in reports.wait(1)[0].raw


def test_local_mail_by_lmtp(house):
    """mailbox = lmtp: the users of this host, aliases expanded first."""
    me = getpass.getuser()
    server = house.keep(Lmtp(house.path("s")))
    b = house.baton(mailbox=server.to)
    b.smtp().send("me@from.test", f"{me}@localhost", BODY)
    assert server.wait(1)[0][1] == f"{me}@localhost"
    wait_for(lambda: not b.queue(), 20)


def test_dovecot(house):
    """Debian's Dovecot over both kinds of sockets: bytes arrive, one broken mailbox stops nobody."""
    dovecot = house.keep(Dovecot(house))
    with open(f"{dovecot.base}/mail/broken", "w"):
        pass
    b = house.baton(text=f'route "tcp.test" {{ to = "{dovecot.to}" }}\n'
                         f'route "unix.test" {{ to = "{dovecot.unix}" }}', retry='first = "60s"')
    for kind in ("tcp", "unix"):
        b.smtp().send("me@from.test", [f"{p}.{kind}@{kind}.test" for p in ("ann", "bob")] + [f"broken@{kind}.test"], BODY)
    for user in ("ann.tcp", "bob.tcp", "ann.unix", "bob.unix"):
        assert BODY.replace(b"\r\n", b"\n") in dovecot.wait(user)[0].replace(b"\r\n", b"\n")
    wait_for(lambda: len(b.queue()) == 2 and all(len(m["recipients"]) == 1 for m in b.queue()), 20)
    left = [r for m in b.queue() for r in m["recipients"]]
    assert sorted(r["address"] for r in left) == ["broken@tcp.test", "broken@unix.test"], left
    for user in ("ann.tcp", "bob.tcp", "ann.unix", "bob.unix"):
        assert len(dovecot.mail(user)) == 1
    b.stop()
