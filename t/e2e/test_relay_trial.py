"""batonctl test-relay: each step in words, what to change, and nothing sent."""
import os
import re

import pytest

from harness import free_port, wait_for
from lmtp import Lmtp
from logins import Logins
from pki import Authority
from test_auth import PASSWORD, USER, Server
from test_relay_auth import LOCAL, credentials, secrets_in


@pytest.fixture
def trial(house):
    """trial(route's text, ..., running=, args=): (exit code, what was said), of a route "x" in front of that host."""
    def run(to, more="", text="", args=("x",), **config):
        b = house.baton(start=False)
        config.setdefault("credentials", credentials(house))
        b.write(text=f'route "x" {{ domain = "x.test"  to = {to}  {more} }}\n{text}', **config)
        done = b.tool("batonctl", "test-relay", *args, check=False)
        out = (done.stdout + done.stderr).decode()
        assert not secrets_in(out.encode()), out
        return done.returncode, out
    return run


def at(sink, scheme=""):
    return f'"{scheme}[{LOCAL}]:{sink.port}"'


def test_it_works(house, trial):
    """All steps, TLS and login included; the host sees MAIL and RCPT and no DATA."""
    authority = Authority(house)
    ca = f'deliver {{ ca = "{authority.ca}" }}'
    sink = house.sink(tls=authority.server(LOCAL), auth=Logins(mechanisms="SCRAM-SHA-256"))
    code, out = trial(at(sink), 'auth = "good"  tls = "verify"', ca, args=("x", "--from", "a@b.test", "--to", "c@d.test"))
    assert code == 0, out
    steps = re.findall(r"^  (\w+) ", out, re.M)
    assert steps == ["DNS", "address", "TCP", "greeting", "EHLO", "TLS", "EHLO", "AUTH", "MAIL", "RCPT", "works"][:10], out
    assert "/verified" in out and "RCPT       <c@d.test> would get mail; nothing was sent" in out
    wait_for(lambda: sink.commands[-1][1] == "QUIT", 10)  # sent last, and not waited for
    verbs = [line.split(" ")[0] for _, line in sink.commands]
    assert verbs[-4:] == ["MAIL", "RCPT", "RSET", "QUIT"] and "DATA" not in "".join(verbs), sink.commands
    assert ("MAIL FROM:<a@b.test>" in [line for _, line in sink.commands]) and not sink.messages
    implicit = house.sink(tls=authority.server(LOCAL), implicit=True)
    code, out = trial(at(implicit, "tls://"), 'tls = "verify"', ca)
    assert code == 0 and "/verified" in out, out


FAILURES = {
    # name: (sink, route, step, its words, the advice)
    "port": (None, "", "TCP", "Connection refused", "Is that the port"),
    "greeting": ({"refuse": {"CONNECT": "554 5.7.1 go away"}}, "", "greeting", "554 go away", "refuses this host as such"),
    "wrong login": ({"auth": {}}, 'auth = "wrong"', "AUTH", "535 login .wrong. with PLAIN: who are you", "Check user and secret of the line .wrong."),
    "no login": ({}, 'auth = "good"', "AUTH", "offers none", "It may offer one under TLS"),
    "unknown": ({"auth": {"mechanisms": "XOAUTH2"}}, 'auth = "good"', "AUTH", "XOAUTH2", "OAuth isn't spoken"),
    "missing": ({"auth": {}}, 'auth = "absent"', "AUTH", "there is no login .absent.", "Put a line .absent USER SECRET."),
    "wanted": ({"auth": {}}, "", "MAIL", "530 log in first", "It wants a login"),
    "sender": ({"refuse": {"MAIL": "550 5.7.1 not you"}}, "", "MAIL", "550 not you", "--from"),
    "rcpt": ({"refuse": {"RCPT": "550 5.7.1 no relaying"}}, "", "RCPT", "550 no relaying", "only after a login"),
    "no tls": ({}, 'tls = "required"', "TLS", "doesn't offer it", "Another port may offer it"),
    "not implicit": ({}, "tls", "TLS", "", "without tls://, and not port 465"),
}


def test_what_to_change(house, trial):
    """For each step that may fail its name, the host's words and something to do."""
    for name, (knobs, more, step, words, advice) in FAILURES.items():
        knobs = dict(knobs or {})
        if "auth" in knobs:
            knobs["auth"] = Logins(secure=False, **knobs["auth"])
        port = free_port() if FAILURES[name][0] is None else house.sink(**knobs).port
        scheme, more = ("tls://", "") if more == "tls" else ("", more)
        code, out = trial(f'"{scheme}[{LOCAL}]:{port}"', more)
        assert code == 1, (name, out)
        assert re.search(rf"^  {step} +FAILED: .*{words}", out, re.M), (name, out)
        assert re.search(advice, out), (name, out)
        assert "doesn't work" in out


def test_certificate(house, trial):
    authority = Authority(house)
    sink = house.sink(tls=authority.server("other.example.test"))
    code, out = trial(at(sink), 'tls = "verify"', f'deliver {{ ca = "{authority.ca}" }}')
    assert code == 1 and re.search(r"TLS +FAILED: .*certificate", out) and "Put the name that the certificate has" in out, out


