"""Logins at next hops: every mechanism, what stands in the way of one, and that no secret gets out."""
import base64
import os
import re
import subprocess

import pytest

from dovecot import Dovecot
from harness import PEERS, SOAK, free_port, wait_for
from logins import ByDovecot, Logins
from pki import Authority
from test_auth import PASSWORD, USER, Server

BODY = b"Subject: relay\r\n\r\nx\r\n"
LOCAL = "127.0.0.1"
SECRET = Logins().password
ALL = "LOGIN PLAIN CRAM-MD5 SCRAM-SHA-256"


def credentials(house, text=f"good {Logins().user} {SECRET}\nwrong joe@example.test incorrect-horse\n", mode=0o600):
    path = house.path("credentials")
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)
    return path


def secrets_in(log):
    """What may never be there: the secrets as they are, and as AUTH says them."""
    found = []
    for secret in (SECRET, "incorrect-horse"):
        forms = [secret.encode(), base64.b64encode(secret.encode()),
                 base64.b64encode(f"\0joe@example.test\0{secret}".encode())]
        found += [form for form in forms if form in log]
    return found


def routes(rows):
    return "\n".join(f'route "{name}.test" {{ to = "{to}"  auth = "{auth}" {more} }}' for name, to, auth, more in rows)


# name: (what the host does, the login, how it is said)
GOOD = {
    "plain": ("PLAIN", {}, "PLAIN"),
    "login": ("LOGIN", {}, "LOGIN"),
    "cram": ("CRAM-MD5", {}, "CRAM-MD5"),
    "scram": ("SCRAM-SHA-256", {}, "SCRAM-SHA-256"),
    "best": (ALL, {}, "SCRAM-SHA-256"),
    "next": (ALL, {"known": "LOGIN PLAIN"}, "PLAIN"),
    "among": ("XOAUTH2 LOGIN NTLM", {}, "LOGIN"),
}


def test_mechanisms(house):
    """Each one, under TLS that the host wants before it offers any; the best of several; the next one of those
    that the host lists and doesn't have."""
    authority = Authority(house)
    sinks = {name: house.sink(tls=authority.server(LOCAL), auth=Logins(mechanisms=offer, **more))
             for name, (offer, more, _) in GOOD.items()}
    sinks["implicit"] = house.sink(tls=authority.server(LOCAL), implicit=True, auth=Logins())
    rows = [(n, f"{'tls://' if n == 'implicit' else ''}[{LOCAL}]:{s.port}", "good", 'tls = "verify"')
            for n, s in sinks.items()]
    b = house.baton(credentials=credentials(house), log_level="debug",
                    text=f'deliver {{ ca = "{authority.ca}" }}\n' + routes(rows))
    for name in sinks:
        b.smtp().send("a@client.example.test", f"b@{name}.test", BODY)
    for name, sink in sinks.items():
        assert sink.wait(1)[0].tls, name
        said = "PLAIN" if name == "implicit" else GOOD[name][2]
        assert set(sink.auth.good) == {(said, True)} and not sink.auth.bad, (name, sink.auth.good)
    assert not secrets_in(b.log)
    b.stop()


BAD = {
    # name: (login, what the host does, what is told of it)
    **{f"wrong-{m.lower()}": ("wrong", {"mechanisms": m}, rf'login \\"wrong\\" with {m}: who are you\?')
       for m in ALL.split()},
    "later": ("wrong", {"fail": "454 4.7.0 too many logins"}, r"login \\\"wrong\\\" with PLAIN: too many logins"),
    "unknown": ("good", {"mechanisms": "XOAUTH2 GSSAPI"}, r"the host offers logins with XOAUTH2 GSSAPI, and we know"),
    "none": ("good", {"mechanisms": ""}, r"a login is configured, and the host offers none"),
    "missing": ("nobody", {}, r'there is no login \\"nobody\\" in '),
    "echo": ("wrong", {"fail": "535 5.7.8 not AGpvZUBleGFtcGxlLnRlc3QAaW5jb3JyZWN0LWhvcnNl"}, r"its words repeat the secret"),
    "rounds": ("good", {"mechanisms": "SCRAM-SHA-256", "rounds": 4000000000}, r"asks for 4000000000 rounds"),
    "forged": ("good", {"mechanisms": "SCRAM-SHA-256", "forge": True}, r"login with SCRAM-SHA-256: "),
    "early": ("good", {"mechanisms": "SCRAM-SHA-256", "forge": "early"}, r"before it has shown that it knows the secret"),
}


