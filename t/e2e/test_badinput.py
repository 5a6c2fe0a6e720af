"""Bad input: each gets the clear reply or message that a user would expect, and nothing is lost."""
import re
import subprocess

import pytest

from harness import HOST
from smtp import Refused, own_received_cut


@pytest.fixture
def relay(house):
    house.hop = house.sink()
    house.b = house.baton(route=house.hop)
    return house


def still_works(house):
    """A message on a new session arrives, and the instance ends in order."""
    before = len(house.hop.messages)
    house.b.smtp().send("a@client.example.test", "b@other.test", b"Subject: still here\r\n\r\nx\r\n")
    house.hop.wait(before + 1)
    house.b.stop()


ORDER = [
    (["RCPT TO:<b@other.test>"], 503),
    (["DATA"], 503),
    (["MAIL FROM:<a@client.example.test>", "DATA"], 503),
    (["MAIL FROM:<a@client.example.test>", "MAIL FROM:<a@client.example.test>"], 503),
    (["MAIL FROM:a b c"], 501),
    (["MAIL FROM:<a@client.example.test"], 501),
    (["MAIL FROM:<a@client.example.test> NONSENSE=1"], 555),
    (["MAIL FROM:<a@client.example.test> SIZE=x"], 501),
    (["MAIL FROM:<a@client.example.test> SIZE=99999999999"], 552),
    (["MAIL FROM:<%s@client.example.test>" % ("a" * 300)], 501),
    (["MAIL FROM:<a@client.example.test>", "RCPT TO:<%s@other.test>" % ("b" * 300)], 501),
    (["MAIL FROM:<a@client.example.test>", "RCPT TO:<>"], 501),
    (["MAIL FROM:<a@client.example.test>", "RCPT TO:<b@>"], 501),
    (["NONSENSE"], 500),
    (["EHLO"], 501),
    (["HELO"], 501),
    (["VRFY b@other.test"], 252),
    (["EXPN list"], 502),
    (["NOOP anything"], 250),
    (["HELP"], 214),
    (["RSET"], 250),
    (["STARTTLS"], 502),
]


@pytest.mark.parametrize("commands,code", ORDER, ids=[c[0][-1][:40] for c in ORDER])
def test_commands(relay, commands, code):
    c = relay.b.smtp()
    for line in commands[:-1]:
        c.cmd(line, 250)
    got, text = c.cmd(commands[-1])
    allowed = {code, 500} if code in (502,) else {code, 553} if code == 501 else {code}
    assert got in allowed, f"{got} {text}"
    if got >= 400:
        assert re.match(rf"{got // 100}\.\d+\.\d+ \S", text), f"no enhanced status and words: {text}"
    c.cmd("NOOP", 250)
    still_works(relay)


def test_mail_before_hello(relay):
    from smtp import Smtp
    c = relay.keep(Smtp(relay.b.port, greet=False))
    c.expect(220)
    assert c.cmd("MAIL FROM:<a@client.example.test>")[0] == 503
    still_works(relay)


def test_a_command_line_of_a_megabyte(relay):
    """Refused as one line with 500, not as a thousand; the session goes on or is closed, memory stays."""
    c = relay.b.smtp()
    c.write(b"NOOP " + b"x" * (1 << 20) + b"\r\n")
    assert c.reply()[0] in (500, 421)
    still_works(relay)


def test_a_body_line_of_a_megabyte(relay):
    """It is broken into lines that every next hop takes; nothing is lost."""
    body = b"Subject: long\r\n\r\n" + b"x" * (1 << 20) + b"\r\n"
    relay.b.smtp().send("a@client.example.test", "b@other.test", body)
    assert own_received_cut(relay.hop.wait(1)[0].raw).replace(b"\r\n ", b"") == body
    still_works(relay)


@pytest.mark.parametrize("bare", [b"a\nb\r\n", b"a\rb\r\n", b"x\n.\nMAIL FROM:<evil@client.example.test>\r\n", b"x\r\n.\nmore\r\n",
                                  b"x\n.\r\nmore\r\n", b"x\r.\r\nmore\r\n"])