def test_lists_and_other_routes(house, trial):
    """Every host of a list is tried; a route that isn't there is named with those that are."""
    good, bad = house.sink(), house.sink(refuse={"EHLO": "550 no"})
    code, out = trial("{ %s, %s }" % (at(good), at(bad)))
    assert code == 1 and out.count("  works") == 1 and out.count("doesn't work") == 1, out
    code, out = trial(at(good), args=())
    assert code == 1 and "name one with --to" in out, out
    code, out = trial(at(good), args=("y",))
    assert code == 1 and 'there is no route "y"; routes: "x"' in out, out
    code, out = trial(at(good), args=("--to", "c@x.test"))
    assert code == 0 and "<c@x.test> would get mail" in out, out
    code, out = trial('"discard"')
    assert code == 1 and "goes to discard: there is no host to try" in out, out
    assert trial(at(good), args=("x", "--nonsense"))[0] == 64


def test_lmtp(house, trial):
    """Over TCP and a Unix socket: LHLO, and the server's word on the recipient."""
    for server in (Lmtp(rcpt={"no": "550 5.1.1 nobody"}), Lmtp(house.path("lmtp"), rcpt={"no": "550 5.1.1 nobody"})):
        code, out = trial(f'"{server.to}"', args=("x", "--to", "yes@x.test"))
        assert code == 0 and "RCPT       <yes@x.test> would get mail" in out, out
        assert server.commands[0].startswith("LHLO "), server.commands
        code, out = trial(f'"{server.to}"', args=("x", "--to", "no@x.test"))
        assert code == 1 and "RCPT       FAILED: 550 nobody" in out, out
        assert not server.messages
    code, out = trial(f'"lmtp:unix:{house.path("absent")}"')
    assert code == 1 and "socket     FAILED:" in out and "No such file" in out, out


def test_by_mx(house):
    """The hosts of the recipient's domain, best first, until one takes mail: whom mail to him would meet."""
    good, bad = house.sink(), house.sink(refuse={"RCPT": "550 5.1.1 nobody"})
    zones = {"good.test": "@ IN MX 20 two\n@ IN MX 10 one\none IN A 127.0.0.2\ntwo IN A 127.0.0.1", "bare.test": "@ IN A 127.0.0.1",
             "null.test": "@ IN MX 0 ."}
    nsd = house.nsd(zones)
    b = house.baton(resolver=nsd, route="mx", text=f"deliver {{ port = {good.port} }}")

    def trial(to):
        done = b.tool("batonctl", "test-relay", "--to", to, check=False, timeout=90)
        return done.returncode, (done.stdout + done.stderr).decode()
    code, out = trial("c@good.test")
    assert code == 0 and out.index("one.good.test port") < out.index("TCP        FAILED") < out.index("two.good.test port"), out
    assert "DNS        127.0.0.1 (dnscache)" in out and "<c@good.test> would get mail" in out, out
    assert "Many networks let nobody connect to port 25" in out, out
    code, out = trial("c@[127.0.0.1]")
    assert code == 0 and "[127.0.0.1] port" in out and "<c@[127.0.0.1]> would get mail" in out, out
    code, out = trial("c@bare.test")
    assert code == 0 and "bare.test port" in out, out
    for to, words in (("c@null.test", "no MX hosts of null.test: nullmx"), ("c@absent.test", "no MX hosts of absent.test: "),
                      ("nobody", "no address of a recipient")):
        code, out = trial(to)
        assert code == 1 and words in out, (to, out)
    b.write(resolver=nsd, route="mx", text=f"deliver {{ port = {bad.port} }}")
    code, out = trial("c@good.test")
    assert code == 1 and "Does the recipient exist?" in out, out
    b.stop()
    code, out = trial("c@good.test")
    assert code == 1 and "only a running instance" in out, out


def test_names_are_asked_of_the_instance(house):
    """The running instance's own resolver finds the host, by its own hosts file."""
    sink, hosts = house.sink(), house.path("hosts")
    with open(hosts, "w") as f:
        f.write(f"{LOCAL} relay.example.test\n")
    b = house.baton(route=f"[relay.example.test]:{sink.port}", resolver_more=f'hosts = "{hosts}"')
    out = b.ctl("test-relay")
    assert f"DNS        {LOCAL} (dnscache)" in out, out
    b.write(route=f"[absent.example.test]:{sink.port}", resolver_more=f'hosts = "{hosts}"')
    done = b.tool("batonctl", "test-relay", check=False, timeout=90)
    assert done.returncode == 1 and b"DNS        FAILED: absent.example.test" in done.stdout, done.stdout
    b.stop()


def test_our_own_service(house):
    """Against Baton's submission, as a real server."""
    server = Server(house)
    b = house.baton(start=False)
    b.write(credentials=credentials(house, f"us {USER} {PASSWORD}\n"), text=f'''
deliver {{ ca = "{server.authority.ca}" }}
route "us" {{ domain = "*"  to = "[{LOCAL}]:{server.submission}"  auth = "us"  tls = "verify" }}
''')
    out = b.ctl("test-relay")
    assert "AUTH       logged in with the line \"us\"" in out and "works" in out, out
    assert os.listdir(server.b.spool) and not server.sink.messages
