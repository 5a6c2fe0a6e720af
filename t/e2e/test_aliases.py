"""The aliases file: included lists, commands, files, owners, loops; and expansions that survive deaths."""
import os
import re
import time

import pytest

from harness import HOST, SOAK, wait_for
from smtp import message
from test_bytes import local_user

FROM = "a@client.example.test"


def to(*names):
    return [f"{n}@{HOST}" for n in names]


def read(path):
    if not os.path.exists(path):
        return b""
    with open(path, "rb") as f:
        return f.read()


def whole(path, end=b"\n"):
    """The content of a file once something is in it."""
    return wait_for(lambda: read(path) if read(path).endswith(end) else None, 20)


def private_kib(pid):
    """What no file stands behind."""
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"RssAnon:\s+(\d+)", f.read()).group(1))


def reasons(b):
    return [r["reason"] for row in b.queue() for r in row["recipients"] if r["reason"]]


def test_included_lists_and_nested_aliases(house):
    """Everybody once, however often and on whatever way he is named; the list is read when it is wanted."""
    sink = house.sink()
    listed = house.path("listed")
    with open(listed, "w") as f:
        f.write("# the team\none@other.test, two@other.test\nTWO@other.test\n")
    os.chmod(listed, 0o644)
    b = house.baton(route=sink, aliases=f"team: :include:{listed}, three@other.test, sub\nsub: one@other.test,\n four@other.test\n")
    b.smtp().send(FROM, to("team"), message("one"))
    b.wait_empty()
    assert sorted(r.lower() for m in sink.messages for r in m.to) == [f"{n}@other.test" for n in ("four", "one", "three", "two")]
    with open(listed, "w") as f:
        f.write("five@other.test\n")
    b.smtp().send(FROM, to("TEAM+tag"), message("two"))
    wait_for(lambda: [1 for m in sink.messages if "five@other.test" in m.to], 15)
    b.stop()


def test_a_list_that_is_not_there_waits(house):
    b = house.baton(aliases=f"team: :include:{house.path('none')}\n")
    b.smtp().send(FROM, to("team"), message("later"))
    b.wait_log(r"none: mail for team waits: No such file")
    assert wait_for(lambda: reasons(b), 15) == ["the user can't be looked up now"]
    with open(house.path("none"), "w") as f:
        f.write(f"{local_user()}\n")
    os.chmod(house.path("none"), 0o644)
    b.tool("batonctl", "flush")
    wait_for(lambda: b.maildir(local_user()), 15)
    b.wait_empty()
    b.stop()


def test_an_owner_is_the_sender(house):
    """Of list's members, not of the message: a bounce goes to the owner. Mail without a sender keeps none."""
    sink = house.sink()
    b = house.baton(route=sink, aliases="list: one@other.test, two@other.test\nowner-list: boss@other.test\n")
    b.smtp().send(FROM, [*to("list"), "direct@other.test"], message("owned"))
    b.smtp().send("", to("list"), message("bare"))
    b.wait_empty()
    senders = {(m.sender, r) for m in sink.messages for r in m.to}
    assert senders == {(f"owner-list@{HOST}", "one@other.test"), (f"owner-list@{HOST}", "two@other.test"),
                       (FROM, "direct@other.test"), ("", "one@other.test"), ("", "two@other.test")}
    b.stop()


def test_a_bounce_goes_to_the_owner(house):
    b = house.baton(aliases=f"list: nobody-of-that-name, {local_user()}\nowner-list: {local_user()}\n")
    b.smtp().send(FROM, to("list"), message("bounced"))

    def both():
        """the member's copy and the owner's bounce"""
        raws = b.maildir(local_user())
        return raws if len(raws) == 2 else None
    raws = wait_for(both, 20)
    assert sorted(re.search(rb"Return-Path: <(.*)>", raw).group(1) for raw in raws) == [b"", f"owner-list@{HOST}".encode()]
    (bounce,) = [raw for raw in raws if b"Return-Path: <>" in raw]
    assert b"5.1.1" in bounce and f"nobody-of-that-name@{HOST}".encode() in bounce
    b.wait_empty()
    b.stop()


def test_loops_end(house):
    """One that leads nowhere is returned to its sender; one that names a user too gets there once."""
    sink = house.sink()
    b = house.baton(route=sink, aliases=f"a: b\nb: c\nc: a\nself: self@{HOST}\nmix: mix2, {local_user()}\nmix2: mix\n"
                    f"{local_user()}: {local_user()}, away@other.test\n")
    b.smtp().send("sender@other.test", to("a"), message("round"))
    wait_for(lambda: [m for m in sink.messages if m.sender == ""], 20)
    assert b"5.4.6" in sink.messages[0].raw and b"leads back to itself" in sink.messages[0].raw
    b.smtp().send("sender@other.test", to(local_user()), message("self"))
    wait_for(lambda: b.maildir(local_user()), 15)
    wait_for(lambda: [m for m in sink.messages if "away@other.test" in m.to], 15)
    b.wait_empty()
    assert len(b.maildir(local_user())) == 1
    b.stop()