def test_a_bare_line_end_in_the_body(relay, bare):
    """Refused with a 5xx at the end of the whole message; no command in it is ever seen as one."""
    c = relay.b.smtp()
    c.cmd("MAIL FROM:<a@client.example.test>", 250)
    c.cmd("RCPT TO:<b@other.test>", 250)
    c.cmd("DATA", 354)
    c.write(b"Subject: bare\r\n\r\n" + bare + b"\r\n.\r\n")
    code, text = c.reply()
    assert code // 100 == 5, text
    c.cmd("NOOP", 250)
    assert not relay.hop.messages
    still_works(relay)


def test_a_bare_line_end_in_a_command(relay):
    c = relay.b.smtp()
    c.write(b"MAIL FROM:<a@client.example.test>\nRCPT TO:<b@other.test>\r\n")
    assert c.reply()[0] in (500, 501, 521)
    still_works(relay)


def test_listener_that_mends_line_ends(house):
    hop = house.sink()
    b = house.baton(route=hop, listen='line_endings = "normalise"')
    c = b.smtp()
    c.write(b"MAIL FROM:<a@client.example.test>\nRCPT TO:<b@other.test>\nDATA\n")
    c.expect(250), c.expect(250), c.expect(354)
    # the end mark stays CRLF.CRLF: what mends lines must not end a message where the sender didn't
    c.write(b"Subject: x\n\nline\nlast\r\n.\r\n")
    c.expect(250)
    assert own_received_cut(hop.wait(1)[0].raw) == b"Subject: x\r\n\r\nline\r\nlast\r\n"
    b.stop()


def test_nul_bytes(relay):
    """A NUL in the body passes or is refused with words; in a command it is a syntax error."""
    c = relay.b.smtp()
    assert c.cmd(b"NOOP\0x")[0] in (250, 500, 501)
    try:
        c.send("a@client.example.test", "b@other.test", b"Subject: nul\r\n\r\na\0b\r\n")
        assert b"a\0b" in relay.hop.wait(1)[0].raw
    except Refused as e:
        assert e.code // 100 == 5
    still_works(relay)


def test_a_message_over_the_limit(house):
    hop = house.sink()
    b = house.baton(route=hop, message_size="1M")
    house.hop, house.b = hop, b
    c = b.smtp()
    c.cmd("MAIL FROM:<a@client.example.test>", 250)
    c.cmd("RCPT TO:<b@other.test>", 250)
    c.cmd("DATA", 354)
    c.write((b"x" * 998 + b"\r\n") * 2000 + b".\r\n")
    code, text = c.reply()
    assert code == 552 and text.startswith("5.3.4"), text
    c.cmd("NOOP", 250)
    still_works(house)
    assert len(hop.messages) == 1


def test_too_many_recipients(house):
    hop = house.sink()
    b = house.baton(route=hop, text="limits { recipients = 5 }")
    c = b.smtp()
    c.cmd("MAIL FROM:<a@client.example.test>", 250)
    codes = [c.cmd(f"RCPT TO:<b{i}@other.test>")[0] for i in range(7)]
    assert codes == [250] * 5 + [452] * 2
    c.cmd("DATA", 354)
    c.write(b"x\r\n.\r\n")
    c.expect(250)
    wait = hop.wait(1)
    assert sum(len(m.to) for m in wait) == 5
    b.stop()


def test_too_many_errors_end_the_session(house):
    b = house.baton(text="limits { errors = 5 }")
    c = b.smtp()
    codes = []
    try:
        for _ in range(10):
            codes.append(c.cmd("NONSENSE")[0])
    except EOFError:
        pass
    assert codes[-1] == 421 and len(codes) <= 7, codes
    b.smtp().quit()
    b.stop()


def test_a_loop_is_broken(relay):
    c = relay.b.smtp()
    with pytest.raises(Refused) as e:
        c.send("a@client.example.test", "b@other.test", b"Received: from x by y; Fri, 21 Nov 2025 10:00:00 +0000\r\n" * 60 + b"\r\nx\r\n")
    assert e.value.code == 554 and e.value.text.startswith("5.4.6")
    still_works(relay)


