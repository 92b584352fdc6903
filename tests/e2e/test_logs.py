"""The log of a running server: a line for each thing that happens, who it was, and nothing that forges one."""

import json
import os
import subprocess
from typing import Any

from .conftest import Box, require_program

NAME = "VIP_20240101_0900.csv"
IDS = [4_711_000_000_000_001 + number for number in range(20)]


def fingerprint_of(box: Box, key: str) -> str:
    done = subprocess.run(["ssh-keygen", "-lf", f"{box.folder / key}.pub"], capture_output=True, text=True, check=True)
    return done.stdout.split()[1]


def told(box: Box, event: str) -> dict[str, Any]:
    assert box.serve is not None
    return box.serve.wait_for(event)


def test_every_step_has_its_line_and_says_who_it_was(box: Box) -> None:
    require_program("sftp")
    box.add_client("acme")
    box.add_client("globex")
    serve = box.start()
    box.put("acme", NAME, "CTUserID\n" + "".join(f"{one}\n" for one in [*IDS, "9999999999999.5"]))
    acme = {"client": "acme", "address": "127.0.0.1", "fingerprint": fingerprint_of(box, "acme_key")}
    login, landed, verdict = (told(box, event) for event in ("login", "upload landed", "verdict"))
    assert acme.items() <= login.items()
    assert acme.items() <= landed.items()
    assert landed["path"] == f"/{NAME}"
    assert "refused" not in landed
    assert {"client": "acme", "file": NAME, "state": "loaded", "members": 20, "rejected": 1}.items() <= verdict.items()
    assert told(box, "load ended")["upload"] == verdict["upload"] == landed["upload"]
    assert acme.items() <= told(box, "connection ended").items()

    refused = box.folder / "Gold_20240101_0900.csv"
    refused.write_text("CTUserID;a\n")
    since = serve.mark()
    assert box.sftp("acme", f"put {refused.name}").returncode != 0
    landed = serve.wait_for("upload landed", lambda event: event.get("refused") == "delimiter", since=since)
    assert acme.items() <= landed.items()

    for half in ("_key", "_key.pub"):
        (box.folder / f"acme{half}").replace(box.folder / f"globex{half}")
    assert box.sftp("globex", "ls").returncode != 0
    assert (acme | {"client": "globex", "cause": "unknown_key"}).items() <= told(box, "login refused").items()

    box.run("segment", "retire", "VIP")
    command = serve.wait_for("admin command", lambda event: event["operation"] == "segment.retire")
    assert command["by_uid"] == os.geteuid()
    box.run("upload", "discard", verdict["upload"], check=False)
    assert told(box, "admin command refused")["operation"] == "upload.discard"
    since = serve.mark()
    box.run("hook", "add", "https://hooks.example/t0p-s3cret", "--client", "nobody", check=False)
    serve.wait_for("admin command refused", lambda event: event["operation"] == "hook.add", since=since)
    serve.stop()
    log = json.dumps(serve.events)
    assert "t0p-s3cret" not in log
    assert [one for one in IDS if str(one) in log] == []
    assert "9999999999999" not in log
