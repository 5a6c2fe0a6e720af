"""A small file system of one's own, in a user and mount namespace: no root needed."""
import os
import subprocess

from harness import _with_us, wait_for


class SmallDisk:
    """A tmpfs of `size` bytes at `path`, seen only by what is started through `wrap`."""

    def __init__(self, house, size="16M"):
        self.path = house.path("disk")
        os.makedirs(self.path, exist_ok=True)
        flag = [] if os.getuid() == 0 else ["--map-current-user", "--keep-caps"]
        self.proc = subprocess.Popen(
            ["unshare", "-m", *flag, "sh", "-c", 'mount -t tmpfs -o size="$1",mode=755 tmpfs "$2" && echo up && '
             'exec sleep 100000', "sh", size, self.path],
            stdout=subprocess.PIPE, preexec_fn=_with_us)
        assert self.proc.stdout.readline() == b"up\n", "no mount in a namespace of our own"
        user = [] if os.getuid() == 0 else ["-U", "--preserve-credentials"]
        self.wrap = ["nsenter", "-t", str(self.proc.pid), "-m", *user]
        house.keep(self)

    def seen(self, name):
        """The path by which we, outside, reach a file on the disk."""
        return f"/proc/{self.proc.pid}/root{self.path}/{name}"

    def free(self):
        s = os.statvfs(self.seen(""))
        return s.f_bavail * s.f_frsize

    def fill(self, leave=0):
        """Takes the space with a file, but for `leave` bytes; others may take some meanwhile."""
        with open(self.seen("filler"), "ab") as f:
            while self.free() > leave:
                size = os.fstat(f.fileno()).st_size
                try:
                    os.posix_fallocate(f.fileno(), size, min(1 << 20, self.free() - leave))
                except OSError:
                    break

    def give_back(self):
        os.unlink(self.seen("filler"))

    def close(self):
        self.proc.kill()
        self.proc.wait(10)
        wait_for(lambda: self.proc.poll() is not None)