def test_relaying_is_refused(house):
    b = house.baton(relay_from='"192.0.2.0/24"', relay_to='{ "backup.test" }')
    c = b.smtp()
    c.cmd("MAIL FROM:<a@client.example.test>", 250)
    code, text = c.cmd("RCPT TO:<b@other.test>")
    assert code // 100 == 5 and text.startswith("5.7.1"), text
    c.cmd("RCPT TO:<b@backup.test>", 250)
    b.stop()


def test_an_unknown_local_user_is_refused_at_rcpt(house):
    b = house.baton()
    c = b.smtp()
    c.cmd("MAIL FROM:<a@client.example.test>", 250)
    code, text = c.cmd(f"RCPT TO:<no-such-user@{HOST}>")
    assert code == 550 and text.startswith("5.1.1"), text
    b.stop()


def test_a_client_that_goes_away_in_its_body(relay):
    c = relay.b.smtp()
    c.cmd("MAIL FROM:<a@client.example.test>", 250)
    c.cmd("RCPT TO:<b@other.test>", 250)
    c.cmd("DATA", 354)
    c.write(b"half a mess")
    c.close()
    still_works(relay)
    assert len(relay.hop.messages) == 1


def test_many_small_writes(relay):
    """A byte at a time is the same as all at once."""
    c = relay.b.smtp()
    for byte in b"MAIL FROM:<a@client.example.test>\r\nRCPT TO:<b@other.test>\r\nDATA\r\n":
        c.write(bytes([byte]))
    c.expect(250), c.expect(250), c.expect(354)
    for byte in b"Subject: slow\r\n\r\n..x\r\n.\r\n":
        c.write(bytes([byte]))
    c.expect(250)
    assert own_received_cut(relay.hop.wait(1)[0].raw) == b"Subject: slow\r\n\r\n.x\r\n"
    relay.b.stop()


def test_pipelining_all_in_one_write(relay):
    """A whole dialogue in one segment; the body right behind DATA is not what RFC 2920 allows, QUIT is."""
    c = relay.b.smtp()
    c.write(b"MAIL FROM:<a@client.example.test>\r\nRCPT TO:<b@other.test>\r\nRCPT TO:<c@other.test>\r\nDATA\r\n")
    assert [c.reply()[0] for _ in range(4)] == [250, 250, 250, 354]
    c.write(b"Subject: p\r\n\r\n.\r\nMAIL FROM:<a@client.example.test>\r\nRCPT TO:<b@other.test>\r\nQUIT\r\n")
    assert [c.reply()[0] for _ in range(4)] == [250, 250, 250, 221]
    relay.hop.wait(1)
    relay.b.stop()


MISTAKES = [
    ("nonsense = 1", 0),
    ("workers = many", 0),
    ("workers = -1", 0),
    ('message_size = "5 parsecs"', 0),
    ('retry { first = "1 fortnight" }', 0),
    ('relay_from = { "300.1.1.1/8" }', 0),
    ('listen "x" { address = "127.0.0.1:99999" }', 0),
    ('listen "x" {\n  address = "127.0.0.1:2525"\n  tls = "perhaps"\n}', 2),
    ('# a comment\n/* another\n of two lines */\nroute "a" {\n  # inside\n  to = "nowhere at all"\n}', 5),
    ('relay_to = { "a.test", # in a list\n  "b.test",\n  17bad! }', 2),
    ('route "r" { to = "mx" }\nroute "r" { to = "mx" }', 1),
    ('site "s" {\n  connections = 5\n', None),
    ('/* never closed', None),
]


@pytest.mark.parametrize("text,line", MISTAKES, ids=[m[0].split("\n")[0][:30] for m in MISTAKES])
def test_config_mistakes_are_named_with_their_line(house, text, line):
    b = house.baton(start=False, retry="" if "retry" in text else 'first = "1s"', text=text)
    lines = open(b.conf).read().split("\n")
    first = lines.index(text.split("\n")[0]) + 1
    done = subprocess.run([b.program("baton"), "-n", "-c", b.conf], env=b.env(), capture_output=True, timeout=15)
    assert done.returncode not in (0, 139, 134), done.stderr
    said = done.stderr.decode()
    if line is None:  # an unclosed one is named at its beginning or at the end
        assert re.search(rf"baton\.conf:\d+: \S", said), said
    else:
        assert f"baton.conf:{first + line}: " in said, f"want line {first + line}:\n{said}"
