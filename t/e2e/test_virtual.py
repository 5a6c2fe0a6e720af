"""Hosted domains: mailboxes of names from a file, under one user; their aliases; who is refused."""
import os
import re

from harness import HOST, wait_for
from smtp import message
from test_bytes import local_user

FROM = "a@client.example.test"


def boxes(top):
    """{mailbox below top: the raw messages of its Maildir}"""
    found = {}
    for folder, _, names in os.walk(top):
        if folder.endswith("/new"):
            raws = [open(os.path.join(folder, n), "rb").read() for n in sorted(names)]
            found[os.path.relpath(folder[:-4], top)] = raws
    return found


def arrive(b, top, want):
    """Waits for so many messages in each mailbox; an alias that is just expanded may look like an empty queue."""
    wait_for(lambda: sum(map(len, boxes(top).values())) >= sum(want.values()), 20)
    b.wait_empty()
    assert {k: len(v) for k, v in boxes(top).items()} == want


def hosted(house, users, **more):
    path, top = house.path("vusers"), house.path("vmail")
    with open(path, "w") as f:
        f.write(users)
    os.chmod(path, 0o644)
    os.makedirs(top, 0o777, exist_ok=True)
    os.chmod(top, 0o777)
    block = (f'virtual "hosted" {{ domain = {{ "v.test", "w.test" }}  mailbox = "maildir:{top}/%d/%n"\n'
             f'  user = "{more.pop("user", local_user())}"  users = "{path}" }}\nvirtual "a.test" {{ }}\n')
    return top, path, house.baton(text=block, **more)


def test_mailboxes_of_names(house):
    """Made where they lack; the name as the file has it; tags, case, unknown names, and who isn't meant."""
    sink = house.sink()
    top, path, b = hosted(house, "Joe:{PLAIN}x\nann@v.test\n..\n../../etc\n", route=sink, origin=HOST, aliases=(
        "info@v.test: joe@v.test, joe@w.test, JOE+x@v.test, far@other.test\nann@v.test: ann@v.test, far@other.test\n"
        f"@w.test: @v.test\nsales@a.test: {local_user()}\njoe: far@other.test\n"))
    s = b.smtp()
    for bad in ("nobody@v.test", f"{local_user()}@v.test", "nobody@a.test", '"../../etc"@v.test', '"a/b"@v.test', '".."@v.test'):
        s.cmd(f"MAIL FROM:<{FROM}>", 250)
        s.cmd(f"RCPT TO:<{bad}>", 550)
        s.cmd("RSET", 250)
    s.send(FROM, "JOE+tag@V.test", message("one"))
    arrive(b, top, {"v.test/joe": 1})
    assert re.search(rb"Delivered-To: (\S+)", boxes(top)["v.test/joe"][0]).group(1).lower() == b"joe+tag@v.test"
    assert os.stat(f"{top}/v.test/joe").st_mode & 0o777 == 0o700
    s.send(FROM, ["info@v.test", "ann@v.test", "sales@a.test"], message("two"))
    arrive(b, top, {"v.test/joe": 3, "w.test/joe": 1, "v.test/ann": 1})
    wait_for(lambda: sink.messages and b.maildir(local_user()), 20)
    b.wait_empty()
    assert [r for m in sink.messages for r in m.to] == ["far@other.test"] and len(b.maildir(local_user())) == 1
    # @w.test is for whom nobody has there: ann has a mailbox at v.test only
    s.send(FROM, "ann@w.test", message("three"))
    arrive(b, top, {"v.test/joe": 3, "w.test/joe": 1, "v.test/ann": 2})
    # a name more: without a reload
    with open(path, "a") as f:
        f.write("new\n")

    def taken():
        s.cmd(f"MAIL FROM:<{FROM}>", 250)
        code = s.cmd("RCPT TO:<new@v.test>")[0]
        s.cmd("RSET", 250)
        return code == 250
    wait_for(taken, 15, 0.3)
    b.stop()


def test_without_its_user_or_names_mail_waits(house):
    """A slip of the administrator bounces nothing: 451 at RCPT, or deferred."""
    top, path, b = hosted(house, "joe\n", user="baton-no-such-user")
    b.smtp().send(FROM, "joe@v.test", message("one"))
    b.wait_log(r"to=joe@v.test .*result=deferred .*dsn=4.3.5 .*isn't there")
    os.unlink(path)

    def waits():
        s = b.smtp()
        s.cmd(f"MAIL FROM:<{FROM}>", 250)
        return s.cmd("RCPT TO:<other@v.test>")[0] == 451
    wait_for(waits, 15, 0.3)
    assert not boxes(top)
    b.stop()
