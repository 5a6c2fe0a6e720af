"""Several smarthosts: in their order with a way back, or shared by the recipients' domains."""
import collections
import re
import socket
import subprocess

from harness import wait_for
from logins import Logins
from test_relay_auth import BODY, LOCAL, credentials

QUICK = 'first = "1s"  max = "2s"'


def hosts(*sinks):
    return "{ " + ", ".join(f'"[{LOCAL}]:{s.port}"' for s in sinks) + " }"


def send(b, first, count=1, domain="other.test"):
    b.smtp().send_batch([("a@client.example.test", f"b{first + i}@{domain}", BODY) for i in range(count)])


def to(*sinks):
    return [m.to[0] for s in sinks for m in s.messages]


def test_the_next_one_and_back(house):
    """The first host is down, comes, goes in the middle of traffic: every message arrives once."""
    one, two = house.sink(start=False), house.sink()
    b = house.baton(text=f'route "*" {{ to = {hosts(one, two)} }}', retry=QUICK)
    send(b, 0, 10)
    two.wait(10)
    b.wait_log(rf"site level=warning site=\S+ state=next_host host=127.0.0.1 port={two.port} words=\"unreachable")
    assert b"state=down" not in b.log
    one.start()
    n = 10

    def came_back():
        """mail at the first host again"""
        nonlocal n
        send(b, n)
        n += 1
        return one.messages
    wait_for(came_back, 30, every=0.1)
    b.wait_log(rf"site site=\S+ state=first_host host=127.0.0.1 port={one.port}")
    b.wait_empty()
    before = len(two.messages)
    send(b, n, 10)
    n += 10
    b.wait_empty()
    assert len(two.messages) == before  # all of it by the first one
    one.stop()
    send(b, n, 10)
    n += 10
    b.wait_empty()
    assert sorted(to(one, two)) == sorted(f"b{i}@other.test" for i in range(n))
    assert not re.search(rb"result=(bounced|failed)", b.log)
    b.stop()


def test_a_scout_holds_nobody_up(house):
    """The first host takes connections and says nothing: mail goes by the second one meanwhile."""
    silent = socket.socket()
    silent.bind((LOCAL, 0))
    silent.listen(100)
    silent.settimeout(30)
    port, two = silent.getsockname()[1], house.sink()
    b = house.baton(text=f'route "*" {{ to = {{ "[{LOCAL}]:{port}", "[{LOCAL}]:{two.port}" }} }}', retry=QUICK,
                    site='reply_timeout = "60s"  messages_per_connection = 1')
    send(b, 0)
    silent.accept()[0].close()  # the next one at once
    two.wait(1)

    def scouting():
        """a scout"""
        send(b, len(two.messages))
        two.wait(len(two.messages))
        silent.settimeout(0.05)
        try:
            return silent.accept()[0]
        except OSError:
            return None
    scout = wait_for(scouting, 30, every=0.1)
    scouts = b.log.count(b"state=still_next_host")
    before = len(two.messages)
    send(b, 1000, 5)
    two.wait(before + 5)
    assert b.log.count(b"state=still_next_host") == scouts  # it is still out
    seen = len(b.log)
    scout.close()
    b.wait_log(r"state=still_next_host [^\n]*words=\"[^\n]*closed by the peer", after=seen)
    silent.close()
    b.stop()


def test_the_first_one_refuses_the_login(house):
    """A refusal of us is a reason to go to the next one too, and said in the log."""
    one, two = house.sink(auth=Logins(password="changed", secure=False)), house.sink(auth=Logins(secure=False))
    b = house.baton(credentials=credentials(house), retry=QUICK,
                    text=f'route "*" {{ to = {hosts(one, two)}  auth = "good" }}')
    send(b, 0, 5)
    two.wait(5)
    b.wait_log(r'level=warning [^\n]*state=next_host [^\n]*login \\"good\\" with PLAIN: who are you\?')
    b.stop()


def test_balance(house):
    """Each domain has its own host, always the same; without one host only its domains move."""
    sinks = [house.sink() for _ in range(3)]
    domains = [f"d{i}.test" for i in range(60)]

    def route(*used):
        return f'route "*" {{ to = {hosts(*used)}  balance = "domain" }}'

    def round(b, which):
        """Where each domain's mail went."""
        for s in sinks:
            s.messages.clear()
        b.smtp().send_batch([("a@client.example.test", f"{u}@{d}", BODY) for d in which for u in ("x", "y")])
        wait_for(lambda: sum(len(s.messages) for s in sinks) >= 2 * len(which), 30)
        at = collections.defaultdict(set)
        for s in sinks:
            for m in s.messages:
                at[m.to[0].split("@")[1].lower()].add(s)
        assert all(len(v) == 1 for v in at.values())
        return {d: v.pop() for d, v in at.items()}
    b = house.baton(text=route(*sinks), retry=QUICK)
    first = round(b, domains)
    shares = collections.Counter(first.values())
    assert len(shares) == 3 and min(shares.values()) >= 5, shares.values()
    assert round(b, [d.upper() for d in domains]) == first
    b.write(text=route(sinks[1], sinks[0]), retry=QUICK)  # without the third one, in another order
    seen = len(b.log)
    b.hup()
    b.wait_log(r"reload [^\n]*result=done", 20, after=seen)
    assert all(s is sinks[2] or now[d] is s for now in [round(b, domains)] for d, s in first.items())
    sinks[1].stop()  # down: the other one takes over
    assert set(round(b, domains).values()) == {sinks[0]}
    b.stop()


def test_balance_needs_a_list(house):
    b = house.baton(start=False)
    b.write(text='route "*" { to = "[mail.example.test]:587"\nbalance = "domain" }')
    done = subprocess.run([b.program("baton"), "-n", "-c", b.conf], env=b.env(), capture_output=True, text=True)
    assert done.returncode and "needs a list of hosts in to" in done.stderr, done.stderr
