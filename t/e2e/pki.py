"""A certificate authority of the test's own, by the openssl command."""
import os
import ssl
import subprocess


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, capture_output=True)


class Authority:
    """.ca is its certificate; issue() makes pairs that it has signed."""

    def __init__(self, house, name="Test CA"):
        self.dir = os.path.join(house.dir, name.replace(" ", "-"))
        os.makedirs(self.dir)
        self.ca, self.key = self.path("ca.pem"), self.path("ca.key")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.key,
                "-out", self.ca, "-days", "30", "-subj", f"/CN={name}",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        self.n = 0

    def path(self, name):
        return os.path.join(self.dir, name)

    def issue(self, *names, days=30, key="ec"):
        """(certificate, key): files of a pair for these DNS names or IPv4 addresses."""
        self.n += 1
        base = self.path(str(self.n))
        kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if key == "ec" else ["-newkey", key]
        openssl("req", *kind, "-nodes", "-keyout", base + ".key", "-out", base + ".csr", "-subj", f"/CN={names[0]}")
        with open(base + ".ext", "w") as f:
            f.write("subjectAltName=" + ",".join(
                ("IP:" if n.replace(".", "").isdigit() else "DNS:") + n for n in names) + "\n")
        openssl("x509", "-req", "-in", base + ".csr", "-CA", self.ca, "-CAkey", self.key, "-set_serial", str(self.n),
                "-days", str(days), "-extfile", base + ".ext", "-out", base + ".pem")
        return base + ".pem", base + ".key"

    def server(self, *names, **more):
        """A context for a server with that certificate."""
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ctx.load_cert_chain(*self.issue(*names, **more))
        return ctx

    def client(self, pair=None):
        """A context for a client that trusts this authority."""
        ctx = ssl.create_default_context(cafile=self.ca)
        if pair:
            ctx.load_cert_chain(*pair)
        return ctx


def fingerprint(certificate):
    done = subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-fingerprint", "-sha256"],
                          check=True, capture_output=True, text=True)
    return done.stdout.strip().split("=")[1]
