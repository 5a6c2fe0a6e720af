"""Notices (RFC 3461, 3464): every kind through real processes, each held against the standard."""
import re
import subprocess

import pytest

from dsn import Notice, is_notice
from harness import HOST, SANITIZED, SOAK, wait_for
from smtp import message, stuff
from test_bytes import local_user

ME = f"{local_user()}@{HOST}"
DSN = ("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "DSN")
QUICK = 'first = "1s"  max = "1s"'


def send(b, to, mail="", body=None, sender=ME):
    """One transaction; to: (address, parameters of RCPT) each."""
    c = b.smtp()
    c.cmd(f"MAIL FROM:<{sender}>{mail}", 250)
    for address, params in to:
        c.cmd(f"RCPT TO:<{address}>{params}", 250)
    c.cmd("DATA", 354)
    c.write(stuff(body if body is not None else message("subject")))
    text = c.expect(250)
    c.close()
    return re.search(r"queued as (\S+)", text).group(1)


def notices(b, count=1, seconds=20, user=None):
    """The notices in the sender's mailbox, as soon as there are `count`."""
    def enough():
        found = [raw for raw in b.maildir(user or local_user()) if is_notice(raw)]
        return found if len(found) >= count else None
    enough.__doc__ = f"{count} notices"
    found = [Notice(raw) for raw in wait_for(enough, seconds)]
    assert len(found) == count, [n.subject for n in found]
    return found


def test_failure(house):
    """Everything that RFC 3464 has a field for, and words for people."""
    hop = house.sink(refuse={"RCPT": "550 5.1.1 nobody of that name"})
    b = house.baton(route=hop)
    name = send(b, [("b@other.test", " NOTIFY=FAILURE ORCPT=rfc822;first+2Bone@other.test")], " ENVID=QQ+2B314 RET=FULL")
    (n,) = notices(b)
    assert "Undelivered" in n.subject and n.full and n.to == ME
    assert n.original["Subject"] == "subject"
    assert n.message["original-envelope-id"] == "QQ+314"
    assert n.message["reporting-mta"] == f"dns; {HOST}" and n.message["x-baton-queue-id"] == name
    assert "arrival-date" in n.message
    (f,) = n.recipients
    assert f["original-recipient"] == "rfc822; first+one@other.test"
    assert f["final-recipient"] == "rfc822; b@other.test"
    assert (f["action"], f["status"]) == ("failed", "5.1.1")
    assert f["diagnostic-code"] == "smtp; 550 5.1.1 nobody of that name"
    assert f["remote-mta"].startswith("dns; ") and "last-attempt-date" in f
    for words in ("b@other.test", "nobody of that name", "typing error", "postmaster@" + HOST, name):
        assert words in " ".join(n.people.split()), n.people
    b.wait_empty()
    b.stop()


def test_what_goes_back(house):
    """The message or its header, by RET and notice_size; 8-bit parts are labelled."""
    hop = house.sink(refuse={"RCPT": "550 5.1.1 no"})
    b = house.baton(route=hop)
    eight = message("eight", "grüße\r\n".encode(), X_Name="Grüße")
    sized = {size: message("sized", b"\r\n".join(b"." + b"x" * 76 for _ in range(size // 79)) + b"\r\n") for size in (40000, 60000)}
    send(b, [("hdrs@other.test", "")], " RET=HDRS")
    send(b, [("default@other.test", "")])
    send(b, [("fits@other.test", "")], " RET=FULL", sized[40000])
    send(b, [("large@other.test", "")], " RET=FULL", sized[60000])
    send(b, [("8full@other.test", "")], " BODY=8BITMIME RET=FULL", eight)
    send(b, [("8hdrs@other.test", "")], " BODY=8BITMIME RET=HDRS", eight)
    found = {address.split("@")[0]: n for n in notices(b, 6) for address in n.by_address()}
    assert {k: n.full for k, n in found.items()} == {
        "hdrs": False, "default": True, "fits": True, "large": False, "8full": True, "8hdrs": False}
    assert "Subject: subject" in found["hdrs"].original and "original-envelope-id" not in found["hdrs"].message
    assert found["fits"].original.get_content().count("." + "x" * 76) == 40000 // 79
    for name in ("8full", "8hdrs"):
        assert "X-Name: Grüße".encode() in found[name].raw
        assert ("grüße\n".encode() in found[name].raw) == found[name].full
    b.stop()


HOSTILE = {
    "control characters": "550 5.1.1 a\x01\x07\x1b[31mred\x7f\tb",
    "8 bit": b"550 5.1.1 gr\xc3\xbc\xc3\x9fe \xff\xfe".decode("utf-8", "surrogateescape"),
    "2,000 bytes": "550 5.1.1 " + "word " * 400,
    "no space in 2,000 bytes": "550 5.1.1 " + "w" * 2000,
    "field in it": "550 5.1.1 x\\r\\nAction: delivered\\r\\n\\r\\n--=_",
    "lines": "550-5.1.1 one\r\n550-5.1.1 Action: delivered\r\n550-5.1.1\r\n550 5.1.1 --=_boundary",
    "no status": "550 just no",
    "nothing": "550",
    "other class": "550 4.2.2 full",
    "strange status": "550 5.9999.1 odd",
}


def test_hostile_words(house):
    """Whatever a peer says, the report's form is ours; one sender, one notice each."""
    words = dict(zip((f"r{i}@other.test" for i in range(len(HOSTILE))), HOSTILE.values()))
    hop = house.sink(refuse={"RCPT": lambda line: words[re.search("<(.*)>", line).group(1)]})
    b = house.baton(route=hop, text='site "*" { reply_timeout = "20s" }')
    for address in words:
        send(b, [(address, "")])
    found = notices(b, len(words), 40)
    assert sorted(a for n in found for a in n.by_address()) == sorted(words)
    for n in found:
        (f,) = n.recipients
        assert f["action"] == "failed" and all(31 < ord(c) < 127 for c in n.people.replace("\n", ""))
    b.wait_empty()
    b.stop()


def test_many_recipients(house):
    """As few notices as their size allows, each recipient in one of them."""
    count = 300
    hop = house.sink(refuse={"RCPT": "550 5.1.1 " + "no such user here, sorry; " * 3})
    b = house.baton(route=hop)
    send(b, [(f"recipient{i:03}@other.test", "") for i in range(count)])

    def told():
        """a notice of every recipient"""
        found = [Notice(raw) for raw in b.maildir(local_user())]
        return found if sum(len(n.recipients) for n in found) >= count else None
    found = wait_for(told, 40)
    assert sorted(a for n in found for a in n.by_address()) == sorted(f"recipient{i:03}@other.test" for i in range(count))
    print(f"{count} recipients, {len(found)} notices")
    assert len(found) <= 4
    b.stop()


def test_one_notice_of_several(house):
    """Recipients that fail one after the other are told of once."""
    hop = house.sink(refuse={"RCPT": lambda line: None if "good" in line else "550 5.1.1 no"})
    b = house.baton(route=hop, site="recipients_per_message = 1")
    send(b, [(f"r{i}@other.test", "") for i in range(5)] + [("good@other.test", "")])
    (n,) = notices(b)
    assert len(n.recipients) == 5
    b.wait_empty()
    notices(b, 1)
    b.stop()


def test_expired(house):
    hop = house.sink(refuse={"RCPT": "451 4.2.0 busy for ever"})
    b = house.baton(route=hop, retry=f'{QUICK} lifetime = "2s" warn = "0s"')
    send(b, [("b@other.test", "")])
    (n,) = notices(b)
    (f,) = n.recipients
    assert (f["action"], f["status"]) == ("failed", "4.2.0") and "Undelivered" in n.subject
    assert "tried for 2 seconds" in n.people
    b.stop()


def test_delayed(house):
    """Once a recipient, only for those who want it; then the mail arrives."""
    hop = house.sink(refuse={"RCPT": "451 4.2.0 busy"})
    b = house.baton(route=hop, retry=f'{QUICK} warn = "2s"')
    send(b, [("a@other.test", ""), ("b@other.test", " NOTIFY=DELAY"), ("c@other.test", " NOTIFY=FAILURE,SUCCESS"),
             ("d@other.test", " NOTIFY=NEVER")], " RET=FULL")
    (n,) = notices(b)
    assert "Delayed" in n.subject and not n.full
    assert sorted(n.by_address()) == ["a@other.test", "b@other.test"]
    for f in n.recipients:
        assert (f["action"], f["status"]) == ("delayed", "4.2.0") and "will-retry-until" in f
    assert "need not send it again" in " ".join(n.people.split())
    hop.refuse.clear()
    hop.wait(1, 20)
    b.wait_empty()
    assert len(notices(b, 2)) == 2 and sorted(to for m in hop.messages for to in m.to)[0] == "a@other.test"
    b.stop()


def test_delayed_where_nothing_is_tried(house):
    """Parked at a site that is down; deferred for hours: reported in its time all the same."""
    busy, dead = house.sink(refuse={"RCPT": "451 4.2.0 later"}), house.sink(start=False)
    b = house.baton(route=busy, retry='first = "1h"  max = "1h"  warn = "2s"',
                    text=f'route "dead.test" {{ to = "[127.0.0.1]:{dead.port}" }}')
    want = [f"b{i}@{domain}.test" for i in range(3) for domain in ("busy", "dead")]
    for address in want:
        send(b, [(address, "")])
    found = notices(b, len(want))
    assert sorted(a for n in found for a in n.by_address()) == sorted(want)
    for n in found:
        (f,) = n.recipients
        assert f["action"] == "delayed" and "diagnostic-code" in f
    busy.refuse.clear()
    dead.start()
    b.ctl("flush")
    busy.wait(3)
    dead.wait(3)
    b.wait_empty()
    notices(b, len(want))
    b.stop()


def test_a_delay_that_is_over(house):
    """A report of a delay that had to wait for the sender's rate isn't sent once the mail is."""
    hop = house.sink(refuse={"RCPT": "451 4.2.0 later"})
    b = house.baton(route=hop, retry='first = "1h"  max = "1h"  warn = "1s"', notice_rate="15/m", notice_burst=1)
    for i in range(2):
        send(b, [(f"b{i}@other.test", "")])
    notices(b, 1)
    hop.refuse.clear()
    b.ctl("flush", "--state", "deferred")
    hop.wait(2)
    assert [row["state"] for row in b.queue()] == ["notifying"]
    b.wait_log("result=withdrawn", 20)
    b.wait_empty()
    notices(b, 1)
    b.stop()


def test_relayed(house):
    """The next hop knows no DSN: nothing is passed on, and we say that it has the mail."""
    hop = house.sink()
    b = house.baton(route=hop)
    send(b, [("b@other.test", " NOTIFY=SUCCESS ORCPT=rfc822;b@other.test"), ("c@other.test", "")], " ENVID=e1 RET=FULL")
    (n,) = notices(b)
    (f,) = n.recipients
    assert (f["action"], f["status"][0], f["final-recipient"]) == ("relayed", "2", "rfc822; b@other.test")
    assert not n.full and n.message["original-envelope-id"] == "e1"
    assert not re.search("NOTIFY|ORCPT|RET|ENVID", " ".join(c for _, c in hop.commands))
    b.wait_empty()
    b.stop()


def test_passed_on(house):
    """The next hop knows DSN: it gets all of it, and no notice comes from us."""
    hop = house.sink(extensions=DSN)
    b = house.baton(route=hop)
    send(b, [("a@other.test", " NOTIFY=SUCCESS,DELAY"), ("b@other.test", " NOTIFY=NEVER"),
             ("c@other.test", " ORCPT=x400;C+3Dde"), ("d+x@other.test", " NOTIFY=FAILURE"), ("e@other.test", "")],
         " RET=HDRS ENVID=e+2B1")
    hop.wait(1)
    lines = [c for _, c in hop.commands if c.startswith(("MAIL", "RCPT"))]
    assert lines[0].endswith("RET=HDRS ENVID=e+2B1")
    assert lines[1:] == [
        "RCPT TO:<a@other.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@other.test",
        "RCPT TO:<b@other.test> NOTIFY=NEVER",
        "RCPT TO:<c@other.test> ORCPT=x400;C+3Dde",
        "RCPT TO:<d+x@other.test> NOTIFY=FAILURE ORCPT=rfc822;d+2Bx@other.test",
        "RCPT TO:<e@other.test>"]
    b.wait_empty()
    assert not b.maildir(local_user())
    b.stop()


def test_delivered(house):
    """sendmail -N success to a mailbox of this host."""
    b = house.baton()
    r = subprocess.run([b.program("sendmail"), "-C", b.conf, "-f", ME, "-N", "success", "-V", "my id=1", "-R", "full", ME],
                       input=b"Subject: hello\n\nbody\n", env=b.env(), stderr=subprocess.PIPE)
    assert r.returncode == 0, r.stderr
    (n,) = notices(b)
    (f,) = n.recipients
    assert (f["action"], f["status"][0]) == ("delivered", "2") and "remote-mta" not in f
    assert n.message["original-envelope-id"] == "my id=1"
    assert "delivered to the mailbox" in n.people
    b.wait_empty()
    for wrong in (["-N", "sometimes"], ["-N", "success,"], ["-N", "never,delay"], ["-R", "half"], ["-V", "x" * 101]):
        r = subprocess.run([b.program("sendmail"), "-C", b.conf, *wrong, ME], input=b"x\n", env=b.env(), stderr=subprocess.PIPE)
        assert r.returncode == 64 and r.stderr, wrong
    b.stop()


def test_alias(house):
    """One member: everything goes on to it. Several: that it was expanded is the end of the story."""
    hop = house.sink(extensions=DSN)
    b = house.baton(route=hop, aliases="one: x@other.test\nmany: y@other.test, z@other.test\n")
    send(b, [(f"one@{HOST}", " NOTIFY=SUCCESS,FAILURE"), (f"many@{HOST}", " NOTIFY=SUCCESS")])
    (n,) = notices(b)
    (f,) = n.recipients
    assert (f["action"], f["final-recipient"]) == ("expanded", f"rfc822; many@{HOST}")

    def all_there():
        """three recipients at the next hop"""
        return len([to for m in hop.messages for to in m.to]) == 3
    wait_for(all_there, 15)
    lines = sorted(c for _, c in hop.commands if c.startswith("RCPT"))
    assert lines == [f"RCPT TO:<x@other.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;one@{HOST}",
                     f"RCPT TO:<y@other.test> NOTIFY=NEVER ORCPT=rfc822;many@{HOST}",
                     f"RCPT TO:<z@other.test> NOTIFY=NEVER ORCPT=rfc822;many@{HOST}"]
    b.wait_empty()
    b.stop()


def test_silence(house):
    """NOTIFY=NEVER, NOTIFY without FAILURE, no sender: not a word, of failure, delay or success."""
    hop = house.sink(refuse={"RCPT": lambda line: "550 5.1.1 no" if "bad" in line else "451 4.2.0 later" if "late" in line else None})
    b = house.baton(route=hop, retry=f'{QUICK} warn = "1s" lifetime = "3s"')
    send(b, [("bad@other.test", " NOTIFY=NEVER"), ("late@other.test", " NOTIFY=NEVER"), ("good@other.test", " NOTIFY=NEVER"),
             ("bad2@other.test", " NOTIFY=SUCCESS"), ("late2@other.test", " NOTIFY=SUCCESS")])
    send(b, [("bad@other.test", " NOTIFY=SUCCESS,FAILURE,DELAY"), ("late@other.test", " NOTIFY=SUCCESS,FAILURE,DELAY"),
             ("good@other.test", " NOTIFY=SUCCESS")], sender="")
    b.wait_empty(30)
    assert not b.maildir(local_user()) and len(hop.messages) == 2
    assert all(m.sender in (ME, "") and not is_notice(m.raw) for m in hop.messages)
    b.stop()


@pytest.mark.parametrize("how", ["remote", "local"])
def test_double_bounce(house, how):
    """A bounce that can't be delivered goes to double_bounce; if that can't be reached, to nobody."""
    hop = house.sink(refuse={"RCPT": "550 5.1.1 no"})
    b = house.baton(route=hop, double_bounce=ME)
    gone = "gone@elsewhere.test" if how == "remote" else f"no-such-user@{HOST}"
    send(b, [("b@other.test", "")], sender=gone)
    (n,) = notices(b)
    assert n.subject == "A notice that could not be delivered" and n.to == ME
    assert list(n.by_address()) == [gone]
    b.wait_empty()
    b.stop()
    b.write(route=hop, double_bounce="gone@elsewhere.test")
    b.start()
    send(b, [("b@other.test", "")], sender="also@elsewhere.test")
    b.wait_log(r"from= to=gone@elsewhere.test.*result=bounced|from=\"\" to=gone@elsewhere.test.*result=bounced", 20)
    b.wait_empty()
    notices(b, 1)
    b.stop()


def test_storm(house):
    """Beyond the burst notices to one sender come at the rate; none is lost, others aren't held back."""
    hop = house.sink(refuse={"RCPT": "550 5.1.1 no"})
    b = house.baton(route=hop, notice_rate="120/m", notice_burst=5, aliases=f"other: {local_user()}\n",
                    retry='first = "1s" max = "1h"')
    for i in range(11):
        send(b, [(f"b{i}@other.test", "")])
    wait_for(lambda: len(b.maildir(local_user())) >= 5, 15)
    b.wait_log("held_back", 10)
    assert len(b.maildir(local_user())) <= 8
    send(b, [("c@other.test", "")], sender=f"other@{HOST}")

    def others():
        """the notice to another sender"""
        return [raw for raw in b.maildir(local_user()) if f"To: <other@{HOST}>".encode() in raw]
    wait_for(others, 10)
    assert len(b.maildir(local_user())) < 12
    found = wait_for(lambda: len(b.maildir(local_user())) >= 12 and b.maildir(local_user()), 30)
    assert sorted(a for raw in found for a in Notice(raw).by_address()) == sorted([f"b{i}@other.test" for i in range(11)] + ["c@other.test"])
    b.wait_empty()
    assert b.log.count(b"held_back") == 1
    b.stop()


def test_kill_while_notices_are_owed(house):
    """kill -9 of each process, and of all, while every message becomes a notice: none is missing."""
    roles = ["qmgr", "deliver", "smtpd", "tree"]
    each = 100 if SOAK else 15 if SANITIZED else 30
    hop = house.sink(refuse={"RCPT": lambda line: "550 5.1.1 no" if "bad" in line else None})
    b = house.baton(route=hop, notice_burst=100000, site="connections = 5")
    want = set()
    for role in roles:
        c = b.smtp()
        for i in range(each):
            address, params = (f"bad{i}@{role}.test", "") if i % 2 else (f"good{i}@{role}.test", " NOTIFY=SUCCESS")
            c.cmd(f"MAIL FROM:<{ME}>", 250)
            c.cmd(f"RCPT TO:<{address}>{params}", 250)
            c.cmd("DATA", 354)
            c.write(message(f"m{i}") + b".\r\n")
            c.expect(250)
            want.add(address)
        if role == "tree":
            b.kill_tree()
            b.start()
        else:
            b.replaced(role, b.kill(role), 10)

    def told():
        """a notice of every recipient"""
        seen = [a for raw in b.maildir(local_user()) if is_notice(raw) for a in Notice(raw).by_address()]
        return seen if set(seen) == want else None
    seen = wait_for(told, 60, every=0.3)
    b.wait_empty(30)
    print(f"{len(want)} owed, {len(seen) - len(want)} told twice")
    b.stop()
