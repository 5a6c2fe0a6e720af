"""A system in trouble: doctor, explain and why name the cause and the next step; assertions are on their words."""
import json
import os
import socket

import pytest

from harness import HOST, TOP, free_port, wait_for
from logins import Logins
from pki import Authority

LOCAL = "127.0.0.1"


class Report:
    """What the doctor found: {check: [findings]}, and its exit code."""

    def __init__(self, b, *words):
        done = b.tool("batonctl", "doctor", "--json", *words, check=False)
        self.code, self.all = done.returncode, [json.loads(line) for line in done.stdout.splitlines()]
        assert self.all, done.stderr

    def of(self, check, level=None):
        return [f for f in self.all if f["check"] == check and (level is None or f["level"] == level)]

    def says(self, check, level, *words):
        """The one finding of that check and level with all the words; each that isn't well has a fix."""
        found = [f for f in self.of(check, level) if all(w in f["text"] + " " + f["fix"] for w in words)]
        assert len(found) == 1, (check, level, words, self.of(check))
        if level == "fail":
            assert found[0]["fix"], found
        return found[0]


def explain(b, address):
    return json.loads(b.ctl("explain", address, "--json"))


def down(b, address="x@other.test"):
    """Sends one and waits until its site is down; the ID."""
    b.smtp().send("a@client.example.test", address, b"x\r\n")
    wait_for(lambda: any(s["state"] in ("down", "probing") for s in map(json.loads, b.ctl("sites", "--json").splitlines())), 20)
    return b.queue()[0]["id"]


def test_a_dead_smarthost(house):
    """Nobody listens at the next hop: all three say where, why, and how to try it."""
    b = house.baton(route=house.sink(start=False), retry='first = "1m"')
    hop = explain(b, "x@other.test")["to"][0]
    id = down(b)
    report = Report(b)
    assert report.code == 2
    report.says("outgoing", "fail", hop, "refused", "test-relay '*'")
    report.says("queue", "fail", hop, "refused")
    report.says("running", "ok", "running")
    report.says("ports", "ok", f"{LOCAL}:{b.port}", "open")
    said = explain(b, "x@other.test")
    assert "down" in said["result"] and "refused" in said["result"] and "test-relay" in said["next"][0]
    why = b.ctl("why", id)
    assert hop in why and "refused" in why and "batonctl flush" in why
    b.stop()


def test_a_wrong_password(house):
    """The smarthost answers, and doesn't take the login: its words, and whose login it is."""
    credentials = house.path("credentials")
    with open(credentials, "w") as f:
        f.write("provider joe@example.test not-the-password\n")
    os.chmod(credentials, 0o600)
    hop = house.sink(auth=Logins(mechanisms="PLAIN"), tls=Authority(house).server(LOCAL))
    b = house.baton(credentials=credentials, retry='first = "1m"',
                    text=f'route "*" {{ to = "[{LOCAL}]:{hop.port}"  auth = "provider" }}')
    id = down(b)
    report = Report(b)
    report.says("outgoing", "ok", "220")
    report.says("queue", "fail", str(hop.port), "who are you", "password", "provider")
    said = explain(b, "x@other.test")
    assert "who are you" in said["result"] and said["auth"] == "provider" and any("test-relay" in n for n in said["next"])
    assert "who are you" in b.ctl("why", id)
    everything = json.dumps(report.all) + json.dumps(said)
    assert "not-the-password" not in everything
    os.chmod(credentials, 0o644)
    Report(b).says("permissions", "fail", credentials, "chmod 600")
    b.stop()


def test_a_full_disk(house):
    """Less space than spool_min_free: no mail is taken, and the doctor says which number that is."""
    disk = os.statvfs(house.dir)
    want = (disk.f_bavail * disk.f_frsize >> 30) + 2
    if want > 1024:
        pytest.skip("more free space than spool_min_free can ask for")
    b = house.baton(spool_min_free=f"{want}G")
    os.makedirs(os.path.join(b.spool, "index.broken-1"))
    report = Report(b)
    report.says("spool", "warning", "index.broken-1", "rebuilt")
    found = report.says("spool", "fail", "full", "spool_min_free")
    assert report.code == 2 and "make room" in found["fix"]
    b.stop()


def test_certificates(house):
    """For another name, without its chain, expired, with another's key; good."""
    authority = Authority(house)
    for_other, key = authority.issue("other.example.test")
    b = house.baton(start=False, route=f"[{LOCAL}]:9")

    def with_pair(certificate, key, ca=authority.ca):
        b.write(route=f"[{LOCAL}]:9", text=f'tls {{ certificate = "{certificate}"  key = "{key}" }}\n'
                                           f'deliver {{ ca = "{ca}" }}')
        return Report(b)
    with_pair(for_other, key).says("certificate", "warning", "other.example.test", HOST)
    good, good_key = authority.issue(HOST)
    with_pair(good, good_key).says("certificate", "ok", HOST, "days")
    with_pair(good, good_key, ca="/dev/null").says("certificate", "warning", "chain", "intermediate")
    soon, soon_key = authority.issue(HOST, days=3)
    with_pair(soon, soon_key).says("certificate", "warning", "expires in", "renew")
    old, old_key = authority.issue(HOST, days=-1)
    report = with_pair(old, old_key)
    report.says("certificate", "fail", "expired", "renew", "batonctl reload")
    report = with_pair(good, key)
    assert report.of("config", "fail")[0]["text"].startswith(b.conf + ":") and good_key != key


