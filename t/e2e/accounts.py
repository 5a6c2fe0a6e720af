"""Users whose passwords cost little to check: for tests of everything but the hash."""
import subprocess


def write_accounts(b, path, password, *names):
    """A users file: the SCRAM verifier that batonctl makes, once for all, and SHA-512 instead of its hash."""
    b.ctl("user", "add", "one", stdin=password.encode() + b"\n")
    with open(path) as f:
        verifier = f.read().strip().split(":", 2)[2]
    crypt = subprocess.run(["openssl", "passwd", "-6", password], capture_output=True, text=True, check=True)
    with open(path, "w") as f:
        f.write("".join(f"{name}:{crypt.stdout.strip()}:{verifier}\n" for name in names))
