"""As root each role runs under its own user. The users exist only in a mount namespace of the test."""
import grp
import os
import pwd
import re
import socket

import pytest

from harness import HOST, children, free_port, wait_for
from people import FIRST, People, ROLES as USERS

MAIL_USER, MAIL_UID = "baton-test", 64200

pytestmark = pytest.mark.root


def status(pid, field):
    with open(f"/proc/{pid}/status") as f:
        return re.search(rf"(?m)^{field}:[ \t]*(.*)$", f.read()).group(1).strip()


@pytest.fixture
def as_root(house):
    """A function that starts an instance which sees an /etc/passwd with Baton's users."""
    return People(house, {MAIL_USER: MAIL_UID, "baton-zero": 0}).start


def test_each_role_has_its_user(as_root):
    b = as_root()
    uids = {}
    for i, (role, name) in enumerate(USERS.items()):
        for pid in b.pids(role):
            got = set(status(pid, "Uid").split())
            assert got == {str(FIRST + i)}, f"{role} runs as {got}, not as {name}"
            assert set(status(pid, "Gid").split()) == {str(FIRST + i)}
            assert status(pid, "Groups") in ("", str(FIRST + i))
            assert int(status(pid, "CapEff"), 16) == 0 and int(status(pid, "CapPrm"), 16) == 0
            assert status(pid, "Seccomp") == "2", f"{role} has no filter"
            assert status(pid, "NoNewPrivs") == "1"
            uids[role] = got.pop()
    assert len(set(uids.values())) == len(USERS)
    b.stop()


def test_the_network_roles_see_an_empty_root(as_root):
    b = as_root()
    for role in ("smtpd", "deliver", "dnscache"):
        for pid in b.pids(role):
            assert os.listdir(f"/proc/{pid}/root/") == [], role
    b.stop()


def test_figures_come_out_of_the_empty_root(as_root):
    """The worker that serves them was given the board before it was locked in; batonctl reads the same."""
    port = free_port()
    b = as_root(text=f'metrics {{ address = "127.0.0.1:{port}" }}')
    with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
        s.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        got = b""
        while chunk := s.recv(65536):
            got += chunk
    assert got.startswith(b"HTTP/1.1 200 OK\r\n") and b'\nbaton_processes{role="smtpd"} 2\n' in got
    assert "nothing is wrong" in b.ctl("status")
    b.stop()


def test_mail_goes_through(as_root, house):
    hop = house.sink()
    b = as_root(route=hop)
    b.smtp().send("a@client.example.test", "b@other.test", b"Subject: root\r\n\r\nx\r\n")
    hop.wait(1)
    b.tool("sendmail", "-i", "-f", "a@client.example.test", "c@other.test", stdin=b"Subject: root\n\nx\n")
    hop.wait(2)
    b.stop()


def test_local_mail_is_written_by_its_owner(as_root, house):
    b = as_root(mailbox="maildir:~/Maildir")
    b.smtp().send("a@client.example.test", f"{MAIL_USER}@{HOST}", b"Subject: own\r\n\r\nx\r\n")
    new = house.path("home/Maildir/new")
    wait_for(lambda: os.path.isdir(new) and os.listdir(new), 15)
    for folder, _, files in os.walk(house.path("home/Maildir")):
        for name in [folder, *(os.path.join(folder, n) for n in files)]:
            st = os.stat(name)
            assert st.st_uid == MAIL_UID and not st.st_mode & 0o077, name
    b.stop()


def test_var_mail(as_root, house):
    """An mbox there is its user's, with group mail's help; root's is the user mail's, never a root process's."""
    folder = house.path("var-mail")
    os.mkdir(folder)
    mail = pwd.getpwnam("mail").pw_uid, grp.getgrnam("mail").gr_gid
    os.chown(folder, 0, mail[1])
    os.chmod(folder, 0o2775)
    b = as_root(more={folder: "/var/mail"}, mailbox="mbox:/var/mail/%u")
    for user, uid in ((MAIL_USER, MAIL_UID), ("root", mail[0])):
        b.smtp().send("a@client.example.test", f"{user}@{HOST}", b"Subject: mine\r\n\r\nx\r\n")
        path = os.path.join(folder, user)
        wait_for(lambda: os.path.exists(path) and b"Subject: mine" in open(path, "rb").read(), 15)
        st = os.stat(path)
        assert (st.st_uid, st.st_gid) == (uid, mail[1]), user
        assert not st.st_mode & 0o007, oct(st.st_mode)
    b.stop()


def test_the_spool_is_closed_to_others(as_root):
    b = as_root()
    for folder in (b.spool,):
        assert not os.stat(folder).st_mode & 0o006, oct(os.stat(folder).st_mode)
    b.stop()


def test_a_killed_role_comes_back_without_privilege(as_root):
    b = as_root()
    dead = b.kill("smtpd")
    for pid in b.replaced("smtpd", dead):
        wait_for(lambda: status(pid, "Seccomp") == "2", 3)
        assert status(pid, "Uid").split()[0] == str(FIRST)
    assert children(b.master)
    b.stop()


