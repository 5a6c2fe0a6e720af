"""batonctl trace: what happened to a message, out of the rings of the processes that had it."""
import json
import os
import re
import signal

from harness import wait_for
from smtp import message
from test_bytes import local_user


def accepted(b, after=0):
    """the ID of the first message accepted"""
    return b.wait_log(r"(\S+) accept ", 20, after=after).group(1).decode()


def trace(b, mid):
    return [json.loads(line) for line in b.ctl("trace", mid, "--json").splitlines()]


def steps(events):
    """its own events in order, without those of connections"""
    return [e["event"] for e in events if e["event"] not in ("connecting", "connected", "waits")]


def told(b, mid):
    """the same without what the two clocks make of each call"""
    return [{k: v for k, v in e.items() if k != "time"} for e in trace(b, mid)]


def find(events, **want):
    return [e for e in events if all(e.get(k) == v for k, v in want.items())]


def test_a_way_through(house):
    """Accepted, deferred, tried again, delivered: every step, in order, with the peer's words."""
    answers = ["451 4.3.0 come back"]
    hop = house.sink(refuse={"RCPT": lambda line: answers.pop() if answers else None})
    b = house.baton(route=hop)
    b.smtp().send("a@client.example.test", "b@other.test", message("again"))
    hop.wait(1, 30)
    mid = accepted(b)
    b.wait_log(f"{mid} delivery .*result=sent", 20)
    events = wait_for(lambda: (e := trace(b, mid))[-1]["event"] == "done" and e, 20)
    assert steps(events) == [
        "accepted", "synced", "taken",
        "handed", "MAIL", "RCPT", "DATA", "result", "deferred",
        "handed", "MAIL", "RCPT", "DATA", "final", "result", "done"]
    first = events[0]
    assert (first["client"], first["from"], first["recipients"]) == ("127.0.0.1", "a@client.example.test", 1)
    assert first["process"].startswith("smtpd/") and first["size"] > 100
    assert find(events, event="waits", **{"for": "connection"})
    (connected,) = find(events, event="connected")
    assert connected["host"] == "127.0.0.1" and connected["process"].startswith("deliver/")
    assert [e["reply"] for e in find(events, event="RCPT")] == ["4.3.0 come back", "ok"]
    (no, yes) = find(events, event="result")
    assert no["result"] == "deferred: come back" and no["code"] == 451 and yes["result"] == "sent"
    (later,) = find(events, event="deferred")
    assert later["until"] > later["time"] + 0.5
    times = [e["time"] for e in events]
    assert times == sorted(times) and all(e["after"] >= 0 for e in events)
    assert abs(sum(e["after"] for e in events) - (times[-1] - times[0])) < 0.01

    # People get the same lines, and a worker's death takes nothing away.
    text = b.ctl("trace", mid)
    assert len(text.splitlines()) == len(events)
    assert re.search(r"(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} +\+0\.000000 +smtpd/\d +accepted client=127\.0\.0\.1 ", text)
    assert 'RCPT to=b@other.test reply="4.3.0 come back"' in text
    before = told(b, mid)
    for role in ("deliver", "smtpd", "qmgr"):
        for pid in b.pids(role):
            os.kill(pid, signal.SIGKILL)
    assert told(b, mid) == before
    wait_for(lambda: len(b.pids("smtpd")) == 2 and len(b.pids("qmgr")) == 1, 30)
    b.smtp().send("a@client.example.test", "c@other.test", message("behind it"))
    hop.wait(2, 30)
    assert told(b, mid)[:len(before)] == before  # a new qmgr may find once more that it is done
    b.stop()


def test_a_bounce_and_a_dead_site(house):
    hop = house.sink(refuse={"RCPT": "550 5.1.1 nobody here \x1b[31m" + "x" * 200})
    b = house.baton(route=hop)
    b.smtp().send(f"{local_user()}@relay.example.test", ["b@other.test", "c@other.test"], message("no"))
    mid = accepted(b)
    wait_for(lambda: b.maildir(local_user()), 20)
    events = wait_for(lambda: (e := trace(b, mid))[-1]["event"] == "done" and e, 20)
    replies = find(events, event="RCPT", code=550)
    assert [e["to"] for e in replies] == ["b@other.test", "c@other.test"]
    assert all(e["reply"].endswith("x" * 200) for e in replies)  # longer than a slot
    assert [e["to"] for e in find(events, event="notice")] == [f"{local_user()}@relay.example.test"] * 2
    (final,) = find(events, event="final")
    assert "queued as" in final["reply"]  # the notice, a message of its own:
    assert steps(trace(b, final["reply"].split()[-1]))[-1] == "done"
    assert "\x1b" not in b.ctl("trace", mid)

    hop.close()
    b.smtp().send("a@client.example.test", "d@other.test", message("waits"))
    mid = b.wait_log(r"(\S+) accept .*to=d@other", 20).group(1).decode()
    (down, *_) = wait_for(lambda: find(trace(b, mid), event="waits", **{"for": "down"}), 20)
    assert "refused" in down["reason"] and down["of"].startswith("[127.0.0.1]:")
    b.stop()


def test_what_is_not_there(house):
    """An ID of before the rings may have left them; a younger one was never seen."""
    b = house.baton(route=house.sink())
    for mid, words in (("ILO", "no queue ID"), ("1AAAAAAAAAA", "has left the ring"), ("1ZZZZZZZZZZ", "was never seen")):
        done = b.tool("batonctl", "trace", mid, check=False)
        assert done.returncode != 0 and words in done.stderr.decode(), (mid, done)
    assert b.tool("batonctl", "trace", check=False).returncode == 64
    b.stop()
