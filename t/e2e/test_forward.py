"""~/.forward: who gets the mail instead, what is run, and when it doesn't count."""
import os
import re

import pytest

from harness import HOST, wait_for
from home import Home
from smtp import message

FROM = "sender@other.test"


@pytest.fixture
def at_home(house):
    house.home = Home(house)
    house.hop = house.sink()
    house.b = house.baton(wrap=house.home.wrap, route=house.hop, mailbox="maildir:~/Maildir",
                          aliases=f"team: {house.home.user}\n")
    house.me = f"{house.home.user}@{HOST}"
    return house


def inbox(house):
    new = os.path.join(house.home.path, "Maildir", "new")
    return [open(os.path.join(new, n), "rb").read() for n in os.listdir(new)] if os.path.isdir(new) else []


def test_addresses_and_a_copy(at_home):
    """Comments and commas; \\user and the own name are the mailbox; everybody once."""
    at_home.home.write(".forward", f"# away\none@other.test, two@other.test\n\\{at_home.home.user}\n"
                       f"ONE@other.test\n{at_home.me}\n")
    at_home.b.smtp().send(FROM, at_home.me, message("fwd"))
    at_home.b.wait_empty()
    assert sorted(to.lower() for m in at_home.hop.messages for to in m.to) == ["one@other.test", "two@other.test"]
    (raw,) = inbox(at_home)
    assert f"\nDelivered-To: {at_home.me}\n".encode() in raw
    assert all(m.sender == FROM for m in at_home.hop.messages)
    at_home.b.stop()


def test_without_or_empty_it_is_the_mailbox(at_home):
    at_home.b.smtp().send(FROM, f"{at_home.home.user}+tag@{HOST}", message("none"))
    wait_for(lambda: len(inbox(at_home)) == 1, 15)
    at_home.home.write(".forward", "# nothing\n\n")
    at_home.b.smtp().send(FROM, at_home.me, message("empty"))
    wait_for(lambda: len(inbox(at_home)) == 2, 15)
    at_home.b.wait_empty()
    at_home.b.stop()


def test_commands_and_files(at_home):
    """Run in the home with a clean environment; the file is appended to; the text is in no log."""
    at_home.home.write("cmd", "#!/bin/sh\n(env; pwd; cat) > out.new && mv out.new out\n", 0o755)
    at_home.home.write(".forward", f'"|./cmd one, two", {at_home.home.path}/box\n')
    at_home.b.smtp().send("o`id`@client.example.test", f"{at_home.home.user}+a+b@{HOST}", message("run"))
    text = wait_for(lambda: at_home.home.read("out"), 20).decode()
    env = dict(line.split("=", 1) for line in text.split("\nFrom ")[0].splitlines() if "=" in line)
    assert env["SENDER"] == "o_id_@client.example.test" and env["RECIPIENT"] == at_home.me
    assert env["ORIGINAL_RECIPIENT"] == f"{at_home.home.user}+a+b@{HOST}"
    assert env["USER"] == env["LOGNAME"] == env["LOCAL"] == at_home.home.user
    assert env["HOME"] == at_home.home.path and env["SHELL"] == "/bin/sh" and env["DOMAIN"] == HOST
    allowed = {"SENDER", "RECIPIENT", "ORIGINAL_RECIPIENT", "USER", "LOGNAME", "LOCAL", "HOME", "SHELL", "DOMAIN", "PATH",
               "TZ", "PWD", "OLDPWD", "SHLVL", "_"}
    assert set(env) <= allowed, set(env) - allowed
    assert f"\n{at_home.home.path}\nFrom o`id`@client" in text
    assert text.endswith(message("run").decode().replace("\r\n", "\n").split("\n\n", 1)[1])
    at_home.b.wait_empty()
    assert at_home.home.read("box").count(b"\nSubject: run") == 1
    assert "./cmd" not in at_home.b.log_tail(60000)
    at_home.b.stop()


@pytest.mark.parametrize("how", ["others", "group", "folder", "home"])
def test_when_it_does_not_count(at_home, how):
    """What somebody else may have written is no order of the user's: to the mailbox, with a word in the log."""
    mode = {"others": 0o602, "group": 0o620}.get(how, 0o600)
    if how == "folder":
        os.mkdir(os.path.join(at_home.home.path, ".forward"))
    else:
        at_home.home.write(".forward", "thief@other.test\n", mode)
    if how == "home":
        os.chmod(at_home.home.path, 0o707)
    at_home.b.smtp().send(FROM, at_home.me, message("safe"))
    wait_for(lambda: len(inbox(at_home)) == 1, 15)
    at_home.b.wait_log(r"warning: \.forward of " + at_home.home.user + ": .forward ignored: ")
    at_home.b.wait_empty()
    assert not at_home.hop.messages
    at_home.b.stop()


def test_a_wrong_one_waits(at_home):
    """It may be half written: nothing is guessed, and nothing returned."""
    at_home.home.write(".forward", "two words\n")
    at_home.b.smtp().send(FROM, at_home.me, message("later"))
    at_home.b.wait_log(r"result=deferred .*dsn=4\.3\.5 reply=\"\.forward has something that is no address\"")
    at_home.home.write(".forward", ":include:/etc/passwd\n")
    at_home.b.tool("batonctl", "flush")
    at_home.home.write(".forward", "right@other.test\n")
    at_home.b.tool("batonctl", "flush")
    at_home.hop_got = wait_for(lambda: at_home.hop.messages, 15)
    assert at_home.hop_got[0].to == ["right@other.test"]
    at_home.b.wait_empty()
    at_home.b.stop()


def test_a_loop_through_an_alias(at_home):
    """.forward to an alias that names the user: it leads back, and the sender is told."""
    at_home.home.write(".forward", "team\n")
    at_home.b.smtp().send(FROM, at_home.me, message("round"))
    bounce = wait_for(lambda: at_home.hop.messages, 20)[0]
    assert bounce.sender == "" and b"Status: 5.4.6" in bounce.raw
    at_home.b.wait_empty()
    at_home.b.stop()


def test_a_home_that_cannot_be_written(at_home):
    """Deferred, with the path and the reason in log and queue; delivered when it can be."""
    if os.getuid() == 0:
        pytest.skip("root may write everywhere")
    os.chmod(at_home.home.path, 0o500)
    at_home.b.smtp().send(FROM, at_home.me, message("closed"))
    at_home.b.wait_log(rf"result=deferred .*code=451 dsn=4\.2\.0 reply=\"{re.escape(at_home.home.path)}/Maildir: Permission denied\"")
    os.chmod(at_home.home.path, 0o700)
    at_home.b.tool("batonctl", "flush")
    wait_for(lambda: len(inbox(at_home)) == 1, 15)
    at_home.b.wait_empty()
    at_home.b.stop()


def test_a_tag_has_a_file_of_its_own(at_home):
    """.forward+tag before .forward; its commands are found; a tag without one goes the way of the others."""
    out = at_home.home.path + "/out"
    at_home.home.write(".forward", "all@other.test\n")
    at_home.home.write(".forward+news", f"news@other.test\n|cat > {out}.new && mv {out}.new {out}\n")
    user, host = at_home.me.split("@")
    at_home.b.smtp().send(FROM, [f"{user}+news@{host}", f"{user}+x@{host}", f'"{user}+../.forward+news"@{host}'], message("tags"))
    wait_for(lambda: at_home.home.read("out") and sum(len(m.to) for m in at_home.hop.messages) >= 2, 20)
    at_home.b.wait_empty()
    assert sorted(to for m in at_home.hop.messages for to in m.to) == ["all@other.test", "news@other.test"]
    assert not inbox(at_home)
