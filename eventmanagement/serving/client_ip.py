"""Who sends a request, as far as the network says."""

import logging
import threading
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.settings import api_settings

logger = logging.getLogger(__name__)

# All clients whose address can't be parsed, together.
UNKNOWN = "unknown"
# Characters: an IPv6 address with its brackets, its port and the name of a network interface.
LONGEST_ADDRESS = 100
# The bits of an IPv6 address that a provider gives to one customer, who chooses the other 64.
CUSTOMER_PREFIX = 64

# The first warning acquires it, and nothing releases it: one line in each process.
_warned = threading.Lock()


def client_ip(request: HttpRequest | Request) -> str:
    """Give the client's IPv4 address or IPv6 network, past as many proxies as TRUSTED_PROXIES says.

    One client has one spelling: a port and a zone are left out, an IPv4 address within IPv6 is the IPv4
    address, and all addresses of one IPv6 /64 are that network. All addresses that can't be parsed
    are one client, ``unknown``.
    """
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR")
    proxies = api_settings.NUM_PROXIES
    if forwarded and not proxies:
        _warn_of_ignored_header()
    if not forwarded or not proxies:
        return _canonical(request.META.get("REMOTE_ADDR") or "")
    # Each proxy appends the address that it was called from; what stands further left, a client may have sent.
    addresses = forwarded.rsplit(",", proxies)
    return _canonical(addresses[-min(proxies, len(addresses))])


def _canonical(text: str) -> str:
    """Give an address in its one spelling, an IPv6 address as its network."""
    if len(text) > LONGEST_ADDRESS:
        return UNKNOWN
    text = text.strip()
    if text.startswith("["):
        # [2001:db8::1]:443
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        # 203.0.113.9:443
        text = text.partition(":")[0]
    try:
        address: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    except ValueError:
        return UNKNOWN
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            return str(IPv6Network((address, CUSTOMER_PREFIX), strict=False))
        address = address.ipv4_mapped
    return str(address)


def _warn_of_ignored_header() -> None:
    if _warned.acquire(blocking=False):
        logger.warning(
            "X-Forwarded-For is ignored because TRUSTED_PROXIES is 0. "
            "If there is a proxy in front, set TRUSTED_PROXIES: otherwise all clients share one limit."
        )
