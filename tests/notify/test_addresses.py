"""Which addresses count as inside."""

import pytest

from ctsftp.notify.addresses import is_internal, resolve

INSIDE = """
127.0.0.1 127.8.9.10 0.0.0.0 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 100.64.0.1 192.0.0.1
192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
:: ::1 fe80::1 fe80::1%1 fec0::1 fc00::1 fd12:3456::1 ff02::1 2001:db8::1 100::1
::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0:127.0.0.1 ::127.0.0.1 ::10.0.0.1
64:ff9b::127.0.0.1 64:ff9b::10.0.0.1 64:ff9b:1::1 2002:7f00:1::1 2002:a9fe:a9fe::1 2001:0:4136:e378:8000:63bf:80ff:fffe
168.63.129.16 192.0.0.8 192.0.0.192 192.0.0.255 192.31.196.1 192.52.193.1 192.88.99.1 192.175.48.1 198.19.255.255
::8.8.8.8 64:ff9b::192.0.0.192 64:ff9b:1:ffff::8.8.8.8 100:0:0:1::1 2001:2::1 2001:10::1 2001:20::1 2001:1ff:ffff::1
2002:c058:6301::1 2620:4f:8000::1 3fff::1 3fff:fff:ffff::1 5f00::1 4000::1 fdff:ffff::1 febf::1 ::ffff:192.88.99.1
"""
OUTSIDE = """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.1 126.0.0.1 128.0.0.1 168.63.129.15 191.255.255.255 192.0.1.1 198.17.0.1 198.20.0.1
172.32.0.1 172.15.0.1 100.128.0.1 193.0.0.1 223.255.255.254
2606:4700:4700::1111 2001:4860:4860::8888 2001:200::1 3ffe::1 3fff:1000::1
2a00:1450:4001:82a::200e ::ffff:8.8.8.8 64:ff9b::8.8.8.8 2002:808:808::1
"""


@pytest.mark.parametrize("address", INSIDE.split())
def test_an_address_inside_is_seen_in_every_dress(address: str) -> None:
    assert is_internal(address)


@pytest.mark.parametrize("address", OUTSIDE.split())
def test_a_public_address_is_not_inside(address: str) -> None:
    assert not is_internal(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost"])
async def test_every_spelling_of_loopback_is_seen_once_it_is_looked_up(host: str) -> None:
    assert all(is_internal(address) for address in await resolve(host, 80))
