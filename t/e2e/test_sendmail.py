"""sendmail(1): its options, its exit codes, how it hands a message over; rmail and newaliases."""
import re
import subprocess

import pytest

from harness import HOST, SANITIZED, SOAK, House, wait_for
from test_bytes import local_user

ME = "a@client.example.test"


class Relay:
    """One instance and its next hop for all tests of this file."""

    def __init__(self, house):
        self.house, self.hop = house, house.sink()
        self.b = house.baton(route=self.hop, message_size="200M", aliases=f"good: {local_user()}\n",
                             text="limits { recipients = 50 }\n")

    def __call__(self, *args, stdin=b"Subject: s\n\nbody\n", name="sendmail", env=None, argv0=None):
        argv = [argv0 or name, "-C", self.b.conf, *args] if name == "sendmail" else [name, *args]
        return subprocess.run(argv, executable=self.b.program(name), input=stdin, capture_output=True, timeout=60,
                              env=dict(self.b.env(), **(env or {})))

    def sent(self, *args, **more):
        """The one message that comes of it."""
        before = len(self.hop.messages)
        done = self(*args, **more)
        assert done.returncode == 0, done.stderr
        return self.hop.wait(before + 1)[before]


@pytest.fixture(scope="module")
def relay():
    house = House()
    try:
        r = Relay(house)
        yield r
        r.b.stop()
    finally:
        house.close()


@pytest.fixture(autouse=True)
def nothing_under_way(request):
    """What the test before sent has arrived: who counts messages counts his own."""
    if "relay" in request.fixturenames:
        request.getfixturevalue("relay").b.wait_empty()


# What programs of the last forty years pass. Each must take the message.
CALLS = [
    "-i -t", "-oi -t", "-oem -oi -t", "-t -i -oi -odb", "-i -oi -oem -om -t", "-U -G -i -t", "-n -v -t",
    "-bm -i -t", "-oeq -odq -t", "-o7 -o8 -t", "-h 3 -m -t", "-O DeliveryMode=b -t", "-X /dev/null -t", "-L tag -t",
    "-B8BITMIME -i -t", "-B 7BIT -i -t", "-Ac -t", "-ep -t", "-p ESMTP:host -t", "-d0 -t", "-ox -oA/etc/aliases -t",
    "-i b@other.test", "-i -- b@other.test", "-fz@client.example.test -i b@other.test", "-bm -om b@other.test",
]


@pytest.mark.parametrize("args", CALLS)
def test_takes_what_programs_pass(relay, args):
    m = relay.sent(*args.split(), stdin=b"To: b@other.test\nSubject: s\n\nbody\n")
    assert m.to == ["b@other.test"]


# The command line, its input, the code of sysexits.h.
CODES = [
    ("-i b@other.test", b"x\n", 0),
    ("-i", b"x\n", 64),
    ("-t", b"Subject: nobody\n\nx\n", 64),
    ("-t", b'To: "never ends <b@other.test>\n\nx\n', 65),
    ("-i -N sometimes b@other.test", b"x\n", 64),
    ("-i -N success,never b@other.test", b"x\n", 64),
    ("-i -R half b@other.test", b"x\n", 64),
    ("-i -B BINARY b@other.test", b"x\n", 64),
    ("-i -V " + "x" * 101 + " b@other.test", b"x\n", 64),
    ("-bx", b"", 64),
    ("-Z b@other.test", b"x\n", 64),
    ("-qX", b"", 64),
    ("-i -f a\x01b@x.test b@other.test", b"x\n", 65),
    (f"-i no-such-user@{HOST}", b"x\n", 67),
    (f"-i no-such-user@{HOST} b@other.test", b"x\n", 67),
    (f"-bv good@{HOST} b@other.test", b"", 0),
    (f"-bv no-such-user@{HOST}", b"", 67),
    ("-bd", b"", 69),
    ("-bp", b"", 0),
    ("-bi", b"", 0),
    ("-i b@other.test", b"Received: x\n" * 60 + b"\nx\n", 69),
    ("-i b@other.test", b"X: " + b"x" * (1 << 20) + b"\n\nx\n", 65),
    ("-q", b"", 0),
    ("-qRother.test", b"", 0),
    ("-qSclient.example.test", b"", 0),
]


