"""House: what one test starts. Baton: one running instance. Proc: any other process.

A test asks the `house` fixture for what it needs:

    b = house.baton(route=house.sink())          started, ready
    b.smtp().send("a@example.test", "b@other.test", b"...")
    b.stop()                                     exit 0, no sanitizer report

Only what was started here is ever killed, by pid.
"""
import ctypes
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(TOP, os.environ.get("BATON_BUILD", "build"))
RELEASE = os.path.join(TOP, "build")
PEERS = os.path.join(TOP, "build/peers/bin")
SANITIZED = os.path.basename(BUILD) == "asan"
SOAK = bool(os.environ.get("BATON_SOAK"))
ROLES = ("keeper", "smtpd", "qmgr", "deliver", "dnscache")
HOST = "relay.example.test"
# What a sanitizer says, and a system call that a role's sandbox refused: the profile is too tight,
# or the role does what it shouldn't.
REPORT = re.compile(rb"sandbox: system call|ERROR: AddressSanitizer|runtime error:|ERROR: UndefinedBehaviorSanitizer"
                    rb"|AddressSanitizer:DEADLYSIGNAL")
_libc = ctypes.CDLL(None, use_errno=True)
_ports = random.Random(os.getpid() * 7919 + time.time_ns())


def free_port():
    """A port of 127.0.0.1 outside the range from which the kernel serves connect()."""
    for _ in range(1000):
        port = _ports.randrange(10000, 32000)
        with socket.socket() as t, socket.socket(type=socket.SOCK_DGRAM) as u:
            t.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                t.bind(("127.0.0.1", port))
                u.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no free port")


def wait_for(what, seconds=10, every=0.02):
    """Calls `what` until it says something true, and returns that; fails after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        got = what()
        if got:
            return got
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {getattr(what, '__doc__', None) or what}")
        time.sleep(every)


def _with_us():
    """In the child: die when the tests die."""
    _libc.prctl(1, signal.SIGKILL)


class House:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="b", dir=os.environ.get("TMPDIR", "/tmp"))
        os.chmod(self.dir, 0o755)
        self.started, self.instances = [], []

    def path(self, name):
        return os.path.join(self.dir, name)

    def keep(self, thing):
        self.started.append(thing)
        return thing

    def baton(self, start=True, **config):
        b = Baton(self, f"i{len(self.instances)}", **config)
        self.instances.append(b)
        self.keep(b)
        return b.start() if start else b

    def sink(self, **knobs):
        from sink import Sink
        return self.keep(Sink(**knobs))

    def load_sink(self, **knobs):
        from load import LoadSink
        return self.keep(LoadSink(self, **knobs))

    def load(self, port, **knobs):
        from load import Load
        return Load(self, port, **knobs)

    def nsd(self, zones, **more):
        from nsd import Nsd
        return self.keep(Nsd(self, zones, **more))

    def unbound(self, *served, **more):
        from unbound import Unbound
        return self.keep(Unbound(self, *served, **more))

    def liar(self, *say, **more):
        from liar import Liar
        return self.keep(Liar(*say, **more))

    def close(self):
        for thing in reversed(self.started):
            thing.close()
        shutil.rmtree(self.dir, ignore_errors=True)


def children(pid):
    """(pid, name) of the living children of a process, by /proc (comm is readable for all)."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat") as f:
                stat = f.read()
        except OSError:
            continue
        name = stat[stat.index("(") + 1:stat.rindex(")")]
        fields = stat[stat.rindex(")") + 2:].split()
        if int(fields[1]) == pid and fields[0] not in "ZX":
            found.append((int(entry), name))
    return found


