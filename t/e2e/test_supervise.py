"""master: reloads of all kinds, roles that can't start, resolv.conf."""
import os
import shutil
import signal
import socket
import time

import pytest

from harness import free_port, wait_for


def connects(port):
    with socket.socket() as s:
        s.settimeout(5)
        return s.connect_ex(("127.0.0.1", port)) == 0


def counts(b):
    names = list(b.pids().values())
    return names.count("smtpd"), names.count("deliver")


def test_workers_follow_the_config(house):
    b = house.baton(workers=2)
    assert counts(b) == (2, 2)
    for n in (4, 1):
        b.write(workers=n)
        b.hup()
        wait_for(lambda: counts(b) == (n, n), 10)
        b.smtp().quit()
    b.stop()


def test_only_smtpd_is_replaced(house):
    b = house.baton()
    before = b.pids()
    b.hup()
    wait_for(lambda: set(b.pids("smtpd")).isdisjoint(before), 10)
    for role in ("keeper", "dnscache", "qmgr", "deliver"):
        assert b.pids(role) == sorted(p for p, n in before.items() if n == role)
    b.stop()


def test_a_session_outlives_one_reload_and_not_two(house):
    b = house.baton()
    c = b.smtp()
    c.cmd("MAIL FROM:<a@client.example.test>", 250)
    old = b.pids("smtpd")
    b.hup()
    wait_for(lambda: set(b.pids("smtpd")) - set(old), 10)
    b.smtp().quit()
    c.cmd("RCPT TO:<b@other.test>", 250)
    c.cmd("RSET", 250)  # between transactions it may stay too, for 30 s
    c.cmd("NOOP", 250)
    b.hup()
    wait_for(lambda: set(b.pids("smtpd")).isdisjoint(old), 10)
    assert len(b.pids("smtpd")) <= 4
    b.smtp().quit()
    b.stop()


def test_listeners_follow_the_config(house):
    b = house.baton()
    old, b.port = b.port, free_port()
    b.write()
    b.hup()
    wait_for(lambda: connects(b.port), 10)
    b.smtp().quit()
    # the old generation closes its listeners when it is told to finish
    wait_for(lambda: not connects(old), 10)
    b.stop()


def test_a_taken_port_leaves_the_old_config(house):
    b = house.baton()
    old = b.port
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        b.port = taken.getsockname()[1]
        b.write(message_size="3M")
        mark = len(b.log)
        b.hup()
        b.wait_log(rf"cannot listen on 127\.0\.0\.1:{b.port}: Address already in use", after=mark)
        b.port = old
        assert "SIZE 3145728" not in b.smtp().hello.get("SIZE", "")
    b.stop()


@pytest.mark.parametrize("setting", ["spool", "runtime"])
def test_what_needs_a_restart_is_refused(house, setting):
    b = house.baton()
    b.write(**{setting: os.path.join(b.dir, "elsewhere")})
    mark = len(b.log)
    b.hup()
    b.wait_log(rf"{setting}.*restart|restart.*{setting}", after=mark)
    b.smtp().quit()
    b.stop()


def test_batonctl_reload_tells_the_line(house):
    b = house.baton()
    b.write(text="nonsense = 1\n")
    line = open(b.conf).read().split("\n").index("nonsense = 1") + 1
    done = b.tool("batonctl", "reload", check=False)
    assert done.returncode != 0
    assert f":{line}: ".encode() in done.stdout + done.stderr
    b.stop()


def test_status_names_every_process(house):
    b = house.baton()
    dead = b.kill("keeper")
    now = b.replaced("keeper", dead)
    wait_for(lambda: not any(w in b.ctl("status") for w in ("waiting", "starting")), 5)
    text = b.ctl("status")
    for pid in [b.master, *b.pids()]:
        assert str(pid) in text, text
    row = next(r.split() for r in text.split("\n") if r.startswith("keeper"))
    assert row[2] == str(now[0]) and row[-2:] == ["1", "1"], row
    b.stop()


@pytest.fixture
def with_role(house):
    """A function: an instance of which one role's program is a script (None: it lacks)."""
    def make(role, script):
        tree = house.path("tree")
        b = house.baton(start=False)
        shutil.copytree(b.build, tree, ignore=lambda folder, names: [
            n for n in names if folder == b.build and n not in ("sbin", "libexec")])
        path = f"{tree}/libexec/baton/{role}"
        os.unlink(path)
        if script:
            with open(path, "w") as f:
                f.write("#!/bin/sh\n" + script + "\n")
            os.chmod(path, 0o755)
        b.build = tree
        return b.spawn()
    return make


def test_a_role_that_never_can_ends_the_start(with_role):
    b = with_role("deliver", "exit 100")
    assert b.proc.wait(10) == 100
    b.wait_log(r"deliver/\d cannot be started")


def test_a_role_that_fails_thrice_ends_the_start(with_role):
    b = with_role("dnscache", "exit 111")
    assert b.proc.wait(10) == 111
    b.wait_log(r"dnscache/1 cannot be started")


def test_a_missing_program_is_named(with_role):
    b = with_role("qmgr", None)
    assert b.proc.wait(10) == 100
    b.wait_log(r"libexec/baton/qmgr: No such file")


def test_sigint_ends_like_sigterm(house):
    b = house.baton()
    os.kill(b.master, signal.SIGINT)
    assert b.proc.wait(35) == 0
    assert not os.path.exists(os.path.join(b.runtime, "submit"))


def test_a_crowd_of_deaths_is_survived(house):
    """Every child at once, three times; then all serve again."""
    b = house.baton()
    for _ in range(3):
        old = list(b.pids())
        for pid in old:
            os.kill(pid, 9)
        wait_for(lambda: sorted(b.pids().values()) == ["deliver"] * 2 + ["dnscache", "keeper", "qmgr"] + ["smtpd"] * 2
                 and set(b.pids()).isdisjoint(old), 5)
    time.sleep(0.5)
    b.smtp().quit()
    b.stop()


@pytest.mark.root
def test_a_new_resolv_conf_reaches_dnscache(house):
    etc = house.path("etc")
    shutil.copytree("/etc", etc, symlinks=True)
    if os.path.lexists(f"{etc}/resolv.conf"):
        os.unlink(f"{etc}/resolv.conf")
    with open(f"{etc}/resolv.conf", "w") as f:
        f.write("nameserver 127.0.0.2\n")
    b = house.baton(start=False, wrap=["unshare", "-m", "sh", "-c", f'mount --bind {etc} /etc && exec setpriv '
                    '--reuid=65534 --regid=65534 --clear-groups "$@"', "sh"])
    text = "\n".join(r for r in b.settings(log_level="debug").split("\n") if not r.startswith("resolver"))
    b.write(raw=text)
    for folder in (b.dir, b.mail):
        os.chown(folder, 65534, 65534)
    for folder in (b.spool, b.runtime):
        os.makedirs(folder)
        os.chown(folder, 65534, 65534)
    b.start()
    mark = len(b.log)
    with open(f"{etc}/resolv.new", "w") as f:
        f.write("nameserver 127.0.0.3\n")
    os.rename(f"{etc}/resolv.new", f"{etc}/resolv.conf")
    b.wait_log("resolvers_changed", after=mark)
    b.wait_log("dnscache/1 has configuration 2", after=mark)
    b.stop()
