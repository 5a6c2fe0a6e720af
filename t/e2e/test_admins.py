"""Who may do what on the sockets in `runtime`: admins everything, others list and delete their own mail."""
import base64
import json
import os

import pytest

from accounts import write_accounts
from harness import free_port, wait_for
from people import FIRST, ROLES, People

ANNA, BOB, OPER = "baton-anna", "baton-bob", "baton-oper"
GROUP = "baton-ops"
NOT_ALLOWED = 77
PASSWORD = "anna's own word"


@pytest.fixture
def host(house):
    """An instance of root's in which everything waits, and three users: one is a member of the admins' group."""
    people = People(house, {ANNA: 64211, BOB: 64212, OPER: 64213}, {GROUP: (64220, [OPER])})
    people.config = dict(route=f"[127.0.0.1]:{free_port()}", admins=f'{{ "root", "%{GROUP}" }}', users=house.path("users"),
                         retry='first = "1h"  max = "2h"', listen='auth = "offered"  auth_plaintext = true')
    people.b = people.start(start=False, **people.config)
    write_accounts(people.b, house.path("users"), PASSWORD, ANNA)
    os.chown(house.path("users"), *[FIRST + list(ROLES).index("keeper")] * 2)
    people.b.start()
    return people


def said(done, code=0):
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stdout.decode() + done.stderr.decode()


def submit(host, user, to):
    said(host.run(user, host.b, "sendmail", "-i", to, stdin=b"Subject: x\n\nx\n"))


def queue(host, user):
    done = host.run(user, host.b, "batonctl", "queue", "--json")
    said(done)
    return {r["address"]: m["id"] for m in map(json.loads, done.stdout.splitlines()) for r in m["recipients"]}


@pytest.mark.root
def test_users_have_their_own_mail(host, house):
    b = host.b
    submit(host, ANNA, "one@other.test")
    submit(host, BOB, "two@other.test")
    client = b.smtp()
    client.cmd("AUTH PLAIN " + base64.b64encode(f"\0{ANNA}\0{PASSWORD}".encode()).decode(), 235)
    client.send("a@client.example.test", "three@other.test", b"Subject: login\r\n\r\nx\r\n")
    b.smtp().send("a@client.example.test", "four@other.test", b"Subject: nobody's\r\n\r\nx\r\n")
    ids = {r["address"]: m["id"] for m in b.queue() for r in m["recipients"]}
    assert sorted(ids) == ["four@other.test", "one@other.test", "three@other.test", "two@other.test"]

    # what is seen: by uid, and by a login of the same name; a member of the group sees all
    assert sorted(queue(host, ANNA)) == ["one@other.test", "three@other.test"]
    assert sorted(queue(host, BOB)) == ["two@other.test"]
    assert queue(host, OPER) == ids
    listing = host.run(BOB, b, "mailq")
    assert b"-- 1 Kbytes in 1 Request." in listing.stdout and b"two@other.test" in listing.stdout
    assert listing.stderr == b"only your own mail was looked at\n", listing.stderr
    assert host.run(OPER, b, "mailq").stderr == b""
    for verb in ("show", "why"):
        assert "one@other.test" in said(host.run(ANNA, b, "batonctl", verb, ids["one@other.test"]))
        text = said(host.run(BOB, b, "batonctl", verb, ids["one@other.test"]), 1)
        assert "nothing in the queue matches" in text and "only your own mail" in text and "other.test" not in text

    assert "Subject: x\n\nx\n" in said(host.run(ANNA, b, "batonctl", "cat", ids["one@other.test"]))
    denied = host.run(BOB, b, "batonctl", "cat", ids["one@other.test"])
    assert denied.returncode == 1 and denied.stdout == b"", denied
    assert denied.stderr == host.run(BOB, b, "batonctl", "cat", "1K0SF3FYDNS").stderr, "like one that doesn't exist"

    # what is deleted
    text = said(host.run(BOB, b, "batonctl", "delete", ids["one@other.test"]), 1)
    assert "nothing in the queue matches" in text and "only your own mail" in text
    said(host.run(BOB, b, "batonctl", "delete", "--all", "--dry-run"))
    assert sorted(queue(host, OPER)) == sorted(ids)
    assert "deleted: 1 message, 1 recipient" in said(host.run(BOB, b, "batonctl", "delete", "--all"))
    b.wait_log(r"tool uid=64212 verb=delete messages=1")
    assert "deleted: 1 message, 1 recipient" in said(host.run(ANNA, b, "batonctl", "delete", ids["three@other.test"]))
    assert sorted(queue(host, OPER)) == ["four@other.test", "one@other.test"]

    # the owner is known of what is only in the index, and survives its loss
    b.kill_tree()
    b.start()
    assert sorted(queue(host, ANNA)) == ["one@other.test"] and queue(host, BOB) == {}
    b.stop()


@pytest.mark.root
def test_the_rest_is_for_admins(host):
    b = host.b
    submit(host, ANNA, "one@other.test")
    own = b.queue()[0]["id"]
    verbs = [["hold", own], ["release", own], ["flush"], ["flush", own], ["bounce", own], ["delete", "--bounce", own], ["sites"],
             ["pause", "out"], ["pause"], ["resume", "--all"], ["status"], ["reload"], ["dns", "--stats"],
             ["explain", "one@other.test"], ["metrics"], ["dns", "other.test", "MX"], ["dns", "--flush", "other.test"]]
    for words in verbs:
        text = said(host.run(ANNA, b, "batonctl", *words), NOT_ALLOWED)
        assert f"only root and members of {GROUP} may do this; of your own mail you may list it" in text, (words, text)
    assert [m["state"] for m in b.queue()] != ["held"] and len(b.queue()) == 1 and b.ctl("pause") == "nothing is paused\n"
    b.wait_log(r"tool_refused uid=64211")
    for words in (["hold", own], ["sites"], ["pause"], ["status"], ["dns", "--stats"], ["reload"]):
        said(host.run(OPER, b, "batonctl", *words))
    assert b.queue()[0]["state"] == "held"

    # a reload takes a new list, in all three roles
    b.write(**host.config | {"admins": f'{{ "root", "{BOB}", "%nowhere-at-all" }}'})
    said(b.tool("batonctl", "reload"))
    b.wait_log(r"admins: no group nowhere-at-all on this host: it counts for nobody")

    def taken():
        """the new list to count in each role"""
        return all(host.run(user, b, "batonctl", *words).returncode == code for user, code in ((BOB, 0), (OPER, NOT_ALLOWED))
                   for words in (["sites"], ["status"], ["dns", "--stats"]))
    wait_for(taken, 20)
    assert sorted(queue(host, BOB)) == ["one@other.test"] and queue(host, OPER) == {}
    b.stop()


def test_who_runs_it_is_an_admin(house):
    """Whatever the list says; a name that nobody has is said."""
    b = house.baton(route=f"[127.0.0.1]:{free_port()}", admins='{ "root", "nobody-like-that", "%nor-such-a-group" }')
    b.wait_log("admins: no user nobody-like-that on this host: it counts for nobody")
    b.wait_log("admins: no group nor-such-a-group on this host: it counts for nobody")
    for words in (["status"], ["sites"], ["dns", "--stats"], ["flush"], ["queue"]):
        done = b.tool("batonctl", *words)
        assert b"own mail" not in done.stderr
    b.stop()
