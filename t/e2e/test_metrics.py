"""The figures: the Prometheus endpoint, `batonctl metrics`, the alert rules."""
import os
import re
import socket
import subprocess
import time

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from harness import PEERS, SOAK, TOP, free_port, wait_for

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (-?[0-9.e+]+|\+Inf|NaN)")


def parse(text):
    """{name: {labels: value}} of a text in Prometheus's format 0.0.4; nothing that bends it passes."""
    assert text.endswith("\n") and "\r" not in text
    families, samples, family, seen = {}, {}, None, set()
    for line in text[:-1].split("\n"):
        m = re.fullmatch(rf"# HELP ({NAME}) (.+)", line)
        if m:
            assert m[1] not in families, f"{m[1]} is in two places"
            family = m[1]
            families[family] = None
            continue
        m = re.fullmatch(rf"# TYPE ({NAME}) (counter|gauge|histogram)", line)
        if m:
            assert m[1] == family and families[family] is None, line
            families[family] = m[2]
            continue
        m = SAMPLE.fullmatch(line)
        assert m, line
        name, labels = m[1], m[2] or ""
        base = re.sub(r"_(bucket|sum|count)$", "", name) if families[family] == "histogram" else name
        assert base == family, f"{line} stands with {family}"
        assert families[family] != "counter" or name.endswith("_total"), line
        assert (name, labels) not in seen, f"twice: {line}"
        seen.add((name, labels))
        samples.setdefault(name, {})[labels] = float(m[3])
    assert all(families.values()), "a family without a type"
    check_histograms(families, samples)
    assert len(list(text_string_to_metric_families(text))) == len(families)
    return samples


def check_histograms(families, samples):
    """Buckets rise with le, the last one is +Inf and the count."""
    for name in (n for n, kind in families.items() if kind == "histogram"):
        rows = {}
        for labels, value in samples[f"{name}_bucket"].items():
            rest, le = re.fullmatch(r'(.*),le="([^"]+)"', labels).groups()
            rows.setdefault(rest, []).append((float(le), value))
        for labels, buckets in rows.items():
            assert buckets == sorted(buckets) and [v for _, v in buckets] == sorted(v for _, v in buckets)
            assert buckets[-1][0] == float("inf") and buckets[-1][1] == samples[f"{name}_count"][labels]
            assert labels in samples[f"{name}_sum"]


