"""Clients of others submit mail: each over 25 and 587 (STARTTLS) and 465 (TLS from the first byte), with
every mechanism it knows, with the right password and a wrong one.

All run once, side by side, against one instance; a test of each line of the table looks at what came of it.
Each client with each mechanism is a user of its own and comes from an address of its own, so that three wrong
passwords aren't yet slowed down.
"""
import base64
import json
import os
import re
import shutil
import smtplib
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from accounts import write_accounts
from harness import HOST, PEERS, House, free_port
from pki import Authority
from scram import Scram, b64

LOCAL, PASSWORD, WRONG = "127.0.0.1", "correct-horse", "wrong-horse"
NODEMAILER = os.path.join(os.path.dirname(PEERS), "node_modules/nodemailer")
NODE = shutil.which("node")
PORTS = ("25", "587", "465")
# What each of them can do.
CLIENTS = {
    "swaks": ("PLAIN", "LOGIN"),
    "smtplib": ("PLAIN", "LOGIN", "SCRAM-SHA-256"),
    "nodemailer": ("PLAIN", "LOGIN"),
    "s-nail": ("PLAIN", "LOGIN"),
    "mutt": ("PLAIN", "LOGIN", "SCRAM-SHA-256"),
    "openssl": ("PLAIN", "LOGIN", "SCRAM-SHA-256"),
}
WITHOUT = {"nodemailer": not (NODE and os.path.exists(NODEMAILER))}


class Way:
    """A port of its own to a server, which sees connections through it come from `source`."""

    def __init__(self, port, source):
        self.to, self.source = port, source
        self.listener = socket.create_server((LOCAL, free_port()))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            there = socket.create_connection((LOCAL, self.to), 30, source_address=(self.source, 0))
            for pair in ((sock, there), (there, sock)):
                threading.Thread(target=self.copy, args=pair, daemon=True).start()

    @staticmethod
    def copy(a, b):
        try:
            while chunk := a.recv(65536):
                b.sendall(chunk)
        except OSError:
            pass
        try:
            b.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def close(self):
        self.listener.close()


