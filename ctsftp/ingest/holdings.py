"""What the database holds of each client, in bytes, for its quota: counted at each sweep, and added to in between."""

from ctsftp.contract.states import State
from ctsftp.ingest.reading import Reading
from ctsftp.store.numbers import bytes_held
from ctsftp.store.store import Store


class Holdings:
    """Estimates, asked from any thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._bytes: dict[str, int] = {}

    def bytes_of(self, client: str) -> int:
        """Tell what is held of one client."""
        return self._bytes.get(client, 0)

    async def count(self) -> None:
        """Count anew; what is loaded meanwhile may be missing until the next time."""
        self._bytes = await self._store.numbers.held_bytes()

    def add(self, client: str, state: State, reading: Reading) -> None:
        """Add what a verdict leaves in the database."""
        members = reading.members if state is State.LOADED else 0
        self._bytes[client] = self.bytes_of(client) + bytes_held(members, reading.rejected)
