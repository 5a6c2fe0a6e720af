"""The Debian package: what it holds, and in full size a life with it in a clean chroot. Root only."""
import os
import pwd
import re
import shutil
import stat
import subprocess

import pytest

from chroot import Chroot, package
from harness import SOAK, TOP, wait_for

pytestmark = pytest.mark.root
soak = pytest.mark.skipif(not SOAK or not shutil.which("debootstrap"), reason="a chroot of its own: make soak")
# A host without its own idea of the world: mail for others waits, since nobody listens there.
DEAD_ROUTE = 'route "*" { to = "[127.0.0.1]:9" }\n'


@pytest.fixture(scope="module")
def deb():
    return package()


@pytest.fixture
def root(deb):
    chroot = Chroot(deb)
    chroot.deb = chroot.copy(deb)
    yield chroot
    chroot.close()


def listing(deb):
    """{path: (mode, target of a link)}"""
    found = {}
    for line in subprocess.check_output(["dpkg-deb", "-c", deb]).decode().splitlines():
        mode, owner, _, _, _, path = line.split(None, 5)
        assert owner == "root/root", line
        path, _, target = path.partition(" -> ")
        found[path[1:]] = (mode, target)
    return found


def test_what_it_holds(deb):
    files = listing(deb)
    assert files["/usr/lib/sendmail"][1] == "../sbin/sendmail"
    assert files["/usr/sbin/sendmail"] and files["/usr/sbin/rmail"]
    for name in ("/usr/sbin/baton", "/usr/bin/batonctl", "/usr/bin/mailq", "/usr/bin/newaliases", "/etc/init.d/baton"):
        assert files[name][0] == "-rwxr-xr-x", name
    assert not [f for f, (mode, _) in files.items() if "s" in mode or "t" in mode]  # no bits of other users
    for name in ("/lib/systemd/system/baton.service", "/usr/lib/sysusers.d/baton.conf", "/usr/lib/tmpfiles.d/baton.conf",
                 "/etc/fail2ban/filter.d/baton.conf", "/usr/share/doc/baton/copyright"):
        assert files[name][0] == "-rw-r--r--", name
    # a manual page for each program that a user calls, compressed
    for name in os.listdir(os.path.join(TOP, "build/bin")) + ["baton"]:
        assert [f for f in files if re.fullmatch(rf"/usr/share/man/man[18]/{name}\.[18]\.gz", f)], name

    def control(name):
        return subprocess.check_output(["dpkg-deb", "-I", deb, name]).decode()
    assert sorted(control("conffiles").split()) == sorted(f for f, (mode, _) in files.items()
                                                          if f.startswith("/etc/") and mode[0] == "-")
    for field in ("Provides", "Conflicts", "Replaces"):
        assert f"\n{field}: mail-transport-agent\n" in control("control")
    for script in ("postinst", "prerm", "postrm"):
        subprocess.run(["sh", "-n"], input=control(script).encode(), check=True)


def test_unit_runs_what_is_installed(deb):
    files = listing(deb)
    unit = open(os.path.join(TOP, "etc/packaging/baton.service")).read()
    assert "\nType=notify\n" in unit
    for program in re.findall(r"^Exec\w+=(\S+)", unit, re.M):
        assert files[program][0].startswith("-rwx")


# -- in a chroot -----------------------------------------------------------------------------------

def mail(root, who):
    """Waits for a mailbox; its text."""
    def arrived():
        return os.path.exists(root.path(f"/var/mail/{who}")) and root.read(f"/var/mail/{who}")
    try:
        return wait_for(arrived, 30)
    except AssertionError:
        raise AssertionError(f"no mail for {who}:\n{root.log.decode()[-3000:]}")


def queued(root):
    return [line for line in root.out("batonctl queue --json").splitlines() if line]


def wait_ready(root):
    wait_for(lambda: root.run("batonctl status", check=False).returncode == 0, 30)


