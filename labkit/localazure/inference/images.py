"""Pictures in a prompt: what format and size they have, told from their first bytes, and what tokens they cost.

Formats: Microsoft Learn, how-to/gpt-with-vision, read 2026-11-25. Its limit of 20 MB a picture is never met here: a
whole body may have 16 MB.
Tokens: Learn, overview (image tokens), and OpenAI, guides/images-vision, for base and tile tokens and for the models
that count patches; the numbers of each model are in the catalogue. Wordings: CosmosShadow/gptpdf#6 (2024-06), a
download that fails riverscuomo/cuomputer#95 (2025-05), too many pictures anomalyco/opencode#39677 (2026-07, Azure).
"""

import binascii
import math
import struct
from base64 import b64decode
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from labkit.catalog import Model
from labkit.localazure.errors import AzureError
from labkit.localazure.inference.parameters import invalid, not_one_of

Detail = Literal["auto", "low", "high"]

_DETAILS: tuple[Detail, ...] = ("auto", "low", "high")
_MOST_IMAGES = 50
# Enough for a JPEG's colour profile and thumbnail, which come before its size.
_READ_CHARACTERS = 400_000
_MOST_SEGMENTS = 500
_SHOWN_CHARACTERS = 200

_TILE = 512
_PATCH = 32
_MOST_PATCHES = 1_536


class Image(NamedTuple):
    """A picture as far as it matters here: ``format`` is ``PNG``, ``JPEG``, ``GIF`` or ``WebP``, the size in pixels."""

    format: str
    width: int
    height: int
    detail: Detail = "auto"


def of_content(content: Sequence[dict[str, Any]], place: str) -> list[Image]:
    """The pictures among the parts of a message's content; ``AzureError`` 400 for one that is none."""
    parts = [(number, part["image_url"]) for number, part in enumerate(content) if part["type"] == "image_url"]
    return [read(given, f"{place}[{number}].image_url") for number, given in parts]


def check_count(images: Sequence[Image]) -> None:
    """``AzureError`` 400 when a request has too many pictures."""
    if len(images) > _MOST_IMAGES:
        raise invalid(None, f"Exceeded maximum number of images ({_MOST_IMAGES}) allowed in the request.", "messages")


def read(given: dict[str, Any], place: str) -> Image:
    """The picture of an ``image_url`` object at ``place``; ``AzureError`` 400 when there is none to be had.

    An address on the web is refused as one that does not answer: this server reaches nothing outside, and to count
    a picture that nobody looked at would say something about it that is not known.
    """
    url, wanted = given["url"], given.get("detail") or "auto"
    detail = next((known for known in _DETAILS if known == wanted), None)
    if detail is None:
        raise not_one_of(f"{place}.detail", wanted, _DETAILS)
    if url[:8].lower().startswith(("http://", "https://")):
        raise invalid(
            "invalid_image_url",
            f"Timeout while downloading {url[:_SHOWN_CHARACTERS]}. The local Azure downloads nothing: send the image "
            "itself, as a data: URL in base64.",
        )
    head, comma, data = url[:_READ_CHARACTERS].partition(",")
    if not comma or not head.lower().startswith("data:image/") or not head.lower().endswith(";base64"):
        raise _unsupported()
    found = size(_decoded(data))
    if found is None or found.width == 0 or found.height == 0:
        raise _unsupported()
    return found._replace(detail=detail)


def size(data: bytes) -> Image | None:
    """Format and size of the picture that begins with ``data``; None when it is none of the four kinds."""
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR":
            return Image("PNG", *struct.unpack(">II", data[16:24]))
        if data[:6] in (b"GIF87a", b"GIF89a"):
            return Image("GIF", *struct.unpack("<HH", data[6:10]))
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
        return _jpeg(data) if data[:3] == b"\xff\xd8\xff" else None
    except (struct.error, IndexError):  # it ends before its size
        return None


def tokens(image: Image, model: Model) -> int:
    """What ``image`` costs as input of ``model``, which can see.

    Low detail is what fits into 512 pixels; where ``auto`` means low is not published, here it is where that is enough.
    """
    rule = model.images
    if rule is None:
        return 0
    low = image.detail == "low" or (image.detail == "auto" and max(image.width, image.height) <= _TILE)
    if rule.patch_factor:
        width, height = _within(image.width, image.height, _TILE) if low else (image.width, image.height)
        return math.ceil(_patches(width, height) * rule.patch_factor)
    if low:
        return rule.base_tokens
    width, height = _within(image.width, image.height, 4 * _TILE)
    scale = min(1.0, 768 / min(width, height))
    tiles = [max(1, math.ceil(round(side * scale) / _TILE)) for side in (width, height)]
    return rule.base_tokens + rule.tile_tokens * tiles[0] * tiles[1]


def _patches(width: float, height: float) -> int:
    count = math.ceil(width / _PATCH) * math.ceil(height / _PATCH)
    if count <= _MOST_PATCHES:
        return count
    shrink = math.sqrt(_PATCH**2 * _MOST_PATCHES / (width * height))
    wide, high = width * shrink / _PATCH, height * shrink / _PATCH
    if wide < 1 or high < 1:  # a line: it cannot be shrunk to whole patches in both directions
        return _MOST_PATCHES
    shrink *= min(math.floor(wide) / wide, math.floor(high) / high)
    return min(math.ceil(width * shrink / _PATCH) * math.ceil(height * shrink / _PATCH), _MOST_PATCHES)


def _within(width: float, height: float, most: int) -> tuple[float, float]:
    scale = min(1.0, most / max(width, height))
    return width * scale, height * scale


def _webp(data: bytes) -> Image | None:
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
        return Image("WebP", width, height) if len(data) >= 30 else None
    if kind == b"VP8L" and data[20] == 0x2F and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return Image("WebP", 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", data[26:30])
        return Image("WebP", width & 0x3FFF, height & 0x3FFF)
    return None


def _jpeg(data: bytes) -> Image | None:
    """The size is in the first segment that begins a frame; others come before it."""
    at = 2
    for _ in range(_MOST_SEGMENTS):
        mark, kind, length = struct.unpack(">BBH", data[at : at + 4])
        if mark != 0xFF:
            return None
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return Image("JPEG", width, height)
        at += 1 if kind == 0xFF else 2 + length
    return None


def _decoded(data: str) -> bytes:
    try:
        return b64decode(data[: len(data) // 4 * 4])
    except (binascii.Error, ValueError):
        raise _unsupported() from None


def _unsupported() -> AzureError:
    return invalid(
        "sanitizer_server_error",
        "You uploaded an unsupported image. Please make sure your image is below 20 MB in size and is of one the "
        "following formats: ['png', 'jpeg', 'gif', 'webp'].",
    )
