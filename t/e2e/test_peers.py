"""Real mail servers as next hops, unpacked, never installed: Debian's Postfix (with PIPELINING and with CHUNKING)
and Exim. What is written ahead of the replies meets servers that nobody wrote for these tests."""
import importlib.machinery
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile

import pytest

from harness import PEERS, RELEASE, SOAK, TOP, Proc, free_port, wait_for
from test_ahead import ONE, put, text

pytestmark = pytest.mark.root
NOBODY = pwd.getpwnam("nobody")


def bench():
    loader = importlib.machinery.SourceFileLoader("bench_run", os.path.join(TOP, "t/bench/run"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench_run", loader))
    loader.exec_module(module)
    return module


def relay(house, hop):
    """Baton as nobody, told to say what it hears."""
    b = house.baton(start=False, build=RELEASE, route=hop, site=ONE, retry='first = "60s"', log_level="debug",
                    text=f'route "client.example.test" {{ to = "[127.0.0.1]:{house.home.port}" }}',
                    wrap=["setpriv", f"--reuid={NOBODY.pw_uid}", f"--regid={NOBODY.pw_gid}", "--clear-groups"])
    os.makedirs(b.spool)
    os.makedirs(b.runtime)
    subprocess.run(["chown", "-R", "nobody:nogroup", house.dir], check=True)
    return b.start()


def check(house, hop, boxes, whole):
    """40 messages, three of them big; one recipient refused, one put off. whole: by BDAT"""
    house.home = house.sink()
    b = relay(house, hop)
    bodies = {f"r{i}@other.test": text(i, 200000 if i % 15 == 7 else 4096) for i in range(40)}
    put(b, bodies.values())

    def arrived():
        """what is in the mailboxes"""
        got = {}
        for folder, _, files in os.walk(boxes):
            for name in files:
                if os.path.basename(folder) == "new":
                    raw = open(os.path.join(folder, name), "rb").read()
                    got.setdefault(re.search(rb"^(?:Delivered-To|Envelope-to): (\S+)", raw, re.M)[1].decode(), []).append(raw)
        return got
    want = set(bodies) - {"r11@other.test", "r12@other.test"}
    wait_for(lambda: set(arrived()) == want, 60)
    wait_for(lambda: re.search(rb"to=r11@other.test result=bounced", b.log) and
             re.search(rb"to=r12@other.test result=deferred", b.log), 20)
    for to, raws in arrived().items():
        assert len(raws) == 1
        body = bodies[to].replace(b"\r\n", b"\n")
        assert raws[0].endswith(body[body.index(b"X-Id:"):]), to
    wait_for(lambda: len(re.findall(rb"to=r\d+@other.test result=sent", b.log)) == 38, 20)
    house.home.wait(1)
    assert b"pipelining=off" not in b.log
    # the big ones, and our own notice on its way through smtpd and home
    asked = b.log.count(b": DATA: 354 ")
    assert asked == 3 + 2 if whole else asked >= 38
    b.stop()


@pytest.mark.parametrize("whole", [True, False] if SOAK else [True])
def test_postfix(house, whole):
    run = bench()
    boxes = tempfile.mkdtemp(prefix="boxes", dir="/tmp")
    os.chown(boxes, NOBODY.pw_uid, NOBODY.pw_gid)

    class Hop(run.Postfix):
        services = "virtual unix - n n - - virtual\n"

        def more(self):
            return f"""virtual_mailbox_domains = other.test
virtual_mailbox_base = {boxes}
virtual_mailbox_maps = static:all/
virtual_uid_maps = static:{NOBODY.pw_uid}
virtual_gid_maps = static:{NOBODY.pw_gid}
smtpd_recipient_restrictions = check_recipient_access inline:{{ {{ r11@other.test = REJECT }}, {{ r12@other.test = DEFER }} }}, permit_mynetworks, reject
""" + ("" if whole else "smtpd_discard_ehlo_keywords = chunking\n")
    hop = Hop(house, 1)
    hop.prepare()
    try:
        check(house, hop, boxes, whole)
    finally:
        hop.close()
        shutil.rmtree(boxes, ignore_errors=True)


EXIM = """spool_directory = {dir}/spool
exim_path = {exim}
log_file_path = {dir}/%slog
pid_file_path = {dir}/pid
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
primary_hostname = exim.example.test
host_lookup =
smtp_accept_queue_per_connection = 0
smtp_accept_max_per_connection = 0
keep_environment =
chunking_advertise_hosts = {chunking}
acl_smtp_rcpt = rcpt
begin acl
rcpt:
  deny local_parts = r11
  defer local_parts = r12
  accept domains = other.test
begin routers
all:
  driver = accept
  transport = box
begin transports
box:
  driver = appendfile
  directory = {boxes}
  maildir_format
  create_directory
  envelope_to_add
  user = nobody
  group = nogroup
"""


@pytest.mark.parametrize("whole", [True, False] if SOAK else [True])
def test_exim(house, whole):
    """Its user isn't on this host: it gets an /etc/passwd of its own."""
    where = tempfile.mkdtemp(prefix="exim", dir="/tmp")
    boxes, port = os.path.join(where, "boxes"), free_port()
    os.makedirs(os.path.join(where, "spool"))
    os.makedirs(boxes)
    with open(os.path.join(where, "conf"), "w") as f:
        f.write(EXIM.format(dir=where, exim=f"{PEERS}/exim4", boxes=boxes, port=port, chunking="*" if whole else ""))
    for name, line in (("passwd", f"Debian-exim:x:{NOBODY.pw_uid}:{NOBODY.pw_gid}::/nonexistent:/bin/false\n"),
                       ("group", f"Debian-exim:x:{NOBODY.pw_gid}:\n")):
        with open(f"/etc/{name}") as f, open(os.path.join(where, name), "w") as g:
            g.write(f.read() + line)
    subprocess.run(["chown", "-R", "nobody:nogroup", where], check=True)
    os.chown(os.path.join(where, "conf"), 0, 0)
    try:
        hop = house.keep(Proc(["unshare", "-m", "sh", "-c", f'mount --bind {where}/passwd /etc/passwd && mount --bind {where}/group /etc/group && '
                               'exec "$@"', "sh", f"{PEERS}/exim4", "-C", f"{where}/conf", "-bdf"], port))
        check(house, hop, boxes, whole)
    finally:
        for thing in house.started:
            if isinstance(thing, Proc):
                thing.close()
        shutil.rmtree(where, ignore_errors=True)
