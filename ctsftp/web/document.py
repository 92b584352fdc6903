"""The OpenAPI document, which is made when it is first asked for: that takes a quarter of a second."""

import asyncio
import re
from typing import Any

from fastapi import FastAPI

from ctsftp.contract.rows import MAX_ID
from ctsftp.web.settings import MAX_CHANGES_PAGE_SIZE, MAX_PAGE_SIZE

JsonDocument = dict[str, Any]  # as FastAPI makes it


class Document:
    """What an app's routes take and answer."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._made: asyncio.Task[JsonDocument] | None = None

    async def get(self) -> JsonDocument:
        """Give the document; a thread makes it, once."""
        if self._made is None:
            self._made = asyncio.create_task(asyncio.to_thread(self._make))
        return await asyncio.shield(self._made)

    async def methods(self, path: str) -> list[str]:
        """List the methods that an address takes."""
        for template, operations in (await self.get())["paths"].items():
            if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template)), path):
                methods = {method.upper() for method in operations}
                return sorted(methods | {"HEAD"} if "GET" in methods else methods)
        return []

    def _make(self) -> JsonDocument:
        document = self._app.openapi()
        _mend(document)
        schemas = document["components"]["schemas"]
        for schema in schemas.values():
            for example in schema.get("examples", []):
                _fill_in_nulls(example, schema, schemas)
        for path, operations in document["paths"].items():
            for parameter in operations.get("get", {}).get("parameters", []):
                if parameter["name"] == "limit":
                    most = MAX_CHANGES_PAGE_SIZE if path.endswith("/changes") else MAX_PAGE_SIZE
                    parameter["schema"]["anyOf"][0]["maximum"] = most
        return document


def _fill_in_nulls(example: JsonDocument, schema: JsonDocument, schemas: JsonDocument) -> None:
    """Give an example, and the objects in its lists, what FastAPI has left out: whatever is null."""
    example.update(dict.fromkeys(schema["properties"].keys() - example.keys()))
    for name, value in schema["properties"].items():
        if of := value.get("items", {}).get("$ref"):
            for one in example[name]:
                _fill_in_nulls(one, schemas[of.rpartition("/")[2]], schemas)


def _mend(document: object) -> None:
    """Put right in the document what FastAPI cannot say: that a problem is no plain JSON, and the largest id.

    It writes bounds as doubles, and 2^63-1 is none.
    """
    if isinstance(document, dict):
        if document.get("maximum") == float(MAX_ID):
            document["maximum"] = MAX_ID
        for status, answer in document.get("responses", {}).items():
            if not status.startswith("2"):
                answer["content"]["application/problem+json"] = answer["content"].pop("application/json")
        document = list(document.values())
    if isinstance(document, list):
        for part in document:
            _mend(part)