def _name(pid):
    try:
        with open(f"/proc/{pid}/comm") as f:
            return f.read().strip()
    except OSError:
        return ""


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Baton:
    """One instance. config: see `settings`; text= is added to the file as it stands."""

    def __init__(self, house, name, **config):
        self.house, self.name = house, name
        self.dir = house.path(name)
        os.makedirs(self.dir, exist_ok=True)
        self.build = config.pop("build", BUILD)
        self.wrap = config.pop("wrap", [])
        self.port = config.pop("port", None) or free_port()
        self.spool = config.pop("spool", os.path.join(self.dir, "spool"))
        self.runtime = os.path.join(self.dir, "run")
        self.mail = os.path.join(self.dir, "mail")
        self.conf = os.path.join(self.dir, "baton.conf")
        self.proc, self.log, self.cond = None, b"", threading.Condition()
        self.checked, self.clients = 0, []
        os.makedirs(self.mail, exist_ok=True)
        self.write(**config)

    def settings(self, route=None, text="", site="", retry='first = "1s"  max = "4s"', resolver=None, resolver_more='hosts = ""',
                 workers=2, listen="", relay_from='"127.0.0.0/8"', local='"localhost", "%s"' % HOST, **more):
        """The file's text. route: a next hop (an object with a port, or a string)."""
        values = {
            "hostname": HOST, "spool": self.spool, "runtime": self.runtime, "log": "stderr",
            "workers": workers, "spool_min_free": "1M", "mailbox": f"maildir:{self.mail}/%u",
            "aliases": os.path.join(self.dir, "aliases"), "sites": "",
        }
        values.update(more)
        lines = []
        for key, value in values.items():
            if value is None:
                continue
            plain = isinstance(value, (int, bool)) or str(value).startswith("{")
            shown = str(value).lower() if isinstance(value, bool) else str(value) if plain else f'"{value}"'
            lines.append(f"{key} = {shown}")
        lines.append(f"relay_from = {{ {relay_from} }}")
        lines.append(f"local_domains = {{ {local} }}")
        lines.append(f'listen "test" {{ address = "127.0.0.1:{self.port}"  {listen} }}')
        if route is not None:
            to = route if isinstance(route, str) else f"[127.0.0.1]:{route.port}"
            lines.append(f'route "*" {{ to = "{to}" }}')
        if site:
            lines.append(f'site "*" {{ {site} }}')
        if retry:
            lines.append(f"retry {{ {retry} }}")
        # never ask the machine's own resolvers
        asked = resolver if isinstance(resolver, list) else [resolver] if resolver else []
        servers = ", ".join(f'"127.0.0.1:{r.port}"' for r in asked) or '"127.0.0.1:9"'
        lines.append(f"resolver {{ servers = {{ {servers} }}  {resolver_more} }}")
        return "\n".join(lines) + "\n" + text + "\n"

    def write(self, raw=None, aliases="", **config):
        with open(os.path.join(self.dir, "aliases"), "w") as f:
            f.write(aliases)
        with open(self.conf, "w") as f:
            f.write(self.settings(**config) if raw is None else raw)
        return self

    def program(self, name):
        for folder in ("sbin", "bin", "libexec/baton"):
            path = os.path.join(self.build, folder, name)
            if os.path.exists(path):
                return path
        raise AssertionError(f"{name} is not built")

    def env(self):
        env = dict(os.environ, BATON_CONF=self.conf)
        env["ASAN_OPTIONS"] = "detect_leaks=0:abort_on_error=0:allocator_may_return_null=1"
        env["UBSAN_OPTIONS"] = "print_stacktrace=1"
        return env

    def start(self, seconds=15):
        """Runs the instance and waits for its ready line."""
        seen = len(self.log)
        self.spawn()

        def ready():
            """the ready line"""
            if self.proc.poll() is not None:
                raise AssertionError(f"baton ended with {self.proc.returncode}:\n{self.log_tail()}")
            return re.search(rb"\bready\b", self.log[seen:])
        wait_for(ready, seconds)
        return self

    def spawn(self):
        os.makedirs(self.spool, exist_ok=True)
        os.makedirs(self.runtime, exist_ok=True)
        self.proc = subprocess.Popen(
            [*self.wrap, self.program("baton"), "-c", self.conf], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.env(), preexec_fn=_with_us)
        self.reader = threading.Thread(target=self._read, args=(self.proc.stdout,), daemon=True)
        self.reader.start()
        return self

    def _read(self, stream):
        while True:
            chunk = os.read(stream.fileno(), 65536)
            if not chunk:
                break
            with self.cond:
                self.log += chunk
                self.cond.notify_all()
        stream.close()

    def log_tail(self, size=6000):
        return self.log[-size:].decode("utf-8", "replace")

    def wait_log(self, pattern, seconds=10, after=0):
        """The match of a regular expression in the log, from byte `after` on."""
        want = re.compile(pattern.encode() if isinstance(pattern, str) else pattern)
        end = time.monotonic() + seconds
        with self.cond:
            while True:
                m = want.search(self.log, after)
                if m:
                    return m
                left = end - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"no {pattern!r} in the log within {seconds} s:\n{self.log_tail()}")
                self.cond.wait(left)

    # -- processes ----------------------------------------------------------------------------
    @property
    def master(self):
        """The pid of the supervisor: our child, or its child when started through a wrapper."""
        if not self.wrap or _name(self.proc.pid) == "baton":  # a wrapper that became it
            return self.proc.pid
        todo = [self.proc.pid]
        while todo:
            pid = todo.pop()
            for child, name in children(pid):
                if name == "baton":
                    return child
                todo.append(child)
        return self.proc.pid

    def pids(self, role=None):
        """The living processes of a role, or {pid: role} of all children."""
        now = dict(children(self.master))
        return now if role is None else sorted(p for p, n in now.items() if n == role)

    def kill(self, role, sig=signal.SIGKILL, which=0):
        """Signals one process of a role and returns its pid."""
        if role == "master":
            os.kill(self.master, sig)
            return self.master
        pid = wait_for(lambda: self.pids(role), 5)[which]
        os.kill(pid, sig)
        return pid

    def replaced(self, role, old, seconds=5):
        """Waits until a role has another process in place of `old`."""
        return wait_for(lambda: [p for p in self.pids(role) if p != old], seconds)

    def kill_tree(self):
        """kill -9 of every process at once, as a machine that loses power would."""
        if not self.wrap:  # first of all: what ends now isn't reaped, and keeps its number
            os.kill(self.master, signal.SIGSTOP)
        pids = [self.master, *self.pids()]
        if not self.wrap:  # so that none sees another one's death; strace can't follow that
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.proc.wait(10)
        wait_for(lambda: not any(alive(p) for p in pids), 5)

    def hup(self):
        os.kill(self.master, signal.SIGHUP)

    def stop(self, seconds=15):
        """SIGTERM; exit 0, all children gone, nothing said by a sanitizer. Our own sessions end first:
        one in the middle of a transaction would be given its 30 s. So none is waited for here."""
        for client in self.clients:
            client.close()
        pids = list(self.pids())
        os.kill(self.master, signal.SIGTERM)
        code = self.proc.wait(seconds)
        wait_for(lambda: not any(alive(p) for p in pids), 5)
        self.check_reports()
        assert code == 0, f"exit {code}:\n{self.log_tail()}"

    def check_reports(self):
        m = REPORT.search(self.log, self.checked)
        if m:
            text = self.log[max(0, m.start() - 200):m.start() + 4000].decode("utf-8", "replace")
            self.checked = len(self.log)
            raise AssertionError("sanitizer report:\n" + text)

    def close(self):
        """Ends what still runs, and looks at the log once more."""
        if self.proc:
            pids = [self.proc.pid, self.master, *self.pids()] if self.proc.poll() is None else []
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.proc.wait(10)
            self.reader.join(5)
            self.check_reports()

    # -- talking to it --------------------------------------------------------------------------
    def smtp(self, **more):
        from smtp import Smtp
        client = self.house.keep(Smtp(self.port, **more))
        self.clients.append(client)
        return client

    def tool(self, name, *args, stdin=b"", check=True, timeout=30):
        """Runs one of the commands; returns the finished process (stdout, stderr are bytes)."""
        flag = "-c" if name == "batonctl" else "-C"
        done = subprocess.run([self.program(name), flag, self.conf, *args], input=stdin, env=self.env(),
                              capture_output=True, timeout=timeout)
        if check:
            assert done.returncode == 0, f"{name} {args}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert not REPORT.search(done.stderr), done.stderr.decode("utf-8", "replace")
        return done

    def ctl(self, *args, **more):
        return self.tool("batonctl", *args, **more).stdout.decode()

    def queue(self, *args):
        """The queue as a list of objects."""
        return [json.loads(line) for line in self.ctl("queue", "--json", *args).splitlines() if line]

    def wait_empty(self, seconds=30):
        """Asks with the release's tool where there is one: a sanitized one takes ten times as long to start."""
        tool = os.path.join(RELEASE, "bin/batonctl")
        if not os.path.exists(tool):
            tool = self.program("batonctl")

        def empty():
            """the queue to be empty"""
            done = subprocess.run([tool, "-c", self.conf, "queue", "--json"], stdin=subprocess.DEVNULL, env=self.env(),
                                  capture_output=True, timeout=30)
            assert done.returncode == 0, done.stderr
            return not done.stdout.strip()
        wait_for(empty, seconds, every=0.1)

    def maildir(self, user):
        """The messages of a Maildir, as bytes."""
        new = os.path.join(self.mail, user, "new")
        if not os.path.isdir(new):
            return []
        return [open(os.path.join(new, n), "rb").read() for n in sorted(os.listdir(new))]


class Proc:
    """A process of a peer; killed at the end."""

    def __init__(self, argv, port=None, log=None, **more):
        self.port = port
        self.log = open(log, "ab") if log else subprocess.DEVNULL
        self.proc = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                     preexec_fn=_with_us, **more)
        if port:
            wait_for(self.listens, 10)

    def listens(self):
        """a peer that listens"""
        if self.proc.poll() is not None:
            raise AssertionError(f"{self.proc.args} ended with {self.proc.returncode}")
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def close(self):
        if self.proc.poll() is None:
            if os.getpgid(self.proc.pid) == self.proc.pid:
                os.killpg(self.proc.pid, signal.SIGKILL)
            self.proc.kill()
        self.proc.wait(10)
        if self.log != subprocess.DEVNULL:
            self.log.close()
