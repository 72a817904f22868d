"""Which addresses of the web may be asked: http or https, and public machines only."""

import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from yarl import URL

Address = IPv4Address | IPv6Address

_NAT64 = ip_network("64:ff9b::/96")
_UNICAST = ip_network("2000::/3")
# Special by registration (RFC 6890, 7526, 9637), yet not private to every supported Python.
_SPECIAL = tuple(ip_network(net) for net in ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20"))


class PrivateAddress(OSError):
    """A machine that must not be asked."""


def is_public(address: Address) -> bool:
    """Whether ``address`` is an ordinary one of the public internet.

    Private, loopback, link-local, multicast, reserved and documentation addresses are not. An
    IPv6 address that carries an IPv4 one (mapped, 6to4, NAT64) is judged by the latter.
    """
    if isinstance(address, IPv6Address):
        carried = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            carried = IPv4Address(int(address) & 0xFFFF_FFFF)
        if carried is not None:
            return is_public(carried)
        if address not in _UNICAST:
            return False
    special = address.is_multicast or address.is_reserved or any(address in net for net in _SPECIAL)
    return address.is_global and not special


def socket_opener(allowed: Callable[[Address], bool]) -> Callable[[tuple], socket.socket]:
    """Makes the sockets of a connector, each only after ``allowed`` said yes to its own address.

    The address is the resolved one to which this very socket will be connected, so a name cannot
    change its meaning between check and connection. Raises :class:`PrivateAddress`.
    """

    def open_socket(info: tuple) -> socket.socket:
        family, kind, protocol, _, (host, *_) = info
        if not allowed(ip_address(host)):
            # One message for all: of several addresses with equal errors, the first error is raised.
            raise PrivateAddress("not a public address")
        return socket.socket(family, kind, protocol)

    return open_socket


def web_address(text: str, relative_to: URL | None = None) -> URL:
    """Parse an address, or where a redirect leads; user and password are left out.

    Raises ValueError for what is not http or https, has no host, or cannot be parsed.
    """
    url = URL(text.strip())
    if relative_to is not None:
        url = relative_to.join(url)
    if url.scheme not in ("http", "https"):
        raise ValueError(f"{url.scheme or 'no'} scheme instead of http or https")
    if not url.host:
        raise ValueError("no host")
    return url.with_user(None).with_fragment(None)
