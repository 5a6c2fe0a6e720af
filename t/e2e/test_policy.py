"""Strangers: what they must be, and limits that hold over all workers."""
import os
import signal
import socket
import time

from harness import wait_for
from liar import a, answer, mx, nothing, rcode, record, soa, wire
from smtp import Smtp

ONLY_US = '"127.0.0.1"'  # relay_from: 127.0.0.2 and so on are strangers


class From(Smtp):
    """A client at another address of this host."""

    def __init__(self, b, source="127.0.0.2", hello="client.example.test", greet=True):
        self.sock = dial(b, source)
        b.clients.append(self)
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


def test_a_worker_of_the_old_generation_is_killed(house):
    """Nobody takes its place: master takes away what was counted in its name."""
    config = {"workers": 2, "relay_from": ONLY_US, "text": "limits { per_client = 4 }"}
    b = house.baton(**config)
    old = b.pids("smtpd")
    fill(b, 4)
    b.write(**config)
    b.hup()
    wait_for(lambda: len(set(b.pids("smtpd")) - set(old)) == 2, 10)
    assert greeted(b, 4)[0] == []
    for pid in set(b.pids("smtpd")) & set(old):  # one that held none of the four has gone
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not set(b.pids("smtpd")) & set(old), 10)
    fill(b, 4)
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


def zones(table, silent=()):
    """A DNS that knows `table`: (name, type) -> records; nothing is heard of names that end as `silent` says."""
    def say(q):
        if q.name.endswith(tuple(silent)):
            return None
        if (q.name, q.type) in table:
            found = table[q.name, q.type]
            return rcode(q, 2) if found is None else answer(q, *found)
        if any(name == q.name for name, _ in table):
            return nothing(q)
        return answer(q, flags=0x8183, authority=[soa(q.name.rpartition(".")[2])])
    return say


def reverse(client, under):
    return ".".join(reversed(client.split("."))) + "." + under


def ptr(client, name):
    return {(reverse(client, "in-addr.arpa"), "PTR"): [record(reverse(client, "in-addr.arpa"), "PTR", wire(name))]}


def host(name, address):
    return {(name, "A"): [a(name, address)]}


def listed(client, zone, answer="127.0.0.2"):
    return host(reverse(client, zone), answer)


def mail(b, client, sender="x@good.test", hello="mx.good.test"):
    """What a client is told at MAIL."""
    c = From(b, client, hello)
    code, text = c.cmd(f"MAIL FROM:<{sender}>")
    c.cmd("QUIT", 221)
    return f"{code} {text}"


def strangers(house, table, policy, silent=()):
    return house.baton(workers=2, relay_from=ONLY_US, resolver=house.liar(zones(table, silent)), text=f"policy {{ {policy} }}")


def test_lists(house):
    """Scores add up; what a list says of itself, of friends, or too late, refuses nobody."""
    table = {**listed("127.0.0.2", "bl.test"), **listed("127.0.0.3", "weak.test", "127.0.0.9"),
             **listed("127.0.0.4", "weak.test", "127.0.0.4"), **listed("127.0.0.4", "other.test"),
             **listed("127.0.0.5", "bl.test"), **listed("127.0.0.5", "wl.test"),
             **listed("127.0.0.6", "bl.test", "127.255.255.254"), **listed("127.0.0.1", "bl.test"),
             (reverse("127.0.0.7", "bl.test"), "A"): None}
    b = strangers(house, table, silent=(reverse("127.0.0.8", "dead.test"),), policy="""
        dnsbl = { "bl.test*2", "weak.test=127.0.0.[4..9]", "other.test", "dead.test*9" }  dnswl = "wl.test"
        dnsbl_threshold = 2  lookup_timeout = 1s""")
    assert mail(b, "127.0.0.2").startswith("554 5.7.1 Your address 127.0.0.2 is listed by bl.test")
    b.wait_log(r"refuse .*client=127\.0\.0\.2 .*stage=MAIL .*check=dnsbl")
    assert mail(b, "127.0.0.3").startswith("250 ")
    assert mail(b, "127.0.0.4").startswith("554 5.7.1 ")
    for fine in ("127.0.0.5", "127.0.0.6", "127.0.0.7", "127.0.0.8"):
        assert mail(b, fine).startswith("250 "), fine
    began = time.monotonic()
    assert mail(b, "127.0.0.1").startswith("250 ")  # relay_from: nobody is asked
    assert time.monotonic() - began < 0.9
    b.stop()


