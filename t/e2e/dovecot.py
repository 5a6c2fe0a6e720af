"""A real Dovecot that does nothing but answer logins, unpacked and without privilege; and a false one, for what a real
one never says."""
import grp
import os
import pwd
import signal
import socket
import subprocess
import threading

from harness import PEERS, Proc, wait_for

ROOT = os.path.dirname(PEERS)


class Dovecot(Proc):
    """users: a dict of names and passwords. Listens on .socket."""

    def __init__(self, house, users, mechanisms="plain login scram-sha-256"):
        self.dir = house.path("dovecot")
        self.socket = f"{self.dir}/run/auth-client"
        user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
        os.makedirs(self.dir)
        with open(f"{self.dir}/users", "w") as f:
            f.writelines(f"{name}:{{PLAIN}}{password}\n" for name, password in users.items())
        with open(f"{self.dir}/dovecot.conf", "w") as f:
            f.write(f"""
base_dir = {self.dir}/run
state_dir = {self.dir}/state
libexec_dir = {ROOT}/usr/lib/dovecot
import_environment = LD_LIBRARY_PATH
log_path = /dev/stderr
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
protocols =
ssl = no
auth_mechanisms = {mechanisms}
auth_failure_delay = 0
passdb {{
  driver = passwd-file
  args = {self.dir}/users
}}
service auth {{
  unix_listener auth-client {{
    mode = 0600
    user = {user}
  }}
}}
""")
            # or it answers the slower the more was wrong; smtpd's keeper does that itself
            f.write("service anvil {\n  unix_listener anvil-auth-penalty {\n    mode = 0\n  }\n}\n")
            for service in ("anvil", "auth", "auth-worker", "config", "log", "stats"):
                f.write(f"service {service} {{\n  user = {user}\n  chroot =\n}}\n")
        self.start()

    def start(self):
        # Its master reads the configuration by a program at a fixed path, unless this one starts it.
        multi = subprocess.run(["gcc", "-print-multiarch"], capture_output=True, text=True, check=True).stdout.strip()
        lib = f"{ROOT}/usr/lib/dovecot"
        env = {**os.environ, "LD_LIBRARY_PATH": f"{ROOT}/usr/lib/{multi}:{lib}:{lib}/modules:{lib}/modules/old-stats"}
        conf = f"{self.dir}/dovecot.conf"
        super().__init__([f"{ROOT}/usr/bin/doveconf", "-f", "service=master", "-c", conf, "-m", "master", "-e",
                          f"{ROOT}/usr/sbin/dovecot", "-F", "-c", conf],
                         log=f"{self.dir}/log", env=env, start_new_session=True)
        wait_for(self.answers, 20, every=0.1)

    def answers(self):
        """Dovecot to say what it can"""
        assert self.proc.poll() is None, open(f"{self.dir}/log").read()
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            try:
                s.connect(self.socket)
                s.sendall(b"VERSION\t1\t1\nCPID\t1\n")
                said = b""
                while not said.endswith(b"DONE\n"):
                    more = s.recv(4096)
                    if not more:
                        return False
                    said += more
                return said
            except OSError:
                return False

    def stop(self):
        os.killpg(self.proc.pid, signal.SIGKILL)
        self.proc.wait(10)


class Fake:
    """Says `hello` to each client, then what say(line) returns to each line but VERSION, CPID and CANCEL, which are
    kept in .lines like the others; None closes the connection."""
    HELLO = b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t00\nDONE\n"

    def __init__(self, house, say, hello=HELLO):
        self.socket = house.path("fake")
        self.say, self.hello, self.lines, self.clients = say, hello, [], 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.socket)
        self.listener.listen()
        threading.Thread(target=self.run, daemon=True).start()
        house.keep(self)

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.clients += 1
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with client, client.makefile("rb") as f:
            try:
                client.sendall(self.hello)
                for line in f:
                    self.lines.append(line)
                    if line.split(b"\t")[0].strip() in (b"VERSION", b"CPID", b"CANCEL"):
                        continue
                    said = self.say(line)
                    if said is None:
                        return
                    client.sendall(said)
            except OSError:
                pass

    def close(self):
        self.listener.close()