def test_refusals(house):
    """Whatever stands in the way of a login: the site is down and says why, nothing bounces, and no secret is
    logged, also not one that the host repeats."""
    sinks = {name: house.sink(auth=Logins(secure=False, **more)) for name, (_, more, _) in BAD.items()}
    rows = [(n, f"[{LOCAL}]:{s.port}", BAD[n][0], "") for n, s in sinks.items()]
    b = house.baton(credentials=credentials(house), log_level="debug", text=routes(rows), retry='first = "60s"  max = "60s"')
    for name in sinks:
        b.smtp().send("a@client.example.test", f"b@{name}.test", BODY)
    for name, sink in sinks.items():
        want = "throttled" if name == "later" else "refused"
        b.wait_log(rf'site level=warning [^\n]*site=\[127\.0\.0\.1\]:{sink.port} state=down reason={want} words="[^\n]*'
                   + BAD[name][2].replace('\\\\\\"', '\\\\"'), 20)
        assert not sink.messages
    assert {r["address"] for m in b.queue() for r in m["recipients"]} == {f"b@{n}.test" for n in sinks}
    assert all(r["attempts"] == 0 for m in b.queue() for r in m["recipients"])
    why = b.ctl("why", "--recipient", "b@wrong-plain.test")
    assert "is down since" in why and 'login "wrong" with PLAIN: who are you?' in why, why
    assert "who are you?" in b.ctl("sites")
    assert not re.search(rb"result=(bounced|failed|deferred)", b.log)
    assert not secrets_in(b.log)
    for sink in sinks.values():  # one try an interval: a secret that is wrong isn't tried on
        assert sink.connections <= 2, sink.connections
    b.stop()


def test_a_secret_needs_tls(house):
    """Unless the route says none, or the host is this one. [::ffff:127.0.0.1] isn't known for that."""
    other = "::ffff:127.0.0.1"
    sinks = {n: house.sink(auth=Logins(secure=False)) for n in ("wanted", "explicit", "site", "here")}
    rows = [("wanted", f"[{other}]:{sinks['wanted'].port}", "good", ""),
            ("explicit", f"[{other}]:{sinks['explicit'].port}", "good", 'tls = "none"'),
            ("site", f"[{other}]:{sinks['site'].port}", "good", ""),
            ("here", f"[{LOCAL}]:{sinks['here'].port}", "good", "")]
    b = house.baton(credentials=credentials(house),
                    text=routes(rows) + f'\nsite "[{other}]:{sinks["site"].port}" {{ tls = "none" }}')
    for name in sinks:
        b.smtp().send("a@client.example.test", f"b@{name}.test", BODY)
    for name in ("explicit", "here"):
        assert not sinks[name].wait(1)[0].tls
        assert sinks[name].auth.good
    for name in ("wanted", "site"):
        b.wait_log(rf"site level=warning [^\n]*:{sinks[name].port} state=down reason=tls [^\n]*required for the login")
        assert not [line for _, line in sinks[name].commands if line.startswith("AUTH")]
    b.stop()


def test_a_login_that_is_mended(house):
    """The file is read at a reload; the mail goes by the next probe, on the same worker processes."""
    sink = house.sink(auth=Logins(secure=False))
    path = credentials(house, f"relay {Logins().user} old-secret\n")
    b = house.baton(credentials=path, text=routes([("x", f"[{LOCAL}]:{sink.port}", "relay", "")]))
    workers = b.pids("deliver")
    b.smtp().send("a@client.example.test", "b@x.test", BODY)
    b.wait_log(r"state=down reason=refused ")
    credentials(house, f"relay {Logins().user} {SECRET}\n")
    b.hup()
    sink.wait(1)
    assert b.pids("deliver") == workers
    b.stop()