def written(path):
    """The text of a file that a command writes, once it is whole."""
    return wait_for(lambda: os.path.exists(path) and open(path).read().endswith("end\n") and open(path).read(), 20)


def test_a_command_of_an_alias_runs_as_alias_user(as_root, house):
    """With that user's groups only, no descriptor but three, and nothing of the spool to be seen."""
    out = house.path("home/out")
    b = as_root(alias_user=MAIL_USER, aliases=f'run: "|(id -u; id -G; ls /proc/self/fd; ls -d /proc/$$/cwd/*; echo end) > {out}"\n')
    b.smtp().send("a@client.example.test", f"run@{HOST}", b"Subject: run\r\n\r\nx\r\n")
    lines = written(out).split("\n")
    assert lines[:2] == [str(MAIL_UID), str(MAIL_UID)], lines
    # three of its own, and the one that ls has of the folder
    assert lines[2:6] == ["0", "1", "2", "3"] and lines[6].endswith("/cwd/out"), lines
    b.stop()


def test_alias_user_is_not_root(as_root, house):
    b = as_root(alias_user="root", aliases=f'run: "|touch {house.path("never")}"\n')
    b.smtp().send("a@client.example.test", f"run@{HOST}", b"Subject: run\r\n\r\nx\r\n")
    b.wait_log(r'result=deferred .*dsn=4\.3\.5 reply="root runs no commands')
    assert not os.path.exists(house.path("never"))
    b.stop()


def forward(house, text, owner=MAIL_UID):
    path = house.path("home/.forward")
    with open(path + ".new", "w") as f:
        f.write(text)
    os.chown(path + ".new", owner, owner)
    os.rename(path + ".new", path)


def test_a_forward_runs_without_group_mail(as_root, house):
    """Though the mailbox in /var/mail is written with it, when the user keeps a copy."""
    folder = house.path("var-mail")
    os.mkdir(folder)
    mail = grp.getgrnam("mail").gr_gid
    os.chown(folder, 0, mail)
    os.chmod(folder, 0o2770)
    out = house.path("home/out")
    os.chmod(house.path("home"), 0o700)
    forward(house, f'\\{MAIL_USER}, "|(id -u; id -G; ls /var/mail 2>&1; echo end) > {out}"\n')
    b = as_root(more={folder: "/var/mail"}, mailbox="mbox:/var/mail/%u")
    b.smtp().send("a@client.example.test", f"{MAIL_USER}@{HOST}", b"Subject: mine\r\n\r\nx\r\n")
    lines = written(out).split("\n")
    assert lines[:2] == [str(MAIL_UID), str(MAIL_UID)] and "Permission denied" in lines[2], lines
    box = os.path.join(folder, MAIL_USER)
    wait_for(lambda: os.path.exists(box) and b"Subject: mine" in open(box, "rb").read(), 15)
    assert os.stat(box).st_gid == mail
    b.wait_empty()
    b.stop()


def test_a_forward_of_another_user_does_not_count(as_root, house):
    forward(house, f"|touch {house.path('home')}/never\n", owner=FIRST)
    os.chmod(house.path("home"), 0o1777)
    b = as_root(mailbox="maildir:~/Maildir")
    b.smtp().send("a@client.example.test", f"{MAIL_USER}@{HOST}", b"Subject: own\r\n\r\nx\r\n")
    new = house.path("home/Maildir/new")
    wait_for(lambda: os.path.isdir(new) and os.listdir(new), 15)
    b.wait_log(r"\.forward ignored: it is another user's")
    assert not os.path.exists(house.path("home/never"))
    b.stop()


def test_hosted_mailboxes_are_their_users(as_root, house):
    """A hosted domain's mail is delivered by its one user, never by root; keeper's map is keeper's."""
    top, names = house.path("vmail"), house.path("vusers")
    os.makedirs(top)
    os.chown(top, MAIL_UID, MAIL_UID)
    with open(names, "w") as f:
        f.write("joe\n")
    os.chmod(names, 0o644)
    os.chmod(house.path("vmail"), 0o711)
    block = 'virtual "%s" {{ mailbox = "maildir:{0}/%%d/%%n"  users = "{1}"  user = "%s" }}\n'.format(top, names)
    b = as_root(text=block % ("v.test", MAIL_USER) + block % ("r.test", "baton-zero"), aliases="joe@x.test: joe\n")
    maps = os.stat(os.path.join(b.spool, "maps"))
    assert maps.st_mode & 0o777 == 0o700 and maps.st_uid == FIRST + list(USERS).index("keeper")
    assert os.path.exists(os.path.join(b.spool, "maps", "aliases.map"))
    b.smtp().send("a@x.test", "joe@v.test", b"Subject: x\r\n\r\nx\r\n")
    b.wait_log(r"to=joe@v.test .*result=sent")
    for name in ("v.test", "v.test/joe", "v.test/joe/new"):
        st = os.stat(os.path.join(top, name))
        assert st.st_uid == MAIL_UID and st.st_mode & 0o777 == 0o700
    b.smtp().send("a@x.test", "joe@r.test", b"Subject: x\r\n\r\nx\r\n")
    b.wait_log(r"to=joe@r.test .*result=deferred .*never root's")
    b.stop()
