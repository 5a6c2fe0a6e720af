"""Straight to MX hosts: NSD serves the zones, every host is 127.0.0.x on one port."""
import re
import socket

from harness import free_port, wait_for
from smtp import message
from test_bytes import local_user


def mx(house, zones, **config):
    nsd = house.nsd(zones)
    port = free_port()
    return port, house.baton(resolver=nsd, route="mx", text=f"deliver {{ port = {port}  ipv6 = false }}", **config)


def test_mx(house):
    hop_port, b = mx(house, {"other.test": "@ IN MX 10 mx1\nmx1 IN A 127.0.0.1"})
    hop = house.sink(port=hop_port)
    b.smtp().send("a@client.example.test", "b@other.test", message("mx"))
    hop.wait(1, 15)
    b.wait_log(r"relay=\S*mx1\.other\.test")
    b.stop()


def answers_read(b):
    """How many answers were read where dnscache told them, not asked for."""
    count = re.search(r"(?m)^dns_answers_read +(\d+)", b.ctl("status", "--counters"))
    return int(count.group(1)) if count else 0


def test_answers_are_read(house):
    """What qmgr asked for a moment ago deliver reads without a question."""
    hop_port, b = mx(house, {"other.test": "@ IN MX 10 mx1\nmx1 IN A 127.0.0.1"})
    hop = house.sink(port=hop_port)
    assert answers_read(b) == 0
    b.smtp().send("a@client.example.test", "b@other.test", message("read"))
    hop.wait(1, 15)
    assert answers_read(b) == 1
    b.stop()


def test_no_mx_means_the_address(house):
    hop_port, b = mx(house, {"other.test": "@ IN A 127.0.0.1"})
    hop = house.sink(port=hop_port)
    b.smtp().send("a@client.example.test", "b@other.test", message("a"))
    hop.wait(1, 15)
    b.stop()


def test_hosts_in_order_of_preference(house):
    """The best host is dead, the second takes it; when the best one lives, it gets it."""
    port, b = mx(house, {"other.test": "@ IN MX 20 good\n@ IN MX 10 dead\ngood IN A 127.0.0.1\ndead IN A 127.0.0.2"})
    hop = house.sink(port=port)
    b.smtp().send("a@client.example.test", "b@other.test", message("second"))
    hop.wait(1, 20)
    b.stop()


def test_a_domain_that_does_not_exist_is_bounced(house):
    port, b = mx(house, {"test": "x IN A 127.0.0.1"})
    b.smtp().send(f"{local_user()}@relay.example.test", "b@nowhere.test", message("nx"))
    (notice,) = wait_for(lambda: b.maildir(local_user()), 20)
    assert b"nowhere.test" in notice
    b.stop()


def test_null_mx_is_bounced(house):
    """RFC 7505: MX 0 . means no mail, 5.1.10 or 5.7.27 at once."""
    port, b = mx(house, {"other.test": "@ IN MX 0 .\n@ IN A 127.0.0.1"})
    b.smtp().send(f"{local_user()}@relay.example.test", "b@other.test", message("null"))
    wait_for(lambda: b.maildir(local_user()), 20)
    b.stop()


class At:
    """Something that listens at a port."""

    def __init__(self, port):
        self.port = port


def deferred(b, reason, seconds=60):
    """Waits until the only recipient in the queue has a reason that matches; returns it."""
    def said():
        """a reason to be deferred"""
        return [r["reason"] for row in b.queue() for r in row["recipients"] if re.search(reason, r["reason"] or "")]
    return wait_for(said, seconds)[0]


def test_a_silent_resolver_defers(house):
    """No answer is no verdict: the message stays, and goes when the resolver answers."""
    silent = socket.socket(type=socket.SOCK_DGRAM)
    port, hop_port = free_port(), free_port()
    silent.bind(("127.0.0.1", port))
    b = house.baton(resolver=At(port), route="mx", text=f"deliver {{ port = {hop_port}  ipv6 = false }}")
    b.smtp().send(f"{local_user()}@relay.example.test", "b@other.test", message("silent"))
    deferred(b, "no resolver answers")
    silent.close()
    assert not b.maildir(local_user())
    hop = house.sink(port=hop_port)
    house.nsd({"other.test": "@ IN MX 10 mx1\nmx1 IN A 127.0.0.1"}, port=port)
    hop.wait(1, 30)
    b.wait_empty()
    b.stop()


def test_a_refusing_resolver_defers(house):
    """NSD refuses what it has no zone for, and fails for a zone that it couldn't load: no "no"."""
    port, b = mx(house, {"other.test": "@ IN MX 10 mx1"})
    b.smtp().send(f"{local_user()}@relay.example.test", "b@elsewhere.example", message("refused"))
    deferred(b, "REFUSED")
    assert not b.maildir(local_user())
    b.stop()


def test_an_mx_without_address_is_bounced(house):
    port, b = mx(house, {"other.test": "@ IN MX 10 gone\n@ IN A 127.0.0.1"})
    b.smtp().send(f"{local_user()}@relay.example.test", "b@other.test", message("gone"))
    (notice,) = wait_for(lambda: b.maildir(local_user()), 20)
    assert b"other.test" in notice
    b.stop()


def test_aliases_are_followed(house):
    """A domain that is an alias, its MX host's name one too, each in a zone of its own."""
    hop_port, b = mx(house, {"alias.test": "@ IN TXT x\nd IN CNAME real.other.test.",
                             "other.test": "real IN MX 10 mx\nmx IN CNAME host.third.test.",
                             "third.test": "host IN A 127.0.0.1"})
    hop = house.sink(port=hop_port)
    b.smtp().send("a@client.example.test", "b@d.alias.test", message("alias"))
    hop.wait(1, 15)
    b.stop()


def test_dnscache_dies(house):
    """kill -9 of dnscache: the next domain is found by the new one; no call was refused to it."""
    zone = "\n".join(f"d{i} IN MX 10 mx" for i in range(20)) + "\nmx IN A 127.0.0.1"
    hop_port, b = mx(house, {"test": zone})
    hop = house.sink(port=hop_port)
    c = b.smtp()
    for i in range(20):
        c.send("a@client.example.test", f"b@d{i}.test", message(f"d{i}"))
        if i in (5, 10):
            b.replaced("dnscache", b.kill("dnscache"))
    hop.wait(20, 30)
    b.wait_empty()
    b.stop()
    assert not re.search(rb"dnscache\S* - .*(refused|not permitted)", b.log), b.log_tail()


def test_a_large_answer_comes_over_tcp(house):
    """60 MX records do not fit into 1232 bytes."""
    records = "\n".join(f"@ IN MX {10 + i} a-rather-long-name-of-a-mail-exchanger-{i:03}\n"
                        f"a-rather-long-name-of-a-mail-exchanger-{i:03} IN A 127.0.0.1" for i in range(60))
    port, b = mx(house, {"other.test": records})
    hop = house.sink(port=port)
    b.smtp().send("a@client.example.test", "b@other.test", message("tcp"))
    hop.wait(1, 20)
    b.stop()


def test_many_domains_of_one_site_share_connections(house):
    """50 domains with one MX set: one site, a few connections."""
    zone = "mx IN A 127.0.0.1\n" + "\n".join(f"d{i} IN MX 10 mx" for i in range(50))
    port, b = mx(house, {"test": zone}, site="connections = 2")
    hop = house.sink(port=port)
    c = b.smtp()
    for i in range(50):
        c.send("a@client.example.test", f"b@d{i}.test", message(f"d{i}"))
    hop.wait(50, 30)
    assert hop.connections <= 10, hop.connections
    b.stop()
