"""A slow disk: every sync takes 20 ms longer, and nobody but the sync thread waits for it."""
import os
import time

import pytest

from harness import SANITIZED, SOAK, wait_for
from load import account

STRACE = ["strace", "-f", "-qq", "--seccomp-bpf", "-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_exit=20000"]


def test_a_hundred_sessions_share_slow_syncs(house):
    """100 sessions still get 1,000 messages a second accepted, and NOOP answers within 50 ms."""
    b = house.baton(wrap=[*STRACE, "-o", house.path("strace")], route=house.load_sink())
    count = 1500 if SANITIZED else 4000
    load = house.load(b.port, sessions=100, ok=count)
    c = b.smtp()
    slowest = 0
    while load.running():
        start = time.monotonic()
        c.cmd("NOOP", 250)
        slowest = max(slowest, time.monotonic() - start)
        time.sleep(0.005)
    sums = load.wait()
    c.quit()
    print(f"every sync 20 ms longer, 100 sessions: {sums['rate']:.0f} accepted a second, slowest NOOP {slowest * 1000:.1f} ms")
    delayed = sum(1 for line in open(house.path("strace")) if "fdatasync" in line)
    assert delayed > count / 400, f"only {delayed} syncs were seen"
    assert sums["ok"] >= count, sums
    if not SANITIZED:
        assert sums["rate"] >= 1000, sums
        assert slowest < 0.050, f"NOOP took {slowest * 1000:.0f} ms"
    b.wait_empty(60)
    b.stop()
    assert os.path.exists(house.path("strace"))


@pytest.mark.parametrize("call,error", [("fdatasync", "EIO"), ("pwritev", "EIO"), ("pwritev", "ENOSPC")])
def test_a_failed_write_or_sync_is_no_250(house, call, error):
    """From the tenth call on it fails in every process: 4xx, and what got 4xx is never sent; all else is."""
    hop = house.load_sink()
    b = house.baton(wrap=["strace", "-f", "-qq", "-o", house.path("strace"), "-e", f"trace={call}", "-e",
                          f"inject={call}:error={error}:when=10+"], route=hop)
    load = house.load(b.port, sessions=4, ok=10 ** 6, rate=300, seconds=3 if SOAK else 1, prefix="fail")
    sums = load.wait()
    assert sums["ok"] and sums["temp"] and not sums["perm"], sums
    assert "INJECTED" in open(house.path("strace")).read()
    b.kill_tree()
    b.wrap = []
    b.start()
    b.ctl("flush")
    wait_for(lambda: not account(load.fates(), hop.got())[0], 20, every=0.1)
    b.wait_empty()
    assert not account(load.fates(), hop.got())[2]
    b.stop()
