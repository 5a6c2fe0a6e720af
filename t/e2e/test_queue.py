"""The queue: what is deferred, bounced, flushed, limited; and connections that are kept."""
import re
import time

import pytest

from harness import wait_for
from smtp import message
from test_bytes import local_user


def one(house, **config):
    hop = house.sink(**config.pop("hop", {}))
    return hop, house.baton(route=hop, **config)


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA", "DOT"])
def test_a_4xx_is_tried_again(house, verb):
    answers = ["451 4.3.0 come back", "451 4.3.0 come back"]
    hop, b = one(house, hop={"refuse": {verb: lambda line: answers.pop() if answers else None}})
    b.smtp().send("a@client.example.test", "b@other.test", message("again"))
    hop.wait(1, 20)
    b.wait_empty()
    assert len(hop.messages) == 1
    b.stop()


def test_retries_keep_their_distance(house):
    """1 s, 2 s, 4 s, each times a random 0.75 to 1.25, never under the first."""
    times = []

    def refuse(line):
        times.append(time.monotonic())
        return "451 4.3.0 no" if len(times) < 4 else None
    hop, b = one(house, hop={"refuse": {"RCPT": refuse}}, retry='first = "1s"  factor = 2.0  max = "1h"')
    b.smtp().send("a@client.example.test", "b@other.test", message("distance"))
    hop.wait(1, 30)
    gaps = [y - x for x, y in zip(times, times[1:])]
    for gap, want in zip(gaps, (1, 2, 4)):
        assert max(1, want * 0.75) - 0.05 <= gap <= want * 1.25 + 1, gaps
    b.stop()


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA", "DOT"])
def test_a_5xx_is_bounced(house, verb):
    """The sender gets one notice with the peer's words; its own bounce is never bounced."""
    hop, b = one(house, hop={"refuse": {verb: "554 5.7.1 not from you, 77 reasons"}})
    b.smtp().send(f"{local_user()}@relay.example.test", "b@other.test", message("refused"))
    (notice,) = wait_for(lambda: b.maildir(local_user()), 20)
    assert b"77 reasons" in notice and b"b@other.test" in notice
    assert re.search(rb"(?i)content-type: multipart/report", notice)
    assert re.search(rb"(?m)^Return-Path: <>", notice)
    b.wait_empty()
    b.stop()


def test_a_bounce_that_cannot_be_delivered_is_dropped(house):
    hop, b = one(house, hop={"refuse": {"RCPT": "550 5.1.1 nobody"}})
    b.smtp().send("a@client.example.test", "b@other.test", message("twice"))
    b.wait_log("result=|dsn=", 20)
    b.wait_empty(30)
    assert not hop.messages
    b.stop()


def test_only_the_refused_recipient_fails(house):
    hop, b = one(house, hop={"refuse": {"RCPT": lambda line: "550 5.1.1 no bad" if "bad@" in line else None}})
    b.smtp().send(f"{local_user()}@relay.example.test", ["one@other.test", "bad@other.test", "two@other.test"], message("some"))
    assert sorted(to for m in hop.wait(1) for to in m.to) == ["one@other.test", "two@other.test"]
    (notice,) = wait_for(lambda: b.maildir(local_user()), 20)
    assert b"bad@other.test" in notice and b"one@other.test" not in notice.split(b"message/delivery-status")[1]
    b.wait_empty()
    b.stop()


def test_soft_bounce_keeps_it(house):
    hop, b = one(house, hop={"refuse": {"RCPT": "550 5.1.1 no"}}, soft_bounce=True, retry='first = "2s"')
    b.smtp().send("a@client.example.test", "b@other.test", message("soft"))
    wait_for(lambda: hop.commands and any(c.startswith("RCPT") for _, c in hop.commands), 10)
    hop.refuse.clear()
    hop.wait(1, 20)
    b.wait_empty()
    b.stop()


def test_expiry_bounces(house):
    hop, b = one(house, hop={"refuse": {"RCPT": "451 4.2.0 busy for ever"}}, retry='first = "1s" max = "1s" lifetime = "3s" warn = "0s"')
    b.smtp().send(f"{local_user()}@relay.example.test", "b@other.test", message("expired"))
    (notice,) = wait_for(lambda: b.maildir(local_user()), 20)
    assert b"busy for ever" in notice
    b.wait_empty()
    b.stop()


