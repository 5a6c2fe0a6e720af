"""A full disk: 452 and nothing half-stored; with space back everything that was taken arrives."""
import os
import time

from harness import SOAK, wait_for
from load import account
from small_disk import SmallDisk

AFTER = 500 if SOAK else 100


def test_no_space_in_the_middle_of_a_batch(house):
    disk = SmallDisk(house, "160M")
    spool = os.path.join(disk.path, "spool")
    os.makedirs(disk.seen("spool"), exist_ok=True)
    hop = house.load_sink()
    port = hop.port
    hop.close()
    b = house.baton(start=False, wrap=disk.wrap, spool=spool, route=f"[127.0.0.1]:{port}", spool_min_free="0")
    b.start()
    disk.fill(leave=1 << 20)
    first = house.load(b.port, ok=10 ** 6, attempts=30000, prefix="full", size=8192, seconds=15)
    sums = first.wait()
    assert sums["temp"] > 0, f"the disk never got full: {sums}"
    assert not sums["perm"], sums
    b.smtp().cmd("NOOP", 250)
    disk.give_back()

    def takes_mail():
        """mail to be taken again"""
        load = house.load(b.port, ok=1, attempts=1, prefix=f"probe{time.monotonic_ns()}", seconds=5)
        probes.append(load)
        return load.wait()["ok"] == 1
    probes = []
    wait_for(takes_mail, 15, every=0.3)
    second = house.load(b.port, ok=AFTER, prefix="after", seconds=30)
    assert second.wait()["ok"] >= AFTER
    b.kill_tree()
    sink = house.load_sink(port=port)
    b.start()
    b.ctl("flush")
    fates = first.fates()
    for load in [second, *probes]:
        for word, names in load.fates().items():
            fates[word] |= names
    wait_for(lambda: not account(fates, sink.got())[0], 60, every=0.2)
    b.wait_empty()
    missing, twice, refused = account(fates, sink.got())
    assert not refused, f"refused with 4xx, and sent all the same: {sorted(refused)[:5]}"
    assert not twice
    b.stop()


def test_too_little_free_space_is_said_before_the_body(house):
    """Below spool_min_free MAIL or RCPT gets 452; above it mail is taken again."""
    disk = SmallDisk(house, "200M")
    os.makedirs(disk.seen("spool"), exist_ok=True)
    b = house.baton(start=False, wrap=disk.wrap, spool=os.path.join(disk.path, "spool"), route=house.sink(),
                    spool_min_free="20M")
    b.start()
    disk.fill(leave=10 << 20)

    def refused():
        """452 before the body"""
        c = b.smtp()
        code, text = c.cmd("MAIL FROM:<a@client.example.test>")
        c.close()
        return code == 452 and text.startswith("4.3.1")
    wait_for(refused, 15, every=0.2)
    disk.give_back()
    wait_for(lambda: not refused(), 15, every=0.2)
    b.smtp().send("a@client.example.test", "b@other.test", b"x\r\n")
    b.stop()
