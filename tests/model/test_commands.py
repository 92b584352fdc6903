"""The one form of a command on the wire: what older and newer programs of ctsftp, and scripts, know it by."""

import json
from dataclasses import fields
from typing import Any

import pytest

from ctsftp.errors import UsageError
from ctsftp.model.commands import COMMANDS, AddHook, Command, SetGate, Sweep, decode, encode, for_log

SEGMENT = {"name": "VIP", "client": None}
# One of each, as it is written; a field that is renamed breaks what asks a server of another version.
EXAMPLES: dict[str, dict[str, Any]] = {
    "sweep": {},
    "upload.retry": {"upload_id": "0197"},
    "upload.approve": {"upload_id": "0197"},
    "upload.discard": {"upload_id": "0197"},
    "segment.rollback": {**SEGMENT, "number": 3},
    "segment.retire": SEGMENT,
    "segment.restore": SEGMENT,
    "segment.delete": SEGMENT,
    "segment.expect": {**SEGMENT, "every_s": 86_400, "grace_s": 7_200},
    "hook.add": {"url": "https://example.com/secret", "client": "acme", "events": ["upload.held"]},
    "hook.remove": {"hook_id": 1},
    "hook.test": {"hook_id": 1},
    "hook.revive": {"hook_id": 1},
    "gate.set": {"kind": "reward", "item": "4711", "segments": ["VIP", "Gold"], "client": None},
    "gate.remove": {"kind": "reward", "item": "4711", "client": "acme"},
    "token.add": {"name": "shop", "client": "acme", "admin": True, "expires": "2027-12-31T00:00:00+00:00"},
    "token.revoke": {"name": "shop"},
    "sessions.recheck": {},
    "penalty.list": {},
    "penalty.clear": {"address": "192.0.2.7"},
    "login.list": {},
    "server.faults": {},
}


def test_each_command_has_an_example() -> None:
    assert EXAMPLES.keys() == COMMANDS.keys()


@pytest.mark.parametrize("wire", EXAMPLES)
def test_a_command_is_read_as_it_was_written(wire: str) -> None:
    message = {"do": wire, "with": EXAMPLES[wire]}
    command = decode(message)
    assert type(command) is COMMANDS[wire]
    assert json.loads(json.dumps(encode(command))) == message
    assert decode(encode(command)) == command


def test_what_may_be_left_out_may_be_left_out_on_the_wire() -> None:
    gate = {"kind": "reward", "item": "4711", "segments": ["VIP"]}
    assert decode({"do": "gate.set", "with": gate}) == SetGate("reward", "4711", ("VIP",))


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ({"do": "fly", "with": {}}, "'fly'"),
        ({"do": None, "with": {}}, "None"),
        ({"do": [], "with": {}}, r"\[\]"),
        ({"do": "sweep"}, "'sweep'"),
        ({"do": "sweep", "with": []}, "'sweep'"),
        ({"do": "sweep", "with": {"wire": "x"}}, "'sweep' with 'wire'"),
        ({"do": "sweep", "with": {"now": True}}, "'sweep' with 'now'"),
        ({"do": "upload.retry", "with": {}}, "'upload.retry' so .*upload_id"),
        ({"do": "upload.retry", "with": {"upload_id": 1}}, "'upload.retry' with 'upload_id'"),
        ({"do": "hook.test", "with": {"hook_id": "1"}}, "'hook.test' with 'hook_id'"),
        ({"do": "hook.test", "with": {"hook_id": True}}, "'hook.test' with 'hook_id'"),
        ({"do": "token.add", "with": {"name": "x", "admin": 1}}, "'token.add' with 'admin'"),
        ({"do": "gate.set", "with": {"kind": "k", "item": "i", "segments": [1]}}, "'gate.set' with 'segments'"),
        ({"do": "gate.set", "with": {"kind": "k", "item": "i", "segments": "VIP"}}, "'gate.set' with 'segments'"),
        ([], r"None"),
    ],
)
def test_what_is_no_command_of_this_version_is_a_wrong_usage_that_says_what_to_do(message: Any, told: str) -> None:
    with pytest.raises(UsageError, match=f"does not know {told}.*: restart it with this version of ctsftp"):
        decode(message)


def test_the_log_has_everything_of_a_command_but_what_is_secret() -> None:
    hook = AddHook("https://example.com/secret", "acme", ("upload.held",))
    assert for_log(hook) == {"client": "acme", "events": ("upload.held",)}
    assert "secret" not in repr(hook)
    assert for_log(Sweep()) == {}


@pytest.mark.parametrize("kind", COMMANDS.values(), ids=list(COMMANDS))
def test_a_command_cannot_be_changed_on_its_way(kind: type[Command[object]]) -> None:
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert all(one.name != "wire" for one in fields(kind))