def test_dead_next_hop_and_flush(house):
    """Parked while the hop is dead; flush sends it as soon as the hop is back, long before its time."""
    hop = house.sink(start=False)
    b = house.baton(route=hop, retry='first = "1h"')
    b.smtp().send("a@client.example.test", "b@other.test", message("parked"))
    (row,) = wait_for(b.queue, 10)
    assert row["sender"] == "a@client.example.test"
    assert row["recipients"][0]["address"] == "b@other.test"
    wait_for(lambda: b.queue()[0]["recipients"][0]["reason"], 10)
    hop.start()
    b.ctl("flush")
    hop.wait(1, 10)
    b.wait_empty()
    b.stop()


def test_delete(house):
    hop = house.sink(start=False)
    b = house.baton(route=hop)
    text = b.smtp().send("a@client.example.test", "b@other.test", message("gone"))
    name = re.search(r"queued as (\S+)", text).group(1)
    wait_for(b.queue, 10)
    assert [row["id"] for row in b.queue()] == [name]
    assert name in b.ctl("show", name)
    b.ctl("delete", name)
    b.wait_empty(5)
    hop.start()
    b.ctl("flush")
    time.sleep(1)
    assert not hop.messages
    b.stop()


def test_connections_are_reused_and_limited(house):
    """200 messages over at most 3 connections at a time; each carries many."""
    busy, most = set(), [0]
    hop = house.sink(delay=0.005)
    b = house.baton(route=hop, site="connections = 3")
    load = house.load(b.port, ok=200)
    while load.running():
        busy = set(hop.open)
        most[0] = max(most[0], len(busy))
        time.sleep(0.005)
    hop.wait(200, 30)
    assert most[0] <= 3, most
    assert hop.connections <= 20, f"{hop.connections} connections for 200 messages"
    b.stop()


def test_messages_per_connection(house):
    hop = house.sink()
    b = house.baton(route=hop, site="connections = 1  messages_per_connection = 5")
    for i in range(17):
        b.smtp().send("a@client.example.test", "b@other.test", message(f"m{i}"))
    hop.wait(17, 20)
    count = {}
    for m in hop.messages:
        count[m.connection] = count.get(m.connection, 0) + 1
    assert max(count.values()) <= 5, count
    b.stop()


@pytest.mark.parametrize("drop", ["EHLO", "MAIL", "RCPT", "DATA", "DOT"])
def test_a_connection_that_breaks(house, drop):
    """Whatever the stage: deferred, sent once when the hop behaves again."""
    hop, b = one(house, hop={"drop": drop})
    b.smtp().send("a@client.example.test", "b@other.test", message("broken"))
    wait_for(lambda: any(c.split(" ")[0].split(":")[0] == ("DATA" if drop == "DOT" else drop) for _, c in hop.commands), 10)
    hop.drop = None
    hop.wait(1, 20)
    b.wait_empty()
    assert len(hop.messages) == 1
    b.stop()


def test_a_hop_without_extensions(house):
    """No PIPELINING, HELO only: one command at a time."""
    hop, b = one(house, hop={"extensions": (), "refuse": {"EHLO": "500 5.5.1 what?"}})
    for i in range(5):
        b.smtp().send("a@client.example.test", "b@other.test", message(f"old{i}"))
    assert len(hop.wait(5, 20)) == 5
    b.stop()


def test_mail_and_replies_of_the_next_transaction_are_told_apart(house):
    """One message of five refused at its dot while the next is already on the wire."""
    hop, b = one(house, hop={"refuse": {"DOT": lambda raw: "451 4.0.0 not this" if b"Subject: m3\r\n" in raw and not seen.append(1) and
                                        len(seen) == 1 else None}}, site="connections = 1")
    seen = []
    c = b.smtp()
    for i in range(10):
        c.send("a@client.example.test", f"b{i}@other.test", message(f"m{i}"))
    hop.wait(10, 20)
    for m in hop.messages:
        n = re.search(rb"Subject: m(\d+)", m.raw).group(1).decode()
        assert m.to == [f"b{n}@other.test"]
    assert len(hop.messages) == 10
    b.stop()
