"""What a client that has signed in sends, again and again."""

import os
from collections.abc import Callable
from typing import Any

import asyncssh
from asyncssh.constants import (
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_OPEN,
    MSG_CHANNEL_OPEN_CONFIRMATION,
    MSG_CHANNEL_OPEN_FAILURE,
    MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_WINDOW_ADJUST,
    MSG_DEBUG,
    MSG_GLOBAL_REQUEST,
    MSG_IGNORE,
    MSG_KEXINIT,
    MSG_UNIMPLEMENTED,
)
from asyncssh.packet import Boolean, NameList, String, UInt32

CHANNEL_OPENED = (MSG_CHANNEL_OPEN_CONFIRMATION, MSG_CHANNEL_OPEN_FAILURE)

Flood = Callable[[asyncssh.SSHClientConnection, int], None]


def packets(pkttype: int, *fields: bytes) -> Flood:
    return lambda peer, _channel: peer.send_packet(pkttype, *fields)


def on_channel(pkttype: int, *fields: bytes) -> Flood:
    return lambda peer, channel: peer.send_packet(pkttype, UInt32(channel), *fields)


CLIENTS: dict[str, Flood] = {
    "ignored packets": packets(MSG_IGNORE, String(b"x")),
    "debug messages": packets(MSG_DEBUG, Boolean(value=False), String(""), String("")),
    "not implemented": packets(MSG_UNIMPLEMENTED, UInt32(1)),
    "kinds that nobody knows": packets(192),
    "keepalives": packets(MSG_GLOBAL_REQUEST, String("keepalive@openssh.com"), Boolean(value=True)),
    "requests to forward": packets(
        MSG_GLOBAL_REQUEST, String("tcpip-forward"), Boolean(value=True), String(""), UInt32(0)
    ),
    "global requests that nobody knows": packets(MSG_GLOBAL_REQUEST, String("x"), Boolean(value=False)),
    "proofs of host keys": packets(
        MSG_GLOBAL_REQUEST, String("hostkeys-prove-00@openssh.com"), Boolean(value=True), String("x")
    ),
    "channels to other hosts": packets(
        MSG_CHANNEL_OPEN,
        String("direct-tcpip"),
        UInt32(7),
        UInt32(1 << 20),
        UInt32(32_768),
        String("127.0.0.1"),
        UInt32(22),
        String("x"),
        UInt32(1),
    ),
    "more channels than there may be": packets(
        MSG_CHANNEL_OPEN, String("session"), UInt32(7), UInt32(1 << 20), UInt32(32_768)
    ),
    "channels of small packets": packets(MSG_CHANNEL_OPEN, String("session"), UInt32(7), UInt32(1 << 20), UInt32(1)),
    "variables": on_channel(MSG_CHANNEL_REQUEST, String("env"), Boolean(value=True), String("A"), String("B" * 100)),
    "commands": on_channel(MSG_CHANNEL_REQUEST, String("exec"), Boolean(value=True), String("id")),
    "terminals": on_channel(
        MSG_CHANNEL_REQUEST, String("pty-req"), Boolean(value=True), String("x"), UInt32(1) * 4, String(b"\0")
    ),
    "data without bytes": on_channel(MSG_CHANNEL_DATA, String(b"")),
    "windows of a byte": on_channel(MSG_CHANNEL_WINDOW_ADJUST, UInt32(1)),
    "windows of a mebibyte": on_channel(MSG_CHANNEL_WINDOW_ADJUST, UInt32(1 << 20)),
}


def say_no_ignore(peer: Any) -> None:
    """Have asyncssh's client send no IGNORE before each packet: it would pay for them, and not for what it floods."""
    send = peer.send_packet

    def send_alone(pkttype: int, *args: bytes, **more: Any) -> None:
        if pkttype != MSG_IGNORE:
            send(pkttype, *args, **more)

    peer.send_packet = send_alone


def take_any(handler: Any, *kinds: int) -> None:
    """Let a connection or channel of asyncssh's client take such packets for good, which would end it else."""
    handler._packet_handlers = {**handler._packet_handlers, **dict.fromkeys(kinds, lambda *_: True)}


KEX_LISTS = [
    [b"curve25519-sha256"],
    [b"ssh-ed25519"],
    *([[b"aes128-gcm@openssh.com"]] * 2),
    *([[b"hmac-sha2-256"]] * 2),
]


def begin_key_exchange(peer: asyncssh.SSHClientConnection) -> None:
    lists = b"".join(map(NameList, [*KEX_LISTS, [b"none"], [b"none"], [], []]))
    peer.send_packet(MSG_KEXINIT, os.urandom(16), lists, Boolean(value=False), UInt32(0))
