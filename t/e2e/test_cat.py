"""batonctl cat: the message as it was taken, of any size; whoever stops reading costs nothing."""
import os
import signal
import subprocess

from harness import SANITIZED, wait_for

ODD = b"Subject: odd\r\n\r\n.dot\r\n..two\r\n.\xff8bit\r\nlast\r\n"


def waiting(house, *bodies):
    """An instance whose next hop isn't there, with these messages; their IDs."""
    b = house.baton(route="[127.0.0.1]:9", retry='first = "1h"')
    c = b.smtp()
    return b, [c.send("a@client.example.test", "b@other.test", body).split()[-1] for body in bodies]


def cat(b, *words):
    done = b.tool("batonctl", "cat", *words, check=False)
    return done.returncode, done.stdout, done.stderr.decode()


def test_as_it_was_taken(house):
    """Dots, 8 bit, no line of it changed, Received in front; LF for people, CR LF with --raw; several."""
    large = b"Subject: large\r\n\r\n" + b"".join(b"%08d %s\r\n" % (i, b"x" * 60) for i in range(20000))
    b, (odd, big) = waiting(house, ODD, large)
    code, out, err = cat(b, odd, "--raw")
    assert (code, err) == (0, "") and out.startswith(b"Received: ") and out.endswith(ODD), (out, err)
    code, out, err = cat(b, odd)
    assert (code, err) == (0, "") and b"\r" not in out and out.endswith(ODD.replace(b"\r\n", b"\n"))
    code, out, err = cat(b, odd, big)
    assert (code, err) == (0, "") and out.endswith(large.replace(b"\r\n", b"\n")) and out.count(b"Received: ") == 2
    b.stop()


def test_what_is_not_there(house):
    """An ID that isn't one, one that is unknown, one whose segment has been cut."""
    b, (qid,) = waiting(house, ODD)
    assert cat(b, "hello") == (64, b"", "hello: not a queue ID; `mailq` lists them\n")
    code, out, err = cat(b, qid[:-1] + ("0" if qid[-1] != "0" else "1"))
    assert code == 1 and not out and "isn't in the queue" in err, err
    (segment,) = [f"{b.spool}/segments/{n}" for n in os.listdir(f"{b.spool}/segments") if has(f"{b.spool}/segments/{n}", ODD[:10])]
    os.truncate(segment, 200)
    code, out, err = cat(b, qid)
    assert code == 1 and "isn't whole" in err, (out, err)
    assert b.tool("mailq").returncode == 0
    b.stop()


def has(path, words):
    with open(path, "rb") as f:
        return words in f.read()


def test_who_stops_reading(house):
    """A reader that stands still holds nobody up; one that goes leaves nothing behind; many at once are refused."""
    large = b"Subject: large\r\n\r\n" + b"line of some length for the pipe to fill\r\n" * (20000 if SANITIZED else 60000)
    b, (qid,) = waiting(house, large)
    still = []
    for _ in range(20):
        p = subprocess.Popen([b.program("batonctl"), "cat", qid], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=b.env())
        still.append(p)
    refused = wait_for(lambda: [p for p in still if p.poll() is not None], 20)
    assert all(p.returncode == 1 and b"too many" in p.stderr.read() for p in refused)
    assert len(refused) <= 4
    b.smtp().send("a@client.example.test", "b@other.test", ODD)
    for p in still:
        p.send_signal(signal.SIGKILL)
        p.wait()
        p.stdout.close()
        p.stderr.close()
    wait_for(lambda: cat(b, qid)[0] == 0, 20)
    b.stop()


def test_a_worker_dies(house):
    """The reader is told that it isn't whole; the next one gets it."""
    large = b"Subject: large\r\n\r\n" + b"line of some length for the pipe to fill\r\n" * 20000
    b, (qid,) = waiting(house, large)
    p = subprocess.Popen([b.program("batonctl"), "cat", qid], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=b.env())
    p.stdout.read(10)
    for pid in b.pids("deliver"):
        os.kill(pid, signal.SIGKILL)
    _, err = p.communicate(timeout=30)
    assert p.returncode == 1 and b"isn't whole" in err, err
    wait_for(lambda: cat(b, qid)[0] == 0, 20)
    b.stop()
