"""The OpenAPI document: schemathesis holds the live server to it, and its examples are fit to be tried."""

import asyncio
import json
import sys
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from ctsftp.contract.codes import Code
from ctsftp.model.commands import SetGate
from ctsftp.web import examples, models

from .conftest import Desk

EXAMPLES = 8  # an operation; schemathesis adds those that it derives from the document itself
# The document's edges need no second database; what is strange to a database may be to one of them alone.
PHASES = {"sqlite": "examples,coverage,fuzzing", "postgresql": "examples,fuzzing"}

# 5.0 is an integer to JSON Schema, and no id to us: its digits may be lost already.
CONFIG = """
[[operations]]
include-operation-id = ["ask_one_segment", "ask_all_segments"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "422"]
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_schemathesis_finds_nothing_that_the_document_does_not_say(
    desk: Desk, tmp_path: Path, database_kind: str
) -> None:
    await desk.load("VIP", [1234567, 2])
    await desk.load("Gold", ["x", *range(1, 50)])  # type: ignore[list-item]
    await desk.service.perform(SetGate(kind="reward", item="4711", segments=("VIP",), client="acme"))
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    process = await asyncio.create_subprocess_exec(
        *(
            str(Path(sys.executable).with_name("schemathesis")),
            "--config-file",
            str(config),
            "run",
            f"{desk.url}/v1/openapi.json",
        ),
        *("--header", f"Authorization: Bearer {await desk.token('tester', admin=True)}"),
        *("--max-examples", str(EXAMPLES), "--seed", "6", "--generation-database", "none"),
        *("--phases", PHASES[database_kind], "--suppress-health-check", "all"),
        *("--request-timeout", "30"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0, printed.decode()
    assert "a request failed" not in [event["event"] for event in desk.events]


async def test_the_examples_of_the_document_are_records(desk: Desk) -> None:
    document = (await desk.http().get("/v1/openapi.json")).json()
    schemas = {name: schema for name, schema in document["components"]["schemas"].items() if "examples" in schema}
    assert set(schemas) == {shape.__name__ for shape in examples.EXAMPLES}
    for shape, example in examples.EXAMPLES.items():
        schema = schemas[shape.__name__]
        assert schema["examples"] == [json.loads(json.dumps(example))]
        assert list(schema["properties"]) == list(example)
        TypeAdapter(shape).validate_python(example)
    assert schemas["Notice"]["examples"][0]["code"] in set(Code)


async def test_no_answer_has_a_field_that_the_document_does_not_know(desk: Desk) -> None:
    document = (await desk.http().get("/v1/openapi.json")).json()
    records = {name: schema for name, schema in document["components"]["schemas"].items() if "properties" in schema}
    open_ones = {name for name, schema in records.items() if schema.get("additionalProperties") is not False}
    assert open_ones == {"Fault", "ProblemDocument"}, "RFC 9457 lets a problem have more"


async def test_the_document_says_how_large_a_page_may_be(desk: Desk) -> None:
    document = (await desk.http().get("/v1/openapi.json")).json()
    most = {
        path: parameter["schema"]["anyOf"][0]["maximum"]
        for path, operations in document["paths"].items()
        for parameter in operations.get("get", {}).get("parameters", [])
        if parameter["name"] == "limit"
    }
    changes = "/v1/segments/{client}/{segment}/changes"
    assert most == {"/v1/segments": 1_000, "/v1/uploads": 1_000, "/v1/gates": 1_000, changes: 100_000}


def test_a_field_that_an_answer_forgets_is_a_mistake() -> None:
    for name, model in vars(models).items():
        if isinstance(model, type) and issubclass(model, models.Output):
            assert model.model_config["extra"] == "forbid", name
    for shape, example in examples.EXAMPLES.items():
        with pytest.raises(ValidationError, match="new_field"):
            TypeAdapter(shape).validate_python({**example, "new_field": 1})


def test_a_field_that_a_record_lost_is_a_mistake() -> None:
    for shape, example in examples.EXAMPLES.items():
        with pytest.raises(ValidationError, match="Field required"):
            TypeAdapter(shape).validate_python(dict(list(example.items())[1:]))
