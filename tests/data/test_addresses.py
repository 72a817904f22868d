"""Public machines only, however their address is written."""

from ipaddress import ip_address

import pytest
from yarl import URL

from vilbert_lib.data.addresses import PrivateAddress, is_public, socket_opener, web_address

PUBLIC = ("8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1")
REFUSED = {
    "loopback": ("127.0.0.1", "127.255.255.254", "::1"),
    "private": ("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "fc00::1", "fd12:3456::1"),
    "shared": ("100.64.0.1", "100.127.255.255"),
    "link-local": ("169.254.169.254", "fe80::1", "fe80::1%eth0"),
    "site-local": ("fec0::1",),
    "multicast": ("224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"),
    "reserved": ("240.0.0.1", "255.255.255.255", "4000::1", "::1234"),
    "unspecified": ("0.0.0.0", "0.1.2.3", "::"),
    "special": ("192.0.0.1", "192.0.2.1", "198.18.0.1", "203.0.113.1", "192.88.99.1"),
    "special, IPv6": ("100::1", "2001:db8::1", "2001:0:1::1", "3fff::1", "5f00::1"),
    "mapped": ("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::7f00:1"),
    "carried": ("64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "2002:a00:1::1"),
}


@pytest.mark.parametrize("address", PUBLIC)
def test_machines_of_the_internet_are_public(address):
    assert is_public(ip_address(address))


@pytest.mark.parametrize(("kind", "address"), [(kind, a) for kind, some in REFUSED.items() for a in some])
def test_other_machines_are_not(kind, address):
    assert not is_public(ip_address(address))


def test_a_socket_is_made_only_for_an_address_that_is_allowed():
    opener = socket_opener(is_public)
    opener((2, 1, 6, "", ("8.8.8.8", 80))).close()
    with pytest.raises(PrivateAddress):
        opener((2, 1, 6, "", ("127.0.0.1", 80)))
    with pytest.raises(PrivateAddress):
        opener((10, 1, 6, "", ("::ffff:127.0.0.1", 80, 0, 0)))


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("http://a.org/x.jpg", "http://a.org/x.jpg"),
        (" HTTPS://A.org/x.jpg\t", "https://a.org/x.jpg"),
        ("http://user:secret@a.org/x.jpg#part", "http://a.org/x.jpg"),
        ("http://a.org/ü.jpg?q=ö", "http://a.org/%C3%BC.jpg?q=%C3%B6"),
        ("http://bücher.example/x", "http://xn--bcher-kva.example/x"),
        ("http://a.org/../../etc/passwd", "http://a.org/etc/passwd"),
    ],
)
def test_an_address_is_parsed_and_its_secrets_are_left_out(text, parsed):
    assert str(web_address(text)) == parsed


@pytest.mark.parametrize(
    "text",
    [
        *("", "x.jpg", "//a.org/x", "ftp://a.org/x", "file:///etc/passwd", "data:image/png;base64,AA"),
        *("javascript:0", "http://", "http:///x", "http://a.org:99999/", "http://[::1/", "http://a.org\\@b.org/"),
    ],
)
def test_what_is_no_web_address_is_refused(text):
    with pytest.raises(ValueError):
        web_address(text)


def test_a_redirect_is_read_beside_where_it_stands_and_checked_alike():
    here = URL("https://a.org/one/two")
    assert str(web_address("../three", here)) == "https://a.org/three"
    assert str(web_address("//b.org/x", here)) == "https://b.org/x"
    assert str(web_address("http://me:secret@b.org/x", here)) == "http://b.org/x"
    with pytest.raises(ValueError):
        web_address("file:///etc/passwd", here)
