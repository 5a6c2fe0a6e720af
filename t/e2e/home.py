"""A home of the account that runs the tests, seen only by what is started through `wrap`: no root needed."""
import os
import pwd
import subprocess

from harness import _with_us, wait_for


class Home:
    """Another /etc/passwd in a mount namespace of one's own, which says that the home is `path`."""

    def __init__(self, house):
        who = pwd.getpwuid(os.getuid() or 65534)
        self.user, self.path = who.pw_name, house.path("home")
        os.makedirs(self.path, 0o700, exist_ok=True)
        with open("/etc/passwd") as f:
            rows = [row for row in f if row.split(":")[0] != who.pw_name]
        with open(house.path("passwd"), "w") as f:
            f.write(f"{who.pw_name}:x:{who.pw_uid}:{who.pw_gid}::{self.path}:/bin/sh\n" + "".join(rows))
        os.chmod(house.path("passwd"), 0o644)
        self.proc = subprocess.Popen(
            ["unshare", "-m", "--map-current-user", "--keep-caps", "sh", "-c",
             'mount --bind "$1" /etc/passwd && echo up && exec sleep 100000', "sh", house.path("passwd")],
            stdout=subprocess.PIPE, preexec_fn=_with_us)
        assert self.proc.stdout.readline() == b"up\n", "no mount in a namespace of our own"
        self.wrap = ["nsenter", "-t", str(self.proc.pid), "-m", "-U", "--preserve-credentials"]
        house.keep(self)

    def write(self, name, text, mode=0o600):
        path = os.path.join(self.path, name)
        with open(path + ".new", "w") as f:
            f.write(text)
        os.chmod(path + ".new", mode)
        os.rename(path + ".new", path)
        return path

    def read(self, name):
        """The bytes of a file there, None where there is none yet."""
        path = os.path.join(self.path, name)
        if not os.path.exists(path):
            return None
        with open(path, "rb") as f:
            return f.read()

    def close(self):
        self.proc.kill()
        self.proc.wait(10)
        wait_for(lambda: self.proc.poll() is not None)
