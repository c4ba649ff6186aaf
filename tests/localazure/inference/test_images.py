"""Pictures in prompts: their format and size, what they cost, and what is refused."""

from typing import Any

import pytest
from openai import AzureOpenAI

from labkit import catalog
from labkit.localazure.inference import images
from labkit.localazure.inference.images import Detail, Image
from tests.localazure.asking import BIG, SMALL, Asker, deploy, error_of
from tests.localazure.pictures import gif, jpeg, png, url, webp


def see(link: str, text: str = "What is this?", **options: Any) -> list[dict[str, Any]]:
    """A message with a picture."""
    picture = {"type": "image_url", "image_url": {"url": link, **options}}
    return [{"role": "user", "content": [{"type": "text", "text": text}, picture]}]


@pytest.mark.parametrize(
    ("data", "format"),
    [
        (png(640, 480), "PNG"),
        (gif(640, 480), "GIF"),
        (jpeg(640, 480), "JPEG"),
        (webp(b"VP8 ", 640, 480), "WebP"),
        (webp(b"VP8L", 640, 480), "WebP"),
        (webp(b"VP8X", 640, 480), "WebP"),
    ],
    ids=["png", "gif", "jpeg", "webp lossy", "webp lossless", "webp extended"],
)
def test_size_is_told_from_the_first_bytes(data: bytes, format: str) -> None:
    """No pixel is decoded; a file that ends before its size is none."""
    assert images.size(data) == Image(format, 640, 480)
    assert all(images.size(data[:end]) in (None, Image(format, 640, 480)) for end in range(len(data)))


@pytest.mark.parametrize(
    ("model", "size", "detail", "tokens"),
    [
        # OpenAI, guides/images-vision: the examples of its section on costs.
        ("gpt-4o", (1024, 1024), "high", 765),
        ("gpt-4o", (2048, 4096), "high", 1105),
        ("gpt-4o", (4096, 8192), "low", 85),
        ("gpt-4.1-mini", (1024, 1024), "high", 1659),  # 1,024 patches
        ("gpt-4.1-mini", (1800, 2400), "high", 2353),  # 1,452 patches
        # Measured: community.openai.com, topics 1262691 (2025-05) and 1281361 (2025-06).
        ("gpt-4.1", (128, 64), "high", 255),
        ("gpt-4.1", (128, 64), "low", 85),
        ("gpt-4o-mini", (128, 64), "high", 8500),
        ("gpt-4o-mini", (128, 64), "low", 2833),
        ("gpt-4.1", (2049, 513), "high", 1445),
        ("gpt-4.1", (2050, 513), "high", 765),
        # Ours: the least that can be said of what is not published.
        ("gpt-4o", (512, 512), "auto", 85),
        ("gpt-4o", (513, 512), "auto", 425),
        ("gpt-5", (1024, 1024), "high", 630),
        ("o4-mini", (1_000_000, 1), "high", 2642),
    ],
)
def test_tokens(model: str, size: tuple[int, int], detail: Detail, tokens: int) -> None:
    """By tiles of 512 pixels or patches of 32, with the model's own numbers."""
    assert images.tokens(Image("PNG", *size, detail), catalog.model(model)) == tokens


def test_every_model_that_sees_knows_its_cost() -> None:
    """And no other one has numbers for pictures."""
    assert all(("vision" in model.features) == (model.images is not None) for model in catalog.MODELS.values())


def test_picture_with_the_real_client(client: AzureOpenAI) -> None:
    """Usage grows by the picture; the description names its format and size."""
    plain = client.chat.completions.create(model=BIG, messages=[{"role": "user", "content": "What is this?"}])
    seen = client.chat.completions.create(model=BIG, messages=see(url(png(1024, 768)), detail="high"))  # type: ignore[arg-type]
    assert plain.usage is not None
    assert seen.usage is not None
    assert seen.usage.prompt_tokens - plain.usage.prompt_tokens == 85 + 4 * 170
    assert "PNG image of 1024 × 768 pixels" in (seen.choices[0].message.content or "")


@pytest.mark.parametrize(
    ("link", "options", "code", "said"),
    [
        (url(b"%PDF-1.7"), {}, "sanitizer_server_error", "below 20 MB in size and is of one the following formats"),
        (url(b""), {}, "sanitizer_server_error", "unsupported image"),
        (url(png(0, 10)), {}, "sanitizer_server_error", "unsupported image"),
        ("data:image/png;base64,%%%", {}, "sanitizer_server_error", "unsupported image"),
        ("data:image/png,abc", {}, "sanitizer_server_error", "unsupported image"),
        ("data:text/plain;base64,aGVsbG8=", {}, "sanitizer_server_error", "unsupported image"),
        ("picture.png", {}, "sanitizer_server_error", "unsupported image"),
        ("", {}, "sanitizer_server_error", "unsupported image"),
        (
            "https://example.com/a.png",
            {},
            "invalid_image_url",
            "Timeout while downloading https://example.com/a.png. The local Azure downloads nothing",
        ),
        (url(png(9, 9)), {"detail": "ultra"}, "invalid_value", "'auto', 'low' and 'high'"),
        (url(png(9, 9)), {"detail": ["low"]}, "invalid_value", "'auto', 'low' and 'high'"),
    ],
)
def test_what_is_no_picture(ask: Asker, link: str, options: dict[str, Any], code: str, said: str) -> None:
    """In the service's words; an address is not followed."""
    error = error_of(ask.chat(see(link, **options)))
    assert error["code"] == code
    assert said in error["message"]


def test_at_most_fifty_pictures(ask: Asker) -> None:
    """As Azure counts them, over the whole conversation."""
    picture = {"type": "image_url", "image_url": {"url": url(png(9, 9))}}
    assert ask.chat([{"role": "user", "content": [picture] * 50}]).status == 200
    error = error_of(ask.chat([{"role": "user", "content": [picture] * 17}] * 3))
    assert error["message"] == "Exceeded maximum number of images (50) allowed in the request."


def test_a_question_of_the_bank_is_answered_beside_a_picture(ask: Asker) -> None:
    """A picture does not make a model forget what it was asked; one without eyes refuses."""
    deploy(ask.azure, "gpt-5")
    said = see(url(jpeg(300, 200), "jpeg"), "What is 17 + 25?")
    assert "42" in ask.chat(said, "gpt-5").json["choices"][0]["message"]["content"]
    error = error_of(ask.chat(said, SMALL))
    assert error["message"] == "Invalid content type. image_url is only supported by certain models."
