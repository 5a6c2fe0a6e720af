"""The drop folder: what sendmail does where nobody can take mail, and what becomes of it."""
import email
import glob
import os
import re
import signal
import stat
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import HOST, SANITIZED, SOAK, wait_for
from small_disk import SmallDisk
from test_privsep import as_root  # noqa: F401

ME = "a@client.example.test"
STEPS = ("connect", "openat", "fchmod", "write", "pwrite64", "fsync", "renameat2", "close", "exit_group")


def dropped(b, hidden=False):
    """Names in the drop folder: the mail there, or what is half written."""
    folder = os.path.join(b.spool, "drop")
    return sorted(n for n in os.listdir(folder) if n.startswith(".") == hidden)


def refused(b):
    return sorted(os.listdir(os.path.join(b.spool, "refused")))


def down(house, **config):
    """An instance that has been there and isn't now, with its next hop."""
    hop = house.sink()
    b = house.baton(route=hop, **config)
    b.stop()
    return b, hop


def send(b, n, *args, to="b@other.test", body=b"x\n", check=True):
    return b.tool("sendmail", "-i", "-f", ME, *args, to, stdin=b"X-Id: %d-1\nSubject: s\n\n" % n + body, check=check)


def ids(hop):
    return sorted(int(re.search(rb"(?m)^X-Id: (\d+)", m.raw).group(1)) for m in hop.messages)


def test_mail_waits_for_the_daemon(house):
    b, hop = down(house)
    before = time.time()
    for n in range(5):
        send(b, n, "-N", "failure", "-V", "env-1", body=b"line\n.\n..two\n" * (1 if n else 60000))
    assert len(dropped(b)) == 5 and not dropped(b, hidden=True)
    for name in dropped(b):
        st = os.stat(os.path.join(b.spool, "drop", name))
        assert stat.S_IMODE(st.st_mode) == 0o600 and st.st_uid == os.getuid()
    b.start()
    hop.wait(5, 20)
    b.wait_empty()
    assert ids(hop) == list(range(5))
    for m in hop.messages:
        assert m.raw.endswith(b"line\r\n.\r\n..two\r\n") or m.raw.endswith(b"line\r\n..\r\n...two\r\n"), m.raw[-40:]
        assert re.search(rb"(?m)^Date: ", m.raw[:2000]) and re.search(rb"\(uid \d+\)", m.raw[:200])
    assert all(m.sender == ME for m in hop.messages) and before
    wait_for(lambda: not dropped(b), 10)
    b.stop()


def test_mail_is_taken_when_it_comes(house):
    """By inotify: nobody waits for the next look."""
    b, hop = down(house)
    send(b, 1)
    (name,) = dropped(b)
    there, here = os.path.join(b.spool, "drop", name), house.path(name)
    os.rename(there, here)
    b.start()
    os.rename(here, there)
    assert hop.wait(1, 20)
    wait_for(lambda: not dropped(b), 10)
    b.stop()


def test_4xx_for_the_whole_message(house):
    """The intake pauses: sendmail keeps the mail, which is tried again until it is taken."""
    hop = house.sink()
    b = house.baton(route=hop)
    b.ctl("pause", "in")
    send(b, 1)
    assert len(dropped(b)) == 1
    b.wait_log("drop_deferred file=.* reason=\"4", 20)
    assert len(dropped(b)) == 1
    st = os.stat(os.path.join(b.spool, "drop", dropped(b)[0]))
    assert st.st_mtime > time.time() + 1, "not before some seconds"
    b.ctl("resume", "in")
    assert hop.wait(1, 60)
    wait_for(lambda: not dropped(b), 10)
    b.stop()


def test_what_is_refused_is_returned(house):
    """Who isn't refused gets it; the sender gets the rest back, with the words and the message."""
    b, hop = down(house)
    b.tool("sendmail", "-i", "-f", ME, f"no-such-user@{HOST}", "b@other.test", stdin="X-Id: 2-1\n\ncaf\u00e9\n.\n".encode())
    b.start()
    hop.wait(2, 20)
    wait_for(lambda: not dropped(b), 10)
    b.wait_empty()
    (sent,) = [m for m in hop.messages if m.sender]
    (notice,) = [m for m in hop.messages if not m.sender]
    assert sent.to == ["b@other.test"] and notice.to == [ME]
    report = email.message_from_bytes(notice.raw)
    words, status, message = report.get_payload()
    assert report.get_content_type() == "multipart/report" and report["Auto-Submitted"]
    assert f"<no-such-user@{HOST}>: 550 5.1.1" in words.get_payload()
    status, rcpt = status.get_payload()
    assert (rcpt["Final-Recipient"], rcpt["Action"], rcpt["Status"]) == (f"rfc822; no-such-user@{HOST}", "failed", "5.1.1")
    assert message.get_payload()[0]["X-Id"] == "2-1" and b"\r\ncaf\xc3\xa9\r\n.\r\n" in notice.raw
    assert not refused(b)
    b.stop()