@soak
def test_install_mail_remove_purge(root):
    before = root.files()
    root.apt("install", root.deb)
    root.apt("install", "bsd-mailx")
    root.run("echo hi | mail -s t root")
    text = mail(root, "root")
    assert b"\nSubject: t\n" in text and b"\nhi\n" in text and text.startswith(b"From root@"), text
    st = os.stat(root.path("/var/mail/root"))
    owner = root.out("stat -c '%U:%G %a' /var/mail/root").strip()
    assert owner == "mail:mail 660" and stat.S_ISREG(st.st_mode), owner
    # a user, and root's alias
    # (newaliases(1): it is read anew within a second)
    root.run("useradd -m ann; echo 'root: ann' >>/etc/aliases; newaliases; sleep 2")
    root.run("echo to ann | mail -s u root")
    assert b"\nto ann\n" in mail(root, "ann")
    assert root.out("stat -c '%U:%G %a' /var/mail/ann").strip() == "ann:mail 660"
    # nobody else's mail, and who may what
    said = root.out("baton -n")
    assert re.search(r"listen .* 127\.0\.0\.1:25: ", said) and "relay_from          127.0.0.0/8" in said, said
    assert " 0.0.0.0" not in said
    # the second time nothing changes, and what runs is replaced
    mailname, aliases = root.read("/etc/mailname"), root.read("/etc/aliases")
    root.apt("install", "--reinstall", root.deb)
    wait_ready(root)
    assert (mailname, aliases) == (root.read("/etc/mailname"), root.read("/etc/aliases"))
    assert b"chroot.example.test" in mailname

    root.apt("purge", "bsd-mailx")
    root.apt("autoremove", "--purge")
    root.run("userdel -r ann", check=False)
    installed = root.files()
    root.apt("remove", "baton")
    left = root.files() - before
    ours = [f for f in left if "baton" in f]
    print("left after the removal:", sorted(ours))
    allowed = r"/etc/(baton(/.*)?|init\.d/baton|rc\d\.d/[SK]\d\dbaton|fail2ban/filter\.d/baton\.conf|systemd/system/.*" \
              r"baton\.service)|/var/spool/baton(/.*)?|/var/lib/systemd/deb-systemd-helper-.*"
    assert ours and not [f for f in ours if not re.fullmatch(allowed, f)], sorted(ours)
    assert "/usr/sbin/sendmail" in installed and "/usr/sbin/sendmail" not in left
    assert not root.run("pgrep -x baton", check=False).stdout
    root.apt("purge", "baton")
    left = [f for f in root.files() - before if "baton" in f]
    assert not left, left
    assert "/var/mail/root" in root.files()  # nobody's mail


@soak
@pytest.mark.parametrize("other", ["exim4-daemon-light", "postfix"])
def test_replaces_another(root, other):
    root.apt("install", other)
    assert "Exim" in root.out("sendmail -bV") if other.startswith("exim") else root.out("postconf mail_version")
    root.apt("install", root.deb)
    state = root.run(f"dpkg-query -W -f '${{db:Status-Status}}' {other}", check=False).stdout.decode()
    assert state in ("config-files", "not-installed", ""), state
    root.run("sed -i '/^root:/d' /etc/aliases; sleep 2")  # Exim's gives root's mail to somebody
    root.run("printf 'Subject: over\\n\\nhello\\n' | sendmail root")
    assert b"hello" in mail(root, "root")
    root.apt("remove", "baton")  # and back
    root.apt("install", other)
    assert root.out(f"dpkg-query -W -f '${{db:Status-Status}}' {other}") == "installed"


