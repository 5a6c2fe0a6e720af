"""Programs of others hand mail to sendmail, each as Debian packs it: what they pass is taken, what they mean arrives.

cron and atd run as root, in a mount namespace in which /usr/sbin/sendmail is ours.
"""
import glob
import os
import re
import shutil
import subprocess

import pytest

from harness import HOST, PEERS, House, wait_for
from test_bytes import local_user
from test_privsep import as_root  # noqa: F401

UNPACKED = os.path.dirname(PEERS)
ME, TO = "me@client.example.test", "b@other.test"
PATCH = """From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001
From: Some Body <me@client.example.test>
Date: Sat, 21 Nov 2026 10:00:00 +0000
Subject: [PATCH] git send-email

Words.
---
 x | 1 +
 1 file changed, 1 insertion(+)

diff --git a/x b/x
--- a/x
+++ b/x
@@ -0,0 +1 @@
+.
"""


def peer(name):
    path = os.path.join(PEERS, name)
    if not os.path.exists(path):
        pytest.skip(f"no {name} in build/peers: t/setup/peers brings it")
    return path


class Callers:
    """One instance, its next hop, and a sendmail that finds it without options."""

    def __init__(self, house):
        self.house, self.hop = house, house.sink()
        self.b = house.baton(route=self.hop)
        self.home = house.path("home")
        os.makedirs(self.home)
        self.sendmail = write_sendmail(house.path("sbin"), self.b)

    def write(self, name, text):
        path = os.path.join(self.home, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def run(self, *argv, text="", **env):
        """The one message that comes of a command."""
        before = len(self.hop.messages)
        env = dict({k: v for k, v in self.b.env().items() if k != "BATON_CONF"}, HOME=self.home, LC_ALL="C.UTF-8", **env)
        done = subprocess.run(argv, input=text.encode(), capture_output=True, timeout=60, env=env, cwd=self.home)
        assert done.returncode == 0, (done.stdout, done.stderr)
        return self.hop.wait(before + 1, 20)[before]


def write_sendmail(folder, b):
    """A folder that can stand for /usr/sbin."""
    os.makedirs(folder)
    path = os.path.join(folder, "sendmail")
    with open(path, "w") as f:
        f.write(f'#!/bin/sh\nASAN_OPTIONS="{b.env()["ASAN_OPTIONS"]}" exec {b.program("sendmail")} -C {b.conf} "$@"\n')
    os.chmod(path, 0o755)
    return path


@pytest.fixture(scope="module")
def callers():
    house = House()
    try:
        c = Callers(house)
        yield c
        c.b.stop()
    finally:
        house.close()


def has(m, subject, line):
    assert re.search(rb"(?m)^Subject: .*" + subject, m.raw), m.raw
    assert line in m.raw.split(b"\r\n"), m.raw


def test_s_nail(callers):
    m = callers.run("s-nail", "-:/", "-S", f"mta={callers.sendmail}", "-S", "sendwait", "-r", ME, "-s", "s-nail", "-b",
                    "hidden@other.test", TO, text="one\n.\ntwo\n")
    has(m, b"s-nail", b"one")
    assert sorted(m.to) == [TO, "hidden@other.test"] and b"hidden" not in m.raw and m.sender == ME
    assert b"\r\n.\r\ntwo" in m.raw or b"\r\n..\r\ntwo" in m.raw, "the dot is text"


def test_bsd_mailx(callers):
    rc = callers.write("mailrc", f"set sendmail={callers.sendmail}\nset sendwait\n")
    m = callers.run(peer("bsd-mailx"), "-n", "-s", "bsd-mailx", "-b", "hidden@other.test", TO, text="one\n", MAILRC=rc)
    has(m, b"bsd-mailx", b"one")
    assert sorted(m.to) == [TO, "hidden@other.test"] and b"hidden" not in m.raw
    assert m.sender == f"{local_user()}@{HOST}"


def test_mutt(callers):
    rc = callers.write("muttrc", f'set sendmail="{callers.sendmail} -oem -oi"\nset from="{ME}" use_envelope_from=yes\n'
                       'set record="" copy=no hostname=client.example.test charset=utf-8 send_charset=utf-8\n')
    m = callers.run("mutt", "-n", "-F", rc, "-s", "mutt", "-b", "hidden@other.test", "--", TO, text="caf\u00e9\n")
    has(m, b"mutt", "caf\u00e9".encode())
    assert sorted(m.to) == [TO, "hidden@other.test"] and b"hidden" not in m.raw and m.sender == ME


def test_git_send_email(callers):
    script = os.path.join(UNPACKED, "usr/lib/git-core/git-send-email")
    if not os.path.exists(script):
        pytest.skip("no git-email in build/peers: t/setup/peers brings it")
    patch = callers.write("0001.patch", PATCH)
    m = callers.run(script, "--to", TO, "--bcc", "hidden@other.test", "--confirm=never", "--suppress-cc=all", "--quiet",
                    "--smtp-server", callers.sendmail, "--envelope-sender", ME, patch,
                    PERL5LIB=os.path.join(UNPACKED, "usr/share/perl5"), GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_GLOBAL="/dev/null",
                    GIT_AUTHOR_NAME="Some Body", GIT_AUTHOR_EMAIL=ME, GIT_COMMITTER_NAME="Some Body", GIT_COMMITTER_EMAIL=ME)
    has(m, b"git send-email", b"+.")
    assert sorted(m.to) == [TO, "hidden@other.test"] and b"hidden" not in m.raw and m.sender == ME


def test_php_mail(callers):
    """With PHP's own default behind the path, "-t -i", and a sender as its fifth argument."""
    php = sorted(os.path.basename(p) for p in glob.glob(os.path.join(PEERS, "php[0-9]*"))) or ["php"]
    code = f'exit(mail("{TO}", "php", "one\\n.\\ntwo", "From: Some Body <{ME}>\\r\\nBcc: hidden@other.test", "-f{ME}") ? 0 : 1);'
    m = callers.run(peer(php[-1]), "-n", "-d", f"sendmail_path={callers.sendmail} -t -i", "-r", code)
    has(m, b"php", b"two")
    assert sorted(m.to) == [TO, "hidden@other.test"] and b"hidden" not in m.raw and m.sender == ME


def test_nmh(callers):
    """nmh's post speaks SMTP with `sendmail -bs`. It finds its settings in /etc only: so in another /etc."""
    post = os.path.join(UNPACKED, "usr/lib/mh/post")
    if not os.path.exists(post):
        pytest.skip("no nmh in build/peers: t/setup/peers brings it")
    etc = callers.house.path("etc")
    os.makedirs(etc)
    for name in ("passwd", "group", "nsswitch.conf", "hosts"):
        shutil.copy(os.path.join("/etc", name), etc)
    shutil.copytree(os.path.join(UNPACKED, "etc/nmh"), os.path.join(etc, "nmh"))
    draft = callers.write("draft", f"From: {ME}\nTo: {TO}\nBcc: hidden@other.test\nSubject: nmh\n\none\n.\n")
    callers.write(".mh_profile", "Path: Mail\n")
    libraries = ":".join(glob.glob(os.path.join(UNPACKED, "usr/lib/*-linux-gnu")))
    before = len(callers.hop.messages)
    m = callers.run("unshare", "-m", *([] if os.getuid() == 0 else ["--map-current-user", "--keep-caps"]), "sh", "-c",
                    f'mount --bind "{etc}" /etc && LD_LIBRARY_PATH="{libraries}" exec "$@"', "sh",
                    post, "-nofilter", "-mts", "sendmail/smtp", "-sendmail", callers.sendmail, draft)
    has(m, b"nmh", b"one")
    got = wait_for(lambda: len(callers.hop.messages) > before and {to for m in callers.hop.messages[before:] for to in m.to}, 10)
    wait_for(lambda: {to for m in callers.hop.messages[before:] for to in m.to} == {TO, "hidden@other.test"}, 10)
    assert got and b"hidden" not in m.raw


# -- as root -------------------------------------------------------------------------------------------------------------


def system(house, b, script):
    """Runs a script of the shell where /usr/sbin holds our sendmail and the spools of cron and at are empty."""
    sbin = house.path("sbin")
    write_sendmail(sbin, b)
    return subprocess.run(
        ["unshare", "-m", "sh", "-ec", f"""
mount --bind {sbin} /usr/sbin
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/spool
mkdir -p /var/spool/cron/crontabs /var/spool/cron/atjobs /var/spool/cron/atspool
: >/var/spool/cron/atjobs/.SEQ
chown -R daemon:daemon /var/spool/cron/atjobs /var/spool/cron/atspool
chmod 1770 /var/spool/cron/atjobs /var/spool/cron/atspool
{script}"""], capture_output=True, timeout=60)


@pytest.mark.root
def test_cron(as_root, house):
    """The output of a user's job; MAILTO leads elsewhere, without it the user gets it."""
    cron = peer("cron")
    hop = house.sink()
    b = as_root(route=hop, mailbox=f"maildir:{house.path('mail')}/%u")
    os.makedirs(house.path("mail"), exist_ok=True)
    os.chmod(house.path("mail"), 0o1777)
    done = system(house, b, f"""
printf 'MAILTO={TO}\\n@reboot echo of cron\\n' >/var/spool/cron/crontabs/root
printf '@reboot echo of the user\\n' >/var/spool/cron/crontabs/nobody
chown nobody /var/spool/cron/crontabs/nobody
chmod 600 /var/spool/cron/crontabs/*
timeout 3 {cron} -f || true""")
    m = hop.wait(1, 20)[0]
    assert m.to == [TO] and m.raw.endswith(b"\r\nof cron\r\n"), (m.raw, done.stderr)
    assert re.search(rb"(?m)^Subject: Cron <root@", m.raw) and m.sender == f"root@{HOST}"
    new = house.path("mail/nobody/new")
    (name,) = wait_for(lambda: os.path.isdir(new) and os.listdir(new), 20)
    with open(os.path.join(new, name), "rb") as f:
        text = f.read()
    assert b"of the user" in text and re.search(rb"\(uid 65534\)", text), text
    b.stop()


@pytest.mark.root
def test_at(as_root, house):
    """The output of a job goes to its user: here root, whose alias leads elsewhere."""
    at, atd = peer("at"), peer("atd")
    hop = house.sink()
    b = as_root(route=hop, aliases=f"root: {TO}\n")
    done = system(house, b, f"""
echo 'echo of at' | {at} now
{atd} -s
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	ls /var/spool/cron/atspool | grep -q . || break
	sleep 0.1
done
sleep 0.5""")
    try:
        m = hop.wait(1, 20)[0]
    except AssertionError:
        raise AssertionError((done.stdout, done.stderr, b.log_tail()))
    assert m.to == [TO] and m.raw.endswith(b"\r\nof at\r\n"), (m.raw, done.stderr)
    assert re.search(rb"(?m)^Subject: Output from your job", m.raw)
    b.stop()