class Case:
    """One line of the table: .said is what the client printed, .sent what it thinks of it."""

    def __init__(self, served, number, client, mechanism, port, right):
        self.served, self.number, self.client, self.mechanism, self.port_name = served, number, client, mechanism, port
        self.right, self.password = right, PASSWORD if right else WRONG
        self.user = f"{client}.{mechanism.lower()}"
        self.source = f"127.0.3.{1 + served.users.index(self.user)}"
        self.implicit = port == "465"
        self.subject = f"case{number}x"
        self.said, self.sent = "", None

    def connect(self):
        self.port = self.served.house.keep(Way(self.served.ports[self.port_name], self.source)).port

    def command(self, argv, text=b""):
        done = subprocess.run(argv, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=100,
                              env=dict(os.environ, HOME=self.served.house.dir, LC_ALL="C"))
        self.said, self.sent = done.stdout.decode("utf-8", "replace"), done.returncode == 0

    # -- one method a client ----------------------------------------------------------------------------------

    def swaks(self):
        self.command(["swaks", "--server", LOCAL, "--port", str(self.port), "--from", "a@b.test", "--to", "c@d.test",
                      "--auth", self.mechanism, "--auth-user", self.user, "--auth-password", self.password,
                      "--helo", "client.test", "--header", f"Subject: {self.subject}",
                      "--tls-on-connect" if self.implicit else "--tls", "--tls-verify",
                      "--tls-ca-path", self.served.authority.ca])

    def smtplib(self):
        context = self.served.authority.client()
        if self.implicit:
            c = smtplib.SMTP_SSL(LOCAL, self.port, context=context, timeout=60)
        else:
            c = smtplib.SMTP(LOCAL, self.port, timeout=60)
            c.starttls(context=context)
        c.ehlo()
        c.user, c.password = self.user, self.password
        answer = {"PLAIN": c.auth_plain, "LOGIN": c.auth_login}.get(self.mechanism)
        try:
            c.auth(self.mechanism, answer or Scram(self.user, self.password).answer)
            c.sendmail("a@b.test", ["c@d.test"], f"Subject: {self.subject}\r\n\r\nx\r\n")
            c.quit()
            self.sent = True
        except smtplib.SMTPAuthenticationError as e:
            self.said, self.sent = f"{e.smtp_code} {e.smtp_error.decode()}", False
            c.close()

    def s_nail(self):
        # by name: in a certificate it doesn't look for addresses
        scheme, more = ("smtps", []) if self.implicit else ("smtp", ["-S", "smtp-use-starttls"])
        self.command(["s-nail", "-:/", "-S", "v15-compat", "-S", f"smtp-auth={self.mechanism.lower()}", *more,
                      "-S", f"mta={scheme}://{self.user}:{self.password}@localhost:{self.port}", "-S", "from=a@b.test",
                      "-S", "hostname=client.test", "-S", "smtp-hostname=client.test", "-S", "tls-verify=strict",
                      "-S", f"tls-ca-file={self.served.authority.ca}", "-S", "tls-ca-no-defaults", "-S", "sendwait",
                      "-S", "nosave", "-s", self.subject, "c@d.test"], b"x\n")

    def mutt(self):
        rc = self.served.house.path(f"muttrc{self.number}")
        with open(rc, "w") as f:
            f.write(f"""set smtp_url="{'smtps' if self.implicit else 'smtp'}://{self.user}@{LOCAL}:{self.port}"
set smtp_pass="{self.password}" smtp_authenticators="{self.mechanism.lower()}"
set ssl_starttls=yes ssl_force_tls=yes certificate_file="{self.served.authority.ca}" ssl_usesystemcerts=no
set from="a@b.test" use_envelope_from=yes hostname=client.test record="" copy=no
""")
        self.command(["mutt", "-n", "-F", rc, "-s", self.subject, "c@d.test"], b"x\n")

    def openssl(self):
        """By hand through `openssl s_client`, each line after the reply to the one before."""
        p = subprocess.Popen(
            ["openssl", "s_client", "-quiet", "-connect", f"{LOCAL}:{self.port}", "-CAfile", self.served.authority.ca,
             "-verify_return_error", *([] if self.implicit else ["-starttls", "smtp"])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.sent = False

        def reply():
            while True:
                line = p.stdout.readline().decode()
                self.said += line
                if not line or line[3:4] == " ":
                    return line

        def say(line):
            p.stdin.write(line.encode() + b"\r\n")
            p.stdin.flush()
            return reply()
        if self.implicit:  # else s_client keeps what came before to itself
            reply()
        say("EHLO client.test")
        if self.mechanism == "PLAIN":
            got = say("AUTH PLAIN " + b64(f"\0{self.user}\0{self.password}"))
        elif self.mechanism == "LOGIN":
            say("AUTH LOGIN"), say(b64(self.user))
            got = say(b64(self.password))
        else:
            s, got = Scram(self.user, self.password), say("AUTH SCRAM-SHA-256")
            text = s.first
            while got.startswith("334"):
                got = say(b64(text))
                text = s.answer(base64.b64decode(got[4:])) if got.startswith("334") else None
        if got.startswith("235"):
            say("MAIL FROM:<a@b.test>"), say("RCPT TO:<c@d.test>"), say("DATA")
            self.sent = say(f"Subject: {self.subject}\r\n\r\nx\r\n.").startswith("250 2.0.0 queued")
        say("QUIT")
        p.stdin.close()
        p.wait(60)
        p.stdout.close()


def nodemailers(cases):
    """All of them by one process."""
    rows = [{"number": c.number, "port": c.port, "implicit": c.implicit, "mechanism": c.mechanism, "user": c.user,
             "password": c.password, "subject": c.subject, "ca": c.served.authority.ca} for c in cases]
    done = subprocess.run([NODE, os.path.join(os.path.dirname(__file__), "nodemailer.js"), NODEMAILER],
                          input=json.dumps(rows).encode(), capture_output=True, timeout=100)
    for line in done.stdout.decode().splitlines():
        got = json.loads(line)
        case = next(c for c in cases if c.number == got["number"])
        case.said, case.sent = got["said"], got["said"].startswith("250 2.0.0 queued")
    for c in cases:
        c.said = c.said or done.stderr.decode()


TABLE = [(client, mechanism, port, right) for client, mechanisms in CLIENTS.items() for mechanism in mechanisms
         for port in PORTS for right in (True, False)]


class Served:
    """The instance, and what came of every line of the table."""

    def __init__(self, house):
        self.house, self.authority = house, Authority(house)
        certificate, key = self.authority.issue(HOST, LOCAL, "localhost")
        self.sink = house.sink()
        self.users = [f"{c}.{m.lower()}" for c, mechanisms in CLIENTS.items() for m in mechanisms]
        submission, submissions = free_port(), free_port()
        self.b = house.baton(start=False, route=self.sink, relay_from='"192.0.2.0/24"', users=house.path("users"),
                             listen='auth = "offered"', text=f"""
tls {{ certificate = "{certificate}"  key = "{key}" }}
listen "587" {{ address = "{LOCAL}:{submission}"  tls = "required"  auth = "required" }}
listen "465" {{ address = "{LOCAL}:{submissions}"  tls = "implicit"  auth = "required" }}
""")
        self.ports = {"25": self.b.port, "587": submission, "465": submissions}
        write_accounts(self.b, house.path("users"), PASSWORD, *self.users)
        self.b.start()
        self.cases = [Case(self, n, *row) for n, row in enumerate(TABLE) if not WITHOUT.get(row[0])]
        self.run()

    def run(self):
        for c in self.cases:
            c.connect()
        jobs = [getattr(c, c.client.replace("-", "_")) for c in self.cases if c.client != "nodemailer"]
        ours = [c for c in self.cases if c.client == "nodemailer"]
        with ThreadPoolExecutor(5) as pool:
            for done in [pool.submit(nodemailers, ours)] * bool(ours) + [pool.submit(job) for job in jobs]:
                done.result()
        self.b.wait_empty()
        self.subjects = [re.search(rb"(?im)^Subject: (\S+)", m.raw).group(1).decode() for m in self.sink.messages]
        self.log = self.b.log.decode()


@pytest.fixture(scope="module")
def served():
    house = House()
    try:
        it = Served(house)
        yield it
        it.b.stop()
    finally:
        house.close()


def name(row):
    return f"{row[0]}-{row[1]}-{row[2]}-{'right' if row[3] else 'wrong'}"


@pytest.mark.parametrize("number", range(len(TABLE)), ids=[name(row) for row in TABLE])
def test_submits(served, number):
    client, mechanism, port, right = TABLE[number]
    if WITHOUT.get(client):
        pytest.skip(f"no {client} here: t/setup/nodemailer brings it")
    c = next(c for c in served.cases if c.number == number)
    assert c.sent is right, c.said
    assert served.subjects.count(c.subject) == right, c.said
    refused = bool(re.search(r"535 5\.7\.8|uthentication failed", c.said))
    assert refused is not right, c.said
    listener = "test" if port == "25" else port
    lines = re.findall(rf"login client={re.escape(c.source)} listener={listener} tls=TLSv1\.[23] mechanism={mechanism} "
                       rf"user={re.escape(c.user)} result=(\w+)", served.log)
    assert sorted(lines) == ["ok", "wrong"], lines