@pytest.mark.parametrize("args,stdin,code", CODES, ids=[re.sub(r"\W+", "_", f"{a[:40]}-{c}-{len(i)}") for a, i, c in CODES])
def test_exit_codes(relay, args, stdin, code):
    done = relay(*args.split(" "), stdin=stdin)
    assert done.returncode == code, (done.stdout, done.stderr)
    assert code in (0, 64) or done.stderr.startswith(b"sendmail: ") or done.stdout, "it says why"


def test_t_adds_the_arguments(relay):
    m = relay.sent("-t", "-i", "d@other.test", stdin=(
        b"To: b@other.test\nCc: c@other.test\nBcc: hidden@other.test\nSubject: s\n\nbody\n"))
    assert sorted(m.to) == ["b@other.test", "c@other.test", "d@other.test", "hidden@other.test"]
    assert b"hidden" not in m.raw


def test_t_of_a_message_sent_anew(relay):
    """RFC 5322 3.6.6: Resent-To says who gets it, To only who got it then."""
    m = relay.sent("-t", "-i", stdin=b"Resent-To: b@other.test\nResent-Bcc: c@other.test\nTo: old@other.test\nSubject: s\n\nx\n")
    assert sorted(m.to) == ["b@other.test", "c@other.test"]
    assert b"Resent-Bcc" not in m.raw


@pytest.mark.parametrize("args,sender", [
    (["-f", "x@client.example.test"], "x@client.example.test"), (["-fx@client.example.test"], "x@client.example.test"),
    (["-r", "x@client.example.test"], "x@client.example.test"), (["-f", ""], ""), (["-f", "<>"], ""),
    (["-f", "X Y <x@client.example.test>"], "x@client.example.test"), (["-f", "<x@client.example.test>"], "x@client.example.test"),
    (["-f", "x"], f"x@{HOST}"), ([], f"{local_user()}@{HOST}")])
def test_sender(relay, args, sender):
    assert relay.sent("-i", *args, "b@other.test").sender == sender


@pytest.mark.parametrize("args,env,name", [
    (["-F", 'Some "B" Body'], {}, rb'"Some \\"B\\" Body" <a@client'), (["-FOne"], {}, rb'"?One"? <a@client'),
    ([], {"NAME": "From Env"}, rb'"?From Env"? <a@client'), (["-F", "Opt"], {"NAME": "Env"}, rb'"?Opt"? <a@client')])
def test_full_name(relay, args, env, name):
    m = relay.sent("-i", "-f", ME, *args, "b@other.test", env=env)
    assert re.search(rb"(?m)^From: " + name, m.raw), m.raw
    m = relay.sent("-i", "-f", ME, *args, "b@other.test", env=env, stdin=b"From: z@client.example.test\nSubject: s\n\nx\n")
    assert re.findall(rb"(?m)^From: .*", m.raw) == [b"From: z@client.example.test\r"], m.raw


def test_verbose_says_the_queue_id(relay):
    done = relay("-v", "-i", "b@other.test")
    assert re.search(rb"250 2\.0\.0 queued as \w+", done.stdout), done.stdout


def test_more_recipients_than_one_message_takes(relay):
    """What is beyond limits.recipients follows from the drop folder, in transactions of their own."""
    before, many = len(relay.hop.messages), [f"r{i}@other.test" for i in range(130)]
    done = relay("-i", *many)
    assert done.returncode == 0, done.stderr

    def got():
        """all recipients"""
        return [to for m in relay.hop.messages[before:] for to in m.to]
    wait_for(lambda: len(got()) >= len(many), 30)
    relay.b.wait_empty()
    assert sorted(got()) == sorted(many), "each once"


