"""Fairness: one sender's backlog doesn't delay another one's mail, nor urgent mail; what goes together."""
import threading
import time

from harness import SOAK, wait_for
from smtp import message

BACKLOG = 100000 if SOAK else 10000
MANY = 20000 if SOAK else 1500
CONNECTIONS = 2
NEAR = 50  # deliveries after those that were in flight
URGENT = 'class "urgent" { sender = "alerts@client.example.test" }'


class Gate:
    """A hop that answers no final dot while it is closed, and remembers who came when."""

    def __init__(self, house):
        self.open, self.slow = threading.Event(), 0
        self.hop = house.sink(refuse={"DOT": self.dot})

    def dot(self, line):
        time.sleep(self.slow)
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


def start_anew(b, gate):
    """Everything is killed, the hop forgets what it got and opens."""
    b.kill_tree()
    gate.hop.close()
    gate.open.set()
    wait_for(lambda: not gate.hop.open)  # those that waited at the gate count as come
    del gate.hop.messages[:]
    gate.hop.start()
    b.start(60)


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
    start_anew(b, gate)
    places = gate.wait(["other@client.example.test", "alerts@client.example.test"])
    print("after", places, "deliveries")
    assert max(places) <= CONNECTIONS * 5 + NEAR, places
    b.kill_tree()


def took(hop, start=0):
    """The senders in the order their mail came."""
    return [m.sender for m in list(hop.messages)[start:]]


def test_classes_share_by_weight(house):
    """Bulk by its header against normal: ten to one while both wait; the log names what isn't normal."""
    gate = Gate(house)
    b = house.baton(route=gate.hop, site=f"connections = {CONNECTIONS}")
    client = b.smtp()
    for i in range(400):
        client.send("bulk@client.example.test", "x@other.test", message(f"b{i}", Precedence="bulk"))
        client.send("normal@client.example.test", "x@other.test", message(f"n{i}"))
    client.quit()
    gate.open.set()
    gate.hop.wait(800, 60)
    normal = took(gate.hop, CONNECTIONS * 5)[:330].count("normal@client.example.test")
    print(normal, "of 330 are normal")
    assert 285 <= normal <= 315, normal
    b.wait_log(r"from=bulk@\S+ .*class=bulk")
    b.wait_empty()
    b.stop()


def test_a_class_outlives_a_restart(house):
    """It is in the row: asked for by name, before and after; its own lifetime ends it."""
    hop = house.sink(refuse={"RCPT": "450 4.2.1 not now"})
    text = 'class "brief" { header = "X-Brief"  lifetime = "3s" }'
    b = house.baton(route=hop, text=text, retry='first = "1s"  max = "2s"')
    client = b.smtp()
    client.send("a@client.example.test", "x@other.test", message("brief", X_Brief="1"))
    client.send("a@client.example.test", "y@other.test", message("long"))
    client.quit()
    wait_for(lambda: [r["class"] for r in b.queue("--class", "brief")] == ["brief"])
    b.kill_tree()
    b.start()
    assert len(b.queue("--class", "normal")) == 1
    b.wait_log(r"to=x@other.test result=expired class=brief", 30)
    assert [r["class"] for r in b.queue() if r["recipients"][0]["address"] == "y@other.test"] == ["normal"]
    assert b"to=y@other.test result=expired" not in b.log
    b.stop()


def test_urgent_mail_has_connections_of_its_own(house):
    """Of five connections ordinary mail opens four; the fifth opens for urgent mail."""
    gate = Gate(house)
    gate.slow = 0.01  # the site is given more connections as it takes mail
    gate.open.set()
    b = house.baton(route=gate.hop, site="connections = 5", text=URGENT)
    backlog(house, b, 1500)
    wait_for(lambda: len(gate.hop.open) == 4)
    gate.hop.wait(400)
    gate.open.clear()
    assert len(gate.hop.open) == 4
    b.smtp().send("alerts@client.example.test", "x@other.test", message("urgent"))
    wait_for(lambda: len(gate.hop.open) == 5)
    gate.slow = 0
    gate.open.set()
    b.wait_empty(60)
    b.stop()


def test_many_senders_after_a_restart(house):
    """One message each of many senders behind one sender's many: all come, once, and none of them last."""
    gate = Gate(house)
    b = house.baton(route=gate.hop, site=f"connections = {CONNECTIONS}")
    backlog(house, b, MANY)
    client = b.smtp()
    for i in range(MANY):
        client.send(f"s{i}@client.example.test", "x@other.test", message(f"s{i}"))
    client.quit()
    wait_for(lambda: len(b.queue()) == 2 * MANY, 30)
    start_anew(b, gate)
    b.wait_empty(120)
    senders = took(gate.hop)
    assert len(senders) == 2 * MANY and len(set(senders)) == MANY + 1
    last = max(i for i, s in enumerate(senders) if s[0] == "s")
    print("the last of", MANY, "senders after", last, "deliveries")
    assert last <= MANY * 3 / 2, last
    b.stop()
