"""A real NSD on a port of its own, serving zones that a test writes."""
import os

from harness import PEERS, Proc, free_port

HEAD = """$ORIGIN {zone}.
$TTL 300
@ IN SOA ns.{zone}. hostmaster.{zone}. ( 1 3600 600 86400 60 )
@ IN NS ns.{zone}.
ns IN A 127.0.0.1
"""


class Nsd(Proc):
    """zones: name -> records in zone file form, relative to the zone; whole: name -> a whole zone file."""

    def __init__(self, house, zones, port=None, whole=None):
        port = port or free_port()
        base = house.path(f"nsd{port}")
        os.makedirs(base, exist_ok=True)
        text = f"""server:
    ip-address: 127.0.0.1@{port}
    username: ""
    chroot: ""
    database: ""
    zonesdir: "{base}"
    zonelistfile: "{base}/zone.list"
    xfrdfile: "{base}/xfrd.state"
    pidfile: "{base}/nsd.pid"
    xfrdir: "{base}"
    server-count: 1
    hide-version: yes
    rrl-ratelimit: 0
remote-control:
    control-enable: no
"""
        files = {zone: HEAD.format(zone=zone) + records for zone, records in zones.items()}
        for zone, content in {**files, **(whole or {})}.items():
            with open(f"{base}/{zone}.zone", "w") as f:
                f.write(content + "\n")
            text += f'zone:\n    name: "{zone}"\n    zonefile: "{zone}.zone"\n'
        with open(f"{base}/nsd.conf", "w") as f:
            f.write(text)
        super().__init__([f"{PEERS}/nsd", "-d", "-c", f"{base}/nsd.conf"], port, log=f"{base}/log", start_new_session=True)
