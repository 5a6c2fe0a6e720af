"""The C load tools of t/bench, and the books that they keep."""
import collections
import re
import signal
import subprocess

from harness import RELEASE, Proc, free_port, _with_us


class LoadSink(Proc):
    """knobs: delay (ms), temp, perm, cut (of 1000)."""

    def __init__(self, house, port=None, delay=0, temp=0, perm=0, cut=0):
        port = port or free_port()
        self.book = house.path(f"sunk{port}")
        super().__init__([f"{RELEASE}/bench/sink", "-p", str(port), "-o", self.book, "-d", str(delay), "-r", str(temp),
                          "-b", str(perm), "-x", str(cut)], port)

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


def account(fates, got):
    """(acknowledged but missing, arrived more than once, arrived though refused)"""
    missing = {i for i in fates["ok"] if i not in got}
    twice = {i: n for i, n in got.items() if n > 1}
    refused = {i for i in fates["temp"] | fates["perm"] if i in got}
    return missing, twice, refused