def test_every_kind_of_refusal(house):
    """Greeting, EHLO, STARTTLS, AUTH, MAIL: 5xx or 4xx, the site is down, one warning a try, nothing bounces."""
    authority = Authority(house)
    cases = {(verb, code): house.sink(tls=authority.server(LOCAL) if verb == "STARTTLS" else None,
                                      refuse={verb: f"{code} we don't like you"})
             for verb in ("CONNECT", "EHLO", "STARTTLS") for code in ("554", "450")}
    cases["MAIL", "530"] = house.sink(refuse={"MAIL": "530 5.7.0 log in first"})
    names = {case: f"{case[0]}-{case[1]}".lower() for case in cases}
    b = house.baton(text="\n".join(
        f'route "{names[c]}.test" {{ to = "[{LOCAL}]:{s.port}"  tls = "{"required" if c[0] == "STARTTLS" else "none"}" }}'
        for c, s in cases.items()), retry='first = "1s"  max = "2s"')
    for case in cases:
        for n in range(3):
            b.smtp().send("a@client.example.test", f"b{n}@{names[case]}.test", BODY)
    for case, sink in cases.items():
        line = rf"level=warning [^\n]*site=\[127\.0\.0\.1\]:{sink.port} state=down reason="
        first = b.wait_log(line, 20)
        b.wait_log(line, 20, after=first.end())  # at the next probe, which fails too
        warnings = len(re.findall(line.encode(), b.log))
        assert warnings <= sink.connections, (case, warnings, sink.connections)
    assert len([r for m in b.queue() for r in m["recipients"]]) == 3 * len(cases)
    assert not re.search(rb"result=(bounced|failed)", b.log)
    b.stop()


def test_by_sender(house):
    """Route and login by the sender, on one host: connections aren't shared."""
    one, two = Logins(user="one", password="secret-1", secure=False), Logins(user="two", password="secret-2", secure=False)

    class Either:
        """Both users."""
        def __init__(self):
            self.by = {}

        def offer(self, tls):
            return ["AUTH PLAIN"]

        def talk(self, line, ask, tls):
            return next((r for r in (u.talk(line, ask, tls) for u in (one, two)) if r[0] == "2"), "535 5.7.8 no")
    sink = house.sink(auth=Either())
    to = f"[{LOCAL}]:{sink.port}"
    b = house.baton(credentials=credentials(house, "one one secret-1\ntwo two secret-2\n"), text=f'''
route "one" {{ domain = "*"  sender = "*@one.example.test"  to = "{to}"  auth = "one" }}
route "two" {{ domain = "*"  sender = "joe@two.example.test"  to = "{to}"  auth = "two" }}
route "*"   {{ to = "error:nobody else" }}
''')
    rows = [("a@one.example.test", f"b{i}@other.test", BODY) for i in range(5)] + \
           [("joe@two.example.test", f"c{i}@other.test", BODY) for i in range(5)]
    b.smtp().send_batch(rows)
    sink.wait(10)
    senders = {}
    for m in sink.messages:
        senders.setdefault(m.connection, set()).add(m.sender)
    assert all(len(s) == 1 for s in senders.values()), senders
    assert one.good and two.good
    b.smtp().send("jim@two.example.test", "d@other.test", BODY)
    b.wait_log(r"to=d@other\.test result=bounced [^\n]*nobody else")
    b.stop()


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "PLAIN", "LOGIN"] if SOAK else ["SCRAM-SHA-256"])
def test_between_two_of_us(house, mechanism):
    """Our own submission service as the peer, on 587 with STARTTLS and on 465."""
    server = Server(house, auth_mechanisms=f'{{ "{mechanism}" }}')
    b = house.baton(credentials=credentials(house, f"us {USER} {PASSWORD}\n"), text=f'''
deliver {{ ca = "{server.authority.ca}" }}
route "a.test" {{ to = "[{LOCAL}]:{server.submission}"  auth = "us"  tls = "verify" }}
route "b.test" {{ to = "tls://[{LOCAL}]:{server.submissions}"  auth = "us"  tls = "verify" }}
''')
    for domain in ("a", "b"):
        b.smtp().send("a@client.example.test", f"x@{domain}.test", BODY)
    assert {m.to[0] for m in server.sink.wait(2)} == {"x@a.test", "x@b.test"}
    server.b.wait_log(rf"login client=127.0.0.1 listener=submission tls=TLSv1.3 mechanism={mechanism} user=ann result=ok")
    server.b.wait_log(rf"login client=127.0.0.1 listener=submissions tls=TLSv1.3 mechanism={mechanism} user=ann result=ok")
    b.stop()


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_aiosmtpd(house, mechanism):
    """Another server's idea of AUTH, under STARTTLS that it wants first; with a wrong secret too."""
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import AuthResult
    authority = Authority(house)
    got, port = [], free_port()

    class Handler:
        async def handle_DATA(self, server, session, envelope):
            got.append((session.auth_data.login, envelope.rcpt_tos))
            return "250 taken"

    def authenticate(server, session, envelope, name, data):
        return AuthResult(success=name == mechanism and data.password == SECRET.encode(), auth_data=data, handled=False)
    controller = Controller(
        Handler(), hostname=LOCAL, port=port, tls_context=authority.server(LOCAL), require_starttls=True, auth_required=True,
        authenticator=authenticate, auth_exclude_mechanism=[m for m in ("PLAIN", "LOGIN") if m != mechanism])
    controller.start()
    try:
        b = house.baton(credentials=credentials(house), text=f'deliver {{ ca = "{authority.ca}" }}\n' + routes(
            [("good", f"[{LOCAL}]:{port}", "good", 'tls = "verify"'), ("wrong", f"[{LOCAL}]:{port}", "wrong", "")]))
        b.smtp().send("a@client.example.test", "x@good.test", BODY)
        wait_for(lambda: got, 20)
        assert got == [(Logins().user.encode(), ["x@good.test"])]
        b.smtp().send("a@client.example.test", "x@wrong.test", BODY)
        b.wait_log(rf'login \\"wrong\\" with {mechanism}: ', 20)
        assert len(got) == 1
        b.stop()
    finally:
        controller.stop()