def test_what_cannot_be_returned_is_set_aside(house):
    """From nobody, from somebody who doesn't exist, for somebody who wants no notice."""
    b, hop = down(house)
    for args in (["-f", "<>"], ["-f", f"neither@{HOST}"], ["-f", ME, "-N", "never"]):
        b.tool("sendmail", "-i", *args, f"no-such-user@{HOST}", stdin=b"X-Id: 1-1\n\nx\n")
    b.start()
    wait_for(lambda: len(refused(b)) == 3 and not dropped(b), 10)
    line = rb"drop_refused .*file=\S+ uid=%d reason=\"no-such-user@[^\"]*5\.1\.1" % os.getuid()
    assert len(re.findall(line, b.log)) == 3 and not hop.messages
    b.stop()


def garbage(folder):
    """What an ordinary user can put there."""
    def write(name, text, mode=0o600):
        with open(os.path.join(folder, name), "wb") as f:
            f.write(text)
        os.chmod(os.path.join(folder, name), mode)
    write("empty", b"")
    write("text", b"To: b@other.test\n\nx\n")
    write("short", b"baton-drop 1 00000000000000009999\nS a@b.test\nM \nP \nR b@other.test\n\nx\r\n")
    write("readable", b"x", 0o644)
    body = b"S a@b.test\nM \nP \nR b@other.test\r\nRCPT TO:<c@other.test>\n\nx\r\n"
    write("crlf", b"baton-drop 1 %020d\n" % (34 + len(body)) + body)
    body = b"S " + b"a" * 5000 + b"\n\n"
    write("long", b"baton-drop 1 %020d\n" % (34 + len(body)) + body)
    write("linked", b"x")
    os.link(os.path.join(folder, "linked"), os.path.join(folder, "linked2"))
    os.symlink("/etc/passwd", os.path.join(folder, "symlink"))
    os.mkfifo(os.path.join(folder, "fifo"))
    os.mkdir(os.path.join(folder, "dir"))
    return 11


def test_garbage(house):
    """Set aside once, each with a line in the log; mail among it is taken."""
    b, hop = down(house)
    n = garbage(os.path.join(b.spool, "drop"))
    send(b, 1)
    b.start()
    hop.wait(1, 20)
    wait_for(lambda: len(refused(b)) == n and not dropped(b), 20)
    assert b.log.count(b"drop_refused") == n
    b.stop()


def test_a_forged_end_of_data(house):
    """A file may hold an end mark and commands: they are text of the one message."""
    b, hop = down(house)
    body = (b"S a@b.test\nM \nP \nR b@other.test\n\nSubject: s\r\n\r\nx\r\n.\r\nMAIL FROM:<z@z.test>\r\n"
            b"RCPT TO:<z@z.test>\r\nDATA\r\n\r\nforged\r\n")
    path = os.path.join(b.spool, "drop", "forged")
    with open(path, "wb") as f:
        f.write(b"baton-drop 1 %020d\n" % (34 + len(body)) + body)
    os.chmod(path, 0o600)
    b.start()
    hop.wait(1, 20)
    wait_for(lambda: not dropped(b), 10)
    b.wait_empty()
    assert len(hop.messages) == 1 and b"forged" in hop.messages[0].raw
    b.stop()


def test_stale_hidden_files_go(house):
    """A day after the death of who wrote them, by a time that nobody can set; not before."""
    b, _ = down(house)
    path = os.path.join(b.spool, "drop", ".5f000000.1.1")
    open(path, "w").close()
    os.utime(path, (1, 1))
    b.start()
    send(b, 1)
    b.wait_empty()
    assert dropped(b, hidden=True), "it may still be written to"
    b.stop()
    if SANITIZED:
        return  # the sanitizer wants to be loaded first
    (fake,) = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    b.wrap = ["env", "NO_FAKE_STAT=1", f"LD_PRELOAD={fake}", "FAKETIME=+2d", "FAKETIME_DONT_FAKE_MONOTONIC=1"]
    b.start()
    b.wait_log("drop_stale .*file=.5f000000.1.1", 10)
    assert not dropped(b, hidden=True)
    b.stop()


@pytest.mark.skipif(SANITIZED, reason="the sanitizers' own calls shift every step; the release build has them all")
def test_killed_at_every_step(house):
    """A sendmail that dies leaves a whole message or none."""
    b, hop = down(house)
    whole, killed, n = set(), 0, 0
    body = b"line\n" * 100000  # over what is kept in memory
    for call in STEPS:
        for when in range(1, 40):
            n += 1
            done = subprocess.run(
                ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={when}",
                 b.program("sendmail"), "-C", b.conf, "-i", "-f", ME, "b@other.test"],
                input=b"X-Id: %d-1\n\n" % n + body, capture_output=True, env=b.env())
            if done.returncode == 0:
                whole.add(n)
                break
            assert done.returncode in (-signal.SIGKILL, 137), done.stderr
            killed += 1
    assert killed > 25 and len(whole) == len(STEPS), "every step was one"
    seen = len(dropped(b))
    b.start()
    hop.wait(seen, 30)
    wait_for(lambda: not dropped(b), 20)
    b.wait_empty()
    assert whole <= set(ids(hop)) and len(ids(hop)) == seen
    assert all(m.raw.count(b"line\r\n") == 100000 for m in hop.messages)
    assert not refused(b) and dropped(b, hidden=True), "what was killed was half written"
    b.stop()


