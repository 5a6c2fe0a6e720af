"""batonctl debug: dialogues in the log for a while, without their secrets and without content."""
import base64
import json
import os
import re
import signal

from harness import wait_for
from logins import Logins
from pki import Authority
from smtp import Smtp, message
from test_auth import PASSWORD, USER, Server
from test_relay_auth import SECRET, credentials, secrets_in

LOCAL = "127.0.0.1"


def said(b, what):
    """the lines of dialogues with that client or site: (who, what) in order"""
    found = []
    for line in b.log_tail(1 << 20).splitlines():
        m = re.search(r" dialogue (client|site)=(\S+) .*?(we|they)=(.*)$", line)
        if m and f"{m.group(1)}={m.group(2)}" == what:
            found.append((m.group(3), m.group(4).strip('"')))
    return found


def rules(b):
    return [json.loads(line) for line in b.ctl("debug", "--list", "--json").splitlines()]


class _closing:
    """A client that is closed at the end."""

    def __init__(self, port):
        self.client = Smtp(port)

    def __enter__(self):
        return self.client

    def __exit__(self, *_):
        self.client.close()


def test_a_client(house):
    """Commands and replies are there, of a login only that it was one, of a message only its size."""
    s = Server(house)
    b = s.b
    s.login(port=s.plain).quit()
    assert not said(b, f"client={LOCAL}")
    b.ctl("debug", "--client", LOCAL, "--for", "5m")
    (rule,) = rules(b)
    assert (rule["what"], rule["name"]) == ("client", LOCAL) and 200 < rule["seconds"] <= 300
    assert b.wait_log(" debug state=begins what=client name=127.0.0.1", 5)

    # Every form in which a secret comes: with AUTH, behind it, and where the server doesn't want it any more.
    plain = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()
    user, word = (base64.b64encode(x.encode()).decode() for x in (USER, PASSWORD))
    with _closing(s.plain) as t:
        t.cmd("EHLO me.example.test", 250)
        t.cmd("AUTH LOGIN", 334)
        t.cmd(user, 334)
        t.cmd(base64.b64encode(b"wrong " + PASSWORD.encode()).decode(), 535)
        t.cmd(f"AUTH NTLM {plain}", 504)
        t.cmd(word, 500)
        t.cmd(f"AUTH PLAIN {plain}", 235)
        t.send("a@client.example.test", "b@other.test", message("hidden", b"the content\r\n"))
        t.cmd("QUIT", 221)
    s.sink.wait(1, 20)
    b.wait_log(r"dialogue .*\(gone\)", 10)
    lines = said(b, f"client={LOCAL}")
    they = [text for who, text in lines if who == "they"]
    for want in ("EHLO me.example.test", "AUTH LOGIN", "AUTH NTLM (login)", "AUTH PLAIN (login)", "MAIL FROM:<a@client.example.test>",
                 "RCPT TO:<b@other.test>", "DATA", "QUIT"):
        assert want in they, (want, they)
    assert sum(t.startswith("(login, ") for t in they) == 2
    assert any(t.startswith("(no command, ") for t in they)
    assert any(re.fullmatch(r"\(a message of \d+ bytes\)", t) for t in they)
    we = [text for who, text in lines if who == "we"]
    assert any(t.startswith("220 ") for t in we) and "250-PIPELINING" in we and any("queued as" in t for t in we)
    log = b.log_tail(1 << 20)
    for secret in (plain, word, user, PASSWORD, "the content", "VXNlcm5hbWU6"):
        assert secret not in log, secret

    # Off is off, at once.
    b.ctl("debug", "--off", "--client", LOCAL)
    assert not rules(b) and b.wait_log("debug state=off", 5)
    n = len(said(b, f"client={LOCAL}"))
    with _closing(b.port) as t:
        t.cmd("EHLO again.example.test", 250)
        t.cmd("QUIT", 221)
    b.stop()
    assert len(said(b, f"client={LOCAL}")) == n


def test_a_site(house):
    """By its name and by its host's; also in a worker that came later, and where the log says little else."""
    authority = Authority(house)
    hop = house.sink(tls=authority.server(LOCAL), auth=Logins(mechanisms="LOGIN"))
    config = {"text": f'route "*" {{ to = "[{LOCAL}]:{hop.port}"  auth = "good" }}', "credentials": credentials(house)}
    b = house.baton(**config)
    b.write(log_level="warn", **config)
    b.ctl("reload")
    site = f"[{LOCAL}]:{hop.port}"
    b.ctl("debug", "--site", site)
    for pid in b.pids("deliver"):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(b.pids("deliver")) == 2, 20)
    b.smtp().send("a@client.example.test", "b@other.test", message("x", b"the content\r\n"))
    hop.wait(1, 30)
    lines = wait_for(lambda: (found := said(b, f"site={site}")) and any("message of" in t for _, t in found) and found, 20)
    we = [text for who, text in lines if who == "we"]
    they = [text for who, text in lines if who == "they"]
    order = [next(i for i, t in enumerate(we) if t.startswith(w)) for w in ("EHLO", "STARTTLS", "AUTH LOGIN (login)", "MAIL FROM:<a@", "RCPT TO:<b@",
                                                                          "DATA", "(a message of ")]
    assert order == sorted(order), we
    assert any(t.startswith("220") for t in they) and any(t.startswith("250-") for t in they)
    assert "334 (login)" in they and "235 (login)" in they
    log = b.log_tail(1 << 20).encode()
    assert not secrets_in(log) and b"the content" not in log and base64.b64encode(SECRET.encode()) not in log
    assert b" delivery " not in log  # the level holds for everything else
    b.stop()


def test_ends_by_itself_and_is_bounded(house):
    b = house.baton(route=house.sink())
    b.ctl("debug", "--client", LOCAL, "--for", "1s")
    b.wait_log("debug state=ended what=client", 20)
    assert not rules(b)
    b.smtp().cmd("EHLO late.example.test", 250)
    for n in range(16):
        b.ctl("debug", "--site", f"mx{n}.example.net")
    b.ctl("debug", "--site", "MX3.example.net", "--for", "1h")  # again: another end, no further one
    assert len(rules(b)) == 16 and max(r["seconds"] for r in rules(b)) > 3500
    for words, code, why in (
            (("--site", "one.too.many"), 1, "as many"), (("--client", LOCAL, "--for", "2d"), 1, "a day"),
            (("--off", "--site", "unknown.example.net"), 1, "isn't"), ((), 64, "usage"), (("--site",), 64, "usage")):
        done = b.tool("batonctl", "debug", *words, check=False)
        assert done.returncode == code and why in done.stderr.decode(), (words, done)
    b.ctl("debug", "--off")
    assert not rules(b)
    assert not said(b, f"client={LOCAL}")
    b.stop()
