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
