"""The C load tools of t/bench, and the books that they keep."""
import collections
import os
import re
import signal
import subprocess

from harness import RELEASE, Proc, free_port, _with_us


class LoadSink(Proc):
    """knobs: delay (ms), temp, perm, cut (of 1000). all: on every address of the loopback interface."""

    def __init__(self, house, port=None, delay=0, temp=0, perm=0, cut=0, all=False):
        port = port or free_port()
        self.book = house.path(f"sunk{port}")
        self.lines, self.seen = 0, 0
        super().__init__([f"{RELEASE}/bench/sink", "-p", str(port), "-o", self.book, "-d", str(delay), "-r", str(temp),
                          "-b", str(perm), "-x", str(cut), *(["-A"] if all else [])], port)

    def count(self):
        """Messages so far; costs no more than the new ones."""
        with open(self.book, "rb") as f:
            f.seek(self.seen)
            new = f.read()
        self.seen += len(new)
        self.lines += new.count(b"\n")
        return self.lines

    def got(self):
        """id -> how often"""
        count = collections.Counter()
        with open(self.book) as f:
            for line in f:
                if line.endswith("\n"):
                    count[line.split(" ")[0]] += 1
        return count

    def close(self):
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGTERM)
            try:
                self.proc.wait(5)
            except subprocess.TimeoutExpired:
                pass
        super().close()


class Load:
    """load running in the background; wait() gives its sums, fates() what became of each id."""

    def __init__(self, house, port, sessions=20, ok=1000, attempts=None, size=4096, prefix="m", seconds=100,
                 per_connection=0, to="b@other.test", rate=0):
        self.book = house.path(f"book-{prefix}")
        argv = [f"{RELEASE}/bench/load", "-p", str(port), "-s", str(sessions), "-m", str(ok), "-l", str(size),
                "-i", prefix, "-T", str(seconds), "-k", str(per_connection), "-t", to, "-r", str(rate), "-o", self.book]
        if attempts:
            argv += ["-a", str(attempts)]
        self.proc = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, preexec_fn=_with_us)
        house.keep(self)

    def running(self):
        return self.proc.poll() is None

    def wait(self):
        out = self.proc.communicate()[0]
        return {k: float(v) for k, v in re.findall(r"(\w+)=([\d.]+)", out)}

    def fates(self):
        """word -> set of ids"""
        fate = collections.defaultdict(set)
        with open(self.book) as f:
            for line in f:
                word, name = line.split()[:2]
                fate[word].add(name)
        return fate

    def close(self):
        if self.running():
            self.proc.kill()
        self.proc.wait(10)


def fill(spool, messages, domains, senders=1, **more):
    """Puts messages into a spool without index (t/bench/fill): more are its other options."""
    os.makedirs(spool, exist_ok=True)
    argv = [f"{RELEASE}/bench/fill", "-n", str(messages), "-d", str(domains), "-s", str(senders)]
    for name, value in more.items():
        argv += [f"--{name}", str(value)]
    done = subprocess.run([*argv, spool], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def account(fates, got):
    """(acknowledged but missing, arrived more than once, arrived though refused)"""
    missing = {i for i in fates["ok"] if i not in got}
    twice = {i: n for i, n in got.items() if n > 1}
    refused = {i for i in fates["temp"] | fates["perm"] if i in got}
    return missing, twice, refused
