"""Recipients of one message share transactions: up to the limit, one domain where that is wanted, each with its own end."""
import threading

from harness import wait_for
from smtp import message
from test_bytes import local_user

SENDER = "a@client.example.test"


class Rcpts:
    """Refuses RCPT by a rule of (address, those of this transaction that were accepted); counts refusals."""

    def __init__(self, rule):
        self.rule, self.accepted, self.refused, self.lock = rule, {}, [], threading.Lock()

    def knobs(self):
        return {"MAIL": self.mail, "RCPT": self.rcpt, "RSET": self.mail}

    def mail(self, line):
        self.accepted[threading.get_ident()] = []

    def rcpt(self, line):
        address = line[line.index("<") + 1:line.rindex(">")]
        taken = self.accepted.setdefault(threading.get_ident(), [])
        reply = self.rule(address, taken)
        with self.lock:
            if reply:
                self.refused.append(address)
            else:
                taken.append(address)
        return reply


def everybody(hop):
    return sorted(r for m in hop.messages for r in m.to)


def all_come(hop, rcpts, seconds=20):
    def come():
        """every recipient at the next hop"""
        return everybody(hop) == sorted(rcpts)
    wait_for(come, seconds)


def test_a_transaction_holds_what_the_site_takes(house):
    """25 of mixed domains to a smarthost with a limit of 10."""
    hop = house.sink()
    b = house.baton(route=hop, site="recipients_per_message = 10")
    rcpts = [f"u{i}@d{i % 3}.test" for i in range(25)]
    b.smtp().send(SENDER, rcpts, message("limit"))
    all_come(hop, rcpts)
    assert sorted(len(m.to) for m in hop.messages) == [5, 10, 10]
    b.stop()


def test_one_domain_on_mx_routes(house):
    """Two domains of one site in turn in the list: a transaction each, not one a recipient."""
    nsd = house.nsd({"one.test": "@ IN MX 10 mx.hop.test.", "two.test": "@ IN MX 10 mx.hop.test.",
                     "hop.test": "mx IN A 127.0.0.1"})
    hop = house.sink()
    b = house.baton(resolver=nsd, route="mx", text=f"deliver {{ port = {hop.port}  ipv6 = false }}")
    rcpts = [f"u{i}@{'one' if i % 2 else 'two'}.test" for i in range(20)]
    b.smtp().send(SENDER, rcpts, message("domains"))
    all_come(hop, rcpts)
    assert [len({r.split("@")[1] for r in m.to}) for m in hop.messages] == [1, 1]
    b.stop()


def test_what_was_deferred_goes_together_again(house):
    """Two messages whose recipients were deferred one by one and come back in any order."""
    rule = Rcpts(lambda address, taken: "450 4.2.1 not now" if not open_now.is_set() else None)
    open_now = threading.Event()
    hop = house.sink(refuse=rule.knobs())
    b = house.baton(route=hop, retry='first = "10m"  max = "1h"')
    rcpts = [[f"u{i}@{name}.test" for i in range(20)] for name in ("one", "two")]
    with_both = b.smtp()
    for name, to in zip(("one", "two"), rcpts):
        with_both.send(SENDER, to, message(name))
    with_both.quit()

    def deferred():
        """40 deferred recipients"""
        return sum(r["attempts"] == 1 for row in b.queue() for r in row["recipients"]) == 40
    wait_for(deferred)
    open_now.set()
    b.ctl("flush", "--all")
    all_come(hop, rcpts[0] + rcpts[1])
    assert len(hop.messages) <= 4, [m.to for m in hop.messages]
    b.stop()


def test_too_many_recipients(house):
    """452 4.5.3 behind the fifth: the rest follows at once, is no attempt, and the site remembers."""
    rule = Rcpts(lambda address, taken: "452 4.5.3 too many recipients" if len(taken) == 5 else None)
    hop = house.sink(refuse=rule.knobs())
    b = house.baton(route=hop, retry='first = "10m"  max = "1h"')
    rcpts = [f"u{i}@other.test" for i in range(23)]
    b.smtp().send(SENDER, rcpts, message("many"))
    all_come(hop, rcpts)
    b.wait_empty()
    assert b"result=deferred" not in b.log
    with rule.lock:
        del rule.refused[:]
    more = [f"v{i}@other.test" for i in range(15)]
    b.smtp().send(SENDER, more, message("more"))
    all_come(hop, rcpts + more)
    assert not rule.refused and max(len(m.to) for m in hop.messages) == 5
    b.stop()


def test_multiple_destination_domains(house):
    """A smarthost that wants one domain a transaction: the same."""
    def one_domain(address, taken):
        if taken and taken[0].split("@")[1] != address.split("@")[1]:
            return "451 4.3.0 multiple destination domains per transaction is unsupported, please try again"
        return None
    rule = Rcpts(one_domain)
    hop = house.sink(refuse=rule.knobs())
    b = house.baton(route=hop, retry='first = "10m"  max = "1h"')
    rcpts = [f"u{i}@d{i % 3}.test" for i in range(12)]
    b.smtp().send(SENDER, rcpts, message("domains"))
    all_come(hop, rcpts)
    b.wait_empty()
    assert b"result=deferred" not in b.log
    with rule.lock:
        del rule.refused[:]
    before = len(hop.messages)
    more = [f"v{i}@d{i % 3}.test" for i in range(12)]
    b.smtp().send(SENDER, more, message("more"))
    all_come(hop, rcpts + more)
    assert not rule.refused and len(hop.messages) - before == 3
    b.stop()


def test_each_recipient_has_its_own_end(house):
    """One is taken, one comes later, one bounces."""
    later = []

    def rule(address, taken):
        if address.startswith("later") and not later:
            later.append(address)
            return "450 4.2.1 not now"
        return "550 5.1.1 nobody" if address.startswith("never") else None
    hop = house.sink(refuse=Rcpts(rule).knobs())
    b = house.baton(route=hop)
    to = ["now@other.test", "never@other.test", "later@other.test"]
    b.smtp().send(f"{local_user()}@relay.example.test", to, message("ends"))
    (notice,) = wait_for(lambda: b.maildir(local_user()), 20)
    assert b"never@other.test" in notice and b"now@other.test" not in notice
    all_come(hop, ["now@other.test", "later@other.test"])
    b.wait_empty()
    assert [m.to for m in hop.messages] == [["now@other.test"], ["later@other.test"]]
    b.stop()


def test_refused_from_the_first_on(house):
    """452 4.5.3 to the only recipient is no matter of number: deferred, and not tried in a loop."""
    rule = Rcpts(lambda address, taken: "452 4.5.3 too many recipients")
    hop = house.sink(refuse=rule.knobs())
    b = house.baton(route=hop, retry='first = "10m"  max = "1h"')
    b.smtp().send(SENDER, [f"u{i}@other.test" for i in range(3)], message("none"))
    b.wait_log("result=deferred")

    def deferred():
        """three deferred recipients"""
        return sum(r["attempts"] == 1 for row in b.queue() for r in row["recipients"]) == 3
    wait_for(deferred)
    assert len(rule.refused) <= 6
    b.stop()
