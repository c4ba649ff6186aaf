"""Ends a connection under a client that waits for an answer: closed, or reset."""

import socket
import struct
import sys
from typing import Any

from labkit.localazure.wire import Dropped

# SO_LINGER on, for 0 seconds.
_LINGER_NOT_AT_ALL = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


def hang_up(transport: Any, dropped: Dropped) -> None:
    """End the connection of an asyncio ``transport``. What was written before still arrives, unless it is reset."""
    if not dropped.reset:
        transport.close()
        return
    # With this option a close sends a reset (RST) and nothing else.
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT_AT_ALL)
    transport.abort()
