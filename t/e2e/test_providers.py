"""The ready-made files for relays: each one parses as it is, and carries mail to a host that plays the provider."""
import glob
import json
import os
import re
import subprocess

import pytest

from harness import SANITIZED, TOP
from logins import Logins
from pki import Authority
from test_relay_auth import BODY, LOCAL, credentials

FILES = sorted(glob.glob(f"{TOP}/etc/providers/*.conf"))
NAMES = ["gmail", "luxsci", "mailgun", "microsoft365", "pepipost", "sendgrid", "ses", "socketlabs"]


def name(path):
    return os.path.basename(path)[:-5]


def test_each_is_understood(house):
    """Without a note or an error, once the login is written down."""
    authority = Authority(house)
    assert [name(p) for p in FILES] == NAMES
    b = house.baton(start=False)
    path = credentials(house, "".join(f"{n} user secret\n" for n in NAMES))
    for file in FILES:
        b.write(credentials=path, text=f'deliver {{ ca = "{authority.ca}" }}\ninclude("{file}")')
        done = subprocess.run([b.program("baton"), "-n", "-c", b.conf], env=b.env(), capture_output=True, text=True)
        assert done.returncode == 0, (file, done.stderr)
        assert file not in done.stderr and "login" not in done.stderr, done.stderr
        assert re.search(rf"route \* .* to \[[a-z0-9.-]+\]:\d+", done.stdout), done.stdout


def test_each_carries_mail(house):
    """To a host of that name: a certificate for it, a login, the file's limits. Only route and port are changed."""
    authority = Authority(house)
    sinks, text, hosts = {}, [f'deliver {{ ca = "{authority.ca}" }}'], house.path("hosts")
    with open(hosts, "w") as f:
        for file in FILES:
            words = open(file).read()
            host = re.search(r'^route "\*" { to = "\[(.*)\]:\d+"', words, re.M).group(1)
            sink = sinks[name(file)] = house.sink(tls=authority.server(host), auth=Logins(mechanisms="LOGIN PLAIN"))
            f.write(f"{LOCAL} {host}\n")
            words = words.replace('route "*" {', f'route "{name(file)}" {{ domain = "{name(file)}.test" ')
            text.append(re.sub(r"\]:\d+", f"]:{sink.port}", words))
    path = credentials(house, "".join(f"{n} {Logins().user} {Logins().password}\n" for n in NAMES))
    b = house.baton(credentials=path, resolver_more=f'hosts = "{hosts}"', text="\n".join(text))
    for n in NAMES:
        b.smtp().send("a@client.example.test", f"b@{n}.test", BODY)
    for n, sink in sinks.items():
        assert sink.wait(1)[0].tls, n
        b.wait_log(rf"to=b@{n}\.test result=sent [^\n]*/verified")
    rows = {r["site"].rpartition(":")[2]: r for r in map(json.loads, b.ctl("sites", "--json").splitlines())}
    limits = {n: rows[str(s.port)]["configured"] for n, s in sinks.items()}
    assert (limits["socketlabs"], limits["microsoft365"], limits["gmail"], limits["pepipost"]) == (10, 3, 2, 20), limits
    b.stop()


@pytest.mark.skipif(SANITIZED, reason="make is the same")
def test_they_are_installed(house):
    """By make install, beside baton.conf; a file that was changed stays."""
    def install():
        subprocess.run(["make", "-s", "-C", TOP, "install-etc", f"DESTDIR={house.dir}/x"], check=True, capture_output=True)
    install()
    at = f"{house.dir}/x/etc/baton/providers"
    assert sorted(name(p) for p in glob.glob(f"{at}/*.conf")) == NAMES
    with open(f"{at}/ses.conf", "w") as f:
        f.write("# mine\n")
    install()
    assert open(f"{at}/ses.conf").read() == "# mine\n"
