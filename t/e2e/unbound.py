"""A real unbound that validates, in front of an NSD that serves what a test writes; and signed zones."""
import glob
import os
import subprocess

from harness import PEERS, Proc, free_port


def sign(nsd_dir, zone, records, head):
    """Signs a zone with a key of its own; returns (zone text, DS record)."""
    base = os.path.join(nsd_dir, f"sign-{zone}")
    os.makedirs(base)

    def run(*argv):
        return subprocess.run(argv, cwd=base, check=True, capture_output=True).stdout.decode()
    path = os.path.join(base, "zone")
    with open(path, "w") as f:
        f.write(head.format(zone=zone) + records + "\n")
    key = run(f"{PEERS}/ldns-keygen", "-a", "ECDSAP256SHA256", "-k", zone).strip()
    run(f"{PEERS}/ldns-signzone", "-o", zone, path, key)
    with open(path + ".signed") as f:
        text = f.read()
    (ds,) = glob.glob(os.path.join(base, "*.ds"))
    with open(ds) as f:
        return text, f.read().strip()


class Unbound(Proc):
    """zones: names that the NSD at nsd_port serves. anchors: DS records of those that are signed."""

    def __init__(self, house, zones, nsd_port, anchors=(), port=None, ede=True):
        port = port or free_port()
        base = house.path(f"unbound{port}")
        os.makedirs(base)
        text = f"""server:
    interface: 127.0.0.1@{port}
    do-ip6: no
    do-daemonize: no
    username: ""
    chroot: ""
    directory: "{base}"
    pidfile: "{base}/pid"
    use-syslog: no
    logfile: ""
    verbosity: 1
    num-threads: 1
    module-config: "validator iterator"
    do-not-query-localhost: no
    local-zone: "test." nodefault
    ede: {"yes" if ede else "no"}
    val-log-level: 2
"""
        for ds in anchors:
            text += f'    trust-anchor: "{" ".join(ds.split())}"\n'
        for zone in zones:
            text += f'    domain-insecure: "{zone}"\n' if not any(d.startswith(zone + ".") for d in anchors) else ""
        text += "remote-control:\n    control-enable: no\n"
        for zone in zones:
            text += f'stub-zone:\n    name: "{zone}"\n    stub-addr: 127.0.0.1@{nsd_port}\n'
        with open(f"{base}/unbound.conf", "w") as f:
            f.write(text)
        super().__init__([f"{PEERS}/unbound", "-d", "-p", "-c", f"{base}/unbound.conf"], port,
                         log=f"{base}/log", start_new_session=True)
