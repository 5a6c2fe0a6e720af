"""An LMTP server (RFC 2033) over TCP or a Unix socket: a reply for each recipient at the end of data.

`rcpt` and `final` map a recipient's local part to a reply; what isn't in them is taken. `messages`
holds (sender, recipient, bytes) of each recipient that was taken.
"""
import os
import socket
import threading

from harness import free_port, wait_for


class Lmtp:
    def __init__(self, path=None, rcpt=None, final=None):
        self.rcpt, self.final = rcpt or {}, final or {}
        self.messages, self.commands, self.listener = [], [], None
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(path)
            os.chmod(path, 0o777)
            self.to = f"lmtp:unix:{path}"
        else:
            port = free_port()
            self.listener = socket.create_server(("127.0.0.1", port))
            self.to = f"lmtp:[127.0.0.1]:{port}"
        self.listener.listen(50)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        try:
            with sock, sock.makefile("rwb") as f:
                self._talk(f)
        except OSError:
            pass

    def _talk(self, f):
        def say(text):
            f.write(text.encode() + b"\r\n")
            f.flush()
        say("220 sink.example.test LMTP")
        sender, to = None, []
        for line in f:
            line = line.decode().rstrip("\r\n")
            verb = line.split(" ")[0].upper()
            self.commands.append(line)
            if verb == "LHLO":
                say("250-sink.example.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES")
            elif verb == "MAIL":
                sender, to = line[line.index("<") + 1:line.index(">")], []
                say("250 2.1.0 ok")
            elif verb == "RCPT":
                one = line[line.index("<") + 1:line.rindex(">")]
                reply = self.rcpt.get(one.split("@")[0])
                to += [] if reply else [one]
                say(reply or "250 2.1.5 ok")
            elif verb == "DATA":
                if not to:
                    say("503 5.5.1 no recipient")
                    continue
                say("354 go on")
                raw = self._body(f)
                for one in to:
                    reply = self.final.get(one.split("@")[0])
                    if not reply:
                        self.messages.append((sender, one, raw))
                    say(reply or f"250 2.1.5 <{one}> saved")
            elif verb == "QUIT":
                say("221 2.0.0 bye")
                return
            else:
                say("250 2.0.0 ok" if verb in ("RSET", "NOOP") else "500 5.5.1 what?")

    @staticmethod
    def _body(f):
        lines = []
        for line in f:
            if line == b".\r\n":
                return b"".join(lines)
            lines.append(line[1:] if line.startswith(b".") else line)
        raise OSError("cut off")

    def wait(self, count, seconds=30):
        """the messages, as soon as there are `count`"""
        wait_for(lambda: len(self.messages) >= count, seconds)
        return self.messages

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
