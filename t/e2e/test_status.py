"""status and top: what a newcomer sees of an instance, well or in trouble."""
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import time

from harness import wait_for
from logins import Logins
from small_disk import SmallDisk
from test_relay_auth import credentials

BODY = b"Subject: s\r\n\r\nx\r\n"


def problems(b):
    rows = [json.loads(line) for line in b.ctl("status", "--json").splitlines()]
    return {(r["problem"], r["subject"]): r for r in rows if "problem" in r}


def test_nothing_is_wrong(house):
    """Well, it says so; on a pipe there is no colour. Not running, it says that and fails."""
    hop = house.sink()
    b = house.baton(route=hop)
    b.smtp().send("a@client.example.test", ["r@other.test", "s@other.test"], BODY)
    b.wait_empty()
    wait_for(lambda: re.search(r"(?m)^delivered .* 2$", b.ctl("status")), 10)
    text = b.ctl("status")
    assert "nothing is wrong" in text and "mail is taken, sent" in text and "\033" not in text
    assert re.search(r"(?m)^queue +0 messages, 0 recipients: 0 being sent, 0 ready, 0 deferred, 0 set aside; none", text)
    assert len(text.splitlines()) < 30, "one screen"
    rows = [json.loads(line) for line in b.ctl("status", "--json").splitlines()]
    assert {r["rate"]: set(r) for r in rows if "rate" in r}.keys() == {"accepted", "delivered", "deferred", "bounced"}
    assert all(r["memory"] > 1 << 20 and r["cpu"] >= 0 for r in rows if "process" in r)
    assert not problems(b)
    b.stop()
    done = b.tool("batonctl", "status", check=False)
    assert done.returncode == 69 and b"baton is not running" in done.stderr
    assert b.tool("batonctl", "top", "--once", check=False).returncode == 69
    assert b.tool("batonctl", "metrics", check=False).returncode == 69


def test_trouble(house):
    """A dead smarthost, a wrong password, a full disk: each has its cause and a next step, in words alone."""
    disk = SmallDisk(house, "200M")
    os.makedirs(disk.seen("spool"), exist_ok=True)
    dead, strict = house.sink(start=False), house.sink(auth=Logins(secure=False))
    wrong = credentials(house)
    b = house.baton(start=False, wrap=disk.wrap, spool=os.path.join(disk.path, "spool"), spool_min_free="20M",
                    credentials=wrong, text=f'route "dead.test" {{ to = "[127.0.0.1]:{dead.port}" }}\n'
                    f'route "login.test" {{ to = "[127.0.0.1]:{strict.port}"  auth = "wrong" }}').start()
    b.smtp().send("a@client.example.test", ["x@dead.test", "x@login.test"], BODY)
    wait_for(lambda: b.ctl("status").count("down, ") >= 2, 20)
    disk.fill(leave=10 << 20)
    wait_for(lambda: "NOT taken" in b.ctl("status"), 20)
    text = b.ctl("status")

    def said(begin):
        """The reason and the next step of one problem."""
        m = re.search(rf"(?m)^{begin}: (.*)\n    next: (.*)$", text)
        assert m, text
        return m[1], m[2]
    reason, step = said(r"disk \S+/spool")
    assert "the disk is full" in reason and "spool_min_free (20.0M)" in reason and "452" in reason
    assert "make room" in step and "df -h" in step and "batonctl reload" in step
    reason, step = said(rf"site \[127\.0\.0\.1\]:{dead.port}")
    assert "down" in reason and "Connection refused" in reason and re.search(r"next try in \d+s|tried now", reason)
    assert 'route "dead.test"' in step and "batonctl test-relay 'dead.test'" in step
    reason, step = said(rf"site \[127\.0\.0\.1\]:{strict.port}")
    assert "refused" in reason and "login" in reason
    assert f'user and password of "wrong" in {wrong}' in step and "batonctl reload" in step
    assert "incorrect-horse" not in text
    b.ctl("pause", "out", "--for", "1h")
    text = b.ctl("status")
    reason, step = said("pause out")
    assert "until 20" in reason and "batonctl resume out" in step and "NOT sent" in text
    found = problems(b)
    assert len(found) == 4 and all(p["next"] for p in found.values())
    # what a next step names can be done, and says more
    done = b.tool("batonctl", "test-relay", "dead.test", check=False)
    assert done.returncode != 0 and b"refused" in (done.stdout + done.stderr).lower()
    b.ctl("resume", "out")
    os.unlink(disk.seen("filler"))
    wait_for(lambda: ("disk" not in b.ctl("status").split("process  ")[0]), 20)
    assert "mail is taken, sent" in b.ctl("status")
    frame = b.ctl("top", "--once")
    assert re.search(rf"(?m)^! site \[127\.0\.0\.1\]:{dead.port}: .*Connection refused", frame)
    b.stop()


