"""What happened reaches whoever is to know, whatever dies in between: a real server, sftp and receiver."""

import signal
import subprocess
import threading

from standardwebhooks import Webhook

from tests.notify.receiver import DOWN, PATIENCE_S, Receiver, receiving

from .conftest import Box, wait_until

NO_HEADER = "1\n2\n"


def rows(count: int) -> str:
    return "CTUserID\n" + "".join(f"{one}\n" for one in range(1, count + 1))


def listening(box: Box, receiver: Receiver) -> str:
    """Start a server with a client and a hook; give the hook's secret."""
    box.env["CTSFTP_NOTIFY__ALLOW_INTERNAL"] = "true"
    box.env["CTSFTP_NOTIFY__RETRY_FIRST_S"] = "0.01"
    box.add_client("acme")
    secret: str = box.json("hook", "add", f"http://127.0.0.1:{receiver.port}/", "--no-test")["secret"]
    box.start()
    return secret


def test_a_kill_between_the_commit_and_the_delivery_loses_no_event(box: Box) -> None:
    asked, killed = threading.Event(), threading.Event()

    def answer(_number: int) -> int:
        if killed.is_set():
            return 204
        asked.set()
        assert killed.wait(PATIENCE_S)
        return DOWN

    with receiving(answer) as receiver:
        # Without a server the data folder is not there yet: the first start makes it.
        box.start().stop()
        secret = listening(box, receiver)
        assert box.serve is not None
        box.put("acme", "VIP_20260310_0900.csv", rows(3))
        assert asked.wait(PATIENCE_S), "the first event is committed, and is being delivered"
        box.put("acme", "VIP_20260310_0901.csv", rows(4))
        box.file("VIP_20260310_0902.csv", NO_HEADER)
        box.sftp("acme", "put VIP_20260310_0902.csv")
        box.serve.wait_for("verdict", lambda event: event["state"] == "rejected")
        box.serve.stop(signal.SIGKILL)
        killed.set()
        box.start()
        taken = receiver.wait_for_taken(3)
    got = [Webhook(secret).verify(request.body, request.headers) for request in taken]
    assert [one["type"] for one in got] == ["upload.loaded", "upload.loaded", "upload.rejected"]
    uploads = [upload["id"] for upload in box.json("upload", "list")]
    assert [one["data"]["upload_id"] for one in got] == uploads[::-1]
    assert len({request.id for request in receiver.requests}) == 3, "what is sent again has the id that it had"


def test_an_upload_that_was_cut_off_is_told(box: Box) -> None:
    name = "VIP_20260310_0900.csv"
    with receiving() as receiver:
        box.start().stop()
        listening(box, receiver)
        box.file(name, rows(200_000))
        slow = box.sftp_command("acme")
        slow.insert(1, "-l1000")
        sender = subprocess.Popen(slow, cwd=box.folder, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        assert sender.stdin
        sender.stdin.write(f"put {name}\n".encode())
        sender.stdin.close()
        staging = box.folder / "data" / "clients" / "acme" / "staging"
        wait_until(lambda: any(file.stat().st_size for file in staging.glob("*")))
        sender.kill()
        sender.wait()
        [request] = receiver.wait_for_taken(1)
    assert request.json["type"] == "upload.cut_off"
    about = {key: request.json["data"][key] for key in ("client", "segment", "filename", "upload_id")}
    assert about == {"client": "acme", "segment": "VIP", "filename": name, "upload_id": None}
    assert box.json("upload", "list") == []
