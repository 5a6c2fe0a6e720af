"""batonctl explain: what would happen to mail for an address, by the word of those who would do it."""
import json
import os

from harness import free_port, wait_for


def facts(b, *words):
    return json.loads(b.ctl("explain", *words, "--json"))


def line_of(b, text):
    """file:line of the first line of the configuration with that text"""
    with open(b.conf) as f:
        for n, line in enumerate(f, 1):
            if text in line:
                return f"{b.conf}:{n}"
    raise AssertionError(text)


CONF = """
route "partner.test" {
    to = { "[127.0.0.1]:%d", "[127.0.0.1]:9" }
    auth = "partner"
    tls = "none"
    source = "two"
}
source "two" { address = "127.0.0.2"  hello = "two.example.test" }
route "void.test" { to = "discard" }
route "bad.test" { to = "error:no more mail there" }
site "[127.0.0.1]:%d" { connections = 3  rate = "100/m" }
class "news" { sender = "*@news.example.test"  lifetime = "2d" }
relay_to = "partner.test"
listen "logins" { address = "127.0.0.1:%d"  auth = "required"  auth_plaintext = true }
"""


def test_explain(house):
    """Route, next hop, login, source, limits, class, local users and aliases, who may send."""
    hop = house.sink()
    nobody = free_port()
    credentials = house.path("credentials")
    with open(credentials, "w") as f:
        f.write("partner joe secret\n")
    os.chmod(credentials, 0o600)
    text = CONF % (nobody, nobody, free_port())
    b = house.baton(route=hop, credentials=credentials, text=text,
                    aliases="team: root, other@elsewhere.test\n")

    said = facts(b, "x@partner.test")
    assert said["address"] == "x@partner.test" and said["local"] is False
    assert said["route"] == "partner.test" and said["route_at"] == line_of(b, 'route "partner.test"')
    assert said["to"] == [f"[127.0.0.1]:{nobody}", "[127.0.0.1]:9"]
    assert said["auth"] == "partner" and "secret" not in json.dumps(said)
    assert said["source"] == "two" and said["source_addresses"] == ["127.0.0.2"]
    assert said["hello"] == "two.example.test"
    assert said["tls"].startswith("none") and 'route "partner.test"' in said["tls_by"]
    assert said["site"] == f"[127.0.0.1]:{nobody},[127.0.0.1]:9"
    assert said["class"] == "normal" and said["lifetime"] == 5 * 86400
    assert said["state"] == "not in use now"
    assert "client" not in said and "accept" not in said

    said = facts(b, "x@partner.test", "--client", "192.0.2.9", "--sender", "a@news.example.test")
    assert said["class"] == "news" and said["lifetime"] == 2 * 86400
    test, logins = said["accept"]
    assert "yes" in test and "relay_to" in test
    assert '"logins"' in logins and "login" in logins
    said = facts(b, "x@third.test", "--client", "192.0.2.9")
    assert "554" in said["accept"][0] and "relay_from" in said["accept"][0]
    assert "yes" in facts(b, "x@third.test", "--client", "127.0.0.1")["accept"][0]

    said = facts(b, "team@localhost")
    assert said["local"] is True and "local_domains" in said["why"]
    assert said["members"] == ["root", "other@elsewhere.test"]
    said = facts(b, "root")
    assert said["user"] == "root" and "mailbox of root" in said["result"]
    said = facts(b, "nosuchuser@localhost", "--client", "192.0.2.9")
    assert "no such user" in said["result"] and "550" in said["accept"][0] and said["next"]

    assert "thrown away" in facts(b, "x@void.test")["result"]
    assert "no more mail there" in facts(b, "x@bad.test")["result"]

    # a person reads the same
    shown = b.ctl("explain", "x@partner.test")
    assert f"[127.0.0.1]:{nobody}" in shown and line_of(b, 'route "partner.test"') in shown

    # what was explained has made no destination or site
    assert b.ctl("sites", "--json") == ""
    assert b.tool("batonctl", "explain", check=False).returncode == 64
    assert b.tool("batonctl", "explain", "x@y", "--sender", check=False).returncode == 64
    b.stop()


def test_state(house):
    """A site that is down, a pause: they are said with their reason and what to do."""
    b = house.baton(route=house.sink(start=False))
    hop = facts(b, "x@other.test")["to"][0]
    b.smtp().send("a@client.example.test", "x@other.test", b"x\r\n")
    said = wait_for(lambda: [s for s in [facts(b, "x@other.test")] if s["state"].startswith("down")], 20)[0]
    assert "refused" in said["trouble"].lower() and hop in said["result"]
    assert said["probe"] > said["since"]
    assert any("test-relay --to 'x@other.test'" in n for n in said["next"]), said
    b.ctl("pause", "--domain", "other.test")
    said = facts(b, "x@other.test")
    assert "paused" in said["result"] and "other.test" in said["paused"]
    assert any("resume" in n for n in said["next"])
    b.stop()


def test_mx(house):
    """By MX: the hosts as dnscache has them, the site's name and the entry that holds, by which rule."""
    zone = house.nsd({"test": """
big MX 10 a.mx.hosts
big MX 20 b.mx.hosts
a.mx.hosts A 127.0.0.1
b.mx.hosts A 127.0.0.2
own MX 10 mail.own
mail.own A 127.0.0.3
null MX 0 .
"""})
    b = house.baton(resolver=zone, text="""
site "hosters" { domain = "mx.hosts.test"  connections = 7  tls = "required" }
site "own.test" { connections = 5 }
site "*" { connections = 9 }
""")
    said = facts(b, "x@big.test")
    assert [h.split(":")[0] for h in said["hosts"]] == ["10 a.mx.hosts.test", "20 b.mx.hosts.test"], said
    assert "127.0.0.2" in said["hosts"][1]
    assert said["site"] == "hosters" and said["site_entry"] == "hosters"
    assert said["connections_max"] == 7 and said["tls"].startswith("required")
    assert said["site_entry_at"] == line_of(b, 'site "hosters"')
    said = facts(b, "x@own.test")
    assert said["connections_max"] == 5 and said["site_entry"] == "own.test", said
    assert "556" in facts(b, "x@null.test")["result"]
    said = facts(b, "x@nothere.test")
    assert "does not exist" in said["result"] and said["next"]
    b.stop()


def test_dead_resolver(house):
    """No resolver answers: explain says so within its time, and where to look."""
    b = house.baton()
    said = facts(b, "x@somewhere.test")
    assert said["result"].startswith("waits: DNS") and any("doctor" in n for n in said["next"])
    b.stop()


def test_the_man_page_has_every_fact():
    """lib/explain.def is the list of members of the JSON object."""
    import re
    from harness import TOP
    names = re.findall(r"(?m)^FACT\((\w+),", open(f"{TOP}/lib/explain.def").read())
    page = open(f"{TOP}/cli/batonctl.8").read()
    page = page[page.index("has one object, whose members"):]
    page = page[:page.index("\n.Cm ")]
    assert names == page.split("\n", 1)[1].replace(".Sy", "").replace(" .", "").split(), names
