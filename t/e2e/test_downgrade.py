"""Mail of eight bits to a next hop that takes seven: readers see the same, signatures stay or it goes back."""
import email
import email.policy
from email.message import EmailMessage

from harness import wait_for
from smtp import message

SEVEN = ("PIPELINING", "ENHANCEDSTATUSCODES", "SIZE 1000000")
LINES = "Grüße aus Köln, mit = und Leerzeichen am Ende \r\n.punkt\r\n" + "ä" * 450 + "\r\n"


def mail():
    """Text and its HTML, a picture, a message that was passed on: all in eight bits."""
    inner = EmailMessage()
    inner["Subject"] = "inside"
    inner.set_content("Öl\r\n" * 3, cte="8bit")
    m = EmailMessage()
    m["Subject"] = "eight"
    m["From"] = "me@client.test"
    m.set_content(LINES.replace("\r\n", "\n"), cte="8bit")
    m.add_alternative("<p>Käse</p>\n", subtype="html", cte="8bit")
    m.add_attachment(bytes(range(256)), maintype="image", subtype="png")
    m.add_attachment(inner)
    return m.as_bytes(policy=email.policy.SMTP.clone(cte_type="8bit", max_line_length=None))


def texts(raw):
    """The decoded content of every part, in order."""
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    return [(p.get_content_type(), p.get_payload(decode=True).replace(b"\r\n", b"\n"))
            for p in parsed.walk() if not p.is_multipart()]


def test_readers_see_the_same(house):
    hop = house.sink(extensions=SEVEN)
    b = house.baton(route=hop)
    raw = mail()
    assert any(c > 127 for c in raw)
    b.smtp().send("me@client.test", "you@other.test", raw, " BODY=8BITMIME")
    got = hop.wait(1)[0]
    assert all(c < 128 for c in got.raw) and "8BITMIME" not in got.options
    assert max(map(len, got.raw.split(b"\r\n"))) <= 998
    assert texts(got.raw) == texts(raw)
    assert got.raw.count(b"quoted-printable") == 3
    b.smtp().send("me@client.test", "you@other.test", message("plain", b"ascii\r\n"))
    assert hop.wait(2)[1].raw.endswith(message("plain", b"ascii\r\n"))


def test_a_signature_is_not_broken(house):
    """It comes back with 5.6.3, nothing of it is sent; the same to a next hop of eight bits arrives."""
    seven, eight, bounces = house.sink(extensions=SEVEN), house.sink(), house.sink()
    b = house.baton(text="\n".join(f'route "{name}" {{ to = "[127.0.0.1]:{sink.port}" }}' for name, sink in
                                   (("seven.test", seven), ("eight.test", eight), ("from.test", bounces))))
    raw = message("signed", b"--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xc3\xa4\r\n--b--\r\n",
                  **{"MIME-Version": "1.0", "Content-Type": 'multipart/signed; boundary="b"'})
    b.smtp().send("me@from.test", ["you@seven.test", "you@eight.test"], raw, " BODY=8BITMIME")
    assert eight.wait(1)[0].raw.endswith(raw)
    told = bounces.wait(1)[0].raw
    assert b"5.6.3" in told and b"signature" in told and b"you@seven.test" in told
    assert not seven.messages and not any(line.startswith("MAIL") for _, line in seven.commands)


def test_size_is_known_before(house):
    """A next hop that says SIZE 2000 never sees a MAIL for more; 5.3.4 goes back."""
    hop, bounces = house.sink(extensions=("PIPELINING", "8BITMIME", "SIZE 2000")), house.sink()
    b = house.baton(text=f'route "other.test" {{ to = "[127.0.0.1]:{hop.port}" }}\n'
                         f'route "from.test" {{ to = "[127.0.0.1]:{bounces.port}" }}')
    b.smtp().send("me@from.test", "you@other.test", message("large", b"x" * 70 + b"\r\n" + b"y" * 4000 + b"\r\n"))
    assert b"5.3.4" in bounces.wait(1)[0].raw
    assert not any(line.startswith("MAIL") for _, line in hop.commands)
    b.smtp().send("me@from.test", "you@other.test", message("small", b"x\r\n"))
    hop.wait(1)
    wait_for(lambda: not b.queue(), 20)
