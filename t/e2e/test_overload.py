"""Many clients that do nothing, or hardly anything: memory is bounded, the others are served as before."""
import os
import select
import signal
import socket
import statistics
import time

import pytest

from harness import SANITIZED, SOAK, wait_for
from smtp import message

IDLE, LORIS = (10000, 2000) if SOAK else (1000, 200)


def source(i):
    """Addresses of this host, 50 clients each: what per_client allows."""
    return f"127.0.1.{1 + i // 50}"


def crowd(b, n, say=b""):
    """n clients that were greeted, and have said that much."""
    socks = []
    for i in range(n):
        s = socket.create_connection(("127.0.0.1", b.port), 30, source_address=(source(i), 0))
        b.house.keep(s)
        socks.append(s)
    for s in socks:
        assert s.recv(200).startswith(b"220 ")
        if say:
            s.sendall(say)
    return socks


def memory(b):
    """Mebibytes of all processes: their own memory and, once, the largest of their programs."""
    own, programs = 0, []
    for pid in [b.master, *b.pids()]:
        with open(f"/proc/{pid}/status") as f:
            rss = {k: int(v.split()[0]) for k, v in (line.split(":", 1) for line in f) if k.startswith("Rss")}
        own += rss["RssAnon"] + rss["RssShmem"]
        programs.append(rss["RssFile"])
    return (own + max(programs)) / 1024


def keeps_pace(b, base, share):
    """A busy client is about as fast as before; on a noisy machine some moment must show it."""
    best = []

    def fast():
        """the pace of before"""
        best.append(pace(b, 0.4))
        return best[-1][0] > base * share
    wait_for(fast, 30)
    return best[-1]


def pace(b, seconds=1.0):
    """Messages a second of one busy client, and the longest time that one took."""
    c = b.smtp()
    took, end = [], time.monotonic() + seconds
    while time.monotonic() < end or len(took) < 20:
        began = time.monotonic()
        c.send("a@client.example.test", "b@else.test", message("busy"))
        took.append(time.monotonic() - began)
    c.cmd("QUIT", 221)
    return 1 / statistics.median(took), max(took)


@pytest.mark.limit(180)
def test_idle_clients(house):
    """They cost memory only, and little of it."""
    b = house.baton(workers=2, relay_from='"127.0.0.1"', route="discard", text="limits { per_client = 0 }")
    before, base = memory(b), pace(b)[0]
    socks = crowd(b, IDLE, b"EHLO idle\r\n")
    for s in socks:
        assert b"250" in s.recv(400)
    rate, longest = keeps_pace(b, base, 0.5)
    used = memory(b)
    print(f"{IDLE} idle: {used:.0f} MiB in all, {before:.0f} before; {rate:.0f} messages/s, {base:.0f} before, longest {longest:.3f} s")
    if not SANITIZED:
        assert used < (150 if SOAK else 150 * 0.6)
        assert (used - before) * 1024 / IDLE < 12  # KiB each
    for s in socks:
        s.close()
    b.stop()


@pytest.mark.limit(180)
def test_slow_loris(house):
    """Half of them dribble commands, half a body; who works doesn't notice."""
    b = house.baton(workers=2, relay_from='"127.0.0.1"', route="discard", local='"other.test"',
                    text='catch_all = "nobody"')
    base = pace(b)[0]
    socks = crowd(b, LORIS)
    for s in socks[::2]:
        s.sendall(b"EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<u@other.test>\r\nDATA\r\n")
    rounds, rates, worst = 40 if SOAK else 3, [], 0
    for _ in range(rounds):
        for s in socks:
            s.sendall(b"x")
        rate, longest = keeps_pace(b, base, 0.3)
        rates.append(rate)
        worst = max(worst, longest)
    print(f"{LORIS} loris: {statistics.median(rates):.0f} messages/s, {base:.0f} before, longest {worst:.3f} s")
    assert worst < 10
    for s in socks:
        s.close()
    b.stop()


@pytest.mark.skipif(not SOAK, reason="takes the ten seconds that a silent client has at least")
def test_loris_on_every_slot(house):
    """They hold all slots; the longest silent give theirs up, and a new client is served."""
    b = house.baton(workers=2, relay_from='"127.0.0.1"', route="discard", text=f"limits {{ clients = {LORIS}  reserved = 0 }}")
    socks = crowd(b, LORIS)
    began, served, wait = time.monotonic(), None, select.poll()
    s = socket.create_connection(("127.0.0.1", b.port), 30)
    house.keep(s)
    wait.register(s, select.POLLIN)
    while served is None and time.monotonic() - began < 60:
        for one in socks:
            try:
                one.send(b"x", socket.MSG_DONTWAIT)
            except OSError:
                pass
        if wait.poll(500):
            served = time.monotonic() - began
    print(f"{LORIS} loris on as many slots: a new client was greeted after {served:.1f} s")
    assert s.recv(200).startswith(b"220 ") and served < 20
    b.wait_log("slots run low")
    for one in socks:
        one.close()
    s.close()
    b.stop()


def test_reserved_slots(house):
    """Strangers can take as many slots as they like, but for those of the LAN."""
    b = house.baton(workers=2, relay_from='"127.0.0.1"', route="discard", text="limits { clients = 10  reserved = 20 }")
    strangers = crowd(b, 8)
    late = socket.create_connection(("127.0.0.1", b.port), 30, source_address=("127.0.1.9", 0))
    house.keep(late)
    assert late.recv(200).startswith(b"421 4.3.2 ")
    lan = [b.smtp() for _ in range(2)]
    strangers.pop().close()
    lan[0].send("a@client.example.test", "b@else.test", message("x"))
    for c in lan:
        c.cmd("QUIT", 221)

    def room():
        """the slot that is free again"""
        with socket.create_connection(("127.0.0.1", b.port), 30, source_address=("127.0.1.9", 0)) as s:
            return s.recv(200).startswith(b"220 ")
    wait_for(room)
    b.stop()


def test_unread_input(house):
    """What clients send while they wait for keeper is bounded in all; nothing of it is lost."""
    clients, lines = 200, 150
    b = house.baton(workers=1, relay_from='"127.0.0.1"', route="discard", local='"other.test"',
                    text="limits { per_client = 0  unread = 1M }")
    socks = crowd(b, clients, b"EHLO x\r\nMAIL FROM:<a@b.test>\r\n")
    for s in socks:
        while b" 2.1.0 Ok" not in s.recv(1000):
            pass
    before = memory(b)
    (keeper,) = b.pids("keeper")
    os.kill(keeper, signal.SIGSTOP)
    try:
        for s in socks:
            s.sendall(b"RCPT TO:<u@other.test>\r\n" + (b"NOOP " + b"x" * 400 + b"\r\n") * lines)
        b.wait_log(r"clients that wait have sent 1\d{6} bytes")
        assert b.smtp().cmd("MAIL FROM:<a@b.test>")[0] == 250  # others are served
        grown = memory(b) - before
    finally:
        os.kill(keeper, signal.SIGCONT)
    print(f"{clients} clients with {lines * 407 / 1024:.0f} KiB each unread: {grown:.1f} MiB more")
    if not SANITIZED:
        assert grown < 6
    for s in socks:
        said = b""
        while said.count(b"\r\n") < lines + 1:
            said += s.recv(65536)
        assert said.startswith(b"550 5.1.1 ") and said.count(b"\r\n250 ") == lines
        s.close()
    b.stop()
