"""README, the quick starts and the guide for movers: each file in them is understood, each command runs."""
import os
import re
import subprocess

import pytest

from harness import TOP, free_port, wait_for
from logins import Logins
from pki import Authority
from smtp import Smtp, message
from test_relay_auth import credentials


def read(name):
    with open(f"{TOP}/{name}") as f:
        return f.read()


def fenced(text, kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.M | re.S)


STARTS = {part.split("\n")[0]: part for part in re.split(r"(?m)^## ", read("etc/doc/quick-starts.md"))[1:]}


class Host:
    """What a configuration of the documents names, played: next hop, names, certificate, files, free ports."""

    def __init__(self, house, login=False):
        self.house, self.authority = house, Authority(house)
        context = self.authority.server("smtp.provider.example", "mail.example.org")
        self.sink = house.sink(tls=context, auth=Logins(user="USER", password="SECRET") if login else None)
        self.resolver = house.liar()
        self.pair = self.authority.issue("mx.example.org", "relay.example.org")
        self.login = credentials(house, "provider USER SECRET\n")

    def text(self, conf, b):
        """The document's text with ports, addresses and files of this test's, and nothing else changed."""
        conf = re.sub(r'"(0\.0\.0\.0|\[::\]|127\.0\.0\.1):\d+"', lambda m: f'"127.0.0.1:{free_port()}"', conf)
        conf = re.sub(r'(to = "\[[a-z.]+\]):\d+"', rf'\1:{self.sink.port}"', conf)
        conf = conf.replace("/etc/baton/cert.pem", self.pair[0]).replace("/etc/baton/key.pem", self.pair[1])
        conf = re.sub(r'(?m)^users +=.*', "", conf).replace("maildir:~/Maildir", f"maildir:{b.mail}/%u")
        own = {"spool": b.spool, "runtime": b.runtime, "credentials": self.login, "sites": "", "log": "stderr",
               "users": f"{b.dir}/users", "aliases": f"{b.dir}/aliases"}
        if "listen" not in conf:
            conf += f'\nlisten "any" {{ address = "127.0.0.1:{b.port}" }}\n'
        if "mailbox" not in conf:
            own["mailbox"] = f"maildir:{b.mail}/%u"
        return "".join(f'{k} = "{v}"\n' for k, v in own.items()) + f"""{conf}
            spool_min_free = "1M"
            deliver {{ port = {self.sink.port}  ipv6 = false  ca = "{self.authority.ca}" }}
            resolver {{ servers = {{ "127.0.0.1:{self.resolver.port}" }}  hosts = "" }}
        """

    def start(self, conf):
        b = self.house.baton(start=False)
        with open(f"{b.dir}/users", "w"):
            pass
        return b.write(raw=self.text(conf, b)).start()


def read_file(path):
    with open(path) as f:
        return f.read()


def check(b, text):
    """baton -n on it."""
    with open(b.conf, "w") as f:
        f.write(text)
    return subprocess.run([b.program("baton"), "-n", "-c", b.conf], env=b.env(), capture_output=True, text=True)


