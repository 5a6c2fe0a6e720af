"""log = "syslog": lines reach /dev/log through master. A private /dev in a mount namespace: root only."""
import json
import os
import re
import socket
import stat

import pytest

from harness import wait_for

pytestmark = pytest.mark.root


@pytest.fixture
def dev(house):
    """A folder that becomes /dev, with the few devices that are needed."""
    folder = house.path("dev")
    os.makedirs(folder)
    for name, minor in (("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9)):
        os.mknod(f"{folder}/{name}", stat.S_IFCHR | 0o666, os.makedev(1, minor))
        os.chmod(f"{folder}/{name}", 0o666)
    return folder


def listen(path):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    if os.path.exists(path):
        os.unlink(path)
    sock.bind(path)
    os.chmod(path, 0o666)
    sock.settimeout(10)
    return sock


def until(sock, pattern):
    """The datagram that matches."""
    while True:
        text = sock.recv(65536)
        if re.search(pattern, text):
            return text


def start(house, dev, **config):
    b = house.baton(start=False, log="syslog", **config, wrap=["unshare", "-m", "sh", "-c",
                    f'mount --bind {dev} /dev && exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"', "sh"])
    for folder in (b.dir, b.mail):
        os.chown(folder, 65534, 65534)
    for folder in (b.spool, b.runtime):
        os.makedirs(folder)
        os.chown(folder, 65534, 65534)
    return b.spawn()


def test_lines_reach_syslog(house, dev):
    log = listen(f"{dev}/log")
    b = start(house, dev)
    line = until(log, rb" ready ")
    assert re.match(rb"<22>[A-Z][a-z]{2} [ 0-9]\d \d\d:\d\d:\d\d baton\[\d+\]: master - ready pid=\d+", line), line
    c = b.smtp()
    c.cmd("MAIL FROM:<a@client.example.test>", 250)
    c.cmd("RCPT TO:<no-such-user@localhost>", 550)
    assert b"smtpd/" in until(log, rb"refuse")
    # syslog is started anew: its socket is another one, lines go there
    log.close()
    log = listen(f"{dev}/log")
    c.cmd("RCPT TO:<no-such-user@localhost>", 550)
    assert b"smtpd/" in until(log, rb"refuse")
    # and without it: to stderr, nothing is mute
    log.close()
    mark = len(b.log)
    c.cmd("RCPT TO:<no-such-user@localhost>", 550)
    b.wait_log(r"smtpd/\d - refuse ", after=mark)
    c.quit()
    b.stop()


def test_priority_form_and_last_line(house, dev):
    """Facility mail with the line's severity; JSON is the datagram's text; the last line isn't lost."""
    log = listen(f"{dev}/log")
    b = start(house, dev, log_format="json")
    head = rb"<(\d+)>[A-Z][a-z]{2} [ 0-9]\d \d\d:\d\d:\d\d baton\[%d\]: " % b.proc.pid
    seen = []
    seen.append(until(log, rb'"ready"'))
    b.kill("dnscache")
    seen.append(until(log, rb'"child_end"'))
    b.stop()
    seen.append(until(log, rb'"stopped"'))
    for line in seen:
        at = re.match(head, line)
        assert at, line
        assert int(at[1]) >> 3 == 2  # mail
        json.loads(line[at.end():])
    assert [int(re.match(head, line)[1]) & 7 for line in seen] == [6, 4, 6], seen  # info, warning, info
    log.close()


def test_a_syslog_that_does_not_read_holds_nobody_up(house, dev):
    """What it doesn't take goes to stderr, in order; mail and answers go on."""
    log = listen(f"{dev}/log")
    b = start(house, dev, route=house.sink(), workers=1)
    until(log, rb" ready ")
    sink, n = b.house.started[0], 600
    c = b.smtp()
    for i in range(n):  # more lines than its socket holds
        c.cmd(f"MAIL FROM:<m{i}@client.example.test>", 250)
        c.cmd("RCPT TO:<no-such-user@localhost>", 550)
        c.cmd("RSET", 250)
        if i % 15 == 14:  # before there are too many errors
            c.quit()
            c = b.smtp()
    c.send("a@client.example.test", "b@other.test", b"Subject: t\r\n\r\nx\r\n")
    sink.wait(1)
    c.quit()
    b.stop()
    b.reader.join(10)
    log.setblocking(False)
    taken = []
    try:
        while True:
            m = re.search(rb"refuse .*from=m(\d+)@", log.recv(65536))
            taken += [int(m[1])] if m else []
    except BlockingIOError:
        pass
    found = [int(m[1]) for m in re.finditer(rb"refuse .*from=m(\d+)@", b.log)]
    assert found and taken + found == list(range(n)), (len(taken), len(found))


def test_without_syslog_the_log_goes_to_stderr(house, dev):
    b = start(house, dev)
    b.wait_log(r"no /dev/log")
    b.wait_log(r"master - ready ")
    wait_for(lambda: b.smtp().quit() or True)
    b.stop()
