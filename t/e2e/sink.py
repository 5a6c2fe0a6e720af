"""A next hop that keeps what it gets, byte for byte as it stood on the wire (dots undone).

Threads, one a connection. Knobs can be changed while it runs: `refuse` maps a verb (EHLO MAIL RCPT
DATA DOT) to a reply, or to a function of the command line that returns a reply or None; `delay`
waits that many seconds before the reply to the final dot; `drop` closes at that verb. A last BDAT is
a DOT. `ahead` is what becomes of commands that were sent ahead of its reply to that: "swallow" drops
them, "close" ends the connection, "503" refuses the RSET with that; `early` has the connections. `odd(conversation,
verb, line)` comes before `refuse`, with CONNECT, RSET and QUIT among the verbs, and may do as it likes.

With `tls` (an ssl.SSLContext) it offers STARTTLS, or begins with the handshake (`implicit`).
`starttls` spoils it: "garbage" stands behind the 220, "close" after it, "silence". With `auth` (logins.py)
nobody sends mail without a login.
"""
import base64
import socket
import ssl
import threading
import time

from harness import free_port, wait_for


class Received:
    """One message: envelope, the bytes, the number of its connection."""

    def __init__(self, sender, to, raw, connection, options, sock):
        self.sender, self.to, self.raw, self.connection, self.options = sender, to, raw, connection, options
        self.tls = sock.version() if isinstance(sock, ssl.SSLSocket) else None
        self.resumed = bool(self.tls and sock.session_reused)
        self.certificate = sock.getpeercert() if self.tls else None


