"""kill -9 of qmgr at any moment: under load, with mail that is refused and tried again, mail that waits for a
hop that is down, segments that are closed and punched meanwhile. Nothing is lost, nothing comes twice."""
import random
import time

from harness import SOAK, wait_for
from load import account
from test_once import settle

KILLS = 4  # in a row; each restart waits longer than the one before
ROUNDS = 5 if SOAK else 1
QUIET = 11  # seconds after which a process has a clean slate; time for punching too
LATER = 'route "later.test" {{ to = "[127.0.0.1]:{}" }}'


def test_at_random_moments(house):
    rng = random.Random(time.time_ns())
    sink, down = house.load_sink(delay=1, temp=100), house.sink(start=False)
    b = house.baton(route=sink, text=LATER.format(down.port), retry='first = "1s"  max = "2s"')
    loads = []
    for i in range(ROUNDS):
        loads.append((house.load(b.port, ok=10 ** 6, rate=400, seconds=3, prefix=f"m{i}"),
                      house.load(b.port, ok=10 ** 6, rate=10, seconds=3, prefix=f"later{i}", to="b@later.test",
                                 sessions=2)))
        for _ in range(KILLS):
            time.sleep(rng.choice((rng.uniform(0, 0.05), rng.uniform(0, 0.6))))
            b.replaced("qmgr", b.kill("qmgr"), 10)
        for load in loads[-1]:
            load.wait()
        if i + 1 < ROUNDS:
            time.sleep(1)  # the workers' segments are closed; one is killed in the midst of punching them
            for pid in b.pids("smtpd"):
                b.kill("smtpd", which=b.pids("smtpd").index(pid))
            time.sleep(QUIET / 2 + rng.uniform(-1, 1))
            b.kill("qmgr")
            time.sleep(QUIET + 5)
    later = house.load_sink(port=down.port)
    wait_for(lambda: b.tool("batonctl", "flush", "--all", check=False).returncode == 0, 10)
    sent = 0
    for kind, hop in ((0, sink), (1, later)):
        fates = {"ok": set(), "temp": set(), "perm": set()}
        for pair in loads:
            for word, names in pair[kind].fates().items():
                fates.setdefault(word, set()).update(names)
        sent += len(fates["ok"])
        missing, twice, refused = settle(b, hop, fates)
        assert not twice and not refused, (twice, refused)
    print(f"{ROUNDS * KILLS} kills, {sent} messages, {b.log.count(b': punched')} times punched, "
          f"{b.log.count(b'put aside as')} indexes put aside")
    b.stop()