def test_huge_input_is_streamed(relay):
    """Neither a large body nor a line without an end is ever held in memory."""
    size = (150 if SOAK else 24) << 20
    for text in (b"Subject: s\n\n" + b"x" * 999 + b"\n", b"y" * 1000):
        p = subprocess.Popen([relay.b.program("sendmail"), "-C", relay.b.conf, "-i", "b@other.test"],
                             stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=relay.b.env())
        before, block = len(relay.hop.messages), text * 1000
        try:
            for _ in range(0, size, len(block)):
                p.stdin.write(block)
            p.stdin.flush()
            with open(f"/proc/{p.pid}/status") as f:
                peak = int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1))
        except BrokenPipeError:
            raise AssertionError(p.communicate()[1])
        said = p.communicate()[1]
        assert p.returncode == 0, said
        assert SANITIZED or peak < 16 << 10, f"{peak} KiB"
        assert len(relay.hop.wait(before + 1, 60)[before].raw) > size * 0.9


def test_bs(relay):
    """SMTP on standard input and output; the user is the kernel's word."""
    before = len(relay.hop.messages)
    done = relay("-bs", stdin=(b"EHLO x\r\nMAIL FROM:<a@client.example.test>\r\nRCPT TO:<b@other.test>\r\nDATA\r\n"
                               b"Subject: bs\r\n\r\nx\r\n.\r\nQUIT\r\n"))
    assert done.returncode == 0 and re.search(rb"(?m)^250 2\.0\.0 queued", done.stdout), done.stdout
    assert b"Subject: bs" in relay.hop.wait(before + 1)[before].raw


def test_bs_with_nobody_there(house):
    b = house.baton(start=False)
    done = b.tool("sendmail", "-bs", stdin=b"QUIT\r\n", check=False)
    assert done.returncode == 75 and done.stdout.startswith(b"421 ")


def test_names(relay):
    """Links called mailq; newaliases is told what sendmail is told by -bi."""
    assert b"Mail queue is empty" in relay(argv0="mailq").stdout or b"-Queue ID-" in relay(argv0="mailq").stdout
    assert b"1 alias" in relay("-bi").stdout
    assert b"1 alias" in relay("-C", relay.b.conf, name="newaliases").stdout


@pytest.mark.parametrize("top,sender", [
    (b"From alice Sat Nov 21 10:00 2026 remote from far\n", "alice@far"),
    (b"From alice Sat Nov 21 10:00 2026 remote from near\n>From alice Sat Nov 21 09:00 2026 remote from far\n", "alice@far"),
    (b"From far.example.test!alice Sat Nov 21 10:00 2026\n", "alice@far.example.test"),
    (b"From a@client.example.test Sat Nov 21 10:00 2026\n", ME),
    (b"From alice Sat Nov 21 10:00 2026\n", f"alice@{HOST}"),
    (b"From <> Sat Nov 21 10:00 2026\n", "")])
def test_rmail(relay, top, sender):
    before = len(relay.hop.messages)
    done = relay("(b@other.test)", "c@other.test", name="rmail", stdin=top + b"From: x@y.test\nSubject: uucp\n\nx\n.\ny\n")
    assert done.returncode == 0, done.stderr
    m = relay.hop.wait(before + 1)[before]
    assert (m.sender, sorted(m.to)) == (sender, ["b@other.test", "c@other.test"])
    assert b"remote from" not in m.raw and b"\r\n..\r\ny\r\n" in m.raw or b"\r\n.\r\ny\r\n" in m.raw


def test_rmail_wants_its_line(relay):
    assert relay("b@other.test", name="rmail", stdin=b"Subject: x\n\nx\n").returncode == 65
    assert relay(name="rmail", stdin=b"From a\n\nx\n").returncode == 64
