"""A client that sends exactly the bytes it is told, and a few messages worth sending."""
import re
import socket


class Refused(Exception):
    def __init__(self, code, text):
        super().__init__(f"{code} {text}")
        self.code, self.text = code, text


def stuff(body):
    """The wire form of a message with CRLF lines: dots doubled, the end mark behind."""
    if body and not body.endswith(b"\r\n"):
        body += b"\r\n"
    return re.sub(rb"(?m)^\.", b"..", body) + b".\r\n"


class Smtp:
    def __init__(self, port, host="127.0.0.1", hello="client.example.test", timeout=30, greet=True):
        self.sock = socket.create_connection((host, port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.hello = {}
        if greet:
            self.greeting = self.expect(220)
            text = self.cmd(f"EHLO {hello}", 250)
            self.hello = {line.split(" ")[0].upper(): line for line in text.split("\n")[1:]}

    def write(self, data):
        self.sock.sendall(data)

    def line(self):
        while b"\r\n" not in self.buffer:
            chunk = self.sock.recv(65536)
            if not chunk:
                raise EOFError(f"closed after {self.buffer!r}")
            self.buffer += chunk
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line.decode("utf-8", "replace")

    def reply(self):
        """(code, text of all lines)"""
        lines = []
        while True:
            line = self.line()
            assert re.match(r"\d\d\d([ -]|$)", line), f"no reply: {line!r}"
            lines.append(line[4:])
            if line[3:4] != "-":
                return int(line[:3]), "\n".join(lines)

    def expect(self, *codes):
        code, text = self.reply()
        if codes and code not in codes:
            raise Refused(code, text)
        return text

    def cmd(self, line, *codes):
        """Sends a command. With codes: any other reply raises, the text comes back; else (code, text)."""
        self.write((line if isinstance(line, bytes) else line.encode()) + b"\r\n")
        return self.expect(*codes) if codes else self.reply()

    def send(self, sender, to, body, options=""):
        """One transaction; returns the text of the last 250."""
        self.cmd(f"MAIL FROM:<{sender}>{options}", 250)
        for rcpt in [to] if isinstance(to, str) else to:
            self.cmd(f"RCPT TO:<{rcpt}>", 250)
        self.cmd("DATA", 354)
        self.write(stuff(body))
        return self.expect(250)

    def send_batch(self, rows):
        """Pipelined transactions of (sender, to, body); returns the final replies. Stops at a refusal."""
        texts = []
        for sender, to, body in rows:
            self.write(f"MAIL FROM:<{sender}>\r\nRCPT TO:<{to}>\r\nDATA\r\n".encode())
            self.expect(250), self.expect(250), self.expect(354)
            self.write(stuff(body))
            texts.append(self.expect(250))
        return texts

    def gone(self):
        """True when the other side has closed."""
        try:
            while self.sock.recv(65536):
                pass
            return True
        except ConnectionError:
            return True

    def quit(self):
        text = self.cmd("QUIT", 221)
        self.close()
        return text

    def close(self):
        self.sock.close()


def message(subject, body=b"", **headers):
    """A small message with the headers that anyone expects."""
    head = {"From": "a@client.example.test", "To": "b@other.test", "Subject": subject,
            "Date": "Fri, 21 Nov 2025 10:00:00 +0000", "Message-ID": f"<{subject}@client.example.test>"}
    head.update({k.replace("_", "-"): v for k, v in headers.items()})
    text = "".join(f"{k}: {v}\r\n" for k, v in head.items()).encode()
    return text + b"\r\n" + body


def own_received_cut(raw):
    """A message without what Baton put in front: the Received line (in a mailbox Return-Path too), and
    Date, Message-ID and From where it had none of them."""
    for name in (b"return-path", b"delivered-to", b"received"):
        m = re.match(name + rb":[^\n]*\n([ \t][^\n]*\n)*", raw, re.I)
        if m:
            raw = raw[m.end():]
        elif name == b"received":
            raise AssertionError(f"no Received in front: {raw[:200]!r}")
    return re.sub(rb"^Date: [^\n]*\nMessage-ID: <[^\n]*\.[0-9a-f]{8}@[^\n]*\nFrom: [^\n]*\n", b"", raw)