def test_a_command_and_a_file(house):
    """Both get the message; what the command is told, and that the text of neither is in a log or a notice."""
    out, box = house.path("out"), house.path("box")
    cmd = house.path("cmd")
    with open(cmd, "w") as f:
        f.write(f"#!/bin/sh\n(env | sort; pwd; cat) > {out}.new && mv {out}.new {out}\n")
    os.chmod(cmd, 0o755)
    os.mkdir(house.path("maildir"), 0o777)
    b = house.baton(aliases=f'run: "|{cmd} a, b"\nkeep: {box}, {house.path("maildir")}/\nnull: /dev/null\n')
    b.smtp().send("odd`x`@client.example.test", to("run+ext"), message("piped"))
    text = whole(out).decode()
    env = dict(line.split("=", 1) for line in text.split("\nFrom ")[0].splitlines() if "=" in line)
    assert env["SENDER"] == "odd_x_@client.example.test" and env["RECIPIENT"] == f"run@{HOST}"
    assert env["ORIGINAL_RECIPIENT"] == f"run+ext@{HOST}" and env["DOMAIN"] == HOST and env["LOCAL"] == "run"
    assert {"HOME", "USER", "LOGNAME", "SHELL", "PATH"} <= set(env) and "BATON_CONF" not in env
    head = text[text.index("\nFrom ") + 1:]
    assert re.match(rf"From odd`x`@client\.example\.test .*\nReturn-Path: <odd`x`@client\.example\.test>\nDelivered-To: run@{re.escape(HOST)}\nReceived:", head)
    assert "\r" not in head
    b.smtp().send(FROM, to("keep"), message("kept"))
    b.smtp().send(FROM, to("null"), message("thrown away"))
    b.wait_empty()
    assert whole(box).count(b"Subject: kept") == 1
    assert len(os.listdir(house.path("maildir") + "/new")) == 1
    assert cmd not in b.log_tail() and "thrown away: /dev/null" in b.log_tail()
    b.stop()


def test_how_a_command_ends(house):
    """Exit codes of sysexits.h: bounced with the status that fits and what it said, or tried again."""
    sink = house.sink()
    ends = {"ok": ("exit 0", "sent", "2.0.0"), "user": ("echo no such box >&2; exit 67", "bounced", "5.1.1"),
            "odd": ("exit 99", "bounced", "5.3.0"), "perm": ("exit 77", "bounced", "5.7.0"),
            "temp": ("echo come back; exit 75", "deferred", "4.3.0"), "none": ("/no/such/program", "deferred", "4.3.5"),
            "kill": ("kill -9 \\$\\$", "deferred", "4.3.0"),
            "noise": ("yes | head -c 300000; exit 69", "bounced", "5.3.0"),
            "behind": ("sleep 300 & exit 0", "sent", "2.0.0")}
    b = house.baton(route=sink, retry='first = "1h" max = "1h"',
                    aliases="".join(f'{name}: "|{cmd}"\n' for name, (cmd, _, _) in ends.items()))
    b.smtp().send("sender@other.test", to(*ends), message("ends"))
    for name, (_, result, dsn) in ends.items():
        m = b.wait_log(rf"to={name}@{re.escape(HOST)} .*result=(sent|bounced|deferred) .*dsn=(\S+)", 30)
        assert (m.group(1).decode(), m.group(2).decode()) == (result, dsn), name
    wait_for(lambda: [m for m in sink.messages if m.sender == ""], 20)
    b.wait_log(r"come back")
    bounces = b"".join(m.raw for m in sink.messages)
    assert b"no such box" in bounces and b"Status: 5.1.1" in bounces and b"exit code 67" in bounces
    assert f"user@{HOST}".encode() in bounces
    assert len(bounces) < 100000
    b.stop()


def test_delivered_to_ends_a_loop(house):
    sink = house.sink()
    b = house.baton(route=sink)
    here = f"{local_user()}@{HOST}"
    b.smtp().send("sender@other.test", here, b"Delivered-To: " + here.upper().encode() + b"\r\n" + message("again"))
    wait_for(lambda: sink.messages, 20)
    assert b"Status: 5.4.6" in sink.messages[0].raw and b"mail loop" in sink.messages[0].raw
    b.smtp().send("sender@other.test", here, message("x", b"Delivered-To: " + here.encode() + b"\r\n"))
    wait_for(lambda: b.maildir(local_user()), 15)
    b.wait_empty()
    b.stop()


