"""The sockets that pages are served on."""

import asyncio
import socket
from contextlib import closing

import pytest

from server.cli_serve import _listen
from tests.run_async import run_async


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_answer_does_not_wait_for_the_acknowledgement_of_the_one_before(host: str) -> None:
    """Headers and body are sent apart; with Nagle's algorithm the second waits 40 ms."""

    async def is_undelayed() -> bool:
        found = asyncio.get_running_loop().create_future()

        async def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            own: socket.socket = writer.get_extra_info("socket")
            found.set_result(own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        try:
            listener = _listen(host, 0)
        except (ValueError, OSError):
            pytest.skip(f"this machine has no {host}")
        with closing(listener):
            async with await asyncio.start_server(accept, sock=listener):
                _, writer = await asyncio.open_connection(*listener.getsockname()[:2])
                answer = bool(await found)
                writer.close()
                return answer

    assert run_async(is_undelayed())
