"""The client IP of a request."""

import logging
import threading
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.settings import api_settings

logger = logging.getLogger(__name__)

# Used for every client whose IP address can't be parsed.
UNKNOWN_IP = "unknown"
# In characters: enough for an IPv6 address with brackets, a port and a zone id.
MAX_ADDRESS_LENGTH = 100
# The prefix length of the IPv6 network that a provider assigns to one customer.
IPV6_PREFIX_LENGTH = 64

# Acquired by the first warning and never released, so that each process logs the warning only once.
_warning_lock = threading.Lock()


def client_ip(request: HttpRequest | Request) -> str:
    """Return the client's IPv4 address or IPv6 /64 network, behind TRUSTED_PROXIES proxies.

    The result is normalized, so that a client can't be counted as several: quotes, the port and the zone id are
    removed, an IPv4-mapped IPv6 address becomes the IPv4 address, and an IPv6 address becomes its /64 network. The
    result is ``unknown`` if the address can't be parsed.
    """
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR")
    proxies = api_settings.NUM_PROXIES
    if forwarded and not proxies:
        _warn_of_ignored_header()
    if not forwarded or not proxies:
        return _normalize_ip(request.META.get("REMOTE_ADDR") or "")
    # Each proxy appends the IP address of its client. Entries further left may be forged by the client.
    addresses = forwarded.rsplit(",", proxies)
    return _normalize_ip(addresses[-min(proxies, len(addresses))])


def _normalize_ip(text: str) -> str:
    """Return the normalized form of an address; for an IPv6 address, its network."""
    if len(text) > MAX_ADDRESS_LENGTH:
        return UNKNOWN_IP
    # Some proxies quote an address, as the header Forwarded does.
    text = text.strip().strip('"')
    if text.startswith("["):
        # [2001:db8::1]:443
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        # 203.0.113.9:443
        text = text.partition(":")[0]
    try:
        address: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    except ValueError:
        return UNKNOWN_IP
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            return str(IPv6Network((address, IPV6_PREFIX_LENGTH), strict=False))
        address = address.ipv4_mapped
    return str(address)


def _warn_of_ignored_header() -> None:
    if _warning_lock.acquire(blocking=False):
        logger.warning(
            "X-Forwarded-For is ignored because TRUSTED_PROXIES is 0. "
            "If there is a reverse proxy, set TRUSTED_PROXIES. Otherwise all clients share one rate limit."
        )