def test_a_dead_resolver(house):
    """Nobody answers at the resolver's address: named once, the rest is not waited for."""
    b = house.baton(text='deliver { ipv6 = false }')
    report = Report(b)
    found = report.says("resolver", "fail", "no resolver answers")
    assert "resolver.servers" in found["fix"] and "dns --stats" in found["fix"]
    report.says("records", "warning", "not checked", "resolver")
    said = explain(b, "x@other.test")
    assert said["result"].startswith("waits: DNS") and any("doctor" in n for n in said["next"])
    b.stop()


def test_names_and_records(house):
    """PTR, SPF, DKIM and DMARC as they are published; what lacks comes with the record to publish."""
    zone = house.nsd({
        "example.test": 'relay A 192.0.2.77\n@ TXT "v=spf1 a:relay.example.test -all"\n'
                        'sel._domainkey TXT "v=DKIM1; p=x"\n_dmarc TXT "v=DMARC1; p=none"\n',
        "bare.test": "@ A 192.0.2.1\n",
        "2.0.192.in-addr.arpa": "77 PTR wrong.example.test.\n"})
    text = 'source "out" { address = "192.0.2.77" }\nroute "void.test" { to = "discard"  source = "out" }'
    b = house.baton(resolver=zone, origin="example.test", text=text)
    report = Report(b)
    report.says("resolver", "ok", "answers")
    report.says("names", "ok", f"hostname {HOST} is 192.0.2.77")
    report.says("names", "warning", "wrong.example.test", "PTR record " + HOST)
    report.says("records", "ok", "SPF: v=spf1")
    report.says("records", "ok", "DMARC: v=DMARC1")
    report.says("records", "ok", "DKIM")
    b.write(resolver=zone, origin="bare.test", text=text)
    b.ctl("reload")
    report = Report(b)
    report.says("records", "warning", "SPF", 'bare.test. TXT "v=spf1 mx a:' + HOST)
    report.says("records", "warning", "DMARC", '_dmarc.bare.test. TXT "v=DMARC1')
    report.says("records", "warning", "DKIM")
    b.stop()


def test_down_and_in_the_way(house):
    """Baton isn't running, another program has its port; the configuration is wrong."""
    b = house.baton(start=False, route=f"[{LOCAL}]:9")
    with socket.socket() as thief:
        thief.bind((LOCAL, b.port))
        thief.listen()
        report = Report(b)
        report.says("running", "fail", "not running", "systemctl start baton")
        found = report.says("ports", "fail", f"{LOCAL}:{b.port}", "held by")
        assert f"pid {os.getpid()}" in found["text"] and "stop" in found["fix"], found
    report = Report(b)
    report.says("ports", "ok", "free")
    assert len(report.of("queue", "warning")) == 1 and report.code == 2
    b.write(raw="hostname = \"a.example\"\nnonsense = 1\n")
    report = Report(b)
    report.says("config", "fail", b.conf + ":2", "nonsense")
    assert report.of("clock") and report.of("kernel"), "what needs no configuration is checked all the same"
    assert b.tool("batonctl", "doctor", "--nonsense", check=False).returncode == 64


def test_well(house):
    """A system in order: nothing fails, every check says something, a person reads one line for each."""
    hop = house.sink()
    b = house.baton(route=hop)
    report = Report(b)
    assert not [f for f in report.all if f["level"] == "fail"], report.all
    report.says("outgoing", "ok", str(hop.port), "220")
    report.says("queue", "ok", "0 recipients wait")
    report.says("resolver", "warning", "no resolver answers", "no route needs it")
    table = open(os.path.join(TOP, "cli/doctor.c")).read()
    names = [line.split('"')[1] for line in table.splitlines() if line.startswith('    {"')]
    assert len(names) >= 16 and {f["check"] for f in report.all} == set(names)
    page = open(os.path.join(TOP, "cli/batonctl.8")).read()
    assert not [n for n in names if f".It Sy {n}" not in page and f", {n}" not in page], "each is in the man page"
    text = b.tool("batonctl", "doctor", check=False)
    lines = text.stdout.decode().splitlines()
    assert len([x for x in lines if not x.startswith(" ")]) == len(report.all) and not text.stderr
    other = free_port()
    Report(b, "--connect", f"{LOCAL}:{other}").says("outgoing", "fail", str(other), "refused", "port 25")
    b.stop()
