"""The tools: sendmail, mailq, batonctl."""
import json
import re

from harness import HOST, wait_for
from test_bytes import local_user


def dead(house, **config):
    """An instance whose next hop does not answer."""
    return house.baton(route=house.sink(start=False), **config)


def test_mailq(house):
    """Postfix's layout, with its closing line; empty it says so."""
    b = dead(house)
    assert b.tool("mailq").stdout == b"Mail queue is empty\n"
    for i in range(3):
        b.smtp().send("a@client.example.test", f"b{i}@other.test", b"x\r\n")
    wait_for(lambda: len(b.queue()) == 3, 10)
    text = b.tool("mailq").stdout.decode()
    assert text.startswith("-Queue ID-"), text
    assert all(f"b{i}@other.test" in text for i in range(3)) and "a@client.example.test" in text
    assert re.search(r"(?m)^-- \d+ Kbytes in 3 Requests\.$", text), text
    b.stop()


def test_queue_json(house):
    b = dead(house)
    b.smtp().send("a@client.example.test", ["b@other.test", "c@other.test"], b"x\r\n")
    (row,) = wait_for(b.queue, 10)
    assert set(row) >= {"id", "arrival", "size", "sender", "class", "state", "recipients"}
    assert {r["address"] for r in row["recipients"]} == {"b@other.test", "c@other.test"}
    assert set(row["recipients"][0]) >= {"address", "state", "attempts", "next", "site", "reason"}
    b.stop()


def test_status(house):
    b = house.baton()
    assert b.ctl("status")
    said = [json.loads(line) for line in b.ctl("status", "--json").splitlines()]
    text = json.dumps(said)
    for pid in b.pids():
        assert str(pid) in text
    b.stop()


def test_reload_and_check(house):
    b = house.baton()
    b.ctl("check")
    b.ctl("reload")
    b.write(text="nonsense = 1\n")
    done = b.tool("batonctl", "check", check=False)
    assert done.returncode != 0 and b"baton.conf:" in done.stdout + done.stderr
    done = b.tool("batonctl", "reload", check=False)
    assert done.returncode != 0
    b.smtp().quit()
    b.stop()


def test_unknown_verb(house):
    b = house.baton()
    done = b.tool("batonctl", "nonsense", check=False)
    assert done.returncode != 0 and b"nonsense" in done.stderr
    b.stop()


def test_sendmail_takes_recipients_from_the_headers(house):
    hop = house.sink()
    b = house.baton(route=hop)
    b.tool("sendmail", "-t", "-oi", "-f", "a@client.example.test", stdin=(
        b"From: A <a@client.example.test>\nTo: B <b@other.test>,\n c@other.test\nCc: (x) d@other.test\nBcc: e@other.test\n"
        b"Subject: t\n\nbody\n"))
    hop.wait(1)
    wait_for(lambda: sum(len(m.to) for m in hop.messages) == 4, 10)
    assert {to for m in hop.messages for to in m.to} == {f"{x}@other.test" for x in "bcde"}
    assert b"e@other.test" not in hop.messages[0].raw, "Bcc leaves no trace"
    b.stop()


def test_sendmail_full_name_and_missing_headers(house):
    hop = house.sink()
    b = house.baton(route=hop)
    b.tool("sendmail", "-F", "Some Body", "-f", "a@client.example.test", "b@other.test", stdin=b"Subject: h\n\nbody\n")
    raw = hop.wait(1)[0].raw
    assert re.search(rb"(?mi)^From: .*Some Body.*a@client\.example\.test", raw), raw
    assert re.search(rb"(?mi)^Date: ", raw) and re.search(rb"(?mi)^Message-ID: ", raw)
    b.stop()


def test_sendmail_names_the_user_in_received(house):
    """The kernel vouches for the user; the mail says who it was."""
    hop = house.sink()
    b = house.baton(route=hop)
    b.tool("sendmail", "-i", "b@other.test", stdin=b"Subject: who\n\nx\n")
    (m,) = hop.wait(1)
    assert m.sender == f"{local_user()}@{HOST}" or m.sender.startswith("root@")
    b.stop()


def test_sendmail_says_no(house):
    """sysexits: no recipient is a usage error, an unknown user EX_NOUSER."""
    b = house.baton()
    assert b.tool("sendmail", "-i", check=False, stdin=b"x\n").returncode == 64
    done = b.tool("sendmail", "-i", f"no-such-user@{HOST}", check=False, stdin=b"x\n")
    assert done.returncode in (67, 0) and (done.returncode == 0 or b"5.1.1" in done.stderr)
    b.stop()
