"""Which host, over which family: refusals of IPv6, silent addresses, MX hosts that are ourselves."""
import re
import socket
import threading

import pytest

from harness import free_port, wait_for
from sink import Sink
from smtp import message

PTR = "550-5.7.1 [::1] Our system has detected that this message does not\r\n550 5.7.1 meet IPv6 sending guidelines regarding PTR records"


class Six(Sink):
    """A sink at ::1 only."""

    def start(self):
        self.listener = socket.create_server(("::1", self.port), family=socket.AF_INET6)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()
        return self


def both(house, zone="other.test", records="@ IN MX 10 mx\nmx IN AAAA ::1\nmx IN A 127.0.0.1", **knobs):
    """A host with both families: the sinks and an instance that delivers there."""
    four = house.sink()
    six = house.keep(Six(port=four.port, **knobs))
    nsd = house.nsd({zone: records})
    return four, six, lambda **more: house.baton(resolver=nsd, route="mx", text=f"deliver {{ port = {four.port} }}", **more)


def test_ipv6_comes_first(house):
    four, six, baton = both(house)
    baton().smtp().send("a@client.test", "b@other.test", message("six"))
    six.wait(1)
    assert not four.connections


@pytest.mark.parametrize("stage", ["CONNECT", "EHLO", "MAIL", "RCPT", "DOT"])
def test_a_refusal_of_ipv6_is_answered_by_ipv4(house, stage):
    """The message goes over IPv4 at once, no attempt is counted, nothing bounces; what comes later
    goes over IPv4 without asking IPv6 first."""
    four, six, baton = both(house, refuse={stage: PTR})
    b = baton(retry='first = "60s"')
    b.smtp().send("a@client.test", ["b@other.test", "c@other.test"], message("first"))
    four.wait(1)
    assert sorted(four.messages[0].to) == ["b@other.test", "c@other.test"] and not six.messages
    wait_for(lambda: not b.queue(), 20)
    asked = six.connections
    b.smtp().send("a@client.test", "b@other.test", message("second"))
    four.wait(2)
    assert six.connections == asked
    assert b"result=bounced" not in b.log and b"result=deferred" not in b.log


def test_it_is_remembered_over_a_restart(house):
    four, six, baton = both(house, refuse={"MAIL": PTR})
    b = baton(retry='first = "60s"')
    b.smtp().send("a@client.test", "b@other.test", message("first"))
    four.wait(1)
    wait_for(lambda: not b.queue(), 20)
    b.stop()
    asked = six.connections
    b.start()
    b.smtp().send("a@client.test", "b@other.test", message("second"))
    four.wait(2)
    assert six.connections == asked
    assert "IPv4 only until 20" in b.ctl("sites")
    assert re.search(r"(?m)^learned .*: IPv4 only until", b.ctl("status"))


def test_a_refusal_without_an_ipv4_address_is_one(house):
    four, six, baton = both(house, records="@ IN MX 10 mx\nmx IN AAAA ::1", refuse={"RCPT": PTR})
    b = baton()
    b.smtp().send("a@client.test", "b@other.test", message("only six"))
    assert b.wait_log("result=bounced.*PTR records", 20)
    assert not four.connections


def silent(port):
    """A listener at ::1 whose line is full: who connects hears nothing."""
    s = socket.socket(socket.AF_INET6)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("::1", port))
    s.listen(0)
    waiting = []
    for _ in range(8):
        c = socket.socket(socket.AF_INET6)
        c.setblocking(False)
        c.connect_ex(("::1", port))
        waiting.append(c)
    return [s, *waiting]


def test_a_silent_ipv6_address_holds_nobody_up(house):
    """IPv4 is tried beside it, long before its time is over."""
    four = house.sink()
    held = silent(four.port)
    nsd = house.nsd({"other.test": "@ IN MX 10 mx\nmx IN AAAA ::1\nmx IN A 127.0.0.1"})
    b = house.baton(resolver=nsd, route="mx", text=f"deliver {{ port = {four.port} }}", site='connect_timeout = "60s"')
    b.smtp().send("a@client.test", "b@other.test", message("eyes"))
    four.wait(1, 30)
    for s in held:
        s.close()


@pytest.mark.parametrize("domain,six", [("[127.0.0.1]", False), ("[IPv6:::1]", True)])
def test_an_address_for_a_domain(house, domain, six):
    """Mail to an address literal goes there, whatever the DNS says."""
    hop = house.keep(Six(port=free_port())) if six else house.sink()
    b = house.baton(route="mx", text=f"deliver {{ port = {hop.port} }}")
    b.smtp().send("a@client.test", f"b@{domain}", message("literal"))
    assert hop.wait(1)[0].to == [f"b@{domain.lower()}"]


def test_an_mx_that_is_ourselves(house):
    """The best one: the sender is told of the loop. A backup: the better host is waited for, we don't
    send to ourselves."""
    nsd = house.nsd({"test": "loop IN MX 10 us\nus IN A 127.0.0.1\nbackup IN MX 10 gone\nbackup IN MX 20 us\ngone IN A 127.0.0.2"})
    bounces = house.sink()
    port = free_port()
    b = house.baton(resolver=nsd, route="mx", port=port, retry='first = "60s"',
                    text=f'deliver {{ port = {port} }}\nroute "from.example" {{ to = "[127.0.0.1]:{bounces.port}" }}')
    b.smtp().send("me@from.example", "a@loop.test", message("round"))
    told = bounces.wait(1)[0].raw
    assert b"5.4.6" in told and b"loops back" in told
    b.smtp().send("me@from.example", "a@backup.test", message("later"))
    wait_for(lambda: b"state=down" in b.log, 20)
    wait_for(lambda: len(b.queue()) == 1, 20)
    assert b.log.count(b" accept client=") == 3
    assert b.queue()[0]["recipients"][0]["address"] == "a@backup.test"
    assert len(bounces.messages) == 1