def test_names(house):
    """The address's name and back, the name in EHLO, the sender's domain."""
    table = {**ptr("127.0.0.2", "mx.good.test"), **host("mx.good.test", "127.0.0.2"),
             **ptr("127.0.0.3", "mx.bad.test"), **host("mx.bad.test", "127.0.0.99"),
             **ptr("127.0.0.4", "mx.gone.test"), ("mx.slow.test", "A"): None, **ptr("127.0.0.5", "mx.slow.test"),
             ("good.test", "MX"): [mx("good.test", 10, "mx.good.test")], ("null.test", "MX"): [mx("null.test", 0, "")],
             **host("hostonly.test", "127.0.0.2"), ("slow.test", "MX"): None, ("slow.test", "A"): None,
             ("slow.test", "AAAA"): None}
    b = strangers(house, table, "fcrdns = true  helo = known  sender_domain = known  lookup_timeout = 3s")
    assert mail(b, "127.0.0.2").startswith("250 ")
    assert mail(b, "127.0.0.2", "").startswith("250 ")
    assert mail(b, "127.0.0.2", "x@hostonly.test").startswith("250 ")
    assert mail(b, "127.0.0.2", hello="[127.0.0.2]").startswith("250 ")
    assert mail(b, "127.0.0.1", "x@nowhere.test", "printer").startswith("250 ")
    for client, sender, hello, want in (
            ("127.0.0.3", "x@good.test", "mx.good.test", "550 5.7.25 The name"),
            ("127.0.0.4", "x@good.test", "mx.good.test", "550 5.7.25 The name"),
            ("127.0.0.5", "x@good.test", "mx.good.test", "450 4.7.25 "),
            ("127.0.0.6", "x@good.test", "mx.good.test", "550 5.7.25 Your address has no name"),
            ("127.0.0.2", "x@good.test", "mx.nowhere.test", "550 5.7.1 "),
            ("127.0.0.2", "x@good.test", "printer", "550 5.7.1 "),
            ("127.0.0.2", "x@good.test", "relay.example.test", "550 5.7.1 "),
            ("127.0.0.2", "x@nowhere.test", "mx.good.test", "550 5.1.8 "),
            ("127.0.0.2", "x@null.test", "mx.good.test", "550 5.7.27 "),
            ("127.0.0.2", "x@slow.test", "mx.good.test", "451 4.1.8 "),
            ("127.0.0.2", "x@word", "mx.good.test", "550 5.1.8 ")):
        assert mail(b, client, sender, hello).startswith(want), (client, sender, hello, want, mail(b, client, sender, hello))
    b.stop()


def test_a_session_is_not_held_up_by_dns_that_is_silent(house):
    """At MAIL a stranger waits lookup_timeout; pipelined commands behind it keep their order."""
    b = strangers(house, {}, "dnsbl = { \"dead.test\" }  rdns = true  lookup_timeout = 1s", silent=("test", "arpa"))
    c = From(b)
    began = time.monotonic()
    c.write(b"MAIL FROM:<x@good.test>\r\nRSET\r\nNOOP\r\n")
    assert c.reply()[0] == 450
    assert c.reply()[0] == 250 and c.reply()[0] == 250
    assert 0.2 < time.monotonic() - began < 6
    # gone while its questions are open; a new dnscache is asked again
    c.write(b"MAIL FROM:<x@good.test>\r\n")
    c.close()
    b.kill("dnscache")
    c = From(b)
    assert c.cmd("MAIL FROM:<x@good.test>")[0] == 450
    b.stop()


def test_early_talkers(house):
    """The greeting comes late; who can't wait is refused, friends don't wait."""
    b = house.baton(relay_from=ONLY_US, text="policy { greet_delay = 1s }")
    began = time.monotonic()
    b.smtp().quit()
    assert time.monotonic() - began < 0.9
    began = time.monotonic()
    From(b).cmd("QUIT", 221)
    assert time.monotonic() - began >= 0.9
    s = dial(b)
    s.sendall(b"EHLO x\r\n")
    assert hear(s).startswith("554 5.5.1 ")
    b.wait_log(r"refuse .*client=127\.0\.0\.2 .*check=greet_delay")
    b.stop()


def test_rates(house):
    """Counted over both workers, each for itself and the client's errors too."""
    b = house.baton(workers=2, relay_from=ONLY_US, local='"here.test"', text="""catch_all = "nobody"
        limits { errors = 1000 }
        policy { message_rate = "5/h"  recipient_rate = "7/h"  error_rate = "20/h"  connection_rate = "30/h"  soft_errors = 500 }""")
    said = []
    for _ in range(6):
        c = From(b)
        said.append(c.cmd("MAIL FROM:<x@y.test>")[0])
        c.cmd("RSET", 250)
        c.cmd("QUIT", 221)
    assert said == [250] * 5 + [450]
    c = From(b, "127.0.0.3")
    c.cmd("MAIL FROM:<x@y.test>", 250)
    said = [c.cmd("RCPT TO:<u@here.test>")[0] for _ in range(8)]
    assert said == [250] * 7 + [450]
    c = From(b, "127.0.0.4")
    for _ in range(20):
        c.cmd("NONSENSE", 500)
    c.cmd("NOOP", 250)
    assert hear(dial(b, "127.0.0.4")).startswith("421 4.7.0 Too many errors")
    said = [hear(dial(b, "127.0.0.5"))[:3] for _ in range(31)]
    assert said == ["220"] * 30 + ["421"]
    assert hear(dial(b, "127.0.0.1")).startswith("220")
    b.stop()


def test_errors_slow_a_stranger_down(house):
    b = house.baton(relay_from=ONLY_US, text="limits { errors = 5 } policy { soft_errors = 2  error_delay = 1s }")
    c = From(b)
    began = time.monotonic()
    c.write(b"NONSENSE\r\n" * 5)
    assert [c.reply()[0] for _ in range(3)] == [500] * 3
    assert time.monotonic() - began < 0.9
    assert [c.reply()[0] for _ in range(3)] == [500, 500, 421]
    assert time.monotonic() - began >= 1.8
    friend = b.smtp()
    began = time.monotonic()
    for _ in range(4):
        friend.cmd("NONSENSE", 500)
    assert time.monotonic() - began < 0.9
    b.stop()
