"""A slow disk: every sync takes 20 ms longer, and nobody but the sync thread waits for it."""
import os
import time

from harness import SANITIZED

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
    delayed = sum(1 for line in open(house.path("strace")) if "fdatasync" in line)
    assert delayed > count / 400, f"only {delayed} syncs were seen"
    assert sums["ok"] >= count, sums
    if not SANITIZED:
        assert sums["rate"] >= 1000, sums
        assert slowest < 0.050, f"NOOP took {slowest * 1000:.0f} ms"
    b.wait_empty(60)
    b.stop()
    assert os.path.exists(house.path("strace"))
