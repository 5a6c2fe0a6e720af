"""The client's side of SCRAM-SHA-256 by hand: RFC 5802 with another hash, RFC 7677."""
import base64
import hashlib
import hmac


def b64(text):
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def _hmac(key, text):
    return hmac.digest(key, text, "sha256")


class Scram:
    """Makes what the client says; .user and .password are used when it is needed."""

    def __init__(self, user, password, nonce="rOprNGfwEbeRWgbNEkqO"):
        self.user, self.password, self.nonce = user, password, nonce
        self.bare = f"n={user},r={nonce}"
        self.first = "n,," + self.bare

    def final(self, first):
        """The client's final message for the server's first; .expect is what the server has to prove."""
        parts = dict(p.split("=", 1) for p in first.split(","))
        assert parts["r"].startswith(self.nonce) and len(parts["r"]) > len(self.nonce)
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), base64.b64decode(parts["s"]), int(parts["i"]))
        key = _hmac(salted, b"Client Key")
        without = f"c=biws,r={parts['r']}"
        text = f"{self.bare},{first},{without}".encode()
        proof = bytes(a ^ b for a, b in zip(key, _hmac(hashlib.sha256(key).digest(), text)))
        self.expect = "v=" + b64(_hmac(_hmac(salted, b"Server Key"), text))
        return f"{without},p={b64(proof)}"

    def answer(self, challenge=None):
        """For smtplib's auth(), with the initial response: what to say to a challenge."""
        if challenge is None:
            return self.first
        text = challenge.decode()
        if text.startswith("v="):
            assert text == self.expect
            return ""
        return self.final(text)