@pytest.mark.skipif(not os.path.exists(f"{PEERS}/doveconf"), reason="no Dovecot")
def test_dovecot_checks_it(house):
    """Dovecot's idea of all four mechanisms, with the right secret and a wrong one."""
    dovecot = house.keep(Dovecot(house, {Logins().user: SECRET}, mechanisms="plain login cram-md5 scram-sha-256"))
    sinks = {(m, login): house.sink(auth=ByDovecot(dovecot, m)) for m in ALL.split() for login in ("good", "wrong")}
    b = house.baton(credentials=credentials(house), text=routes(
        [(f"{login}-{m.lower()}", f"[{LOCAL}]:{s.port}", login, "") for (m, login), s in sinks.items()]))
    for mechanism, login in sinks:
        b.smtp().send("a@client.example.test", f"x@{login}-{mechanism.lower()}.test", BODY)
    for (mechanism, login), sink in sinks.items():
        if login == "good":
            sink.wait(1)
            assert set(sink.auth.good) == {(mechanism, False)} and not sink.auth.bad
        else:
            b.wait_log(rf'login \\"wrong\\" with {mechanism}: says Dovecot', 20)
            assert not sink.auth.good and not sink.messages
    b.stop()


def test_config_is_checked(house):
    """The mode of the file and its lines are errors, a login that isn't there is a note."""
    path = credentials(house)
    b = house.baton(start=False)
    route = f'credentials = "{path}"\nroute "*" {{ to = "[mail.example.test]:587"\nauth = "good" }}'

    def check(text, words, code):
        b.write(text=text)
        done = subprocess.run([b.program("baton"), "-n", "-c", b.conf], env=b.env(), capture_output=True, text=True)
        assert (done.returncode == 0) == (code == 0), done.stderr
        assert not words or re.search(words, done.stderr), done.stderr
        return done
    check(route, None, 0)
    check(route.replace("good", "absent"), rf'{b.conf}:\d+: note: route "\*": there is no login "absent" in {path}', 0)
    os.chmod(path, 0o640)
    check(route, rf"{b.conf}:\d+: {path} is open to others \(mode 0640\): chmod 600 {path}", 1)
    check(route.replace('auth = "good"', ""), None, 0)  # nobody logs in
    credentials(house, "good joe\n")
    check(route, rf'{path}:1: not "name user secret"', 1)
    os.unlink(path)
    check(route, r'note: route "\*": there is no login "good"', 0)
