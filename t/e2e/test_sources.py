"""Where mail leaves from: by route, by class, by sender, each with its own name in EHLO."""
import socket
import threading

from harness import free_port, wait_for
from sink import Sink
from smtp import message


class Seen(Sink):
    """A sink that remembers (address of the client, its name) with each connection."""

    def start(self):
        self.peers = []
        self.listener = socket.create_server(("0.0.0.0", self.port))
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()
        return self

    def _serve(self, sock, number):
        self.peers.append((number, sock.getpeername()[0]))
        super()._serve(sock, number)

    def came(self, sender):
        """(address, name) that a message of that sender came from."""
        number = next(m.connection for m in self.messages if m.sender == sender)
        name = next(line.split()[1] for n, line in self.commands if n == number and line.startswith("EHLO"))
        return dict(self.peers)[number], name


TEXT = """
source "route" {{ address = "127.0.0.11"  hello = "route.example" }}
source "class" {{ address = "127.0.0.12"  hello = "class.example" }}
source "one"   {{ address = "127.0.0.13"  hello = "one.example"  sender = "one@from.test" }}
source "all"   {{ address = {{ "127.0.0.14", "2001:db8::1" }}  sender = {{ "*@from.test", "*@.below.test" }} }}
class "lists"  {{ header = "X-Kind: list"  source = "class" }}
route "special.test" {{ to = "{to}"  source = "route" }}
"""


def test_sources(house):
    """The route's source before the class's, that before the sender's; of senders the closest pattern."""
    hop = house.keep(Seen(port=free_port()))
    to = f"[127.0.0.1]:{hop.port}"
    b = house.baton(route=hop, text=TEXT.format(to=to))
    mail = [("one@from.test", "x@special.test", "list", "127.0.0.11", "route.example"),
            ("one@from.test.example", "x@other.test", "", "127.0.0.1", "relay.example.test"),
            ("two@from.test", "x@other.test", "list", "127.0.0.12", "class.example"),
            ("one@from.test", "x@other.test", "", "127.0.0.13", "one.example"),
            ("six@from.test", "x@other.test", "", "127.0.0.14", "relay.example.test"),
            ("a@x.below.test", "x@other.test", "", "127.0.0.14", "relay.example.test")]
    for n, (sender, to, kind, address, name) in enumerate(mail, 1):
        hop.messages.clear()
        b.smtp().send(sender, to, message(f"m{n}", **{"X-Kind": kind}))
        hop.wait(1)
        assert hop.came(sender) == (address, name), (sender, to, kind)
    wait_for(lambda: not b.queue(), 20)
    # a new configuration: what waits for nobody takes the new way
    b.write(route=hop, text=TEXT.format(to=f"[127.0.0.1]:{hop.port}").replace('sender = "one@', 'sender = "nobody@'))
    b.hup()
    hop.messages.clear()

    def renewed():
        """the new source"""
        b.smtp().send("one@from.test", "x@other.test", message("again"))
        hop.wait(1)
        address = hop.came("one@from.test")[0]
        hop.messages.clear()
        return address == "127.0.0.14"
    wait_for(renewed, 20, every=0.2)


def test_an_unknown_source_is_refused(house):
    b = house.baton(start=False, text='class "c" { sender = "*"  source = "nowhere" }')
    b.spawn()
    b.wait_log('there is no source "nowhere"', 20)
    b.proc.wait(20)
