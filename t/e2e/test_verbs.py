"""The queue verbs: hold, release, delete, bounce, flush, pause, resume, why, queue --by."""
import json
import os
import subprocess
import time

import pytest

from harness import HOST, wait_for
from test_privsep import as_root  # noqa: F401

ADMIN = "returned to its sender by the administrator"


def deferred(house, count=4, **config):
    """An instance and its sink that defers everything: messages to b0@, b1@ ... have been tried once."""
    hop = house.sink(refuse={"RCPT": "450 4.2.0 mailbox busy"})
    b = house.baton(route=hop, retry='first = "1h"  max = "2h"', **config)
    for i in range(count):
        b.smtp().send(f"a{i}@client.example.test", f"b{i}@d{i}.test", b"x\r\n" * (1 + 400 * i))

    def tried():
        """all tried once"""
        rows = b.queue("--state", "deferred")
        return len(rows) == count and all(r["attempts"] == 1 for m in rows for r in m["recipients"])
    wait_for(tried, 15)
    return b, hop


def said(b, *args, check=True):
    """The JSON object that a verb says; with the exit code when it may fail."""
    done = b.tool("batonctl", *args, "--json", check=check)
    obj = json.loads(done.stdout) if done.stdout else None
    return obj if check else (done.returncode, obj)


def states(b):
    return {r["address"]: r["state"] for m in b.queue() for r in m["recipients"]}


def row_of(b, address):
    return next(m for m in b.queue() if any(r["address"] == address for r in m["recipients"]))


def test_every_filter(house):
    """Each kind of filter selects what it says, and all that is given must match."""
    b, _ = deferred(house)
    time.sleep(1)
    ids = {m["recipients"][0]["address"]: m["id"] for m in b.queue()}
    for words, want in [
            (("--sender", "a1@*"), {"b1"}), (("--recipient", "b2@d2.test"), {"b2"}), (("--domain", "D3.TEST"), {"b3"}),
            (("--domain", "d*.test"), {"b0", "b1", "b2", "b3"}), (("--site", "[127.0.0.1]:*"), {"b0", "b1", "b2", "b3"}),
            (("--site", "elsewhere"), set()), (("--class", "normal"), {"b0", "b1", "b2", "b3"}), (("--class", "bulk"), set()),
            (("--older", "1h"), set()), (("--older", "1s"), {"b0", "b1", "b2", "b3"}), (("--larger", "2000"), {"b2", "b3"}),
            (("--reason", "mailbox busy"), {"b0", "b1", "b2", "b3"}), (("--reason", "*BUSY"), {"b0", "b1", "b2", "b3"}),
            (("--reason", "busy*"), set()), (("--state", "deferred"), {"b0", "b1", "b2", "b3"}), (("--state", "held"), set()),
            ((ids["b0@d0.test"], ids["b3@d3.test"]), {"b0", "b3"}),
            (("--all", "--sender", "a1@*", "--recipient", "b2@*"), set()), (("--larger", "2000", "--sender", "a3@*"), {"b3"})]:
        got = {r["address"].split("@")[0] for m in b.queue(*words) for r in m["recipients"]}
        assert got == want, (words, got)
        code, obj = said(b, "hold", *words, "--dry-run", check=False)
        assert obj["recipients"] == obj["messages"] == len(want) and obj["dry_run"] and code == (0 if want else 1)
    assert set(states(b).values()) == {"deferred"}, "a dry run changes nothing"
    b.stop()


def test_words_that_are_wrong(house):
    """Usage errors say what is wanted; a verb that finds nothing fails and says so."""
    b = house.baton(route=house.sink())
    for args, code, word in [
            (("hold",), 64, b"usage: batonctl hold"), (("delete", "--older", "soon"), 64, b"duration"),
            (("release", "--state", "x"), 64, b"poison"), (("bounce", "nonsense!"), 64, b"neither a queue ID"),
            (("queue", "--by", "size"), 64, b"site, reason, sender or class"), (("why",), 64, b"usage: batonctl why"),
            (("delete", "--all"), 1, b"nothing in the queue matches"), (("why", "0GZY2J8P900"), 1, b"nothing in the queue"),
            (("show", "0GZY2J8P900"), 1, b"nothing in the queue"), (("pause", "--for", "2h"), 64, b"usage: batonctl pause"),
            (("resume", "in"), 1, b"isn't paused"), (("pause", "in", "out"), 64, b"usage"), (("resume",), 64, b"usage")]:
        done = b.tool("batonctl", *args, check=False)
        assert done.returncode == code and word in done.stderr, (args, done)
    assert b.ctl("flush") == "made due: 0 messages, 0 recipients\n"
    assert said(b, "resume", "--all") == {"resumed": 0}
    b.stop()


