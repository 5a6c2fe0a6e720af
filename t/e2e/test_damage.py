"""A damaged index: whatever bit has flipped, what was queued is delivered, once, and nothing that was
delivered before is sent again. The clock far ahead: nothing bounces untried."""
import glob
import os
import random
import re
import shutil
import time

import pytest

from harness import SANITIZED, SOAK, wait_for

QUEUED = 3000 if SOAK else 300
SEVERAL = 20  # messages of two recipients, of which one has its mail already
LATER = 'route "later.test" {{ to = "[127.0.0.1]:{}" }}'


def flip(path, rng, bits):
    with open(path, "r+b") as f:
        size = os.fstat(f.fileno()).st_size
        for _ in range(bits):
            at = rng.randrange(size)
            f.seek(at)
            byte = f.read(1)[0]
            f.seek(at)
            f.write(bytes([byte ^ 1 << rng.randrange(8)]))


def cut(path, rng, _):
    os.truncate(path, rng.randrange(os.path.getsize(path)))


def blank(path, rng, pages):
    """Pages of zeros, as a disk may leave them."""
    with open(path, "r+b") as f:
        size = os.fstat(f.fileno()).st_size
        for _ in range(pages):
            f.seek(rng.randrange(size // 4096) * 4096)
            f.write(bytes(4096))


def remove(path, _rng, _):
    os.unlink(path)


def extent(path, _rng, bit):
    """One bit of both meta pages' number of pages: it had a start fill the disk."""
    with open(path, "r+b") as f:
        for meta in (0, 4096):
            at = meta + 136 + bit // 8
            f.seek(at)
            byte = f.read(1)[0]
            f.seek(at)
            f.write(bytes([byte ^ 1 << bit % 8]))


WAYS = [(extent, 18), (extent, 40), (flip, 1), (flip, 10), (flip, 100), (flip, 3000), (cut, 0), (blank, 1), (blank, 20), (remove, 0)]


# LMDB may well fault on pages that were damaged: a death of qmgr like another, of which the sanitizer makes no report.
FAULTS = ["env", "ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:handle_segv=0:handle_sigbus=0"] if SANITIZED else []


class Base:
    """A spool with mail that waits for a next hop that is down, to be copied for each damage."""

    def __init__(self, house):
        self.house, self.first = house, house.load_sink()
        self.down = house.sink(start=False)
        self.b = b = house.baton(route=self.first, text=LATER.format(self.down.port), retry='first = "1h"',
                                  wrap=FAULTS)
        house.load(b.port, ok=QUEUED, to="c@other.test", prefix="gone").wait()
        house.load(b.port, ok=QUEUED, to="b@later.test", prefix="q").wait()
        c = b.smtp()
        for i in range(SEVERAL):
            c.send("a@client.example.test", ["b@other.test", "b@later.test"], b"X-Id: both-%d\r\n\r\n" % i)
        wait_for(lambda: len(b.queue()) == QUEUED + SEVERAL, 30, every=0.2)
        wait_for(lambda: sum(self.first.got().values()) == QUEUED + SEVERAL, 30, every=0.1)
        b.stop()
        self.before = self.first.got()
        self.copy = house.path("spool-copy")
        shutil.copytree(b.spool, self.copy)

    def again(self):
        shutil.rmtree(self.b.spool)
        shutil.copytree(self.copy, self.b.spool)

    def deliver(self, what):
        """Starts on what is there; everything comes, once, or it is said what didn't."""
        b, began, seen = self.b, time.monotonic(), len(self.b.log)
        book = self.house.path(f"sunk{self.down.port}")
        if os.path.exists(book):
            os.unlink(book)
        later = self.house.load_sink(port=self.down.port)
        b.start()

        def empty():
            """all that waits to be delivered"""
            b.tool("batonctl", "flush", "--all", check=False)
            return sum(later.got().values()) >= QUEUED + SEVERAL and \
                b.tool("batonctl", "queue", "--json", check=False).stdout == b""
        try:
            wait_for(empty, 60, every=0.3)
        except AssertionError:
            raise AssertionError(f"{what}: {len(later.got())} of {QUEUED + SEVERAL} came\n{b.log_tail()}")
        took = time.monotonic() - began
        b.stop()
        got = later.got()
        later.close()
        assert set(got.values()) == {1} and len(got) == QUEUED + SEVERAL, what
        assert self.first.got() == self.before, f"{what}: mail that was delivered is sent again"
        log = b.log[seen:]
        deaths = log.count(b"child=qmgr/1 how=")
        assert deaths <= 5, f"{what}: qmgr ended {deaths} times\n{b.log_tail()}"
        rebuilt = b"put aside as" in log or b"is read again" in log or b"are read again" in log
        print(f"{what}: {took:.1f} s, qmgr ended {deaths} times, {'rebuilt' if rebuilt else 'as it was'}")


@pytest.fixture
def base(house):
    return Base(house)


def test_a_damaged_index(base):
    rng = random.Random(int(os.environ.get("BATON_SEED", time.time_ns())))
    rounds = 8 if SOAK else 1
    ways = [way for _ in range(rounds) for way in (WAYS if SOAK else rng.sample(WAYS, 2 if SANITIZED else 4))]
    for damage, n in ways:
        seed = rng.randrange(1 << 32)
        print(f"{damage.__name__} {n} (seed {seed})")
        base.again()
        damage(os.path.join(base.b.spool, "index/data.mdb"), random.Random(seed), n)
        base.deliver(f"{damage.__name__} {n} (seed {seed})")


def shifted(years):
    """The command that starts another one with its wall clock so far ahead; none without libfaketime."""
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    return found and ["env", f"LD_PRELOAD={found[0]}", f"FAKETIME=+{years}y", "FAKETIME_DONT_FAKE_MONOTONIC=1"]


@pytest.mark.skipif(SANITIZED, reason="the sanitizer wants to be loaded first")
@pytest.mark.parametrize("lost", [False, True], ids=["", "index lost"])
def test_the_clock_ten_years_ahead(house, lost):
    """All that waits has outlived its lifetime by years: it is tried once more, nothing bounces."""
    down = house.sink(start=False)
    b = house.baton(route=house.sink(), text=LATER.format(down.port), retry='first = "1h"')
    c = b.smtp()
    for i in range(30):
        c.send("a@other.test", "b@later.test", b"Subject: %d\r\n\r\n" % i)
    wait_for(lambda: len(b.queue()) == 30, 10)
    b.stop()
    if lost:
        shutil.rmtree(os.path.join(b.spool, "index"))
    b.wrap = shifted(10)
    assert b.wrap, "libfaketime is not installed"
    down.start()
    after = len(b.log)
    b.start()
    down.wait(30, 20)
    b.wait_empty()
    assert re.search(rb"\n20[3-9]\d-", b.log[after:]), "the clock is what it was"
    assert len(down.messages) == 30 and b"notice" not in b.log[after:], b.log_tail()
    b.stop()
    # and back: what waits from then on doesn't wait for ten years
    down.close()
    b.start()
    b.smtp().send("a@other.test", "b@later.test", b"Subject: back\r\n\r\n")
    wait_for(lambda: len(b.queue()) == 1, 10)
    b.stop()
    b.wrap = []
    down.start()
    b.start()
    due = b.queue()[0]["recipients"][0]["next"]
    assert due <= time.time() + 5 * 3600, due
    b.ctl("flush", "--all")
    down.wait(31, 20)
    b.stop()
