"""The beginnings of pictures in the four formats that models read: enough to know their size."""

import struct
from base64 import b64encode


def png(width: int, height: int) -> bytes:
    """A PNG as far as its header."""
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", width, height, 8, 2, 0, 0, 0) + b"\0\0\0\0"


def gif(width: int, height: int) -> bytes:
    """A GIF as far as its header."""
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\0\0\0"


def jpeg(width: int, height: int) -> bytes:
    """A JPEG with a long comment before its size."""
    comment = b"\xff\xfe" + struct.pack(">H", 5_002) + b"x" * 5_000
    return b"\xff\xd8" + comment + b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, height, width, 3) + b"\0" * 9


def webp(kind: bytes, width: int, height: int) -> bytes:
    """A WebP of the lossy (``VP8 ``), lossless (``VP8L``) or extended (``VP8X``) kind."""
    body = {
        b"VP8 ": b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height),
        b"VP8L": b"\x2f" + struct.pack("<I", width - 1 | height - 1 << 14),
        b"VP8X": b"\0\0\0\0" + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3],
    }[kind]
    return b"RIFF" + struct.pack("<I", 4 + 8 + len(body)) + b"WEBP" + kind + struct.pack("<I", len(body)) + body


def url(data: bytes, kind: str = "png") -> str:
    """``data`` as a data: URL."""
    return f"data:image/{kind};base64,{b64encode(data).decode()}"
