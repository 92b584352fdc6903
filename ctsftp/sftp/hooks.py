"""What the SFTP server asks of those who run it, and tells them: handed over whole."""

from collections.abc import Callable
from dataclasses import dataclass

from ctsftp.sftp.attempts import Login, LoginRefused
from ctsftp.sftp.landing import NOBODY, CutOff, Inspect, Landed, Touch
from ctsftp.sftp.receipts import ReceiptSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """About uploads: is a path's name a list's, what do its first bytes show; it has landed, or was cut off.

    About logins: one succeeded, or was refused; or of which kind two peers had no algorithm in common.
    """

    is_upload_name: Callable[[str, str], bool]
    inspect: Inspect
    landed: Landed
    cut_off: Callable[[CutOff], None]
    receipts: ReceiptSource
    on_login: Callable[[Login], None]
    on_refusal: Callable[[LoginRefused], None]
    on_mismatch: Callable[[str], None]
    touch: Touch = NOBODY
