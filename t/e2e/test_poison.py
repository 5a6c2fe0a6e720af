"""The poison guard: a message whose handling ends a deliver worker twice is set aside, others are not."""
import threading

from harness import wait_for


class Trap:
    """A next hop's MAIL that stalls for one sender, as long as it is armed."""

    def __init__(self):
        self.armed, self.caught, self.go = True, 0, threading.Event()

    def __call__(self, line):
        if self.armed and "poison@" in line:
            self.caught += 1
            self.go.wait(60)
        return None


def test_a_message_that_ends_workers(house):
    trap = Trap()
    sink = house.sink(refuse={"MAIL": trap})
    b = house.baton(route=sink, workers=1)
    c = b.smtp()
    bad = c.send("poison@client.example.test", "b@other.test", b"Subject: bad\r\n\r\n").split()[-1]

    def send(first, n):
        for i in range(first, first + n):
            c.send("a@client.example.test", "b@other.test", b"Subject: good %d\r\n\r\n" % i)

    def arrived():
        return {m.raw.split(b"Subject: ")[1].strip() for m in sink.messages}

    for death in (1, 2):
        wait_for(lambda: trap.caught == death, 20)
        send(death * 10, 10)  # some of them are given to the connection that stalls
        wait_for(lambda: len([s for s in arrived() if s.startswith(b"good %d" % death)]) >= 6, 20)
        b.replaced("deliver", b.kill("deliver"), 10)

    def set_aside():
        """the message in state poison, nothing else in the queue"""
        queue = b.queue("--state", "poison")
        return len(queue) == 1 and len(b.queue()) == 1 and queue
    row = wait_for(set_aside, 20)[0]
    assert arrived() == {b"good %d" % i for i in range(10, 30)}
    assert row["id"] == bad and row["recipients"][0]["state"] == "poison", row
    b.wait_log(rf"{bad} error: to b@other.test: .*poison", 1)
    send(30, 3)
    b.ctl("flush", "--all")
    wait_for(lambda: b"good 32" in arrived(), 20)
    assert set_aside() and trap.caught == 2
    # it stays so over a restart, until a person says otherwise
    b.stop()
    trap.go.set()
    b.start()
    assert set_aside()
    trap.armed = False
    b.ctl("release", bad)
    wait_for(lambda: b"bad" in arrived(), 20)
    b.wait_empty()
    b.stop()
