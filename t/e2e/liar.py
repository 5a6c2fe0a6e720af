"""A DNS server that does what a test wants, packet by packet; and counts what it is asked.

    liar = house.liar(say)          say(query) -> a packet, a list of packets, or None for silence

A query has id, name, type ("MX", "A", ...), edns, cd, tcp, raw. The helpers below put packets
together: answer(q, mx(q.name, 10, "mx.test"), ...), rcode(q, 2).
"""
import collections
import socket
import struct
import threading
import time

from harness import free_port

TYPES = {1: "A", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 52: "TLSA"}
NUMBERS = {name: number for number, name in TYPES.items()}
Query = collections.namedtuple("Query", "id name type edns cd tcp raw")


def wire(name):
    """A name without compression."""
    return b"".join(bytes([len(p)]) + p.encode() for p in name.split(".") if p) + b"\0"


def parse(raw, tcp=False):
    at, labels = 12, []
    while raw[at]:
        labels.append(raw[at + 1:at + 1 + raw[at]].decode())
        at += 1 + raw[at]
    kind, = struct.unpack_from(">H", raw, at + 1)
    return Query(struct.unpack_from(">H", raw)[0], ".".join(labels), TYPES.get(kind, kind), raw[11] == 1,
                 bool(raw[3] & 0x10), tcp, raw)


def question(name, kind):
    return wire(name) + struct.pack(">HH", NUMBERS.get(kind, kind), 1)


def record(name, kind, data, ttl=300):
    return wire(name) + struct.pack(">HHIH", NUMBERS.get(kind, kind), 1, ttl, len(data)) + data


def a(name, address="127.0.0.1", ttl=300):
    return record(name, "A", socket.inet_aton(address), ttl)


def mx(name, preference, host, ttl=300):
    return record(name, "MX", struct.pack(">H", preference) + wire(host), ttl)


def soa(name, ttl=60):
    return record(name, "SOA", wire("ns." + name) + wire("admin." + name) + struct.pack(">5I", 1, 1, 1, 1, ttl), ttl)


def packet(id, flags, asked, answers=(), authority=(), extra=()):
    return struct.pack(">6H", id, flags, bool(asked), len(answers), len(authority), len(extra)) + asked \
        + b"".join(answers) + b"".join(authority) + b"".join(extra)


def answer(q, *answers, flags=0x8180, authority=(), extra=()):
    return packet(q.id, flags, question(q.name, q.type), answers, authority, extra)


def rcode(q, code, extra=()):
    return answer(q, flags=0x8180 | code, extra=extra)


def nothing(q):
    """The name exists, without such records."""
    return answer(q, authority=[soa(q.name)])


def truth(q, host="mx"):
    """Every name has the MX `host` below itself, whose address is 127.0.0.1."""
    if q.type == "MX" and not q.name.startswith(host + "."):
        return answer(q, mx(q.name, 10, f"{host}.{q.name}"))
    if q.type == "A":
        return answer(q, a(q.name))
    return nothing(q)


class Liar:
    def __init__(self, say=truth, port=None):
        self.say, self.asked, self.delay, self.on = say, collections.Counter(), {}, True
        self.udp = socket.socket(type=socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", port or free_port()))
        self.port = self.udp.getsockname()[1]
        self.stranger = socket.socket(type=socket.SOCK_DGRAM)
        self.tcp = socket.socket()
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.tcp.bind(("127.0.0.1", self.port))
        self.tcp.listen(50)
        for run in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=run, daemon=True).start()

    def listens(self):
        return True

    def reply(self, raw, send, tcp=False):
        try:
            q = parse(raw, tcp)
        except (IndexError, struct.error, UnicodeDecodeError):
            return
        self.asked[(q.name, q.type)] += 1
        said = self.say(q) if self.on else None
        for one in said if isinstance(said, list) else [said] if said else []:
            if callable(one):
                threading.Thread(target=one, args=(send,), daemon=True).start()
            else:
                send(one)

    def serve_udp(self):
        while True:
            try:
                raw, peer = self.udp.recvfrom(4096)
            except OSError:
                return

            def send(one, peer=peer):
                sock = self.udp
                if isinstance(one, tuple):  # ("stranger", packet): from another port
                    sock, one = self.stranger, one[1]
                try:
                    sock.sendto(one, peer)
                except OSError:
                    pass
            self.reply(raw, send)

    def serve_tcp(self):
        while True:
            try:
                conn, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self.serve_conn, args=(conn,), daemon=True).start()

    def serve_conn(self, conn):
        buf = b""
        with conn:
            while True:
                chunk = conn.recv(4096)
                if not chunk:
                    return
                buf += chunk
                while len(buf) >= 2 and len(buf) >= 2 + (n := int.from_bytes(buf[:2], "big")):
                    self.reply(buf[2:2 + n], lambda one: conn.sendall(len(one).to_bytes(2, "big") + one), True)
                    buf = buf[2 + n:]

    def count(self, kind):
        return sum(n for (_, t), n in self.asked.items() if t == kind)

    def close(self):
        for s in (self.udp, self.tcp, self.stranger):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()


def later(seconds, *packets):
    """Said after a while."""
    def run(send):
        time.sleep(seconds)
        for one in packets:
            send(one)
    return run