def shell(b, line):
    """As somebody types it."""
    env = b.env()
    env["PATH"] = f"{b.build}/bin:{b.build}/sbin:{env['PATH']}"
    line = re.sub(r"^baton -n$", f"baton -n -c {b.conf}", line)
    return subprocess.run(["sh", "-c", line], env=env, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("name", STARTS)
def test_a_quick_start(house, name):
    """Each of its files starts; with the last one running every command does what it says."""
    host, part = Host(house, "provider" in name), STARTS[name]
    files, commands = fenced(part, "conf"), "".join(fenced(part, "sh")).splitlines()
    assert files and commands, part
    for conf in files[:-1]:
        host.start(conf).stop()
    b = host.start(files[-1])
    for line in ["baton -n", *commands]:
        done = shell(b, line)
        assert done.returncode == 0 or "nothing in the queue matches" in done.stderr, (line, done.stdout, done.stderr)
        assert "usage" not in done.stderr, (line, done.stderr)
    if name == "Null client":
        host.sink.wait(1, 20)
        assert host.sink.messages[0].to == ["postmaster@example.org"], host.sink.messages
    b.stop()


def commands_of_readme():
    """Lines of README that begin with a program of ours, alternatives taken apart."""
    found = []
    for line in re.findall(r"(?m)^    ((?:batonctl|mailq|baton -[cn]) [^\n]*|mailq)$", read("README") + "\n"):
        line = re.split(r"\s{2,}", line)[0].replace("`", "")
        program, _, rest = line.partition(" ")
        verbs, _, last = rest.rpartition(" | ")
        words = [w for w in verbs.split(" | ") if w] + [last]
        tail = "" if len(words) == 1 else " ".join(words[-1].split(" ")[1:])
        for w in words[:-1]:
            found.append(f"{program} {w} {tail}".strip())
        found.append(f"{program} {words[-1]}".strip())
    return found


def test_readme(house):
    """Its configurations are understood; each command runs, and answers as one that was understood."""
    host = Host(house)
    b = host.start('hostname = "relay.example.org"\nlocal_domains = { "localhost" }\n'
                   'route "*" { to = "[127.0.0.1]:9" }\nretry { first = "1h" }\n')
    port = int(re.search(r"127\.0\.0\.1:(\d+)", read_file(b.conf)).group(1))
    qid = Smtp(port).send("a@client.example.test", "b@other.test", message("stays")).split()[-1]
    wait_for(lambda: b"other.test" in b.tool("mailq").stdout, 20)
    commands = commands_of_readme()
    assert len(commands) >= 12, commands
    for command in commands:
        line = command.replace("FILTER", "--domain none.test").replace("SITE", "gmail.com").replace("-c FILE", f"-c {b.conf}")
        line = re.sub(r"\bID\b", str(qid), line).replace("ADDRESS", "b@other.test")
        line = re.sub(r" top$", " top --once", line)
        done = shell(b, f"timeout 20 {line}" if not line.startswith("baton -c") else "true")
        found = (0, 1, 2) if "doctor" in line else (0, 1)
        assert done.returncode in found and "usage" not in (done.stderr + done.stdout).lower(), (line, done)
        assert "no verb" not in done.stderr, (line, done.stderr)
    b.stop()
    configurations = [p for p in re.findall(r"(?m)(?:^    (?!make)[a-z_]+ .*[=}].*\n)+", read("README"))]
    assert len(configurations) >= 2, configurations
    for conf in configurations:
        done = check(b, host.text(conf, b))
        assert done.returncode == 0, (conf, done.stderr)


def options():
    """section.name and bare name of each option there is."""
    rows = re.findall(r"(?m)^OPT\((\w+), *\w+, *(\w+),", read("lib/conf.def"))
    return {name if section == "ROOT" else f"{section.lower()}.{name}" for section, name in rows}


def test_moving(house):
    """What the guide calls an option is one, and each piece of a file in it is understood."""
    known, text = options(), read("etc/doc/moving.md")
    sections = {o.split(".")[0] for o in known if "." in o}
    host, b = Host(house), house.baton(start=False)
    with open(f"{b.dir}/users", "w"):
        pass
    rows = [r.strip("|").split("|")[-1] for r in text.splitlines() if r.startswith("| ") and "---" not in r]
    assert len(rows) > 100
    usage = b.tool("batonctl", "--help", check=False)
    verbs = set(re.findall(r"(?m)^  (\S+)", (usage.stdout + usage.stderr).decode()))
    tried = 0
    for cell in rows:
        for code in re.findall(r"`([^`]+)`", cell):
            if code.startswith("batonctl "):
                assert code.split()[1] in verbs, cell
            elif re.fullmatch(r"[a-z]+\.[a-z_]+|[a-z]+_[a-z_]+", code):
                assert code in known or code.split(".")[0] not in sections and "_" not in code or \
                    f"policy.{code}" in known, (cell, code)
            elif re.match(r'[a-z]+( "[^"]*")? \{.*\}$|[a-z]+ = "', code) and "..." not in code:
                done = check(b, host.text(code.replace("lmtp:unix:/path", "lmtp:unix:/run/x") + "\n", b))
                assert done.returncode == 0, (code, done.stderr)
                tried += 1
    assert tried > 10