def test_hold_and_release(house):
    """Held mail isn't tried, by flush neither, survives a restart and kill -9, and goes when released."""
    b, hop = deferred(house)
    assert said(b, "hold", "--sender", "a[01]@*", check=False)[0] == 1, "no brackets in patterns"
    assert said(b, "hold", "--sender", "a0@*")["recipients"] == 1
    assert said(b, "hold", row_of(b, "b1@d1.test")["id"])["messages"] == 1
    hop.refuse.clear()
    assert said(b, "flush")["recipients"] == 2, "what is held is not made due"
    hop.wait(2)
    assert states(b) == {"b0@d0.test": "held", "b1@d1.test": "held"}
    assert b.tool("mailq").stdout.count(b"! ") == 2
    assert row_of(b, "b0@d0.test")["state"] == "held" and row_of(b, "b0@d0.test")["recipients"][0]["next"] == 0
    b.kill_tree()
    b.start()
    assert states(b) == {"b0@d0.test": "held", "b1@d1.test": "held"}
    assert said(b, "flush") == {"verb": "flush", "messages": 0, "recipients": 0, "being_sent": 0, "dry_run": False}
    b.replaced("qmgr", b.kill("qmgr"))
    wait_for(lambda: b.tool("batonctl", "queue", check=False).returncode == 0, 10)
    assert states(b) == {"b0@d0.test": "held", "b1@d1.test": "held"}
    assert said(b, "release", "--sender", "a0@*")["recipients"] == 1
    row = row_of(b, "b0@d0.test")["recipients"][0]
    assert row["state"] == "deferred" and row["attempts"] == 1 and row["next"] > time.time() + 600, "its time is kept"
    assert said(b, "release", "--all")["recipients"] == 1
    b.ctl("flush", "--all")
    hop.wait(4)
    b.wait_empty()
    b.stop()


def test_held_mail_neither_expires_nor_is_lost(house):
    """Longer than its lifetime in the queue, then released: one try, and only then its end."""
    hop = house.sink(refuse={"RCPT": "450 4.2.0 later"})
    b = house.baton(route=hop, retry='first = "1s"  max = "1s"  lifetime = "2s"')
    b.smtp().send("a@client.example.test", "b@other.test", b"x\r\n")
    wait_for(lambda: b.queue("--state", "deferred"), 10)
    b.ctl("hold", "--all")
    wait_for(lambda: states(b).get("b@other.test") == "held", 5)
    time.sleep(3)
    assert states(b) == {"b@other.test": "held"}
    hop.refuse.clear()
    b.ctl("release", "--all")
    assert hop.wait(1)[0].to == ["b@other.test"]
    b.stop()


def test_orders_for_mail_that_is_being_sent(house):
    """A sent one is sent; one that comes back is held, deleted, bounced."""
    hop = house.sink(delay=1.5)
    b = house.baton(route=hop, retry='first = "1h"  max = "2h"', site="messages_per_connection = 1")
    gate = {"say": None}

    def at_dot(line):
        time.sleep(1.5)
        return gate["say"]
    hop.delay, hop.refuse["DOT"] = 0, at_dot

    def send(name):
        b.smtp().send("a@client.example.test", f"{name}@other.test", b"x\r\n")
        wait_for(lambda: b.queue("--recipient", f"{name}@*", "--state", "active"), 10)
    send("sent")
    assert said(b, "hold", "--recipient", "sent@*")["being_sent"] == 1
    hop.wait(1)
    wait_for(lambda: "sent@other.test" not in states(b), 5)
    gate["say"] = "451 4.3.0 no"
    for name, verb in (("held", "hold"), ("gone", "delete"), ("back", "bounce")):
        send(name)
        assert said(b, verb, "--recipient", f"{name}@*")["being_sent"] == 1
    wait_for(lambda: states(b).get("held@other.test") == "held", 10)
    b.wait_log(r"to=gone@other.test result=deleted", 10)
    b.wait_log(r"to=back@other.test result=bounced", 10)
    gate["say"] = None
    b.ctl("flush")
    wait_for(lambda: [m for m in hop.messages if m.to == ["a@client.example.test"]], 10)
    assert [m.to for m in hop.messages][0] == ["sent@other.test"]
    assert not [m for m in hop.messages if m.to != ["a@client.example.test"]][1:]
    b.stop()


