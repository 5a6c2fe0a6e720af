"""CHUNKING and SMTPUTF8 from client to next hop, and what a session answers over real sockets."""
from harness import HOST
from smtp import message, own_received_cut, stuff
from test_bytes import local_user
from test_dsn import notices

ME = f"{local_user()}@{HOST}"
UTF8 = ("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8")


def chunks(c, sender, to, body, sizes, params=""):
    """One transaction by BDAT, everything in one write; the last reply's text."""
    lines = [f"MAIL FROM:<{sender}>{params}\r\nRCPT TO:<{to}>\r\n".encode()]
    at = 0
    for size in sizes + [len(body)]:
        piece = body[at:at + size]
        at += len(piece)
        last = b" LAST" if at == len(body) else b""
        lines.append(b"BDAT %d%s\r\n%s" % (len(piece), last, piece))
        if last:
            break
    c.write(b"".join(lines))
    for _ in lines:
        c.expect(250)
    return c.expect(250)


def test_chunking(house):
    """What comes in chunks leaves as it came, small and large, dots at the cuts."""
    hop = house.sink()
    b = house.baton(route=hop)
    c = b.smtp()
    assert "CHUNKING" in c.hello and "BINARYMIME" not in c.hello
    small = message("small", b".\r\n..\r\na\r\n.b\r\n")
    large = message("large", b".0123456789 0123456789\r\n" * 40000)
    head = len(message("small"))
    for body, sizes in ((small, []), (small, [head + 1, 1, 1, 1]), (large, [head + 1, 70001, 300000])):
        chunks(c, "a@client.example.test", "b@other.test", body, sizes)
    c.quit()
    texts = [own_received_cut(m.raw) for m in hop.wait(3)]
    assert sorted(texts) == sorted([small, small, large])


def test_chunking_from_a_printer(house):
    """Where line ends are mended they are in chunks too, in memory and beyond, wherever the cuts are."""
    hop = house.sink()
    b = house.baton(route=hop, listen='line_endings = "normalise"')
    c = b.smtp()
    for lines in (20, 30000):
        mended = message(f"mend {lines}", b".0123456789 abcdef\r\n..\r\n" * lines)
        for body in (mended.replace(b"\r\n", b"\n"), mended):
            head = len(body) - len(body.split(b"\n\n" if b"\r" not in body else b"\r\n\r\n", 1)[1])
            size = len(body) // 3
            chunks(c, "a@client.example.test", "b@other.test", body, [head + 1, 1, 1, size, size + 1])
    c.quit()
    texts = [own_received_cut(m.raw) for m in hop.wait(4)]
    assert {t.count(b"\n") for t in texts} == {t.count(b"\r\n") for t in texts}
    sizes = sorted(len(t) for t in texts)
    assert sizes[0] == sizes[1] and sizes[2] == sizes[3] > 600000, sizes
    assert len({t for t in texts}) == 2


def test_smtputf8(house):
    """To a next hop that knows SMTPUTF8 it goes, to another one never: the sender hears why."""
    knows, other = house.sink(extensions=UTF8), house.sink()
    b = house.baton(route=knows, text=f'route "old.test" {{ to = "[127.0.0.1]:{other.port}" }}')
    c = b.smtp()
    assert "SMTPUTF8" in c.hello
    assert c.cmd(f"MAIL FROM:<{ME}> SMTPUTF8")[0] == 250
    for to in ("jörg@bücher.test", "jörg@old.test", "plain@old.test"):
        c.cmd(f"RCPT TO:<{to}>", 250)
    c.cmd("DATA", 354)
    c.write(stuff(message("subject")))
    c.expect(250)
    c.quit()
    (n,) = notices(b)
    assert sorted(f["final-recipient"].split(";")[1].strip() for f in n.recipients)[-1] == "plain@old.test"
    assert {f["status"] for f in n.recipients} == {"5.6.7"} and len(n.recipients) == 2
    (m,) = knows.wait(1)
    assert m.to == ["jörg@xn--bcher-kva.test"] and "SMTPUTF8" in m.options
    assert b"with UTF8SMTP id" in m.raw and not other.messages
    b.wait_empty()
