"""Every error as a problem document (RFC 9457), and the one place that knows HTTP's status codes for our errors.

A problem's `type` is a URN that software can compare; its `detail` is a sentence for a person.
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from ctsftp.errors import CtsftpError, NotFoundError, RefusedError, SnapshotGoneError, UsageError
from ctsftp.web.document import Document

log = structlog.get_logger()

URN = "urn:ctsftp:problem:"
SHOWN_FAULTS = 10
# The first that fits decides; any other error of ours is a 503.
STATUS_CODES: list[tuple[type[CtsftpError], int, str]] = [
    (SnapshotGoneError, 410, "gone"),
    (NotFoundError, 404, "not-found"),
    (RefusedError, 409, "refused"),
    (UsageError, 400, "usage"),
]


# What pydantic calls a fault, and what it is, behind the name of the part. (pydantic.dev: "Validation Errors")
FAULTS = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    "value_error": "{error}",
    "json_invalid": "is not JSON: {error}",
    "model_attributes_type": "must be a JSON object",
    "list_type": "must be a list",
    "string_type": "must be a string",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "is too large",
    "int_from_float": "must be a whole number",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "holds {actual_length} items, and needs at least {min_length}",
    "too_long": "holds {actual_length} items, and may hold {max_length}",
    "enum": "must be one of {expected}",
}


class Fault(BaseModel):
    """One part of a request that is wrong."""

    where: str = Field(examples=["path.ct_user_id"])
    what: str = Field(examples=["must be at least 1"])


UNTYPED = Fault(where="body", what="is to be sent as JSON, with the header Content-Type: application/json")


class ProblemDocument(BaseModel):
    """What is answered instead (RFC 9457)."""

    type: str = Field(examples=[f"{URN}not-found"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=['There is no segment "VIP".'])
    faults: list[Fault] | None = Field(None, description="which parts of the request are wrong (422 only)")


class Problem(Exception):  # noqa: N818 - RFC 9457 calls it a problem
    """An answer that is a problem document; `word` is the end of its type."""

    def __init__(
        self, status: int, word: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: object
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.word = word
        self.detail = detail
        self.headers = headers
        self.more = more

    def response(self) -> Response:
        """Write the document."""
        content = {
            "type": URN + self.word,
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            **self.more,
        }
        # In ASCII: a name in a request may hold half a character (a lone surrogate), which has no UTF-8.
        return Response(json.dumps(content), self.status, self.headers, media_type="application/problem+json")


def problem_of(exc: Exception) -> Problem:
    """Translate an error; what is our own fault is logged, and told without a path of this machine."""
    match exc:
        case Problem():
            return exc
        case RequestValidationError():
            return _invalid(exc)
        case HTTPException():
            return _of_http(exc)
        case CtsftpError():
            return _of_ours(exc)
    log.error("a request failed", exc_info=exc)
    return Problem(500, "failed", "The server failed; its log says more.")


def install(app: FastAPI, document: Document) -> None:
    """Have the app answer each error with its document."""

    async def answer(request: Request, exc: Exception) -> Response:
        problem = invalid(UNTYPED) if _is_untyped(request, exc) else problem_of(exc)
        if problem.status == HTTPStatus.METHOD_NOT_ALLOWED and (allowed := await document.methods(request.url.path)):
            # Starlette names only those of the first route of several at one address.
            problem.headers = {"Allow": ", ".join(allowed)}
        return problem.response()

    for kind in (Problem, CtsftpError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, answer)


def _of_ours(exc: CtsftpError) -> Problem:
    for kind, status, word in STATUS_CODES:
        if isinstance(exc, kind):
            return Problem(status, word, str(exc))
    log.error("a request could not be answered", error=str(exc))
    return Problem(503, "unavailable", "The server cannot answer this now; its log says why. Try again later.")


def invalid(*faults: Fault) -> Problem:
    """Make the problem of a request that is wrong in these parts."""
    shown = [fault.model_dump() for fault in faults[:SHOWN_FAULTS]]
    first = f"{faults[0].where} {faults[0].what}"
    end = "" if first.endswith("?") else "."
    more = f" And {len(faults) - 1} more." if len(faults) > 1 else ""
    return Problem(422, "invalid", f"The request is wrong: {first}{end}{more}", faults=shown)


def _is_untyped(request: Request, exc: Exception) -> bool:
    """Tell whether a body was not read as JSON since no header says that it is: FastAPI takes it for bytes then."""
    if not isinstance(exc, RequestValidationError) or is_json(request.headers.get("content-type", "")):
        return False
    return any(error["loc"] == ("body",) and isinstance(error["input"], bytes) for error in exc.errors())


def is_json(content_type: str) -> bool:
    """Tell whether a Content-Type is one of JSON (RFC 6839)."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _invalid(exc: RequestValidationError) -> Problem:
    return invalid(*(_fault(error) for error in exc.errors()))


def _fault(error: Mapping[str, Any]) -> Fault:
    """Say in our words what pydantic found: its own are about its types."""
    known = FAULTS.get(error["type"])
    text = known.format_map(error.get("ctx", {})) if known else error["msg"]
    return Fault(where=".".join(str(part) for part in error["loc"]), what=text)


def _of_http(exc: HTTPException) -> Problem:
    words = {
        413: ("too-large", str(exc.detail)),
        400: ("malformed", "The request's body cannot be read."),
        404: ("not-found", "There is nothing at this address: see /v1/openapi.json for all addresses."),
        405: ("method", "This address does not take this method."),
    }
    word, detail = words.get(exc.status_code, ("http", str(exc.detail)))
    return Problem(exc.status_code, word, detail, headers=exc.headers)
