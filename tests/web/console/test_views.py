"""What the console says of an upload, as it is now."""

from ctsftp.contract.states import State
from ctsftp.model.records import Upload
from ctsftp.web.console.views import upload_row


def upload(state: State, retry_at: str | None = None) -> Upload:
    return Upload(
        id="0",
        client="acme",
        filename="vip_20260310_0900.csv",
        segment_title="vip",
        segment_key="vip",
        stamp="20260310_0900",
        state=state,
        size=1,
        received_at="2026-03-10T12:00:00.000Z",
        retry_at=retry_at,
    )


def test_a_failed_upload_is_retried_automatically_only_if_it_is() -> None:
    assert "is retried automatically" in upload_row(upload(State.FAILED, "2026-03-10T12:00:01.000Z")).meaning
    assert upload_row(upload(State.FAILED)).meaning == "The fault is the server's. The file is safe, and waits for you."


def test_a_list_that_was_held_and_overtaken_is_not_said_to_have_come_late() -> None:
    assert upload_row(upload(State.SUPERSEDED)).meaning == "A newer list was applied instead."
