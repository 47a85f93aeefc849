"""Connections to other machines are refused, those to this machine work."""

from __future__ import annotations

import asyncio
import socket

import httpx
import pytest

from quotes.testing.offline import NetworkRefused, offline


@pytest.mark.parametrize("host", ["api.exchange.example", b"api.exchange.example", "192.0.2.1"])
def test_another_machine_is_refused_before_its_name_is_looked_up(host: str | bytes):
    name = host.decode() if isinstance(host, bytes) else host
    with offline(), pytest.raises(NetworkRefused, match=f"not to '{name}'. Send prices with"):
        socket.getaddrinfo(host, 443)


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_an_address_of_another_machine_is_refused(host: str):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with offline(), socket.socket(family) as one, pytest.raises(NetworkRefused, match=host):
        one.connect((host, 443))


async def test_the_clients_of_providers_are_refused():
    async with httpx.AsyncClient() as client:
        with offline(), pytest.raises(NetworkRefused):
            await client.get("https://api.exchange.example/")
    with offline(), pytest.raises(NetworkRefused):
        await asyncio.open_connection("192.0.2.1", 443)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_this_machine_can_be_reached(host: str):
    with socket.create_server(("127.0.0.1", 0)) as server, offline():
        socket.create_connection((host, server.getsockname()[1])).close()


def test_an_allowed_host_can_be_reached_by_its_address_too(monkeypatch: pytest.MonkeyPatch):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *given: found)
    tried: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: tried.append(address))
    with offline(["redis.example"]), socket.socket() as one:
        assert socket.getaddrinfo("redis.example", 443) == found
        one.connect(("192.0.2.1", 443))
    assert tried == [("192.0.2.1", 443)]


def test_afterwards_everything_is_as_before():
    before = socket.getaddrinfo, socket.socket.connect
    with pytest.raises(ZeroDivisionError), offline():
        1 / 0  # noqa: B018
    assert (socket.getaddrinfo, socket.socket.connect) == before
