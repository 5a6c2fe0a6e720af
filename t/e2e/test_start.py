"""master: how an instance starts, says no, and ends."""
import os
import re
import subprocess

import pytest

from harness import alive, wait_for


def run_baton(b, *args):
    return subprocess.run([b.program("baton"), *args, "-c", b.conf], env=b.env(), capture_output=True, timeout=15)


def test_ready_and_stop(house):
    b = house.baton()
    assert len(re.findall(rb"(?m)^.*\bready\b", b.log)) >= 1
    b.smtp().quit()
    b.stop()


def test_every_role_runs(house):
    b = house.baton(workers=3)
    names = sorted(b.pids().values())
    assert names == ["deliver"] * 3 + ["dnscache", "keeper", "qmgr"] + ["smtpd"] * 3


def test_config_is_checked_without_a_start(house):
    b = house.baton(start=False)
    done = run_baton(b, "-n")
    assert done.returncode == 0, done.stderr
    b.write(text="nonsense = 1\n")
    line = open(b.conf).read().split("\n").index("nonsense = 1") + 1
    done = run_baton(b, "-n")
    assert done.returncode != 0
    assert f"{b.conf}:{line}: ".encode() in done.stderr


def test_second_instance_is_told_the_pid(house):
    b = house.baton()
    done = run_baton(b)
    assert done.returncode != 0
    assert re.search(rb"\b%d\b" % b.master, done.stderr), done.stderr
    b.smtp().quit()
    b.stop()


@pytest.mark.parametrize("role", ["smtpd", "qmgr", "deliver", "keeper", "dnscache"])
def test_a_killed_child_is_replaced(house, role):
    """A new one comes within two seconds, the others stay, mail is taken."""
    b = house.baton(route=house.sink())
    before = b.pids()
    dead = b.kill(role)
    wait_for(lambda: sorted(b.pids().values()) == sorted(before.values()) and dead not in b.pids(), 2)
    assert set(before) - {dead} <= set(b.pids()), "another process ended too"
    wait_for(lambda: b.smtp().send("a@client.example.test", "b@other.test", b"x\r\n"), 2)
    b.stop()


def test_a_child_that_keeps_dying_is_held_back(house):
    """Ten deaths in a row: master waits longer and longer instead of spinning."""
    b = house.baton()
    for _ in range(3):
        dead = b.kill("dnscache")
        b.replaced("dnscache", dead, 10)
    assert alive(b.master)
    b.stop()


def test_children_leave_with_master(house):
    b = house.baton()
    pids = list(b.pids())
    b.kill("master")
    wait_for(lambda: not any(alive(p) for p in pids), 2)


def test_a_new_tree_starts_after_a_killed_one(house):
    b = house.baton()
    b.kill_tree()
    b.start().smtp().quit()
    b.stop()


def test_a_stopped_child_leaves_with_master_too(house):
    """One that can't even run is killed by the kernel: a new tree has the spool at once."""
    b = house.baton()
    held = b.pids("smtpd")[0]  # not qmgr: that one has last words to write, and is ended by a timer
    os.kill(held, 19)
    b.kill("master")
    b.proc.wait(5)
    wait_for(lambda: not alive(held), 2)
    b.start().stop()


def test_reload(house):
    """A bad config is refused with its line and the old one stays; a good one holds for new sessions."""
    b = house.baton(message_size="10M")
    assert "SIZE 10485760" in b.smtp().hello.get("SIZE", "")
    mark = len(b.log)
    b.write(text="nonsense = 1\n")
    line = open(b.conf).read().split("\n").index("nonsense = 1") + 1
    b.hup()
    b.wait_log(rf"baton\.conf:{line}: ", after=mark)
    b.smtp().quit()
    b.write(message_size="20M")
    b.hup()
    wait_for(lambda: "SIZE 20971520" in b.smtp().hello.get("SIZE", ""), 10)
    b.stop()


def test_open_sessions_end_in_order_at_sigterm(house):
    """A transaction that runs when SIGTERM comes gets its 250, and is on disk."""
    sink = house.sink()
    b = house.baton(route=sink)
    c = b.smtp()
    c.cmd("MAIL FROM:<a@client.example.test>", 250)
    c.cmd("RCPT TO:<b@other.test>", 250)
    c.cmd("DATA", 354)
    os.kill(b.master, 15)
    wait_for(lambda: refuses(b.port), 5)
    c.write(b"late\r\n.\r\n")
    c.expect(250)
    assert b.proc.wait(40) == 0
    if not sink.messages:
        b.start()
    assert sink.wait(1)[0].raw.endswith(b"late\r\n")


def refuses(port):
    import socket
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) != 0
