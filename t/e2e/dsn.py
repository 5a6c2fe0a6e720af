"""Reading notices as a strict program would: every one is parsed and held against RFC 3464."""
import email
import email.policy
import re

from email.utils import parsedate_to_datetime

STRICT = email.policy.strict
STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}$")
TYPED = re.compile(r"[A-Za-z0-9-]+; ?\S")
ACTIONS = {"failed": "45", "delayed": "4", "delivered": "2", "relayed": "2", "expanded": "2"}
MESSAGE_FIELDS = {"original-envelope-id", "reporting-mta", "dsn-gateway", "received-from-mta", "arrival-date"}
RCPT_FIELDS = {"original-recipient", "final-recipient", "action", "status", "remote-mta", "diagnostic-code",
               "last-attempt-date", "final-log-id", "will-retry-until"}


def fields(part, allowed):
    """The fields of one group, each at most once, by its name in small letters."""
    found = {}
    for name, value in part.items():
        key = name.lower()
        assert key not in found, f"{name} twice"
        assert key in allowed or key.startswith("x-"), name
        assert str(value).strip(), f"{name} is empty"
        found[key] = " ".join(str(value).split())
    for key in ("arrival-date", "last-attempt-date", "will-retry-until"):
        if key in found:
            assert parsedate_to_datetime(found[key]).tzinfo
    return found


def check_recipient(f):
    for key in ("final-recipient", "action", "status"):
        assert key in f, f"no {key} in {f}"
    assert f["action"] in ACTIONS and STATUS.match(f["status"]), f
    assert f["status"][0] in ACTIONS[f["action"]], f"{f['action']} with {f['status']}"
    for key in ("final-recipient", "original-recipient", "remote-mta", "diagnostic-code"):
        assert key not in f or TYPED.match(f[key]), f[key]
    assert ("will-retry-until" in f) <= (f["action"] == "delayed")


class Notice:
    """A notice that has passed: .people, .message (fields), .recipients (lists of fields), .original, .full."""

    def __init__(self, raw):
        for line in raw.split(b"\n"):
            assert len(line) <= 999, line[:100]
        self.raw = raw
        m = self.mail = email.message_from_bytes(raw, policy=STRICT)
        assert m.get_content_type() == "multipart/report"
        assert m.get_param("report-type") == "delivery-status"
        for name in ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Auto-Submitted"):
            assert len(m.get_all(name, [])) == 1, name
            assert not m[name].defects, (name, m[name].defects)
        assert parsedate_to_datetime(m["Date"]).tzinfo
        parts = list(m.iter_parts())
        assert len(parts) == 3, [p.get_content_type() for p in parts]
        for part in m.walk():
            assert not part.defects, part.defects
        self.check_labels(raw, parts)
        assert parts[0].get_content_type() == "text/plain"
        self.people = parts[0].get_content()
        assert parts[1].get_content_type() == "message/delivery-status"
        groups = parts[1].get_payload()
        assert len(groups) >= 2
        self.message = fields(groups[0], MESSAGE_FIELDS)
        assert TYPED.match(self.message["reporting-mta"])
        self.recipients = [fields(g, RCPT_FIELDS) for g in groups[1:]]
        for f in self.recipients:
            check_recipient(f)
        kind = parts[2].get_content_type()
        assert kind in ("message/rfc822", "text/rfc822-headers"), kind
        self.full = kind == "message/rfc822"
        self.original = parts[2].get_content()
        self.subject = str(m["Subject"])
        self.to = str(m["To"])

    @staticmethod
    def check_labels(raw, parts):
        """8-bit parts say so, and so does what holds them (RFC 2045 6.4)."""
        eightbit = any(b > 127 for b in raw)
        head = raw.replace(b"\r\n", b"\n").split(b"\n\n", 1)[0]
        assert eightbit == (b"content-transfer-encoding: 8bit" in head.lower())
        if eightbit:
            assert parts[2].get("Content-Transfer-Encoding") == "8bit"
        assert "Content-Transfer-Encoding" not in parts[0] and "Content-Transfer-Encoding" not in parts[1]

    def by_address(self):
        return {f["final-recipient"].split("; ", 1)[1]: f for f in self.recipients}


def is_notice(raw):
    return b"report-type=delivery-status" in raw
