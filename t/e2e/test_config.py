"""batonctl config, completion, and what its errors say."""
import json
import re
import subprocess

from harness import wait_for


def objects(text):
    return [json.loads(line) for line in text.splitlines() if line]


def test_config(house):
    """Values with their places, includes too; what is printed is a configuration that says the same."""
    more = house.path("more.conf")
    with open(more, "w") as f:
        f.write('# a comment\nretry { first = "2m"\n  warn = 0 }\n')
    b = house.baton(start=False, retry="", text=f'include("{more}")\nroute "x.test" {{ to = "[127.0.0.1]:9" }}')
    shown = b.ctl("config")
    assert re.search(r"(?m)^ +first = 2m +# " + re.escape(more) + ":2$", shown), shown
    assert re.search(r"(?m)^ +warn = 0 +# " + re.escape(more) + ":3$", shown)
    assert re.search(r"(?m)^ +max = 4h +# default$", shown)
    assert re.search(r"(?m)^hostname = .* # " + re.escape(b.conf) + ":1$", shown)
    changed = b.ctl("config", "--changed")
    assert "first = 2m" in changed and "max = 4h" not in changed and 'route "x.test"' in changed

    said = {(o["section"], o["title"], o["option"]): o for o in objects(b.ctl("config", "--json"))}
    assert said[("retry", "", "first")]["file"] == more and said[("retry", "", "first")]["line"] == 2
    assert said[("retry", "", "max")]["given"] is False
    assert said[("route", "x.test", "to")]["value"] == '{ "[127.0.0.1]:9" }'
    only = objects(b.ctl("config", "route.to", "hostname", "--json"))
    assert {(o["section"], o["option"]) for o in only} == {("", "hostname"), ("route", "to")}

    b.write(raw=shown)
    again = b.ctl("config")
    strip = re.compile(r" +# .*")
    assert strip.sub("", again) == strip.sub("", shown)
    done = b.tool("batonctl", "config", "retry.frist", check=False)
    assert done.returncode == 64 and b"retry.first" in done.stderr
    b.write(raw="nonsense = 1\n")
    done = b.tool("batonctl", "config", check=False)
    assert done.returncode != 0 and b"baton.conf:1" in done.stderr and not done.stdout


def complete(b, *words):
    """What bash offers behind these words."""
    script = b.tool("batonctl", "completion", "bash").stdout.decode()
    run = script + f'\nCOMP_WORDS=(batonctl {" ".join(repr(w) for w in words)})\nCOMP_CWORD={len(words)}\n' \
                   '_batonctl\nprintf "%s\\n" "${COMPREPLY[@]}"\n'
    done = subprocess.run(["bash", "-c", run], capture_output=True, text=True, env=b.env(), check=True)
    assert not done.stderr, done.stderr
    return done.stdout.split()


def test_completion(house):
    """Every verb of the usage, and every option that a verb's usage has."""
    b = house.baton(start=False)
    usage = b.tool("batonctl", "--help").stdout.decode()
    table = re.findall(r"(?m)^  (\w[\w-]*)(.*\n(?: {11}[\[-].*\n)*)", usage)
    assert len(table) > 15
    offered = complete(b, "")
    assert sorted(name for name, _ in table) == sorted(set(offered) - {"-c", "--help"})
    assert complete(b, "fl") == ["flush"] and complete(b, "-c", "/x", "fl") == ["flush"]
    options = 0
    for name, words in table:
        wanted = set(re.findall(r"--[a-z-]+", words))
        assert wanted <= set(complete(b, name, "--")) | {"--"}, name
        options += len(wanted)
    assert options > 40
    assert "--json" in complete(b, "-c", "/x", "queue", "--j")
    assert {"--sender", "--older"} <= set(complete(b, "flush", "--")), "a filter's options"
    assert {"in", "out"} <= set(complete(b, "pause", ""))
    zsh = b.tool("batonctl", "completion", "zsh").stdout.decode()
    assert zsh.startswith("#compdef batonctl") and "bashcompinit" in zsh
    assert b.tool("batonctl", "completion", "fish", check=False).returncode == 64


def test_errors_say_what_to_do(house):
    """A daemon that is down, a verb mistyped, an ID or site that isn't there, no configuration."""
    b = house.baton(start=False, route=house.sink(start=False))

    def fails(*words, code=1):
        done = b.tool("batonctl", *words, check=False)
        assert done.returncode == code, done
        return done.stderr.decode()
    assert "not running" in fails("queue", code=69) and "baton -c " + b.conf in fails("sites", code=69)
    assert "did you mean 'status'" in fails("stauts", code=64)
    b.start()
    assert "batonctl queue" in fails("show", "no-such-thing!", code=64)
    b.smtp().send("a@client.example.test", "x@other.test", b"x\r\n")
    site = wait_for(lambda: b.queue() and b.queue()[0]["recipients"][0]["site"])
    done = b.tool("batonctl", "pause", site[:-1])
    assert b"did you mean " + site.encode() in done.stderr, done
    (row,) = b.queue()
    b.ctl("delete", row["id"])
    assert "batonctl queue" in fails("why", row["id"])
    gone = house.path("gone.conf")
    done = subprocess.run([b.program("batonctl"), "-c", gone, "queue"], capture_output=True, text=True, env=b.env())
    assert done.returncode == 1 and "BATON_CONF" in done.stderr and gone in done.stderr
    b.stop()