def test_a_process_that_is_gone(house):
    """qmgr stopped: status comes all the same, and says what it can't say."""
    b = house.baton()
    pid = b.kill("qmgr", signal.SIGSTOP)
    text = b.ctl("status")
    assert re.search(r"(?m)^process qmgr: .*does not answer", text) and str(pid) in text
    os.kill(pid, signal.SIGCONT)
    b.stop()


def test_marks_of_a_site(house):
    """That it is served one command at a time is said by sites, status and top, with its end."""
    hop = house.sink(ahead="503")
    b = house.baton(route=hop, site='connections = 1  reply_timeout = "2s"')
    b.smtp().send_batch([("a@client.example.test", f"r{i}@other.test", BODY) for i in range(12)])
    hop.wait(12, 30)
    b.wait_empty()
    b.wait_log("pipelining=off")
    assert re.search(r"one command at a time until \d{4}-", b.ctl("sites"))
    (row,) = [r for r in map(json.loads, b.ctl("sites", "--json").splitlines()) if r["site"] == f"[127.0.0.1]:{hop.port}"]
    assert row["one_command_until"] > time.time() + 86400 and row["ipv4_until"] == 0
    assert re.search(rf"(?m)^learned +\[127.0.0.1\]:{hop.port}: one command at a time until", b.ctl("status"))
    assert "[one command at a time]" in b.ctl("top", "--once")
    b.stop()


def on_terminal(argv, env):
    """What a program says when its standard output is a terminal."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(argv[0], argv, env)
    got = b""
    while True:
        try:
            chunk = os.read(fd, 65536)
        except OSError:
            break
        if not chunk:
            break
        got += chunk
    os.close(fd)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, got
    return got


def test_colour_on_a_terminal_only(house):
    b = house.baton()
    argv = [b.program("batonctl"), "-c", b.conf, "status"]
    env = dict(b.env(), TERM="xterm")
    env.pop("NO_COLOR", None)
    assert b"\033[1m" in on_terminal(argv, env)
    assert b"\033" not in on_terminal(argv, dict(env, NO_COLOR="1"))
    assert b"\033" not in on_terminal(argv, dict(env, TERM="dumb"))
    b.stop()


class Tmux:
    """A terminal of tmux's, in which a shell runs one line."""

    def __init__(self, house, line, columns=110, rows=24):
        self.socket = house.path("tmux")
        env = dict(os.environ, TERM="xterm-256color", LC_ALL="C.UTF-8", SHELL="/bin/sh")
        self.env = env
        subprocess.run(["tmux", "-S", self.socket, "-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y",
                        str(rows), "sh", "-c", line], env=env, check=True, timeout=20, stdin=subprocess.DEVNULL)
        house.keep(self)

    def do(self, *words):
        return subprocess.run(["tmux", "-S", self.socket, *words], env=self.env, capture_output=True, timeout=20).stdout.decode()

    def screen(self):
        return self.do("capture-pane", "-p").rstrip("\n").split("\n")

    def says(self, pattern, seconds=20):
        """Waits until the screen has that; its lines."""
        def there():
            lines = self.screen()
            return lines if re.search(pattern, "\n".join(lines)) else None
        there.__doc__ = f"{pattern!r} on the screen, which is\n" + "\n".join(self.screen())
        return wait_for(there, seconds, 0.1)

    def flag(self, name):
        return self.do("display-message", "-p", f"#{{{name}}}").strip()

    def close(self):
        self.do("kill-server")


