"""The lines of the log as baton(8) has them: acceptance, each recipient's end, refusals; text and JSON."""
import json
import os
import re
import shlex

import pytest

from harness import HOST, wait_for
from smtp import message
from test_bytes import local_user

ACCEPT = ["client", "helo", "listener", "from", "to", "rcpts", "size", "message_id", "class"]
DELIVERY = ["from", "to", "result", "class", "site", "relay", "address", "delay_ms", "delays", "attempts", "code", "dsn", "reply"]
REFUSE = ["client", "helo", "stage", "from", "to", "code", "status", "reason"]


def lines(b, event, form):
    """The lines of an event, each a list of (key, value) after the event, and what stands in front."""
    found = []
    for line in b.log_tail(1 << 20).splitlines():
        if form == "json":
            all_of = json.loads(line)
            if all_of["event"] == event:
                head = {k: all_of.pop(k) for k in ("time", "role", "level", "id", "event") if k in all_of}
                found.append((head, [(k, v if isinstance(v, str) else str(v)) for k, v in all_of.items()]))
            continue
        time, role, mid, *rest = line.split(" ", 4)
        if rest[0] == event:
            pairs = [tuple(w.split("=", 1)) for w in shlex.split(rest[1])]
            head = {"time": time, "role": role, "level": "info", "event": event}
            found.append((head | ({"id": mid} if mid != "-" else {}), pairs))
    return found


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_becomes_of_mail(house, form):
    hop = house.sink(refuse={"RCPT": lambda line: "550 5.1.1 no \"such\" user=x" if "bad@" in line else None})
    b = house.baton(route=hop, log_format=form, text='class "promo" { recipient = "good@other.test"  weight = 3 }')
    c = b.smtp()
    c.send(f"{local_user()}@{HOST}", ["good@other.test", "bad@other.test"], message("two"))
    hop.wait(1, 30)
    wait_for(lambda: b.maildir(local_user()), 30)
    b.wait_empty()
    c.cmd("MAIL FROM:<a b@client.example.test>", 501)
    c.cmd(f"MAIL FROM:<a@client.example.test>", 250)
    c.cmd("RCPT TO:<nobody-of-that-name@" + HOST + ">", 550)
    b.tool("sendmail", "-f", "me@" + HOST, "d@other.test", stdin=b"Subject: here\n\nx\n")
    hop.wait(2, 30)
    b.wait_empty()
    b.stop()

    (first, notice, submitted) = lines(b, "accept", form)
    head, pairs = first
    assert [k for k, _ in pairs] == ACCEPT
    got = dict(pairs)
    assert got["client"] == "127.0.0.1" and got["helo"] == "client.example.test" and got["listener"] == "test"
    assert got["from"] == f"{local_user()}@{HOST}" and got["to"] == "good@other.test,bad@other.test" and got["rcpts"] == "2"
    assert got["class"] == "promo,normal"
    assert int(got["size"]) > 100 and "@" in got["message_id"]
    assert head["role"].startswith("smtpd/") and re.fullmatch(r"[0-9A-Z]{11}", head["id"]) and head["level"] == "info"
    assert dict(notice[1])["notice"] == "1" and dict(notice[1])["from"] == ""
    assert int(dict(submitted[1])["uid"]) == os.geteuid() and dict(submitted[1])["user"]

    ends = [(h, p) for h, p in lines(b, "delivery", form) if h["id"] == head["id"]]
    (sent,) = [p for h, p in ends if dict(p)["to"] == "good@other.test"]
    bounced, notified = [dict(p) for h, p in ends if dict(p)["to"] == "bad@other.test"]
    assert [k for k, _ in sent] == [k for k in DELIVERY if k != "attempts"]
    got = dict(sent)
    assert got["class"] == "promo" and "class" not in bounced and "class" not in dict(notice[1])
    assert (got["result"], got["code"], got["relay"]) == ("sent", "250", "127.0.0.1")
    assert (bounced["result"], bounced["code"], bounced["dsn"]) == ("bounced", "550", "5.1.1")
    assert bounced["reply"] == 'no "such" user=x' and notified["result"] == "notified" and notified["kind"] == "notice"
    for end in (got, bounced, notified):
        stages = end["delays"].split("/")
        assert len(stages) == 4 and all(re.fullmatch(r"\d+\.\d{3}", s) for s in stages), end
        assert abs(sum(map(float, stages)) * 1000 - int(end["delay_ms"])) <= 2, end

    refused = [(h, p) for h, p in lines(b, "refuse", form)]
    assert [dict(p)["stage"] for _, p in refused] == ["MAIL", "RCPT"]
    head, pairs = refused[1]
    assert [k for k, _ in pairs] == REFUSE and "id" not in head
    got = dict(pairs)
    assert (got["client"], got["code"], got["to"]) == ("127.0.0.1", "550", f"nobody-of-that-name@{HOST}")
    assert got["status"].startswith("5.1.") and got["reason"]


def test_stages_of_a_delay(house):
    """A slow client shows before the queue, a refusal in the queue, a slow host in the transmission."""
    import time
    answers = ["451 4.3.0 later"]

    def slow(line):
        time.sleep(1.2)
        return answers.pop() if answers else None
    hop = house.sink(refuse={"DOT": slow})
    b = house.baton(route=hop)
    c = b.smtp()
    c.cmd("MAIL FROM:<a@client.example.test>", 250)
    time.sleep(1.5)
    c.cmd("RCPT TO:<b@other.test>", 250)
    c.cmd("DATA", 354)
    c.cmd("Subject: slow\r\n\r\nx\r\n.", 250)
    hop.wait(1, 30)
    b.wait_empty()
    first, last = [dict(p) for _, p in lines(b, "delivery", "text")]
    before, queue, connection, sending = map(float, last["delays"].split("/"))
    assert (first["result"], last["result"]) == ("deferred", "sent")
    assert before >= 1.4 and sending >= 1.1 and queue >= 2.0 and connection == 0
    assert float(first["delays"].split("/")[1]) < queue
    assert first["delays"].split("/")[0] == last["delays"].split("/")[0]
    b.stop()
