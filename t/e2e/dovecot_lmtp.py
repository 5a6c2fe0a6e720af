"""A real Dovecot, unpacked and run as ordinary user: its LMTP server on TCP and on a Unix socket.

It looks for two things only where a package would have put them. The configuration reader is
therefore started first and told to start the server; and the one library that names the folder of
modules is used in a copy that names a folder relative to the server's own.
"""
import getpass
import grp
import os
import pwd

from harness import PEERS, Proc, free_port, wait_for

USR = os.path.join(os.path.dirname(PEERS), "usr")
LIB = f"{USR}/lib/dovecot"
MODULES = (b"/usr/lib/dovecot/modules\0", b"/proc/self/cwd/modules\0\0\0")


def configuration(base, port):
    user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    return f"""base_dir = {base}/run
state_dir = {base}/state
libexec_dir = {LIB}
import_environment = LD_LIBRARY_PATH
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
protocols = lmtp
log_path = {base}/log
ssl = no
listen = 127.0.0.1
first_valid_uid = 1
mail_location = maildir:{base}/mail/%n
userdb {{
  driver = static
  args = uid={os.getuid()} gid={os.getgid()} home={base}/home/%n
}}
passdb {{
  driver = static
  args = nopassword=y
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
service lmtp {{
  user = {user}
  unix_listener {base}/lmtp {{
    mode = 0666
    user = {user}
  }}
  inet_listener lmtp {{
    port = {port}
  }}
}}
"""


class Dovecot(Proc):
    def __init__(self, house):
        port = free_port()
        base = self.base = house.path("dv")
        for folder in ("run", "lib", "mail"):
            os.makedirs(f"{base}/{folder}")
        with open(f"{LIB}/libdovecot.so.0", "rb") as f:
            library = f.read()
        assert MODULES[0] in library
        with open(f"{base}/lib/libdovecot.so.0", "wb") as f:
            f.write(library.replace(*MODULES))
        os.symlink(f"{LIB}/modules", f"{base}/run/modules")
        with open(f"{base}/conf", "w") as f:
            f.write(configuration(base, port))
        system = next(e.path for e in os.scandir(f"{USR}/lib") if e.is_dir() and "-linux-" in e.name)
        libraries = ":".join((f"{base}/lib", LIB, f"{LIB}/modules/old-stats", system))
        env = dict(os.environ, LD_LIBRARY_PATH=libraries, USER=getpass.getuser())
        self.to = f"lmtp:[127.0.0.1]:{port}"
        self.unix = f"lmtp:unix:{base}/lmtp"
        super().__init__([f"{USR}/bin/doveconf", "-f", "service=master", "-c", f"{base}/conf",
                          "-e", f"{USR}/sbin/dovecot", "-F", "-c", f"{base}/conf"], port,
                         log=f"{base}/out", env=env, start_new_session=True)

    def mail(self, user):
        """The messages in a mailbox."""
        folder, found = f"{self.base}/mail/{user}/new", []
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            with open(f"{folder}/{name}", "rb") as f:
                found.append(f.read())
        return found

    def wait(self, user, count=1, seconds=30):
        wait_for(lambda: len(self.mail(user)) >= count, seconds)
        return self.mail(user)
