"""What strangers send before a login, again and again."""

from asyncssh.constants import MSG_DEBUG, MSG_IGNORE, MSG_UNIMPLEMENTED
from asyncssh.packet import Boolean, Byte, String, UInt32
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ctsftp.sftp.budget import LOGIN_PACKETS

from .attacker import RawSsh, kexinit

packet = RawSsh.packet
POINT = X25519PrivateKey.generate().public_key().public_bytes_raw()
TOO_MANY = LOGIN_PACKETS + 1

# Each is more than a stranger may send.
EXCESSES = {
    "small ignored packets": packet(Byte(MSG_IGNORE) + String(b"")) * TOO_MANY,
    "large ignored packets": packet(Byte(MSG_IGNORE) + String(bytes(32_000))) * 5,
    "debug messages": packet(Byte(MSG_DEBUG) + Boolean(value=True) + String("x") * 2) * TOO_MANY,
    "not implemented": packet(Byte(MSG_UNIMPLEMENTED) + UInt32(0)) * TOO_MANY,
    "kinds that nobody knows": packet(Byte(19)) * TOO_MANY,
    "key exchanges": (packet(kexinit(strict=False)) + packet(Byte(30) + String(POINT))) * 2,
}
# Each ends a connection by itself, or is nothing.
BURSTS = EXCESSES | {
    "one packet that never ends": UInt32(34_000) + bytes(200_000),
    "lists of algorithms": packet(kexinit(strict=False)) * 100,
    "impossible lengths": b"\xff" * 4096,
    "lines without an end": b"SSH-2.0-" * 2000,
    "nothing": b"",
}