class Endpoint:
    def __init__(self, house, **config):
        self.port = free_port()
        text = config.pop("text", "")
        self.b = house.baton(text=f'metrics {{ address = "127.0.0.1:{self.port}" }}\n{text}', **config)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def ask(self, request):
        """Sends it, and returns all that comes until the end."""
        with self.connect() as s:
            s.sendall(request)
            got = b""
            while chunk := s.recv(65536):
                got += chunk
        return got

    def scrape(self):
        head, _, body = self.ask(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n"), head
        assert b"Content-Type: text/plain; version=0.0.4" in head
        assert int(re.search(rb"Content-Length: (\d+)", head)[1]) == len(body)
        return parse(body.decode())


@pytest.fixture
def hop(house):
    return house.sink()


def test_what_is_counted(house, hop):
    """A message delivered, one bounced (and its notice delivered), one whose site is dead: each is seen by site, class and time."""
    dead = house.sink(start=False)
    e = Endpoint(house, route=hop, text=f'route "dead.test" {{ to = "[127.0.0.1]:{dead.port}" }}\n'
                 'route "gone.test" { to = "error:550 5.1.1 nobody" }\n'
                 'class "other" { sender = { "b@client.example.test" } }\n')
    assert e.scrape()["baton_queue_messages"][""] == 0
    smtp = e.b.smtp()
    smtp.send("a@client.example.test", ["r@other.test", "s@other.test"], b"x\r\n")
    smtp.send("b@client.example.test", "r@gone.test", b"x\r\n")
    smtp.send("a@client.example.test", "r@dead.test", b"x\r\n")

    def all_there():
        """delivered, bounced and the dead site in one scrape"""
        s = e.scrape()
        return s if (s["baton_queue_delivered_total"][""] == 3 and s["baton_queue_bounced_total"][""] == 1
                     and s["baton_queue_sites_down"][""] == 1 and s["baton_queue_oldest_age_seconds"][""] > 0) else None
    s = wait_for(all_there, 20, 0.1)
    sites, classes = s["baton_site_recipients_total"], s["baton_class_recipients_total"]
    assert sites[f'site="[127.0.0.1]:{hop.port}",outcome="delivered"'] == 3
    assert sites['site="other",outcome="delivered"'] == 0
    assert classes['class="normal",outcome="accepted"'] == 4 and classes['class="normal",outcome="delivered"'] == 3
    assert classes['class="other",outcome="bounced"'] == 1, "a class of that name is among the others"
    assert s["baton_delivery_seconds_count"]['class="normal"'] == 3
    assert s["baton_smtp_messages_accepted_total"][""] >= 3 and s["baton_deliver_sent_total"][""] >= 2
    assert s["baton_deliver_connects_failed_total"][""] >= 1 and s["baton_deliver_connections_total"][""] >= 1
    assert s["baton_processes"] == {f'role="{r}"': n for r, n in
                                    (("smtpd", 2), ("keeper", 1), ("qmgr", 1), ("deliver", 2), ("dnscache", 1))}
    assert set(parse(e.b.ctl("metrics"))) == set(s), "the tool has the same figures"
    e.b.stop()


def test_figures_outlive_processes(house, hop):
    """kill -9 of the worker that serves and of qmgr: counts go on, the next worker takes the listener."""
    e = Endpoint(house, route=hop)
    e.b.smtp().send("a@client.example.test", "r@other.test", b"x\r\n")
    wait_for(lambda: e.scrape()["baton_queue_delivered_total"][""] == 1, 10)
    for role in ("smtpd", "smtpd", "qmgr"):
        old = e.b.pids(role)
        e.b.kill(role)

        def another():
            now = e.b.pids()
            another.__doc__ = f"another {role} than one of {old}: {now}"
            mine = sorted(p for p in now if now[p] == role)
            return len(mine) == len(old) and mine != old
        wait_for(another, 15)
    s = wait_for(lambda: (s := e.scrape())["baton_processes"]['role="smtpd"'] == 2 and s, 15)
    assert s["baton_queue_delivered_total"][""] == 1 and s["baton_smtp_messages_accepted_total"][""] == 1
    assert s["baton_site_recipients_total"][f'site="[127.0.0.1]:{hop.port}",outcome="delivered"'] == 1
    assert s["baton_process_restarts_total"]['role="smtpd"'] >= 1
    e.b.smtp().send("a@client.example.test", "r@other.test", b"x\r\n")
    wait_for(lambda: e.scrape()["baton_site_recipients_total"]
             [f'site="[127.0.0.1]:{hop.port}",outcome="delivered"'] == 2, 10)
    e.b.stop()


def test_reload_moves_the_listener(house, hop):
    e = Endpoint(house, route=hop)
    e.scrape()
    e.port, old = free_port(), e.port
    e.b.write(route=hop, text=f'metrics {{ address = "127.0.0.1:{e.port}" }}')
    e.b.ctl("reload")
    wait_for(lambda: "baton_reloads_total" in e.scrape(), 15)

    def closed():
        """nobody at the old address"""
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", old)) != 0
    wait_for(closed, 15)
    e.b.stop()


@pytest.mark.parametrize("request_, code", [
    (b"GET /metrics HTTP/1.0\r\n\r\n", 200), (b"HEAD /metrics HTTP/1.1\r\n\r\n", 200), (b"GET /metrics?a=b HTTP/1.1\n\n", 200),
    (b"GET / HTTP/1.1\r\n\r\n", 404), (b"POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 405), (b"\r\n\r\n", 400),
    (b"GET /metrics\r\n\r\n", 400), (b"EHLO x\r\n\r\n", 400), (b"GET /me\0trics HTTP/1.1\r\n\r\n", 400), (b"\x16\x03\x01\0" * 9, 400)])
def test_requests(endpoint, request_, code):
    got = endpoint.ask(request_)
    assert got.startswith(b"HTTP/1.1 %d " % code), got[:200]
    if request_.startswith(b"HEAD"):
        assert got.endswith(b"\r\n\r\n") and b"Content-Length: 0" not in got
    if code != 200:
        assert got.split(b"\r\n\r\n")[1].strip(), "it says why"


@pytest.fixture(scope="module")
def endpoint():
    from harness import House
    house = House()
    e = Endpoint(house)
    yield e
    e.b.stop()
    house.close()


def test_too_much_is_refused(endpoint):
    """4 KiB of request and no more; many that say nothing don't keep a scrape out, nor mail."""
    assert endpoint.ask(b"GET /metrics HTTP/1.1\r\nX: " + b"y" * 4072).startswith(b"HTTP/1.1 431 ")
    idle = [endpoint.connect() for _ in range(40)]
    for s in idle[::2]:
        s.sendall(b"GET /metr")
    began = time.monotonic()
    assert endpoint.scrape()
    endpoint.b.smtp().quit()
    # those that had to make room are gone already; in the end all are, whatever they do
    for n, s in enumerate(idle if SOAK else idle[:20]):
        while time.monotonic() - began < 60:
            try:
                s.settimeout(0.5)
                if s.recv(100) == b"":
                    break
            except socket.timeout:
                s.sendall(b"x")
            except OSError:
                break
        else:
            raise AssertionError(f"client {n} is still served after a minute")
        s.close()
    assert endpoint.scrape()


def test_refuses_an_address_in_use(house):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(1)
        taken = s.getsockname()[1]
        b = house.baton()
        b.write(text=f'metrics {{ address = "127.0.0.1:{taken}" }}')
        done = b.tool("batonctl", "reload", check=False)
        assert done.returncode == 1 and b"127.0.0.1:%d" % taken in done.stderr
        b.stop()


def rules():
    with open(os.path.join(TOP, "etc/baton.rules.yml")) as f:
        (group,) = yaml.safe_load(f)["groups"]
    return group["rules"]


def test_alert_rules_name_what_exists(endpoint):
    have = {re.sub(r"_(bucket|sum|count)$", "", n) if n.startswith("baton_delivery_seconds") else n for n in endpoint.scrape()}
    names = set()
    for rule in rules():
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["annotations"]["summary"] and rule["annotations"]["next"]
        named = set(re.findall(r"\bbaton_\w+", rule["expr"]))
        assert named or rule["alert"] == "BatonDown", rule
        names |= named
    assert names and names <= have, names - have


@pytest.mark.skipif(not os.path.exists(f"{PEERS}/promtool"), reason="promtool is not unpacked (make soak brings it)")
def test_alert_rules_by_promtool(endpoint):
    done = subprocess.run([f"{PEERS}/promtool", "check", "rules", f"{TOP}/etc/baton.rules.yml"], capture_output=True, timeout=60)
    assert done.returncode == 0 and b"SUCCESS" in done.stdout, done
    text = endpoint.ask(b"GET /metrics HTTP/1.0\r\n\r\n").partition(b"\r\n\r\n")[2]
    done = subprocess.run([f"{PEERS}/promtool", "check", "metrics"], input=text, capture_output=True, timeout=60)
    assert b"error while linting" not in done.stderr, done.stderr