def test_delete_and_bounce(house):
    """A deletion is silent; a bounce tells the sender why, in the words of the administrator."""
    b, hop = deferred(house)
    assert said(b, "delete", "--sender", "a0@*")["recipients"] == 1
    hop.refuse.clear()
    assert said(b, "bounce", "--sender", "a1@*")["recipients"] == 1
    assert said(b, "delete", "--bounce", "--sender", "a2@*")["recipients"] == 1
    notices = hop.wait(2)
    assert {m.to[0] for m in notices} == {"a1@client.example.test", "a2@client.example.test"}
    for m in notices:
        assert m.sender == "" and ADMIN.encode() in m.raw.replace(b"\r\n ", b" ") and b"Status: 5.0.0" in m.raw
    wait_for(lambda: set(states(b)) == {"b3@d3.test"}, 10)
    b.kill_tree()
    b.start()
    assert set(states(b)) == {"b3@d3.test"}, "what was deleted stays so"
    assert len(hop.messages) == 2
    b.stop()


def test_pause_of_a_site(house):
    """Nothing goes there, nothing counts as an attempt; it outlives kill -9 and ends by itself or by hand."""
    hop, other = house.sink(), house.sink()
    b = house.baton(route=hop, text=f'route "other.test" {{ to = "[127.0.0.1]:{other.port}" }}\n')
    name = f"[127.0.0.1]:{hop.port}"
    done = b.tool("batonctl", "pause", name)
    assert done.stdout == f"paused: site {name}\n".encode() and b"no site of that name" in done.stderr
    b.smtp().send("a@client.example.test", ["b@d.test", "b@other.test"], b"x\r\n")
    other.wait(1)
    wait_for(lambda: states(b) == {"b@d.test": "paused"}, 5)
    b.kill_tree()
    b.start()
    b.ctl("flush")
    assert b.ctl("pause").startswith(f"site {name}: paused since 2")
    row = row_of(b, "b@d.test")["recipients"][0]
    assert row["state"] == "paused" and row["attempts"] == 0 and not hop.connections
    assert "paused" in b.ctl("sites") and "paused until it is resumed" in b.ctl("why", "--all")
    assert b.tool("batonctl", "pause", name).stderr == b""
    assert said(b, "resume", name) == {"resumed": 1}
    hop.wait(1)
    b.ctl("pause", name, "--for", "1s")
    b.smtp().send("a@client.example.test", "c@d.test", b"x\r\n")
    hop.wait(2)
    assert b.ctl("pause") == "nothing is paused\n"
    b.stop()


def test_pause_of_a_domain_behind_a_smarthost(house):
    """Only its recipients rest, waiting ones too; others of the message and of the hop go on."""
    hop = house.sink(refuse={"RCPT": lambda line: "450 4.2.0 x" if "@slow.test" in line.lower() else None})
    b = house.baton(route=hop, retry='first = "1s"  max = "1s"')
    b.smtp().send("a@client.example.test", ["early@slow.test", "b@other.test"], b"x\r\n")
    hop.wait(1)
    assert b.ctl("pause", "--domain", "SLOW.test") == "paused: domain SLOW.test\n"
    wait_for(lambda: states(b) == {"early@slow.test": "paused"}, 5)
    b.smtp().send("a@client.example.test", ["late@Slow.test", "c@other.test"], b"x\r\n")
    hop.wait(2)
    hop.refuse.clear()
    tries = len(hop.commands)
    b.replaced("qmgr", b.kill("qmgr"))
    wait_for(lambda: b.tool("batonctl", "queue", check=False).returncode == 0, 10)
    time.sleep(2.5)
    assert not [c for n, c in hop.commands[tries:] if "slow.test" in c.lower()]
    assert set(states(b).values()) == {"paused"} and len(states(b)) == 2
    b.ctl("resume", "--domain", "slow.test")
    hop.wait(3)
    b.wait_empty()
    b.stop()


