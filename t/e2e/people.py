"""Users who exist in a mount namespace of the test only: for instances that root starts."""
import os
import shutil
import subprocess

ROLES = {"smtpd": "baton-smtpd", "keeper": "baton-keeper", "qmgr": "baton-queue", "deliver": "baton-deliver",
         "dnscache": "baton-dns"}
FIRST = 64100  # uid and gid of the first role's user


class People:
    """users: {name: uid}, besides the roles' own; groups: {name: (gid, members)}."""

    def __init__(self, house, users, groups=None):
        self.house, self.users, self.groups = house, users, groups or {}
        everybody = {name: FIRST + i for i, name in enumerate(ROLES.values())} | users
        home = house.path("home")
        self._write("passwd", [f"{n}:x:{u}:{u}::{home}:/bin/sh" for n, u in everybody.items()])
        self._write("group", [f"{n}:x:{u}:" for n, u in everybody.items()]
                    + [f"{n}:x:{g}:{','.join(m)}" for n, (g, m) in self.groups.items()])
        os.makedirs(home)
        if users:
            os.chown(home, *[next(iter(users.values()))] * 2)

    def _write(self, kind, rows):
        with open(f"/etc/{kind}") as f:
            text = f.read()
        for row in rows:
            if f"\n{row.split(':')[0]}:" not in "\n" + text:
                text += row + "\n"
        with open(self.house.path(kind), "w") as f:
            f.write(text)
        os.chmod(self.house.path(kind), 0o644)

    def start(self, more=None, **config):
        """An instance that sees them; more: other files and folders that it sees in place of the host's."""
        mounts = {self.house.path(kind): f"/etc/{kind}" for kind in ("passwd", "group")} | (more or {})
        binds = " && ".join(f"mount --bind {a} {b}" for a, b in mounts.items())
        return self.house.baton(wrap=["unshare", "-m", "sh", "-c", binds + ' && exec "$@"', "sh"], **config)

    def run(self, user, b, tool, *args, stdin=b""):
        """A command of the instance's, run by one of them; the finished process."""
        programs = self.house.path("bin")
        if not os.path.isdir(programs):  # in a folder that everybody can enter
            shutil.copytree(os.path.dirname(b.program("mailq")), programs)
        uid = self.users[user]
        flag = "-c" if tool == "batonctl" else "-C"
        return subprocess.run([os.path.join(programs, tool), flag, b.conf, *args], input=stdin, env=b.env(), cwd="/",
                              capture_output=True, timeout=60, user=uid, group=uid,
                              extra_groups=[g for g, members in self.groups.values() if user in members])