class Sink:
    def __init__(self, port=None, extensions=("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES"), refuse=None,
                 delay=0, drop=None, start=True, tls=None, implicit=False, starttls=None, ahead=None, odd=None, auth=None):
        self.port = port or free_port()
        self.extensions, self.refuse, self.delay, self.drop = list(extensions), refuse or {}, delay, drop
        self.tls, self.implicit, self.starttls, self.auth = tls, implicit, starttls, auth
        self.ahead, self.early, self.odd = ahead, set(), odd
        self.messages, self.commands, self.connections = [], [], 0
        self.lock, self.open, self.listener = threading.Lock(), set(), None
        if start:
            self.start()

    def start(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(512)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()
        return self

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.connections += 1
                number = self.connections
                self.open.add(sock)
            threading.Thread(target=self._serve, args=(sock, number), daemon=True).start()

    def _serve(self, sock, number):
        talk = Conversation(self, sock, number)
        try:
            talk.run()
        except (OSError, EOFError):
            pass
        finally:
            with self.lock:
                self.open.discard(talk.sock)
            talk.sock.close()

    def close(self):
        if self.listener:
            # a shutdown wakes the thread that waits in accept
            try:
                self.listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self.listener.close()
            self.listener = None
        with self.lock:
            socks = list(self.open)
        for s in socks:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    stop = close

    def wait(self, count, seconds=20):
        """The messages, as soon as there are `count`."""
        def enough():
            return len(self.messages) >= count
        enough.__doc__ = f"{count} messages at the next hop"
        wait_for(enough, seconds)
        return self.messages


class Conversation:
    def __init__(self, sink, sock, number):
        self.sink, self.sock, self.number, self.buffer = sink, sock, number, b""

    def secure(self):
        """TLS from here on; false: it is not to be."""
        plain = self.sock
        if self.sink.starttls == "close":
            return False
        if self.sink.starttls == "silence":
            while plain.recv(65536):
                pass
            return False
        self.sock = self.sink.tls.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        with self.sink.lock:
            self.sink.open.discard(plain)
            self.sink.open.add(self.sock)
        self.sock.do_handshake()
        return True

    def extensions(self):
        offered = self.sink.tls and not isinstance(self.sock, ssl.SSLSocket)
        logins = self.sink.auth.offer(isinstance(self.sock, ssl.SSLSocket)) if self.sink.auth else []
        return [*self.sink.extensions, *(["STARTTLS"] if offered else []), *logins]

    def ask(self, challenge):
        """One step of AUTH."""
        self.say("334 " + base64.b64encode(challenge).decode())
        return base64.b64decode(self.line(), validate=True)

    def say(self, text):
        self.sock.sendall(text.encode("utf-8", "surrogateescape") + b"\r\n")

    def line(self):
        while b"\r\n" not in self.buffer:
            chunk = self.sock.recv(262144)
            if not chunk:
                raise EOFError
            self.buffer += chunk
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def body(self):
        """The bytes before CRLF.CRLF, dots undone; only CRLF ends a line."""
        parts, start = [], 0
        data = bytearray(b"\r\n" + self.buffer)
        while True:
            at = data.find(b"\r\n.\r\n", max(0, start - 4))
            if at >= 0:
                break
            start = len(data)
            chunk = self.sock.recv(262144)
            if not chunk:
                raise EOFError
            data += chunk
        self.buffer = bytes(data[at + 5:])
        parts = bytes(data[:at + 2]).replace(b"\r\n.", b"\r\n")
        return parts[2:]

    def chunk(self, line):
        """The bytes of a BDAT (RFC 3030)."""
        size = int(line.split()[1])
        while len(self.buffer) < size:
            got = self.sock.recv(262144)
            if not got:
                raise EOFError
            self.buffer += got
        raw, self.buffer = self.buffer[:size], self.buffer[size:]
        return raw

    def take(self, sender, to, raw, options):
        """The end of data: into the list, or what is said instead."""
        sink = self.sink
        if sink.delay:
            time.sleep(sink.delay)
        reply = self.verdict("DOT", raw)
        if reply is None:
            with sink.lock:
                sink.messages.append(Received(sender, to, raw, self.number, options, self.sock))
        return reply or "250 2.0.0 taken"

    def sent_ahead(self):
        """What the client wrote behind the content before it was answered, if that is minded."""
        if not self.sink.ahead:
            return b""
        time.sleep(0.05)
        try:
            return self.buffer + self.sock.recv(262144, socket.MSG_DONTWAIT | socket.MSG_PEEK)
        except BlockingIOError:
            return self.buffer

    def mishandle(self):
        """Behind the reply: as `ahead` says."""
        if self.sink.ahead == "close":
            raise EOFError
        if self.sink.ahead == "503":
            self.say("503 5.5.1 RSET out of place")
            self.line()
            return
        self.buffer = b""
        try:
            self.sock.recv(262144, socket.MSG_DONTWAIT)
        except BlockingIOError:
            pass

    def verdict(self, verb, line):
        if self.sink.odd:
            reply = self.sink.odd(self, verb, line)
            if reply:
                return reply
        rule = self.sink.refuse.get(verb)
        return rule(line) if callable(rule) else rule

    def run(self):
        sink = self.sink
        if sink.implicit and not self.secure():
            return
        reply = self.verdict("CONNECT", "")
        self.say(reply or "220 sink.example.test ESMTP")
        if reply and reply.startswith("421"):
            return
        sender, to, options, chunks, known = None, [], "", [], not sink.auth
        while True:
            line = self.line().decode("utf-8", "surrogateescape")
            verb = line.split(" ")[0].split(":")[0].upper()
            with sink.lock:
                sink.commands.append((self.number, line))
            if sink.drop == verb:
                return
            reply = self.verdict(verb, line)
            if reply:
                self.say(reply)
                if reply.startswith("421"):
                    return
            elif verb == "EHLO":
                names = ["sink.example.test", *self.extensions()]
                self.say("\r\n".join(f"250{'-' if i < len(names) - 1 else ' '}{n}" for i, n in enumerate(names)))
            elif verb == "STARTTLS" and sink.tls:
                self.say("220 go on" + ("\r\n250 injected" if sink.starttls == "garbage" else ""))
                if not self.secure():
                    return
                sender, to, options = None, [], ""
            elif verb == "AUTH" and sink.auth:
                reply = sink.auth.talk(line, self.ask, isinstance(self.sock, ssl.SSLSocket))
                known = reply.startswith("235")
                self.say(reply)
            elif verb == "MAIL" and not known:
                self.say("530 5.7.0 log in first")
            elif verb == "MAIL":
                if sender is not None:
                    self.say("503 5.5.1 nested MAIL")
                    continue
                sender = line[line.index("<") + 1:line.index(">")]
                options = line[line.index(">") + 1:].strip()
                self.say("250 2.1.0 ok")
            elif verb == "RCPT":
                if sender is None:
                    self.say("503 5.5.1 MAIL first")
                    continue
                to.append(line[line.index("<") + 1:line.rindex(">")])
                self.say("250 2.1.5 ok")
            elif verb == "DATA":
                if not to:
                    self.say("554 5.5.1 no valid recipients")
                    continue
                self.say("354 go on")
                raw = self.body()
                if sink.drop == "DOT":
                    return
                ahead = self.sent_ahead()
                reply = self.take(sender, to, raw, options)
                sender, to, options = None, [], ""
                self.say(reply)
                if ahead:
                    sink.early.add(self.number)
                    self.mishandle()
            elif verb == "BDAT":
                chunks.append(self.chunk(line))
                if not to:
                    self.say("503 5.5.1 no valid recipients")
                elif not line.upper().endswith(" LAST"):
                    self.say("250 2.0.0 ok")
                    continue
                elif sink.drop == "DOT":
                    return
                else:
                    reply = self.take(sender, to, b"".join(chunks), options)
                    self.say(reply)
                sender, to, options, chunks = None, [], "", []
            elif verb == "RSET":
                sender, to, options, chunks = None, [], "", []
                self.say("250 2.0.0 ok")
            elif verb == "QUIT":
                self.say("221 2.0.0 bye")
                return
            elif verb in ("HELO", "NOOP"):
                self.say("250 ok")
            else:
                self.say("500 5.5.2 what?")
