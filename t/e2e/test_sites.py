"""Sites: how much goes to one at a time, how fast, and what a dead one costs."""
import json
import socket
import struct
import threading
import time

from harness import SANITIZED, SOAK, free_port, wait_for
from smtp import message

NAME = "[127.0.0.1]:{}"


def sites(b):
    """name -> what `batonctl sites` says of it"""
    return {row["site"]: row for row in map(json.loads, b.ctl("sites", "--json").splitlines())}


def settled(hop, seconds):
    """The most connections open at a time during so many seconds."""
    most, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        most = max(most, len(hop.served))
        time.sleep(0.02)
    return most


class Limited:
    """A next hop that lets in `most[0]` connections at a time and says 421 to one more."""

    def __init__(self, house, most, **knobs):
        self.most, self.refused = most, []
        self.hop = house.sink(refuse={"CONNECT": self.door}, **knobs)
        self.port = self.hop.port

    @property
    def served(self):
        return self.hop.open

    def door(self, line):
        if len(self.hop.open) <= self.most:
            return None
        self.refused.append(time.monotonic())
        return "421 4.7.0 too many connections"


def test_a_limit_is_found_kept_over_a_restart_and_left_when_it_lifts(house):
    """421 above five connections: at most five within 30 s, hardly any 421 afterwards, also after a
    restart; more again when the limit is gone; no recipient has an attempt for that."""
    hop = Limited(house, 5, delay=0.1)
    hold = 30 if SOAK else 3
    b = house.baton(route=hop, site=f'connections = 20  probe_max = "{hold}s"', retry='first = "60s"' if SOAK else 'first = "2s"')
    load = house.load(b.port, ok=20000 if SOAK else 2000, seconds=1500)
    if SOAK:
        time.sleep(30)
        assert settled(hop, 20) <= 5
    wait_for(lambda: settled(hop, 2) <= 5, 30)  # a look above the limit now and then
    row = sites(b)[NAME.format(hop.port)]
    assert 4 <= row["limit"] <= 6 and row["configured"] == 20 and row["connections"] <= 6, row
    assert "421" in b.log_tail(1 << 20) or "too many connections" in row["trouble"], row
    assert all(r["attempts"] == 0 for m in b.queue("--larger", "1")[:2000] for r in m["recipients"])
    load.wait()
    b.stop()
    hop.refused.clear()
    b.start()
    row = wait_for(lambda: sites(b).get(NAME.format(hop.port)), 10)
    assert 4 <= row["limit"] <= 6, row  # not the two of a site that nobody knows
    wait_for(lambda: settled(hop, 2) <= 5, 30)
    assert len(hop.refused) <= 3, "the limit was not remembered"
    hop.most = 1000
    wait_for(lambda: len(hop.served) > 8, hold * 4 + 10)
    assert b'result=deferred' not in b.log
    b.ctl("delete", "--all")
    b.stop()