def test_pause_out_and_in(house):
    """All delivery rests, local too; the intake answers 452 and sendmail EX_TEMPFAIL or keeps the mail."""
    hop = house.sink()
    b = house.baton(route=hop)
    from test_bytes import local_user
    user = local_user()
    b.ctl("pause", "out")
    b.smtp().send("a@client.example.test", ["b@other.test", f"{user}@{HOST}"], b"x\r\n")
    wait_for(lambda: set(states(b).values()) == {"paused"} and len(states(b)) == 2, 5)
    b.ctl("pause", "in", "--for", "1h")
    client = b.smtp()

    def refused():
        """452 at MAIL"""
        code, text = client.cmd("MAIL FROM:<a@client.example.test>")
        if code == 250:
            client.cmd("RSET")
        return code == 452 and "4.3.2" in text
    wait_for(refused, 5)
    done = b.tool("sendmail", "-i", "b@other.test", check=False, stdin=b"Subject: s\n\nx\n")
    assert done.returncode == 75 or (done.returncode == 0 and os.listdir(os.path.join(b.spool, "drop")))
    b.kill_tree()
    b.start()
    client = b.smtp()
    wait_for(refused, 5)
    assert len(b.ctl("pause").splitlines()) == 2 and hop.connections == 0
    assert said(b, "resume", "--all") == {"resumed": 2}
    hop.wait(1)
    wait_for(lambda: b.maildir(user), 10)
    wait_for(lambda: not refused(), 5)
    b.stop()


def test_groups(house):
    """queue --by: messages, recipients, bytes and the oldest of each, most recipients first."""
    b, _ = deferred(house, 3)
    b.smtp().send("a0@client.example.test", ["x@d.test", "y@d.test"], b"x\r\n")
    wait_for(lambda: len(b.queue("--state", "deferred")) == 4, 10)
    rows = [json.loads(line) for line in b.ctl("queue", "--by", "sender", "--json").splitlines()]
    assert [(r["sender"], r["messages"], r["recipients"]) for r in rows][0] == ("a0@client.example.test", 2, 3)
    assert len(rows) == 3 and all(r["oldest"] > time.time() - 600 and r["bytes"] > 0 for r in rows)
    (row,) = [json.loads(line) for line in b.ctl("queue", "--by", "reason", "--json", "--domain", "d*").splitlines()]
    assert "mailbox busy" in row["reason"] and row["recipients"] == 5
    table = b.ctl("queue", "--by", "site").splitlines()
    assert len(table) == 2 and table[1].split()[:2] == ["4", "5"] and "[127.0.0.1]" in table[1]
    assert "normal" in b.ctl("queue", "--by", "class")
    b.stop()


def test_why(house):
    """The last reply word for word, the next attempt, what is in the way, what to do about it."""
    b, hop = deferred(house, 1)
    (row,) = b.queue()
    text = b.ctl("why", row["id"])
    assert "450 4.2.0 mailbox busy" in text and "waits for its next attempt" in text, text
    assert "batonctl flush" in text and "next:  in " in text and "1 attempt\n" in text
    b.ctl("hold", row["id"])
    obj = json.loads(b.ctl("why", row["id"], "--json"))
    assert obj["wait"] == "release" and "held" in obj["waits"] and "release" in obj["hint"]
    b.ctl("release", row["id"])
    hop.stop()
    b.ctl("flush", row["id"])

    def down():
        """why says that the site is down"""
        obj = json.loads(b.ctl("why", row["id"], "--json"))
        return obj["wait"] == "down" and "refused" in obj["waits"] and "next probe in" in obj["waits"]
    wait_for(down, 10)
    b.stop()


@pytest.mark.root
def test_who_may(as_root, house):
    """Another user is told that he may not; of the queue he has his own mail (test_admins.py)."""
    b = as_root(route=house.sink())
    for args in (("hold", "--all"), ("pause", "in"), ("flush",)):
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", b.program("batonctl"), "-c", b.conf, *args],
            capture_output=True, env=b.env())
        assert done.returncode in (1, 69, 77) and b" may do this; of your own mail you may" in done.stderr, done
    assert b.ctl("pause") == "nothing is paused\n"
    b.stop()
