"""Mail for users of this host: who gets it, where, and who is refused."""
import fcntl
import os
import re

import pytest

from harness import HOST, wait_for
from small_disk import SmallDisk
from smtp import message, own_received_cut
from test_bytes import local_user


def test_maildir(house):
    b = house.baton()
    b.smtp().send("a@client.example.test", f"{local_user()}@{HOST}", message("in"))
    (raw,) = wait_for(lambda: b.maildir(local_user()), 15)
    assert re.match(rb"Return-Path: <a@client\.example\.test>\n", raw)
    assert own_received_cut(raw) == message("in").replace(b"\r\n", b"\n")
    base = os.path.join(b.mail, local_user())
    assert os.listdir(os.path.join(base, "tmp")) == [] and os.path.isdir(os.path.join(base, "cur"))
    b.stop()


def test_mbox(house):
    """Appended, From_ line in front, From inside quoted, one empty line behind."""
    box = house.path("box")
    os.makedirs(box)
    b = house.baton(mailbox=f"mbox:{box}/%u")
    for i in range(3):
        b.smtp().send("a@client.example.test", f"{local_user()}@{HOST}", message(f"m{i}", b"From here\r\nFromage\r\n>From\r\n"))

    def three():
        """three messages in the mbox"""
        path = os.path.join(box, local_user())
        text = open(path, "rb").read() if os.path.exists(path) else b""
        return text if text.count(b"\nSubject: m") == 3 and text.endswith(b"\n\n") else None
    text = wait_for(three, 15)
    assert len(re.findall(rb"(?m)^From a@client\.example\.test ", text)) == 3
    assert len(re.findall(rb"(?m)^>From here$", text)) == 3
    assert len(re.findall(rb"(?m)^Fromage$", text)) == 3
    b.wait_empty()
    b.stop()


def test_fifty_at_once_into_one_mailbox(house):
    b = house.baton()
    load = house.load(b.port, ok=50, to=f"{local_user()}@{HOST}")
    assert load.wait()["ok"] == 50
    wait_for(lambda: len(b.maildir(local_user())) >= 50, 30)
    b.wait_empty()
    ids = sorted(re.search(rb"X-Id: (\S+)", raw).group(1).decode() for raw in b.maildir(local_user()))
    assert ids == sorted(load.fates()["ok"])
    b.stop()


def test_an_alias(house):
    b = house.baton(aliases=f"# comment\nsomebody: {local_user()}\nchain: somebody\n")
    c = b.smtp()
    c.send("a@client.example.test", f"somebody@{HOST}", message("alias"))
    wait_for(lambda: b.maildir(local_user()), 15)
    c.cmd("MAIL FROM:<a@client.example.test>", 250)
    assert c.cmd(f"RCPT TO:<nobody-of-that-name@{HOST}>")[0] == 550
    b.stop()


def test_catch_all(house):
    b = house.baton(catch_all=local_user())
    b.smtp().send("a@client.example.test", f"anyone-at-all@{HOST}", message("all"))
    wait_for(lambda: b.maildir(local_user()), 15)
    b.stop()


def test_a_mailbox_that_cannot_be_written_defers(house):
    box = house.path("closed")
    with open(box, "w") as f:
        f.write("a file, not a folder\n")
    b = house.baton(mailbox=f"maildir:{box}/%u", retry='first = "1s" max = "1s"')
    b.smtp().send("a@client.example.test", f"{local_user()}@{HOST}", message("later"))
    wait_for(lambda: [r for row in b.queue() for r in row["recipients"] if r["reason"]], 15)
    os.unlink(box)
    os.makedirs(box)
    wait_for(lambda: os.path.isdir(f"{box}/{local_user()}/new") and os.listdir(f"{box}/{local_user()}/new"), 15)
    b.wait_empty()
    b.stop()


def mbox(house, **more):
    box = house.path("box")
    os.makedirs(box)
    return house.baton(mailbox=f"mbox:{box}/%u", **more), os.path.join(box, local_user())


def size(path):
    return os.path.getsize(path) if os.path.exists(path) else 0


def test_an_mbox_that_another_has_locked(house):
    """By either lock: the delivery waits, then appends; while it waits for one it doesn't sit on the other."""
    b, path = mbox(house)
    with open(path, "w") as f:
        fcntl.lockf(f, fcntl.LOCK_EX)
        b.smtp().send("a@client.example.test", f"{local_user()}@{HOST}", message("one"))
        wait_for(lambda: "local" in b.pids().values(), 15)
        assert size(path) == 0 and not os.path.exists(path + ".lock")
    wait_for(lambda: size(path) > 0, 20)
    b.wait_empty()
    had = size(path)
    with open(path + ".lock", "x"), open(path, "r+") as f:
        b.smtp().send("a@client.example.test", f"{local_user()}@{HOST}", message("two"))
        wait_for(lambda: "local" in b.pids().values(), 15)

        def free():
            """the fcntl lock while the dot-lock is another's"""
            try:
                fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return False
            return True
        wait_for(free, 15)
        assert size(path) == had
    os.unlink(path + ".lock")
    wait_for(lambda: size(path) > had, 20)
    b.wait_empty()
    assert not os.path.exists(path + ".lock")
    b.stop()


@pytest.mark.parametrize("kind", ["mbox", "maildir"])
def test_a_full_disk(house, kind):
    """Deferred with 4.3.1; an mbox is as it was before, a Maildir has no half message; then delivered."""
    disk = SmallDisk(house, "4M")
    os.makedirs(disk.seen("mail"))
    b = house.baton(mailbox=f"{kind}:{disk.path}/mail/%u", wrap=disk.wrap, retry='first = "1s" max = "1s"')
    to = f"{local_user()}@{HOST}"
    b.smtp().send("a@client.example.test", to, message("fits"))
    b.wait_empty()
    path = disk.seen("mail/" + local_user())
    had = size(path)
    disk.fill(leave=64 << 10)
    b.smtp().send("a@client.example.test", to, message("large", b"x" * 70 + b"\r\n" + (b"y" * 70 + b"\r\n") * 5000))
    m = b.wait_log(r'result=deferred .*code=452 dsn=4\.3\.1 reply="([^"]*)"', 15)
    assert m.group(1).decode() == f"{disk.path}/mail/{local_user()}: No space left on device"
    if kind == "mbox":
        assert size(path) == had
    else:
        assert len(os.listdir(path + "/new")) == 1
    disk.give_back()
    b.wait_empty()
    if kind == "mbox":
        with open(path, "rb") as f:
            assert f.read().count(b"\nSubject: large") == 1
    else:
        assert len(os.listdir(path + "/new")) == 2 and not os.listdir(path + "/tmp")
    b.stop()
