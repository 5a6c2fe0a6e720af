"""Strangers: limits that hold over all workers."""
import os
import signal
import socket
import time

from harness import wait_for
from smtp import Smtp

ONLY_US = '"127.0.0.1"'  # relay_from: 127.0.0.2 and so on are strangers


class From(Smtp):
    """A client at another address of this host."""

    def __init__(self, b, source="127.0.0.2", hello="client.example.test", greet=True):
        self.sock = dial(b, source)
        self.buffer = b""
        if greet:
            self.expect(220)
            self.cmd(f"EHLO {hello}", 250)


def dial(b, source="127.0.0.2"):
    s = socket.create_connection(("127.0.0.1", b.port), 10, source_address=(source, 0))
    b.house.keep(s)
    return s


def hear(s, seconds=10):
    """What the server says first; None: nothing in that time."""
    s.settimeout(seconds)
    try:
        return s.recv(200).decode()
    except TimeoutError:
        return None


def greeted(b, n, source="127.0.0.2"):
    """n clients; those that were greeted and those that were turned away."""
    all_ = [dial(b, source) for _ in range(n)]
    said = [(hear(s), s) for s in all_]
    assert all(w[:4] in ("220 ", "421 ") for w, _ in said), said
    return [s for w, s in said if w[:3] == "220"], [s for w, s in said if w[:3] == "421"]


def fill(b, limit, held=0):
    """Sessions of one stranger up to the limit, once those that were closed are noticed; never over it."""
    def full():
        """the limit reached"""
        good, bad = greeted(b, 3 * limit)
        assert held + len(good) <= limit
        if held + len(good) == limit:
            return good or [None]
        for s in good:
            s.close()
    return wait_for(full, 10, every=0.1)


def test_per_client_holds_over_all_workers(house):
    """A killed worker's sessions count no more, those of the other one still do."""
    b = house.baton(workers=2, relay_from=ONLY_US, text="limits { per_client = 12 }")
    for s in fill(b, 12):
        s.close()
    good = fill(b, 12)
    assert len(greeted(b, 40, "127.0.0.1")[0]) == 40
    old = b.pids("smtpd")
    os.kill(old[0], signal.SIGKILL)
    wait_for(lambda: len(b.pids("smtpd")) == 2 and old[0] not in b.pids("smtpd"), 10)
    living = sum(hear(s, 0.2) is None for s in good)
    fill(b, 12, held=living)
    b.stop()


def test_clients_hold_over_all_workers(house):
    """The sessions over limits.clients wait; each is served when another one leaves."""
    b = house.baton(workers=2, text="limits { clients = 8 }")
    waiting, served = [dial(b, "127.0.0.1") for _ in range(14)], []

    def serve():
        for s in [s for s in waiting if (hear(s, 0.01) or "").startswith("220")]:
            waiting.remove(s)
            served.append(s)
        return served
    wait_for(lambda: len(serve()) == 8, 10)
    time.sleep(1.5)  # ACCEPT_PAUSE_MS and some: no more come
    assert len(serve()) == 8
    for s in list(served):
        s.sendall(b"QUIT\r\n")
    wait_for(lambda: len(serve()) == 14, 10)
    b.stop()
