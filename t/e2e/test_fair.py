"""Fairness: one sender's backlog doesn't delay another one's mail, nor urgent mail; what goes together."""
import threading

import pytest

from harness import SOAK, wait_for
from smtp import message

BACKLOG = 100000 if SOAK else 10000
CONNECTIONS = 2
NEAR = 50  # deliveries after those that were in flight
URGENT = 'class "urgent" { sender = "alerts@client.example.test" }'


class Gate:
    """A hop that answers no final dot while it is closed, and remembers who came when."""

    def __init__(self, house):
        self.open = threading.Event()
        self.hop = house.sink(refuse={"DOT": self.dot})

    def dot(self, line):
        self.open.wait(300)

    def place(self, sender):
        """How many came before the first of that sender; None: it hasn't come."""
        for i, m in enumerate(list(self.hop.messages)):
            if m.sender == sender:
                return i
        return None

    def wait(self, senders, seconds=60):
        def come():
            return all(self.place(s) is not None for s in senders)
        come.__doc__ = f"mail from {senders}"
        wait_for(come, seconds)
        return [self.place(s) for s in senders]


def backlog(house, b, count):
    load = house.load(b.port, ok=count, size=300, seconds=200)
    assert load.wait()["ok"] == count


def two_more(b):
    with_others = b.smtp()
    with_others.send("other@client.example.test", "x@other.test", message("other"))
    with_others.send("alerts@client.example.test", "x@other.test", message("urgent"))
    with_others.quit()


def test_others_pass_a_backlog(house):
    """Behind one sender's backlog for the same site."""
    gate = Gate(house)
    b = house.baton(route=gate.hop, site=f"connections = {CONNECTIONS}", text=URGENT)
    backlog(house, b, BACKLOG)
    before = len(gate.hop.messages)
    two_more(b)
    flight = CONNECTIONS * 5  # a window of four and the one that begins
    gate.open.set()
    places = gate.wait(["other@client.example.test", "alerts@client.example.test"])
    print("after", [p - before for p in places], "deliveries,", flight, "of them in flight")
    assert max(places) - before <= flight + NEAR, places
    b.kill_tree()


def test_others_pass_a_backlog_after_a_restart(house):
    """All is in the index, theirs behind the others; nobody remembers anything."""
    gate = Gate(house)
    b = house.baton(route=gate.hop, site=f"connections = {CONNECTIONS}", text=URGENT)
    backlog(house, b, BACKLOG)
    two_more(b)
    wait_for(lambda: len(b.queue("--sender", "other@client.example.test")) == 1)
    b.kill_tree()
    gate.hop.close()
    del gate.hop.messages[:]
    gate.open.set()
    gate.hop.start()
    b.start(60)
    places = gate.wait(["other@client.example.test", "alerts@client.example.test"])
    print("after", places, "deliveries")
    assert max(places) <= CONNECTIONS * 5 + NEAR, places
    b.kill_tree()