def test_newaliases_names_mistakes(house):
    """By file and line; the map is made before it ends. What is no text changes nothing."""
    b = house.baton(aliases="one: two words\nok: x\nok: y\n")
    path = os.path.join(os.path.dirname(b.conf), "aliases")

    def write(text):
        with open(path + ".new", "w") as f:
            f.write(text)
        os.chmod(path + ".new", 0o644)
        os.rename(path + ".new", path)
    r = b.tool("newaliases", check=False)
    assert r.returncode == 65, r
    assert b"aliases:1:" in r.stderr and b"aliases:3:" in r.stderr and b"2 aliases, 2 mistakes" in r.stdout
    write("ok: x\n")
    r = b.tool("newaliases")
    assert b"1 alias" in r.stdout and not r.stderr
    b.wait_log(r"aliases file=\S+ names=1 mistakes=0")
    write("ok: x\0\nnew: x\n")
    r = b.tool("newaliases", check=False)
    assert r.returncode == 65 and b"is no text" in r.stderr
    s = b.smtp()
    s.cmd(f"MAIL FROM:<{FROM}>", 250)
    s.cmd(f"RCPT TO:<ok@{HOST}>", 250)
    s.cmd(f"RCPT TO:<new@{HOST}>", 550)
    b.wait_log(r"is no text or too large .*the aliases of before stay in use")
    b.stop()
    assert b"isn't running" in b.tool("newaliases", check=False).stdout


def test_names_with_domains(house):
    """name@domain before name before @domain; what a list names twice at two domains is two people."""
    sink = house.sink()
    user = local_user()
    b = house.baton(route=sink, local=f'"{HOST}", "a.test", "b.test"', origin=HOST, aliases=(
        "info: all@other.test\ninfo@a.test: a@other.test\n@b.test: @c.other.test, copy@other.test\n"
        f"both: info@a.test, info@{HOST}, INFO@A.test\n{user}@a.test: {user}, user@other.test\n"))
    b.smtp().send(FROM, ["info@A.test", "info+tag@a.test", f"info@{HOST}", "Joe+x@b.test"], message("one"))
    wait_for(lambda: sum(len(m.to) for m in sink.messages) >= 4, 20)
    b.wait_empty()
    assert sorted(r for m in sink.messages for r in m.to) == [
        "Joe+x@c.other.test", "a@other.test", "all@other.test", "copy@other.test"]
    sink.messages.clear()
    b.smtp().send(FROM, [f"both@{HOST}", f"{user}@a.test"], message("two"))
    wait_for(lambda: sum(len(m.to) for m in sink.messages) >= 3 and b.maildir(user), 20)
    b.wait_empty()
    assert sorted(r for m in sink.messages for r in m.to) == ["a@other.test", "all@other.test", "user@other.test"]
    assert len(b.maildir(user)) == 1
    assert re.search(rb"Delivered-To: (.*)", b.maildir(user)[0]).group(1).strip() == f"{user}@{HOST}".encode()
    s = b.smtp()
    s.cmd(f"MAIL FROM:<{FROM}>", 250)
    s.cmd("RCPT TO:<nobody-there@a.test>", 550)
    b.stop()


@pytest.mark.skipif(not SOAK, reason="only in full")
def test_a_million_aliases(house):
    """Neither in keeper's memory nor in anybody's way: look-ups and logins go on while a map is made."""
    b = house.baton(aliases="first: x\n", text="limits { errors = 100000 }")
    path = os.path.join(os.path.dirname(b.conf), "aliases")
    (keeper,) = b.pids("keeper")
    before = private_kib(keeper)
    with open(path + ".new", "w") as f:
        f.write("first: x\nsecond: y\n")
        f.writelines(f"user{n}@example.org: mailbox{n}@mail{n % 100}.example.net\n" for n in range(1000000))
    os.chmod(path + ".new", 0o644)
    os.rename(path + ".new", path)
    time.sleep(1.1)
    slowest, asked, began, peak = 0, 0, time.monotonic(), 0
    s, new = b.smtp(), False
    while not new:
        assert time.monotonic() - began < 120
        s.cmd(f"MAIL FROM:<{FROM}>", 250)
        t = time.monotonic()
        s.cmd(f"RCPT TO:<first+{asked}@{HOST}>", 250)
        slowest = max(slowest, time.monotonic() - t)
        new = s.cmd(f"RCPT TO:<second+{asked}@{HOST}>")[0] == 250
        s.cmd("RSET", 250)
        asked += 1
        peak = max(peak, private_kib(keeper))
        time.sleep(0.02)  # not a flood of refusals
    took, after = time.monotonic() - began, private_kib(keeper)
    print(f"\n1,000,000 aliases: map in {took:.1f} s, {asked} look-ups meanwhile, the slowest {slowest * 1000:.0f} ms; "
          f"keeper's private memory {before} KiB before, {peak} at most, {after} after")
    assert slowest < 1 and after < before + 16384
    b.stop()
