"""Messages written ahead of the replies: by the final dot (RFC 2920) and by BDAT (RFC 3030)."""
import time

import pytest

from harness import RELEASE, SOAK, Proc, free_port
from smtp import own_received_cut

CHUNKING = ("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "CHUNKING")
ONE = 'connections = 1  messages_per_connection = 1000'


def text(n, size=4096):
    head = (f"From: a@client.example.test\r\nDate: Fri, 21 Nov 2025 10:00:00 +0000\r\nMessage-ID: <{n}@client.example.test>\r\n"
            f"X-Id: {n}\r\n\r\n").encode()
    line = b".dots and text " + b"x" * 60 + b"\r\n"
    return head + line * max(1, (size - len(head)) // len(line))


def put(b, bodies):
    """All of them while the next hop waits, so that they go behind each other."""
    b.ctl("pause", "out")
    c = b.smtp()
    for i, body in enumerate(bodies):
        c.send("a@client.example.test", f"r{i}@other.test", body)
    c.quit()
    b.ctl("resume", "out")


@pytest.mark.parametrize("extensions", [CHUNKING, CHUNKING[:3], ()])
def test_every_message_is_its_own(house, extensions):
    """Small and big ones, mixed; each with its own recipient, byte for byte."""
    hop = house.sink(extensions=extensions)
    b = house.baton(route=hop, site=ONE)
    bodies = [text(i, 200000 if i % 10 == 7 else 4096) for i in range(40)]
    put(b, bodies)
    got = {m.to[0]: own_received_cut(m.raw) for m in hop.wait(len(bodies), 20)}
    assert got == {f"r{i}@other.test": body for i, body in enumerate(bodies)}
    assert len(hop.messages) == len(bodies)
    used = sum(line.startswith("BDAT") for _, line in hop.commands)
    assert used == (36 if extensions == CHUNKING else 0)
    b.stop()


def test_refused_ones_between(house):
    """A BDAT behind refused recipients comes to nothing, and to nobody else's harm."""
    hop = house.sink(extensions=CHUNKING, refuse={
        "RCPT": lambda line: "550 5.1.1 no" if "<r3@" in line or "<r4@" in line else None,
        "DOT": lambda raw: "554 5.6.0 no" if b"X-Id: 9\r\n" in raw.partition(b"\r\n\r\n")[0] + b"\r\n" else None})
    b = house.baton(route=hop, site=ONE)
    put(b, [text(i) for i in range(30)])
    b.wait_empty()
    assert sorted(m.to[0] for m in hop.messages if m.sender) == sorted(f"r{i}@other.test" for i in range(30) if i not in (3, 4, 9))
    assert len([m for m in hop.messages if not m.sender]) == 3
    b.stop()


@pytest.mark.parametrize("ahead", ["swallow", "close", "503"])
def test_a_peer_that_mishandles_it(house, ahead):
    """It is noticed, remembered, also over a restart, and served step by step; every message arrives once."""
    hop = house.sink(ahead=ahead)
    b = house.baton(route=hop, site=ONE + '  reply_timeout = "1s"')
    bodies = [text(i) for i in range(12)]
    put(b, bodies)
    got = {m.to[0]: own_received_cut(m.raw) for m in hop.wait(len(bodies), 20)}
    b.wait_empty()
    assert got == {f"r{i}@other.test": body for i, body in enumerate(bodies)}
    assert len(hop.messages) == len(bodies)
    assert b"pipelining=off" in b.log
    # noticed at once, a closed connection the second time
    assert len(hop.early) == (2 if ahead == "close" else 1)
    b.stop()
    hop.early.clear()
    b.start()
    put(b, [text(100 + i) for i in range(6)])
    hop.wait(len(bodies) + 6, 60)
    assert not hop.early
    assert b.log.count(b"pipelining=off") == 1
    b.stop()


def test_a_good_peer_is_not_suspected(house):
    """Connections that end in the middle of the window are the network's doing."""
    hop = house.sink(extensions=CHUNKING)
    b = house.baton(route=hop, site=ONE)
    put(b, [text(i) for i in range(5)])
    hop.wait(5, 60)
    for round in range(4):
        hop.drop = "RSET" if round % 2 else "BDAT"
        put(b, [text(10 * round + i) for i in range(10)])
        hop.drop = None
        b.ctl("flush")
        b.wait_empty()
    assert b"pipelining=off" not in b.log
    b.stop()


@pytest.mark.parametrize("extensions, least", [(CHUNKING[:3], 9), (CHUNKING, 30)])
def test_over_a_long_way(house, extensions, least):
    """One connection over 50 ms each way: one round trip a message, or many in one."""
    hop, port = house.sink(extensions=extensions), free_port()
    house.keep(Proc([f"{RELEASE}/bench/delay", "-p", str(port), "-t", str(hop.port), "-d", "50" if SOAK else "10"], port))
    b = house.baton(route=f"[127.0.0.1]:{port}", site=ONE)
    count = 200 if SOAK else 20
    put(b, [text(i) for i in range(count)])
    start = time.monotonic()
    got = [m.to[0] for m in hop.wait(count, 60)]
    rate = count / (time.monotonic() - start)
    assert sorted(got) == sorted(f"r{i}@other.test" for i in range(count))
    assert len({m.connection for m in hop.messages}) == 1
    if SOAK:
        print(f"{rate:.1f} messages a second")
        assert rate >= least
    b.stop()
