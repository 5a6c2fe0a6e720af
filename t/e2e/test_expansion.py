"""Aliases of 300 members while processes die: every member exactly once."""
import collections
import os
import re
import signal

import pytest

from harness import SOAK, wait_for, HOST
from home import Home
from smtp import message

MEMBERS = 300
KILLS = 8 if SOAK else 3  # master takes longer each time to start one again
FROM = "sender@other.test"


def kill(b, role):
    """kill -9 of one process of a role; back when another has taken its place."""
    dead = wait_for(lambda: b.pids(role), 90)[0]
    os.kill(dead, signal.SIGKILL)
    wait_for(lambda: [p for p in b.pids(role) if p != dead], 90)


def counts(sink):
    """(message, member) -> how often it came"""
    got = collections.Counter()
    for m in list(sink.messages):
        mark = re.search(rb"\nSubject: (\S+)", m.raw).group(1).decode()
        got.update((mark, to) for to in m.to)
    return got


def expect(house, sink, marks):
    """Waits until every member has every message; what came twice."""
    want = {(mark, f"m{i}@other.test") for mark in marks for i in range(MEMBERS)}

    def all_there():
        """every message at every member"""
        house.b.tool("batonctl", "release", "--state", "poison", check=False)
        return want <= set(counts(sink))
    try:
        wait_for(all_there, 200 if SOAK else 60, every=0.3)
    except AssertionError:
        missing = sorted(want - set(counts(sink)))
        raise AssertionError(f"{len(missing)} are missing: {missing[:5]}\n{house.b.log_tail()}")
    house.b.wait_empty(60)
    got = counts(sink)
    assert set(got) == want
    return {k: n for k, n in got.items() if n > 1}


def lists(house):
    """Three hundred by way of an included list, nested aliases and twice the same."""
    with open(house.path("list"), "w") as f:
        f.write("\n".join(f"m{i}@other.test" for i in range(200)))
    os.chmod(house.path("list"), 0o644)
    rest = ",\n ".join(f"m{i}@other.test" for i in range(150, MEMBERS))
    return f"list: :include:{house.path('list')}, rest\nrest: {rest}\n"


@pytest.mark.parametrize("role", ["keeper", "qmgr", "deliver", "tree"])
def test_kills_while_lists_expand(house, role):
    """Delivery rests meanwhile, so that not even deliver's death may cost a second copy."""
    sink = house.sink()
    house.b = b = house.baton(route=sink, aliases=lists(house), site="recipients_per_message = 50")
    b.tool("batonctl", "pause", "--domain", "other.test")
    marks = []
    # an index whose audit the tree doesn't live to the end of is put aside in time, with its pauses
    for k in range(3 if role == "tree" else KILLS):
        for n in range(3):
            marks.append(f"k{k}n{n}")
            b.smtp().send(FROM, [f"list@{HOST}"] + ([f"rest@{HOST}"] if n else []), message(marks[-1]))
            if n == 1 and role == "tree":
                b.kill_tree()
                b.start()
            elif n == 1:
                kill(b, role)
    b.tool("batonctl", "resume", "--domain", "other.test")
    assert not expect(house, sink, marks)
    b.stop()


def test_kills_while_members_are_sent(house):
    """Neither keeper's nor qmgr's death sends a member's copy twice; nor does one that forwards."""
    sink = house.sink()
    house.b = b = house.baton(route=sink, aliases=lists(house), site="recipients_per_message = 20")
    marks = [f"s{k}" for k in range(KILLS)]
    for k, mark in enumerate(marks):
        b.smtp().send(FROM, f"list@{HOST}", message(mark))
        role = ("qmgr", "keeper")[k % 2]
        kill(b, role)
    assert not expect(house, sink, marks)
    b.stop()


def test_kills_in_the_middle_of_a_long_list(house):
    """It takes several transactions: after qmgr's death between two of them every member once, and none before."""
    sink = house.sink()
    many = 99000 if SOAK else 9000
    house.b = b = house.baton(route=sink, site="recipients_per_message = 1000",
                              aliases="long: " + ",\n ".join(f"m{i}@other.test" for i in range(many)) + "\nshort: m1@other.test\n")
    b.tool("batonctl", "pause", "--domain", "other.test")
    b.smtp().send(FROM, [f"long@{HOST}", f"short@{HOST}"], message("long"))
    between = 0
    for _ in range(4):
        def some():
            """members in the queue"""
            rows = [r["address"] for row in b.queue() for r in row["recipients"]]
            return rows if len(rows) > 2 else None
        seen = wait_for(some, 30, 0.001)
        between += f"long@{HOST}" in seen and len(seen) > 2
        kill(b, "qmgr")
    b.tool("batonctl", "resume", "--domain", "other.test")
    want = {f"m{i}@other.test" for i in range(many)}
    wait_for(lambda: want <= {to for _, to in counts(sink)}, 200, 0.5)
    b.wait_empty(60)
    assert max(counts(sink).values()) == 1 and len(counts(sink)) == many
    print(f"\n{many} members, {between} of 4 deaths seen between two transactions")
    b.stop()


def test_a_tool_takes_a_long_list_away(house):
    """While it is expanded: what was ordered of the list holds for its members too."""
    sink = house.sink()
    b = house.baton(route=sink, aliases="long: " + ",\n ".join(f"m{i}@other.test" for i in range(30000)) + "\n")
    b.tool("batonctl", "pause", "--domain", "other.test")
    b.smtp().send(FROM, f"long@{HOST}", message("long"))
    wait_for(b.queue, 30, 0.01)
    b.tool("batonctl", "delete", "--all")
    b.wait_log(r"to=long@\S+ result=(expanded|deleted)", 60)
    b.wait_empty(60)
    b.tool("batonctl", "resume", "--domain", "other.test")
    b.smtp().send(FROM, "after@other.test", message("after"))
    wait_for(lambda: counts(sink), 30)
    assert set(counts(sink)) == {("after", "after@other.test")}
    b.stop()


@pytest.mark.parametrize("role", ["deliver", "qmgr"])
def test_kills_while_a_forward_is_read(house, role):
    """300 members of a user's own list: the answer is kept until it is in the index."""
    house.home = Home(house)
    sink = house.sink()
    house.home.write(".forward", "\n".join(f"m{i}@other.test" for i in range(MEMBERS)) + "\n")
    house.b = b = house.baton(wrap=house.home.wrap, route=sink, site="recipients_per_message = 50")
    b.tool("batonctl", "pause", "--domain", "other.test")
    marks = []
    for k in range(KILLS):
        for n in range(3):
            marks.append(f"f{k}n{n}")
            b.smtp().send(FROM, f"{house.home.user}@{HOST}", message(marks[-1]))
        kill(b, role)
    b.tool("batonctl", "resume", "--domain", "other.test")
    assert not expect(house, sink, marks)
    b.stop()