@soak
def test_upgrade_with_a_full_queue(root):
    n = 500
    root.put("/etc/baton/baton.conf", DEAD_ROUTE)  # the administrator's own, from before
    root.apt("install", "-o Dpkg::Options::=--force-confold", root.deb)
    assert root.read("/etc/baton/baton.conf").decode() == DEAD_ROUTE
    root.run(f"for i in $(seq {n}); do printf 'Subject: %s\\n\\nx\\n' $i | sendmail -f root u$i@far.example.test || exit 1; done")
    ids = sorted(re.search(r'"id":"([^"]*)"', line)[1] for line in queued(root))
    assert len(set(ids)) == n
    newer = root.copy(package("0.1-2"))
    root.apt("install", "-o Dpkg::Options::=--force-confold", newer)
    wait_ready(root)
    assert root.out("dpkg-query -W -f '${Version}' baton") == "0.1-2"
    assert sorted(re.search(r'"id":"([^"]*)"', line)[1] for line in queued(root)) == ids
    said = root.apt("remove", "baton")
    assert f"{n} undelivered messages" in said, said
    root.apt("install", "-o Dpkg::Options::=--force-confold", root.deb)
    wait_ready(root)
    assert sorted(re.search(r'"id":"([^"]*)"', line)[1] for line in queued(root)) == ids
    root.apt("purge", "baton")
    assert not os.path.exists(root.path("/var/spool/baton")) and not os.path.exists(root.path("/etc/baton"))


@soak
def test_mail_while_nothing_runs(root):
    """Debian starts no service in a chroot without init, unless policy-rc.d says so: mail waits for the start."""
    os.unlink(root.path("/usr/sbin/policy-rc.d"))
    root.apt("install", root.deb)
    assert root.run("batonctl status", check=False).returncode != 0
    root.run("useradd -m ann")
    root.run("printf 'Subject: early\\n\\nhello\\n' | su ann -c 'sendmail root'")
    root.run("/etc/init.d/baton start")
    text = mail(root, "root")
    assert b"\nhello\n" in text and text.startswith(b"From ann@"), text
    assert "running" in root.out("/etc/init.d/baton status")
    root.run("/etc/init.d/baton stop")
    assert root.run("/etc/init.d/baton status", check=False).returncode == 3


@soak
def test_lintian_systemd_fail2ban(root):
    root.apt("install", root.deb)
    os.unlink(root.path("/usr/sbin/policy-rc.d"))  # nothing of these is started
    root.apt("install", "lintian systemd fail2ban")
    root.run("useradd -m tester")
    done = root.run(f"su tester -c 'lintian --no-cfg --tag-display-limit 0 {root.deb}'", check=False)
    said = done.stdout.decode()
    print(said)
    assert not re.search(r"^E:", said, re.M) and done.returncode == 0, said + done.stderr.decode()
    verify = root.run("systemd-analyze verify --man=no /lib/systemd/system/baton.service", check=False)
    words = [line for line in (verify.stdout + verify.stderr).decode().splitlines() if "baton" in line]
    assert verify.returncode == 0 and not words, words
    exposure = root.run("systemd-analyze security --offline=yes --no-pager /lib/systemd/system/baton.service").stdout.decode()
    print(exposure.splitlines()[-1])
    level = float(re.search(r"Overall exposure level for baton\.service: ([\d.]+)", exposure)[1])
    assert level <= 8.5, exposure
    lines = [line for line in LOGINS.splitlines() if line]
    root.put("/tmp/lines", LOGINS)
    said = root.out("fail2ban-regex -v /tmp/lines /etc/fail2ban/filter.d/baton.conf")
    assert re.search(rf"{len(lines)} lines, 0 ignored, 2 matched", said), said


LOGINS = """
Nov 21 16:00:00 host baton[7]: smtpd/0 - login client=192.0.2.7 listener=submission tls=TLSv1.3 mechanism=PLAIN user=ann result=wrong
Nov 21 16:00:01 host baton[7]: smtpd/1 - login client=2001:db8::7 listener=submission mechanism=LOGIN user="a b" result=slowed
Nov 21 16:00:02 host baton[7]: smtpd/0 - login client=192.0.2.8 listener=submission tls=TLSv1.3 mechanism=PLAIN user=ann result=ok
Nov 21 16:00:03 host baton[7]: smtpd/0 - login client=192.0.2.9 listener=submission tls=TLSv1.3 mechanism=PLAIN user=ann result=unknown
"""
