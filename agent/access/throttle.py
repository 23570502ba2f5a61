"""Who has to wait before the next attempt to log in. Pure: the time is an argument.

Three counts of failures: of a host with an account, of a network (an IPv4 address, an IPv6 /64), of an
account. The last two are only held against peers that have never succeeded on that account, so that no
stranger can lock a family out: the phones that have been in before wait for nothing but their own mistakes.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from msgspec import Struct

from agent.access.config import AccessConfig

MAX_ENTRIES = 1024
MAX_KNOWN_PEERS = 16
FIRST_DELAY_S = 1.0
NETWORK_FACTOR = 4
ACCOUNT_FACTOR = 8
MAX_SHARED_DELAY_S = 60.0
MIN_MEMORY_S = 900.0

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


class _Failures(Struct):
    count: int = 0
    last_at: float = 0.0
    until: float = 0.0


class Throttle:
    """Counts failures and says how long to wait; bounded tables, the least recently used goes first.

    Unknown accounts are counted like real ones: waiting tells nobody which accounts exist. Names of accounts
    differ by more than the case of their letters.
    """

    def __init__(self, config: AccessConfig) -> None:
        self._config = config
        self._pairs: _Table[tuple[str, str], _Failures] = _Table(MAX_ENTRIES)
        self._networks: _Table[str, _Failures] = _Table(MAX_ENTRIES)
        self._accounts: _Table[str, _Failures] = _Table(MAX_ENTRIES)
        self._known: _Table[str, _Table[str, bool]] = _Table(MAX_ENTRIES)

    def own_wait_s(self, peer: str, account: str, now: float) -> float:
        """The part of `wait_s` that this host's own mistakes with that account have earned."""
        count = self._pairs.get((host_of(peer), _name_of(account)))
        return 0.0 if count is None else max(0.0, count.until - now)

    def wait_s(self, peer: str, account: str, now: float) -> float:
        """How long this peer has to wait before it may try that account; 0 when it may now."""
        host, name = host_of(peer), _name_of(account)
        counts = [self._pairs.get((host, name))]
        if not self._is_known(host, name):
            counts += [self._networks.get(network_of(host)), self._accounts.get(name)]
        return max(0.0, *(count.until - now for count in counts if count is not None), 0.0)

    def failed(self, peer: str, account: str, now: float, *, shared: bool = True) -> None:
        """The peer did not prove to be that account.

        shared: false counts it against this host with this account alone. For secrets that nobody can guess
        and that are looked at without waiting: whoever sent them for ever would keep everybody else out.
        """
        host, name = host_of(peer), _name_of(account)
        free, most = self._config.free_attempts, self._config.max_delay_s
        self._count(self._pairs, (host, name), now, free, most)
        if shared and not self._is_known(host, name):
            others_s = min(most, MAX_SHARED_DELAY_S)
            self._count(self._networks, network_of(host), now, free * NETWORK_FACTOR, others_s)
            self._count(self._accounts, name, now, free * ACCOUNT_FACTOR, others_s)

    def succeeded(self, peer: str, account: str) -> None:
        """The peer proved to be that account: it is known from now on, and its own mistakes are forgotten."""
        host, name = host_of(peer), _name_of(account)
        self._pairs.pop((host, name))
        known = self._known.get(name)
        if known is None:
            known = _Table(MAX_KNOWN_PEERS)
            self._known.put(name, known)
        known.put(host, True)

    def knows(self, peer: str, account: str) -> bool:
        """True when the peer has succeeded on that account before."""
        return self._is_known(host_of(peer), _name_of(account))

    def _is_known(self, host: str, name: str) -> bool:
        known = self._known.get(name)
        return known is not None and known.get(host) is not None

    def _count(self, table: _Table[_K, _Failures], key: _K, now: float, free: int, most_s: float) -> None:
        failures = table.get(key)
        if failures is None or now - failures.last_at > max(MIN_MEMORY_S, 4 * self._config.max_delay_s):
            failures = _Failures()
            table.put(key, failures)
        failures.count += 1
        failures.last_at = now
        if failures.count > free:
            doublings = min(failures.count - free - 1, 30)
            failures.until = now + min(most_s, FIRST_DELAY_S * 2**doublings)


class _Table(Generic[_K, _V]):
    """A dict of bounded size that drops what was not looked at for longest."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._items: OrderedDict[_K, _V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: _K) -> _V | None:
        value = self._items.get(key)
        if value is not None:
            self._items.move_to_end(key)
        return value

    def put(self, key: _K, value: _V) -> None:
        self._items[key] = value
        self._items.move_to_end(key)
        if len(self._items) > self._bound:
            self._items.popitem(last=False)

    def pop(self, key: _K) -> None:
        self._items.pop(key, None)


def host_of(peer: str) -> str:
    """The address of a peer without port and zone, IPv4 in IPv6 unwrapped.

    Anything that is no address is its own, at most 64 letters of it.
    """
    host = peer.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return peer[:64]
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


def network_of(host: str) -> str:
    """What a stranger cannot change at will: the IPv4 address, and of IPv6 the /64.

    A household shares one /64: it says nothing about who is known, or whose mistakes were whose.
    """
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError:
        return host
    return str(ipaddress.IPv6Network((address, 64), strict=False))


def _name_of(account: str) -> str:
    return account[:64].casefold()