def test_disk_full(house):
    """No room in the drop folder: EX_TEMPFAIL, both reasons, and no file."""
    disk = SmallDisk(house, size="8M")
    hop = house.sink()
    b = house.baton(start=False, route=hop, wrap=disk.wrap, spool=os.path.join(disk.path, "spool"))
    os.makedirs(disk.seen("spool/drop"), 0o755)
    disk.fill()
    for body in (b"x\n", b"x" * 70 + b"\n", b"line\n" * 400000):
        done = subprocess.run([*disk.wrap, b.program("sendmail"), "-C", b.conf, "-i", "-f", ME, "b@other.test"],
                              input=b"X-Id: 1-1\n\n" + body, capture_output=True, env=b.env())
        assert done.returncode == 75, done.stderr
        assert b"No space left" in done.stderr and b"submit" in done.stderr, done.stderr
        assert os.listdir(disk.seen("spool/drop")) == []


def test_no_drop_folder(house):
    b = house.baton(start=False)
    done = send(b, 1, check=False)
    assert done.returncode == 75 and b"drop" in done.stderr


def test_unreadable_config(house):
    """Said once; mail goes by the built-in paths all the same."""
    b = house.baton(start=False)
    os.unlink(b.conf)
    done = send(b, 1, check=False)
    assert b"using built-in paths" in done.stderr
    assert done.returncode in (0, 75) and b"/run/baton/submit" in done.stderr + done.stdout or done.returncode == 0


@pytest.mark.parametrize("up", (True, False), ids=("up", "down"))
def test_many_at_once(house, up):
    """Parallel calls lose nothing, with and without a daemon."""
    n = 1000 if SOAK else 100
    hop = house.sink()
    b = house.baton(route=hop)
    if not up:
        b.stop()
    with ThreadPoolExecutor(50) as pool:
        list(pool.map(lambda i: send(b, i), range(n)))
    if not up:
        assert len(dropped(b)) == n
        b.start()
    hop.wait(n, 60)
    wait_for(lambda: not dropped(b), 30)
    b.wait_empty()
    assert ids(hop) == list(range(n)), "each once"
    b.stop()


def test_the_daemon_dies_meanwhile(house):
    """kill -9 of everything while files are taken: nothing is lost."""
    b, hop = down(house)
    n = 300 if SOAK else 40
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: send(b, i), range(n)))
    for seen in (3, 10):
        b.start()
        hop.wait(seen, 20)
        b.kill_tree()
    b.start()
    wait_for(lambda: not dropped(b), 30)
    b.wait_empty()
    assert set(ids(hop)) == set(range(n))
    b.stop()


@pytest.mark.root
def test_the_kernel_vouches_for_the_owner(as_root, house):
    """As root: each file is taken in its owner's name, root's own in root's; no user reads another's."""
    hop = house.sink()
    b = as_root(route=hop)
    b.stop()
    for n, uid in enumerate((0, 64200, 64333)):
        done = subprocess.run(["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", b.program("sendmail"),
                               "-C", b.conf, "-i", "-f", ME, "b@other.test"],
                              input=b"X-Id: %d-1\n\nx\n" % n, capture_output=True, env=b.env())
        assert done.returncode == 0, done.stderr
    names = dropped(b)
    assert sorted(os.stat(os.path.join(b.spool, "drop", n)).st_uid for n in names) == [0, 64200, 64333]
    look = subprocess.run(["setpriv", "--reuid", "64200", "--regid", "64200", "--clear-groups", "sh", "-c",
                           'ls "$0"; cat "$0"/*; rm -f "$0"/*; cat ' + " ".join(f'"$0"/{n}' for n in names),
                           os.path.join(b.spool, "drop")], capture_output=True)
    assert look.stdout.count(b"X-Id") == 1, "only his own"
    b.start()
    hop.wait(3, 20)
    wait_for(lambda: not dropped(b), 10)
    uids = {re.search(rb"\(uid (\d+)\)", m.raw).group(1): re.search(rb"X-Id: (\d)", m.raw).group(1) for m in hop.messages}
    assert uids == {b"0": b"0", b"64200": b"1", b"64333": b"2"}
    assert os.stat(os.path.join(b.spool, "refused")).st_mode & 0o077 == 0
    b.stop()
