"""Every 250 arrives, exactly once; whatever dies meanwhile."""
import time

import pytest

from harness import SANITIZED, SOAK, alive, wait_for
from load import account

COUNT = 20000 if SOAK else 500 if SANITIZED else 2000
# slow enough for all the kills to fall into the load; the full sizes come as fast as they can
RATE = 0 if SOAK else COUNT // 3


def settle(b, sink, fates, seconds=60):
    """Waits until nothing acknowledged is missing and the queue is empty; the books then."""
    def all_there():
        """every acknowledged message at the next hop"""
        # in hand at two deaths of a worker: set aside, until somebody says otherwise
        b.tool("batonctl", "release", "--state", "poison", check=False)
        return not account(fates, sink.got())[0]
    try:
        wait_for(all_there, seconds, every=0.2)
    except AssertionError:
        missing = sorted(account(fates, sink.got())[0])
        raise AssertionError(f"{len(missing)} acknowledged messages are missing: {missing[:5]}\n{b.log_tail()}")
    b.wait_empty(30)
    return account(fates, sink.got())


def test_every_message_once(house):
    """At 20 sessions, nothing dies."""
    sink = house.load_sink()
    b = house.baton(route=sink)
    load = house.load(b.port, ok=COUNT)
    sums = load.wait()
    assert sums["ok"] == COUNT and not sums["temp"] + sums["perm"] + sums["lost"], sums
    missing, twice, refused = settle(b, sink, load.fates())
    print(f"nothing died: {sums}")
    assert not twice and not refused
    b.stop()


def test_refusals_are_tried_again(house):
    """A next hop that says 451 to one of ten, and closes at one dot of a hundred."""
    sink = house.load_sink(temp=100, cut=10)
    b = house.baton(route=sink)
    load = house.load(b.port, ok=COUNT // 4)
    load.wait()
    missing, twice, refused = settle(b, sink, load.fates(), 100)
    assert not twice and not refused
    b.stop()


@pytest.mark.parametrize("role", ["smtpd", "qmgr", "deliver", "keeper", "dnscache"])
def test_kill_under_load(house, role):
    """kill -9 of each role under load: it serves again within two seconds; only deliver may send twice."""
    sink = house.load_sink(delay=2)
    b = house.baton(route=sink, site="connections = 10")
    load = house.load(b.port, ok=COUNT, prefix=role, rate=RATE)
    kills = 0
    time.sleep(0.3)
    while load.running() and kills < (10 if SOAK else 3):
        dead = b.kill(role, which=kills % len(b.pids(role) or [1]))
        kills += 1
        b.replaced(role, dead, 5)
        time.sleep(0.5)
    sums = load.wait()
    assert kills, "the load was over before anything was killed"
    assert sums["ok"] >= COUNT, sums
    assert sums["gap_ms"] < 2000, f"nothing was taken for {sums['gap_ms']} ms"
    missing, twice, refused = settle(b, sink, load.fates())
    print(f"{kills} kills of {role}: {sums}, {len(twice)} twice")
    assert not refused
    if role == "deliver":
        # at most what was between a final dot and its result, on each of the connections
        assert all(n <= 1 + kills for n in twice.values()) and len(twice) <= 10 * kills, twice
    else:
        assert not twice, f"{role}'s death alone costs no duplicate"
    b.stop()


def test_kill_each_in_turn(house):
    """All roles, one after the other, in one load."""
    sink = house.load_sink(delay=2)
    b = house.baton(route=sink)
    load = house.load(b.port, ok=COUNT * 2, rate=RATE)
    deliver_kills = 0
    for role in ["smtpd", "qmgr", "deliver", "keeper", "dnscache"] * (4 if SOAK else 1):
        if not load.running():
            break
        time.sleep(0.3)
        dead = b.kill(role)
        deliver_kills += role == "deliver"
        b.replaced(role, dead, 5)
    sums = load.wait()
    assert sums["ok"] >= COUNT * 2, sums
    assert sums["gap_ms"] < 2000, sums
    missing, twice, refused = settle(b, sink, load.fates())
    print(f"{deliver_kills} kills of each: {sums}, {len(twice)} twice")
    assert not refused and len(twice) <= 20 * deliver_kills, twice
    b.stop()


def test_kill_the_tree(house):
    """kill -9 of everything under load, twice, and a restart: every 250 arrives."""
    sink = house.load_sink(delay=2)
    b = house.baton(route=sink, site="connections = 10")
    load = house.load(b.port, ok=COUNT, rate=RATE)
    for _ in range(2):
        time.sleep(0.5)
        assert load.running()
        b.kill_tree()
        b.start()
    sums = load.wait()
    assert sums["ok"] >= COUNT, sums
    # what no commit had covered (100 ms) may come twice: deliver and qmgr died together
    missing, twice, refused = settle(b, sink, load.fates())
    print(f"2 kills of the tree: {sums}, {len(twice)} twice")
    assert not refused
    b.stop()


def test_kill_master_under_load(house):
    """Its children are gone within two seconds; a new tree has every 250."""
    sink = house.load_sink()
    b = house.baton(route=sink)
    load = house.load(b.port, ok=COUNT, rate=RATE)
    time.sleep(0.5)
    pids = list(b.pids())
    b.kill("master")
    wait_for(lambda: not any(alive(p) for p in pids), 2)
    b.proc.wait(5)
    b.start()
    assert load.wait()["ok"] >= COUNT
    missing, twice, refused = settle(b, sink, load.fates())
    assert not refused
    b.stop()


def test_queue_survives_a_restart(house):
    """What waits for a dead next hop is sent by the next run, once."""
    sink = house.sink(start=False)
    b = house.baton(route=sink)
    c = b.smtp()
    ids = [c.send("a@client.example.test", "b@other.test", b"Subject: %d\r\n\r\n" % i) for i in range(50)]
    c.quit()
    assert len(set(ids)) == 50
    wait_for(lambda: len(b.queue()) == 50, 10)
    b.stop()
    b.start()
    assert len(b.queue()) == 50
    sink.start()
    b.ctl("flush")
    assert sorted(m.raw.split(b"Subject: ")[1] for m in sink.wait(50)) == sorted(b"%d\r\n\r\n" % i for i in range(50))
    b.wait_empty()
    assert len(sink.messages) == 50
    b.stop()


def test_a_lost_index_is_rebuilt(house):
    """Without the index the segments tell everything; what was delivered is not sent again."""
    import os
    import shutil
    sink = house.load_sink()
    b = house.baton(route=sink)
    load = house.load(b.port, ok=200, prefix="before")
    load.wait()
    settle(b, sink, load.fates())
    sink.close()
    c = b.smtp()
    for i in range(20):
        c.send("a@client.example.test", "b@other.test", b"X-Id: waiting-%d\r\n\r\n" % i)
    c.quit()
    wait_for(lambda: len(b.queue()) == 20, 10)
    b.stop()
    index = [n for n in os.listdir(b.spool) if "index" in n]
    assert index, os.listdir(b.spool)
    for n in index:
        path = os.path.join(b.spool, n)
        shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    again = house.load_sink(port=sink.port)
    b.start()
    b.ctl("flush")
    wait_for(lambda: sum(1 for i in again.got() if i.startswith("waiting")) == 20, 20)
    b.wait_empty()
    twice = {i: n for i, n in again.got().items() if n > 1}
    assert not twice
    b.stop()
