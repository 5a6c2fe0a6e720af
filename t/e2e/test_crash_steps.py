"""Death at a chosen step: strace kills whoever makes the Nth call of a kind; again in every new process.

The oracle is the same for all: what was answered with 250 arrives, what was refused does not. (More
than one process dies, so some may arrive twice. No --seccomp-bpf: strace 6.1 injects no signal with it.)
"""
import pathlib

import pytest

from harness import SANITIZED, SOAK, wait_for
from load import account

CALLS = [
    ("fdatasync", (3, 7)),   # smtpd's sync thread, qmgr's index thread
    ("pwrite64", (20,)),     # the index
    ("pwritev", (3, 20)),    # records into segments
    ("pread64", (10, 60)),   # qmgr reads envelopes, deliver reads bodies
    ("sendmsg", (60, 200)),  # between processes
    ("recvmsg", (90, 300)),
    ("sendto,writev", (20, 60)),  # to clients and next hops
    ("openat", (60,)),
    ("fallocate", (1,)),     # no new segment at all
]
STEPS = [(names, n) for names, at in CALLS for n in (at if not SOAK else range(1, 40, 3))]


@pytest.mark.skipif(SANITIZED, reason="the sanitizers' own calls shift every step; the release build has them all")
@pytest.mark.parametrize("names,n", STEPS, ids=[f"{names.split(',')[0]}-{n}" for names, n in STEPS])
def test_death_at_a_step(house, names, n):
    sink = house.load_sink(delay=1)
    calls = "trace=" + names
    b = house.baton(start=False, route=sink, site="connections = 5",
                    wrap=["strace", "-f", "-qq", "-o", house.path("strace"), "-e", calls, "-e",
                          f"inject={names}:signal=KILL:when={n}"])
    b.spawn()

    def died():
        """how often the step ended somebody"""
        book = pathlib.Path(house.path("strace"))
        return book.read_text().count("killed by SIGKILL") if book.exists() else 0
    try:  # three deaths: the step lies in the start, and nothing is taken, which is as good
        wait_for(lambda: b"ready" in b.log or died() >= 3, 15)
    except AssertionError:
        pass
    load = house.load(b.port, sessions=10, ok=10 ** 6, rate=150, seconds=2, prefix="step")
    load.wait()
    deaths = died()
    if b.proc.poll() is None:
        b.kill_tree()
    b.wrap = []
    b.start()
    b.smtp().send("a@client.example.test", "b@other.test", b"X-Id: last-1\r\n\r\n")
    # who was in hand twice when a worker died is set aside: right, where every new worker dies as well
    b.tool("batonctl", "release", "--state", "poison", check=False)
    b.ctl("flush")
    fates = load.fates()
    fates["ok"].add("last-1")
    wait_for(lambda: not account(fates, sink.got())[0], 30, every=0.1)
    b.wait_empty()
    assert not account(fates, sink.got())[2], "refused, and sent all the same"
    assert deaths or SOAK, "nobody made that call so often: the step tests nothing"
    b.stop()