def test_top_under_tmux(house):
    """Live, drawn anew at another size, gone without a trace: with q, and with SIGTERM."""
    hop, dead = house.sink(), house.sink(start=False)
    b = house.baton(route=hop, text=f'route "dead.test" {{ to = "[127.0.0.1]:{dead.port}" }}')
    b.smtp().send("a@client.example.test", ["r@other.test", "x@dead.test"], BODY)
    env = " ".join(f"{k}={shlex.quote(v)}" for k, v in b.env().items() if k.endswith("_OPTIONS"))
    top = f"env {env} {shlex.quote(b.program('batonctl'))} -c {shlex.quote(b.conf)} top -d 1s"
    t = Tmux(house, f"echo BEFORE; {top}; echo FIRST $?; read x; {top}; echo SECOND $?; cat")
    lines = t.says(r"Connection refused[\s\S]*\nsite +state")
    assert lines[0].startswith("baton on ") and t.flag("alternate_on") == "1" and t.flag("cursor_flag") == "0"
    assert any(re.match(rf"\[127\.0\.0\.1\]:{dead.port} +(down|probing)", x) for x in lines), lines
    assert any(re.match(rf"\[127\.0\.0\.1\]:{hop.port} +up", x) for x in lines), lines
    assert not any("BEFORE" in x for x in lines)
    # it moves
    b.smtp().send("a@client.example.test", ["late@dead.test", "later@dead.test"], BODY)
    t.says(r"recipients 3\b")
    # another size: nothing wraps, the first line stays the first
    t.do("resize-window", "-x", "60", "-y", "12")
    lines = wait_for(lambda: (s := t.screen())[0].startswith("baton on") and len(s) <= 12 and s, 20, 0.1)
    assert all(len(x) <= 60 for x in lines)
    t.says(r"(?m)\Abaton on .*\nper second .*\nqueue .*\nconnections .*\ncpu ")
    t.do("resize-window", "-x", "110", "-y", "30")
    t.says(r"\nsite +state")
    t.do("send-keys", "q")
    lines = t.says("FIRST 0")
    assert "BEFORE" in lines[0], "the screen is as it was"
    t.do("send-keys", "Enter")
    t.says(r"\Abaton on [\s\S]*\nsite +state")
    (pid,) = [int(p) for p in os.listdir("/proc") if p.isdigit() and is_top(p, b.conf)]
    os.kill(pid, signal.SIGTERM)
    t.says("SECOND 0")
    assert t.flag("alternate_on") == "0" and t.flag("cursor_flag") == "1"
    # keys are echoed again, lines are lines
    t.do("send-keys", "echoed", "Enter")
    t.says(r"echoed\n+echoed")
    b.stop()


def is_top(pid, conf):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            words = f.read().split(b"\0")
        return words[0].endswith(b"batonctl") and conf.encode() in words and b"top" in words
    except OSError:
        return False


def test_top_without_a_terminal(house):
    """Frames, one after the other, as many as asked for; wrong words are 64."""
    b = house.baton(route=house.sink())
    out = b.ctl("top", "-n", "2", "-d", "1s")
    assert out.count("baton on ") == 2 and "\033" not in out and "\r" not in out
    assert b.ctl("top", "--once").count("baton on ") == 1
    for words in (["-n", "0"], ["-n", "x"], ["-d", "0"], ["--twice"], ["-n"]):
        assert b.tool("batonctl", "top", *words, check=False).returncode == 64, words
    b.stop()
