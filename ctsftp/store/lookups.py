"""What the program's software asks all day: who is in what. Each answer is one statement, and of one moment."""

from collections.abc import Sequence

import orjson

from ctsftp.errors import NotFoundError
from ctsftp.store.database import Database

_IS_MEMBER = (
    "SELECT s.retired_at IS NULL AND EXISTS (SELECT 1 FROM member_rows m"
    " WHERE m.row_set = s.row_set AND m.ct_user_id = :ct_user_id)"
    " FROM segments s WHERE s.client = :client AND s.key = :key"
)
_SEGMENTS_OF = (
    "SELECT s.client, s.title FROM segments s"
    " WHERE s.retired_at IS NULL AND (:client IS NULL OR s.client = :client)"
    " AND EXISTS (SELECT 1 FROM member_rows m"
    " WHERE m.row_set = s.row_set AND m.ct_user_id = :ct_user_id)"
    " ORDER BY s.client, s.title"
)


class Lookups:
    """Answers about members; ids are 1 to 2^63-1."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def is_member(self, client: str, key: str, ct_user_id: int) -> bool:
        """Tell whether a member is in a segment that is in use; `NotFoundError` if there is no such segment."""
        found = await self._database.probe(_IS_MEMBER, {"client": client, "key": key, "ct_user_id": ct_user_id})
        if not found:
            raise NotFoundError(f'The client {client} has no segment "{key}".')
        return bool(found[0][0])

    async def segments_of(self, ct_user_id: int, *, client: str | None) -> list[tuple[str, str]]:
        """List the segments in use that a member is in, as client and title; of one client, or of all."""
        return await self._database.look_up(_SEGMENTS_OF, {"client": client, "ct_user_id": ct_user_id})

    async def members_among(self, client: str, key: str, ids: Sequence[int]) -> str:
        """Tell which of these ids are in a segment that is in use: a list in JSON, ascending."""
        parameters = {"client": client, "key": key, "ids": orjson.dumps(ids).decode()}
        [(members,)] = await self._database.look_up(self._database.backend.members_among, parameters)
        return str(members)
