"""The server's side of AUTH for sink.py: one user, any of four mechanisms, each by hand."""
import base64
import hashlib
import hmac
import os
import socket
import threading


def b64(data):
    return base64.b64encode(data).decode()


class Logins:
    """mechanisms: offered; known: those it really has (else 504); secure: offers nothing before TLS; fail: a reply
    instead of 235; rounds: of SCRAM. .good and .bad: (mechanism, under TLS) of each exchange that came to its end."""

    def __init__(self, user="joe@example.test", password="pass word#1", mechanisms="PLAIN", known=None, secure=True,
                 fail=None, rounds=4096, forge=False):
        self.user, self.password, self.mechanisms = user, password, mechanisms.split()
        self.known = self.mechanisms if known is None else known.split()
        self.secure, self.fail, self.rounds, self.forge = secure, fail, rounds, forge
        self.good, self.bad = [], []

    def offer(self, tls):
        return ["AUTH " + " ".join(self.mechanisms)] if self.mechanisms and (tls or not self.secure) else []

    def talk(self, line, ask, tls):
        """The reply to an AUTH command; ask(challenge) says 334 and returns the answer decoded."""
        words = line.split(" ")
        name = words[1].upper()
        if self.secure and not tls:
            return "538 5.7.11 encryption is needed"
        if name not in self.known:
            return "504 5.5.4 no such mechanism"
        first = base64.b64decode(words[2], validate=True) if len(words) > 2 else None
        right = getattr(self, name.lower().replace("-", "_"))(first, ask)
        (self.good if right else self.bad).append((name, tls))
        if not right:
            return self.fail or "535 5.7.8 who are you?"
        return "235 2.7.0 welcome"

    def plain(self, first, ask):
        first = ask(b"") if first is None else first
        return first == f"\0{self.user}\0{self.password}".encode()

    def login(self, first, ask):
        assert first is None
        return [ask(b"Username:"), ask(b"Password:")] == [self.user.encode(), self.password.encode()]

    def cram_md5(self, first, ask):
        assert first is None
        challenge = f"<{os.urandom(8).hex()}@sink.test>".encode()
        user, _, digest = ask(challenge).decode().rpartition(" ")
        return (user, digest) == (self.user, hmac.new(self.password.encode(), challenge, "md5").hexdigest())

    def scram_sha_256(self, first, ask):
        def mac(key, text):
            return hmac.digest(key, text, "sha256")
        header, bare = first.decode()[:3], first.decode()[3:]
        assert header == "n,,"
        parts = dict(p.split("=", 1) for p in bare.split(","))
        nonce, salt = parts["r"] + os.urandom(9).hex(), os.urandom(16)
        challenge = f"r={nonce},s={b64(salt)},i={self.rounds}"
        final = ask(challenge.encode()).decode()
        without, _, proof = final.rpartition(",p=")
        if not without or parts["n"] != self.user:
            return False
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), salt, self.rounds)
        key, text = mac(salted, b"Client Key"), f"{bare},{challenge},{without}".encode()
        signed = bytes(a ^ b for a, b in zip(key, mac(hashlib.sha256(key).digest(), text)))
        if base64.b64decode(proof) != signed:
            return False
        if self.forge == "early":
            return True
        verifier = mac(mac(salted, b"Server Key"), text)
        return ask(b"v=" + b64(verifier[::-1] if self.forge else verifier).encode()) == b""


class ByDovecot:
    """The same by a Dovecot behind its auth-client socket (dovecot.py), whatever its mechanisms are."""

    def __init__(self, dovecot, mechanisms):
        self.socket, self.mechanisms = dovecot.socket, mechanisms.split()
        self.good, self.bad = [], []

    def offer(self, tls):
        return ["AUTH " + " ".join(self.mechanisms)]

    def talk(self, line, ask, tls):
        words = line.split(" ")
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.socket)
            with s.makefile("rwb") as f:
                def say(*fields):
                    f.write("\t".join(fields).encode() + b"\n")
                    f.flush()
                say("VERSION", "1", "1")
                say("CPID", str(threading.get_ident() % 2**31))
                while f.readline() != b"DONE\n":
                    pass
                first = [f"resp={words[2]}"] if len(words) > 2 else []
                say("AUTH", "1", words[1], "service=smtp", "secured", *first)
                while True:
                    got = f.readline().decode().rstrip("\n").split("\t")
                    if got[0] != "CONT":
                        (self.good if got[0] == "OK" else self.bad).append((words[1], tls))
                        return "235 2.7.0 welcome" if got[0] == "OK" else "535 5.7.8 says Dovecot"
                    say("CONT", "1", b64(ask(base64.b64decode(got[2]))))
