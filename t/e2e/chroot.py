"""Chroot: a clean Debian of its own, for tests of the package. As root.

It has its own processes, mounts, host name and network with nothing but loopback, so what a package starts
there meets nothing of this machine, and ends with it. Packages come from its own apt cache.
"""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading

from harness import TOP, _with_us, children, wait_for

BASE = os.path.join(TOP, "build/chroot/base.tar")
LOOPBACK = """
import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sH14x", b"lo", 0x41))
"""
# The first process: it takes on and reaps what loses its parent.
FIRST = 'mount -t proc proc "$1/proc" && hostname chroot.example.test && while :; do sleep 1000 & wait; done'


def package(version="0.1-1"):
    """Builds the package of that version; its path."""
    done = subprocess.run(["make", "-s", "--no-print-directory", "deb", f"DEB_VERSION={version}"], cwd=TOP,
                          capture_output=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.decode().split()[-1]


class Chroot:
    def __init__(self, deb):
        """deb: the package whose libraries it has at hand."""
        subprocess.run([os.path.join(TOP, "t/setup/chroot"), BASE, deb], check=True, timeout=1500)
        self.dir = tempfile.mkdtemp(prefix="c", dir=os.environ.get("TMPDIR", "/tmp"))
        self.first, self.pid, self.log = None, 0, b""
        subprocess.run(["tar", "-C", self.dir, "-xpf", BASE], check=True)
        os.chmod(self.dir, 0o755)
        # without init and without this, Debian starts no service in a chroot
        self.put("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 0\n")
        os.chmod(self.path("/usr/sbin/policy-rc.d"), 0o755)
        with open(self.path("/etc/hosts"), "w") as f:
            f.write("127.0.0.1 localhost\n127.0.1.1 chroot.example.test chroot\n")
        self.syslog = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.syslog.bind(self.path("/dev/log"))
        os.chmod(self.path("/dev/log"), 0o666)
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self):
        self.first = subprocess.Popen(["unshare", "--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc",
                                       "--net", "sh", "-c", FIRST, "sh", self.dir], preexec_fn=_with_us)
        self.pid = wait_for(lambda: children(self.first.pid))[0][0]
        wait_for(lambda: os.path.exists(f"/proc/{self.pid}/root{self.dir}/proc/1/stat"))
        self._enter([sys.executable, "-c", LOOPBACK])

    def _read(self):
        while True:
            try:
                line = self.syslog.recv(65536)
            except OSError:
                return
            if not line:
                return
            self.log += line + b"\n"

    def _enter(self, argv, **more):
        return subprocess.run(["nsenter", "-t", str(self.pid), "-m", "-p", "-n", "-u", "-i", *argv],
                              capture_output=True, timeout=600, **more)

    def path(self, name):
        return self.dir + name

    def read(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def put(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w") as f:
            f.write(text)

    def copy(self, file):
        """Brings a file of this machine into the root folder; its path there."""
        shutil.copy(file, self.dir)
        return "/" + os.path.basename(file)

    def run(self, command, check=True):
        """A shell command; the finished process."""
        done = self._enter(["chroot", self.dir, "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
                            "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "sh", "-c", command],
                           stdin=subprocess.DEVNULL)
        assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout.decode()}\n" \
            f"{done.stderr.decode()}\n{self.log.decode()[-3000:]}"
        return done

    def out(self, command):
        return self.run(command).stdout.decode()

    def apt(self, *words):
        """What apt said; nothing comes by the network."""
        done = self.run("apt-get -q -y -o Dpkg::Use-Pty=0 " + " ".join(words))
        return (done.stdout + done.stderr).decode()

    def files(self):
        """All files, those aside that apt, dpkg and the kernel keep for themselves."""
        found = set()
        for top, folders, names in os.walk(self.dir):
            at = top[len(self.dir):] or "/"
            if re.match(r"/(proc|dev|tmp|var/cache|var/log|var/lib/(apt|dpkg)|usr/share/doc)$", at):
                folders.clear()
                continue
            found.update(os.path.join(at, n) for n in names + folders)
        return found

    def close(self):
        if self.first:  # all that runs in there goes with its first process
            os.kill(self.pid or self.first.pid, signal.SIGKILL)
            self.first.wait(30)
        self.syslog.shutdown(socket.SHUT_RDWR)
        self.syslog.close()
        shutil.rmtree(self.dir)
