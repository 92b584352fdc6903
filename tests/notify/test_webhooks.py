"""One webhook: signed, bounded, to a checked address only."""

import asyncio
import ssl
from datetime import timedelta
from pathlib import Path
from socket import gaierror

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from standardwebhooks import Webhook, WebhookVerificationError

from ctsftp.app.clock import utc_now
from ctsftp.errors import RefusedError, UsageError
from ctsftp.notify.settings import NotifySettings
from ctsftp.notify.webhook import Webhooks, new_secret, read_url, shown_url

from .receiver import DOWN, receiving

BODY = b'{"type": "hook.test"}'
SECRET = new_secret()


async def post(webhooks: Webhooks, url: str) -> str | None:
    async with webhooks.open() as session:
        return await session.post(url, secret=SECRET, message_id="evt_1", body=BODY)


def resolving_to(*addresses: str) -> Webhooks:
    """Webhooks that must not go inside, with a name server that answers one after the other."""
    answers = list(addresses)

    async def resolve(_host: str, _port: int) -> list[str]:
        return [answers.pop(0) if len(answers) > 1 else answers[0]]

    return Webhooks(NotifySettings(timeout_s=5), now=utc_now, resolve=resolve)


async def test_a_receiver_can_verify_what_it_gets_with_the_library_and_its_secret(webhooks: Webhooks) -> None:
    with receiving() as receiver:
        assert await post(webhooks, f"http://127.0.0.1:{receiver.port}/hooks/1?a=b") is None
    [request] = receiver.requests
    assert request.path == "/hooks/1?a=b"
    assert Webhook(SECRET).verify(request.body, request.headers) == {"type": "hook.test"}
    assert request.headers["webhook-id"] == "evt_1"
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert request.headers["content-type"] == "application/json"
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(request.body, request.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(request.body.replace(b"test", b"tset"), request.headers)


@pytest.mark.parametrize("status", [301, 307, 400, 404, 410, 429, 500, 503])
async def test_anything_but_success_is_a_failure_and_no_redirect_is_followed(webhooks: Webhooks, status: int) -> None:
    with receiving(lambda _: status) as receiver:
        receiver.location = f"http://127.0.0.1:{receiver.port}/elsewhere"
        assert await post(webhooks, f"http://127.0.0.1:{receiver.port}/") == f"the receiver answered with {status}"
    assert [request.path for request in receiver.requests] == ["/"]


async def test_a_receiver_that_hangs_up_or_is_not_there_is_a_failure_in_words(webhooks: Webhooks) -> None:
    with receiving(lambda _: DOWN) as receiver:
        url = f"http://127.0.0.1:{receiver.port}/secret-path"
        assert "disconnected" in str(await post(webhooks, url))
    error = await post(webhooks, url)
    assert error
    assert "secret-path" not in error


async def test_a_receiver_that_is_slow_or_never_ends_is_cut_off_in_time() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(b"HTTP/1.1 200 OK\r\n")
            while await reader.read(1):
                writer.write(b"x: y\r\n")  # an answer that never comes to its end
        finally:
            writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    webhooks = Webhooks(NotifySettings(allow_internal=True, timeout_s=0.1), now=utc_now)
    try:
        assert await post(webhooks, f"http://127.0.0.1:{port}/") == "no answer within 0.1 s"
    finally:
        server.close()


async def test_what_is_answered_is_not_read(webhooks: Webhooks) -> None:
    sent = asyncio.Event()

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n")
            while True:
                writer.write(b"x" * 65_536)
                await writer.drain()
        except ConnectionError:
            sent.set()
        finally:
            writer.close()

    server = await asyncio.start_server(flood, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    try:
        assert await post(webhooks, f"http://127.0.0.1:{port}/") is None
        async with asyncio.timeout(20):
            await sent.wait()
    finally:
        server.close()


@pytest.mark.parametrize("inside", ["127.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "fd00::1"])
async def test_a_name_that_leads_inside_is_refused_when_it_is_added_and_when_it_is_used(inside: str) -> None:
    with receiving() as receiver:
        url = f"http://inside.example:{receiver.port}/"
        with pytest.raises(RefusedError, match="CTSFTP_NOTIFY__ALLOW_INTERNAL=true"):
            await resolving_to(inside).check(url)
        assert "inside.example is an internal address" in str(await post(resolving_to(inside), url))
    assert receiver.requests == []


async def test_a_name_that_cannot_be_looked_up_is_told_in_words() -> None:
    async def resolve(_host: str, _port: int) -> list[str]:
        raise gaierror(-2, "Name or service not known")

    webhooks = Webhooks(NotifySettings(timeout_s=5), now=utc_now, resolve=resolve)
    await webhooks.check("https://hooks.example.invalid/")  # the name server may be away for the moment
    said = await post(webhooks, "https://hooks.example.invalid/")
    assert said == "the name hooks.example.invalid cannot be looked up: Name or service not known"


async def test_a_name_that_turns_inside_after_it_was_checked_leads_nowhere() -> None:
    """DNS rebinding: the second answer is the one that would be connected to."""
    with receiving() as receiver:
        url = f"http://rebinding.example:{receiver.port}/"
        webhooks = resolving_to("1.1.1.1", "127.0.0.1")
        await webhooks.check(url)
        assert "internal address" in str(await post(webhooks, url))
    assert receiver.requests == []


async def test_the_connection_goes_to_the_address_that_was_checked_and_to_no_second_answer(
    settings: NotifySettings,
) -> None:
    looked_up: list[str] = []

    async def resolve(host: str, _port: int) -> list[str]:
        looked_up.append(host)
        return ["127.0.0.1"]

    with receiving() as receiver:
        url = f"http://nowhere.invalid:{receiver.port}/"
        assert await post(Webhooks(settings, now=utc_now, resolve=resolve), url) is None
    assert looked_up == ["nowhere.invalid"]
    assert receiver.requests[0].headers["host"] == f"nowhere.invalid:{receiver.port}"


async def test_an_address_that_cannot_be_connected_to_is_passed_over_for_the_next(settings: NotifySettings) -> None:
    async def resolve(_host: str, _port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]  # nothing listens on the first

    with receiving() as receiver:
        url = f"http://two.example:{receiver.port}/"
        assert await post(Webhooks(settings, now=utc_now, resolve=resolve), url) is None


async def test_a_name_that_cannot_be_looked_up_may_be_added_and_fails_in_words(settings: NotifySettings) -> None:
    async def resolve(host: str, _port: int) -> list[str]:
        if host == "silent.example":
            return []
        raise OSError("no such name")

    webhooks = Webhooks(settings, now=utc_now, resolve=resolve)
    await webhooks.check("https://away.example/")
    assert "no such name" in str(await post(webhooks, "https://away.example/"))
    assert "has no address" in str(await post(webhooks, "https://silent.example/"))


def tls_for(name: str, folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's certificate for a name, and a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = utc_now()
    cert = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = cert.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "tls.pem").write_bytes(pem + private)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "tls.pem")
    return server, ssl.create_default_context(cadata=pem.decode())


@pytest.mark.parametrize(("name", "is_taken"), [("right.example", True), ("wrong.example", False)])
async def test_the_certificate_is_checked_against_the_name_and_not_the_address(
    settings: NotifySettings, tmp_path: Path, name: str, *, is_taken: bool
) -> None:
    async def resolve(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    server, client = tls_for("right.example", tmp_path)
    webhooks = Webhooks(settings, now=utc_now, resolve=resolve)
    webhooks.__dict__["_trusted"] = client
    with receiving(tls=server) as receiver:
        error = await post(webhooks, f"https://{name}:{receiver.port}/")
    assert (error is None) is is_taken, error
    assert len(receiver.requests) == is_taken


@pytest.mark.parametrize(
    "url", ["", "https://", "example.com/x", "ftp://example.com/", "https:///x", "http://[::1/", "https://x:99999999/"]
)
async def test_what_is_no_web_address_is_refused_without_repeating_it(webhooks: Webhooks, url: str) -> None:
    with pytest.raises(UsageError, match="https://HOST/PATH"):
        await webhooks.check(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://example.com", "https://example.com"),
        ("https://user:pass@example.com:8443/T0/token?key=secret", "https://example.com:8443/…"),
        ("HTTP://EXAMPLE.com/", "http://example.com"),
        ("https://example.com?key=secret", "https://example.com/…"),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret(url: str, shown: str) -> None:
    assert shown_url(url) == shown
    assert read_url(url).host == "example.com"


def test_a_secret_is_as_the_format_wants_it() -> None:
    assert new_secret().startswith("whsec_")
    assert new_secret() != new_secret()