class Dead:
    """A next hop that resets every connection at once, and notes when each came."""

    def __init__(self, house):
        self.port, self.times = free_port(), []
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(64)
        threading.Thread(target=self.run, daemon=True).start()
        house.keep(self)

    def run(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.times.append(time.monotonic())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()


def test_a_dead_site_costs_one_connection_an_interval(house):
    """However much mail waits for it, over a restart too; then it drains, beginning with one."""
    hop = Dead(house)
    count = 100000 if SOAK else 2000 if SANITIZED else 10000
    b = house.baton(route=hop, retry='first = "1s"  max = "1h"', site='probe_max = "2s"  connections = 20')
    house.load(b.port, ok=count, size=1024, seconds=600).wait()
    time.sleep(60 if SOAK else 3)
    times = list(hop.times)
    gaps = [y - x for x, y in zip(times, times[1:])]
    assert gaps and min(gaps) > 0.7, gaps  # 1 s and then 2 s, each times 0.75 to 1.25
    assert len(times) <= 3 + (times[-1] - times[0]) / 1.4, gaps
    row = sites(b)[NAME.format(hop.port)]
    assert row["state"] in ("down", "probing") and row["queued"] == count and row["oldest"], row
    # a restart in the middle of an interval waits for its end
    n = len(hop.times)
    wait_for(lambda: len(hop.times) > n, 10)
    time.sleep(0.3)
    b.stop()
    b.start()
    wait_for(lambda: len(hop.times) > n + 1, 15)
    assert hop.times[n + 1] - hop.times[n] > 1.4, hop.times[n:]
    # nobody's attempt, and no one's next time has moved
    assert all(r["attempts"] == 0 for m in b.queue("--older", "1s")[:2000] for r in m["recipients"])
    # a flush is one probe, and no more than another one a second
    n, began = len(hop.times), time.monotonic()
    b.ctl("flush")
    wait_for(lambda: len(hop.times) > n, 5)
    assert len(hop.times) - n <= 2 + (time.monotonic() - began), "a probe for each message"
    hop.close()
    opened = []  # connections so far, as each message ends
    living = house.sink(port=hop.port, delay=0.05, refuse={"DOT": lambda raw: opened.append(living.connections)})
    b.ctl("flush")
    living.wait(1, 20)
    assert opened[0] == 1, "a stampede"
    living.delay = 0
    living.wait(count, 600)
    b.wait_empty()
    b.stop()


def evenness(times, rate):
    """(rate over all, the most within a tenth of a second)"""
    most = max(sum(1 for t in times[i:i + int(rate) + 5] if t < times[i] + 0.1) for i in range(len(times)))
    return (len(times) - 1) / (times[-1] - times[0]), most


def test_rates(house):
    """5, 50 and 500 a second at the same time, each even; nothing saved up while idle."""
    seconds = 66 if SOAK else 5
    rates, text, hops, times, found = (5, 50, 500), "", {}, {}, {}
    for rate in rates:
        times[rate] = []
        hops[rate] = house.sink(refuse={"DATA": lambda line, t=times[rate]: t.append(time.monotonic())})
        text += f'route "r{rate}.test" {{ to = "[127.0.0.1]:{hops[rate].port}" }}\n'
        text += f'site "[127.0.0.1]:{hops[rate].port}" {{ rate = "{rate}/s" }}\n'
    b = house.baton(text=text)
    loads = [house.load(b.port, ok=rate * seconds, size=600, sessions=4, prefix=f"r{rate}-", to=f"x@r{rate}.test") for rate in rates]
    for load in loads:
        load.wait()
    since = time.monotonic()  # from here on there is always mail waiting
    for rate in rates:
        wait_for(lambda: len(times[rate]) >= rate * seconds, seconds * 3)
        found[rate] = evenness([t for t in times[rate] if t > since], rate)
        print("%d/s: %.3f/s, at most %d in 0.1 s" % (rate, *found[rate]))
    for rate, (got, most) in found.items():
        assert abs(got / rate - 1) < (0.02 if SOAK else 0.1), found
        assert most <= rate / 10 * 4 + 4, found  # the sink has its own delays
    # idle for a while, then five at once: they come one every 200 ms
    time.sleep(1)
    before = len(times[5])
    for i in range(5):
        b.smtp().send("a@client.example.test", "x@r5.test", message(f"late{i}"))
    wait_for(lambda: len(times[5]) == before + 5, 10)
    late = times[5][before:]
    assert all(y - x > 0.15 for x, y in zip(late, late[1:])), late
    b.wait_empty()
    assert b"attempts=" not in b.log
    b.stop()


def test_a_local_wait_is_no_attempt(house):
    """A limit, a rate, a reload, a worker's death: nobody's attempts count, nobody's time moves."""
    hop = house.sink(delay=0.3)
    b = house.baton(route=hop, site='connections = 1  rate = "5/s"')
    for i in range(20):
        b.smtp().send("a@client.example.test", f"b{i}@other.test", message(f"w{i}"))

    def waiting():
        """something to wait"""
        rows = [r for m in b.queue() for r in m["recipients"]]
        assert all(r["attempts"] == 0 and r["state"] in ("ready", "active") and r["next"] == 0 for r in rows), rows
        return rows
    assert waiting()
    b.write(route=hop, site='connections = 2  rate = "6/s"')
    b.hup()
    b.wait_log("generation|reload|configuration")
    assert waiting()
    pid = b.pids("deliver")[0]
    b.kill("deliver")
    b.replaced("deliver", pid)
    waiting()
    hop.delay = 0
    hop.wait(20, 30)
    b.wait_empty()
    assert b"attempts=" not in b.log
    b.stop()


def test_throttling_replies_are_not_an_attempt_for_everyone(house):
    """451 4.7.x to everything: a few messages learn of it, the others are parked untouched."""
    hop = house.sink(refuse={"MAIL": "451 4.7.650 rate limited, try again later"})
    b = house.baton(route=hop, retry='first = "4s"')
    house.load(b.port, ok=200, size=600).wait()
    row = wait_for(lambda: [s for s in sites(b).values() if s["state"] == "down"], 15)[0]
    assert "rate limited" in row["trouble"]
    tried = [r for m in b.queue() for r in m["recipients"] if r["attempts"]]
    assert 0 < len(tried) < 100, len(tried)
    hop.refuse.clear()
    b.ctl("flush")
    hop.wait(200, 60)
    b.wait_empty()
    b.stop()


def test_one_greylisted_recipient_does_not_slow_the_site(house):
    """4.7.x for one of many, and 'greylisted', say nothing of the site."""
    hop = house.sink(refuse={"RCPT": lambda line: "451 4.7.1 Greylisted, come back" if "grey" in line else
                             "451 4.7.1 policy" if "policy" in line else None})
    b = house.baton(route=hop, retry='first = "5s"')
    for i in range(12):
        b.smtp().send("a@client.example.test", f"grey{i}@other.test", message(f"g{i}"))
        b.smtp().send("a@client.example.test", [f"policy{i}@other.test", f"good{i}@other.test"], message(f"p{i}"))
    hop.wait(12, 20)
    wait_for(lambda: len(b.queue()) == 24 and all(r["attempts"] for m in b.queue() for r in m["recipients"]), 20)
    assert sites(b)[NAME.format(hop.port)]["trouble"] == ""
    b.stop()


def test_recipients_per_message_and_what_is_learned(house):
    """Split as configured; 452 4.5.3 teaches the site's own number, and the rest follows at once."""
    taken = {}

    def few(line):
        n = taken["n"] = taken.get("n", 0) + 1
        return "452 4.5.3 too many recipients" if n > 4 else None

    def fresh(line):
        taken["n"] = 0
    hop = house.sink(refuse={"MAIL": fresh, "RCPT": few})
    b = house.baton(route=hop, site="recipients_per_message = 10  connections = 1", retry='first = "1h"')
    b.smtp().send("a@client.example.test", [f"b{i}@other.test" for i in range(30)], message("many"))
    wait_for(lambda: sum(len(m.to) for m in hop.messages) == 30, 20)
    assert max(len(m.to) for m in hop.messages) <= 4
    refused = len([c for _, c in hop.commands if c.startswith("RCPT")]) - 30
    assert refused <= 3 * 6, refused  # the three jobs that were on their way when it was learned
    b.wait_empty()
    b.stop()
    b.start()
    hop.commands.clear()
    b.smtp().send("a@client.example.test", [f"c{i}@other.test" for i in range(20)], message("again"))
    wait_for(lambda: sum(len(m.to) for m in hop.messages) == 50, 20)
    assert len([c for _, c in hop.commands if c.startswith("RCPT")]) == 20, "it was not remembered"
    b.wait_empty()
    assert b"attempts=" not in b.log
    b.stop()


def test_idle_connections_close(house):
    hop = house.sink()
    b = house.baton(route=hop, site='idle = "1s"')
    b.smtp().send("a@client.example.test", "b@other.test", message("idle"))
    hop.wait(1)
    began = time.monotonic()
    assert hop.open
    wait_for(lambda: not hop.open, 10)
    assert 0.5 < time.monotonic() - began < 5
    assert any(c == "QUIT" for _, c in hop.commands)
    b.stop()


def test_a_new_best_host_is_no_fresh_start(house):
    """A changed MX set that shares a host with the old one keeps the state: it stays down."""
    hosts = "mx0 1 IN A 127.0.0.1\nmx1 1 IN A 127.0.0.1"
    nsd = house.nsd({"other.test": "@ 1 IN MX 10 mx1\n" + hosts})
    port = free_port()
    config = {"resolver": nsd, "route": "mx", "text": f"deliver {{ port = {port}  ipv6 = false }}", "retry": 'first = "1h"'}
    b = house.baton(**config)
    b.smtp().send("a@client.example.test", "b@other.test", message("down"))
    wait_for(lambda: sites(b).get("mx1.other.test", {}).get("state") == "down", 15)
    probe = sites(b)["mx1.other.test"]["probe"]
    nsd.close()
    house.nsd({"other.test": "@ 1 IN MX 5 mx0\n@ 1 IN MX 10 mx1\n" + hosts}, port=nsd.port)

    def moved():
        """the destination to move to its new site"""
        b.hup()
        time.sleep(0.3)
        return sites(b).get("mx0.other.test")
    row = wait_for(moved, 40, every=0.5)
    assert row["state"] == "down" and abs(row["probe"] - probe) <= 1, (row, probe)
    b.ctl("delete", "--all")
    b.stop()
