"""Makes a picture fit: `python -I -m kernelbox.picture_worker <pixels> <bytes>`, the picture on stdin, the fitting one on stdout.

Pictures of user code are hostile, and decoders are where that hurts. So they are decoded here, in a process that lives for one picture, under bounds
of its own, and never by the server.
"""

import io
import os
import resource
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from . import limits

if TYPE_CHECKING:
    from PIL import Image

# What a size of pixels may shrink to before a picture is given up.
_SMALLEST_PX = 64
_QUALITIES = (85, 65)


def main(pixels: int, size: int) -> None:
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    resource.setrlimit(resource.RLIMIT_AS, (limits.PICTURE_MEMORY_BYTES, limits.PICTURE_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.PICTURE_CPU_S, limits.PICTURE_CPU_S))
    fitted = fit(sys.stdin.buffer.read(), pixels, size)
    with os.fdopen(1, "wb") as out:
        out.write(fitted)


def fit(picture: bytes, pixels: int, size: int) -> bytes:
    """The first frame, at most so many pixels a side and so many bytes: as PNG, where that is too large as JPEG, else smaller."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None
    image = Image.open(io.BytesIO(picture), formats=("PNG", "JPEG", "GIF", "WEBP"))
    if image.width * image.height > limits.PICTURE_PIXELS:
        raise ValueError("too many pixels")
    image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    while pixels >= _SMALLEST_PX:
        image.thumbnail((pixels, pixels), Image.Resampling.LANCZOS, reducing_gap=3)
        for encoded in _encodings(image):
            if len(encoded) <= size:
                return encoded
        pixels = max(image.size) * 3 // 4
    raise ValueError("does not fit")


def _encodings(image: "Image.Image") -> Iterator[bytes]:
    """From the most faithful to the smallest."""
    yield _encoded(image, "PNG", optimize=True)
    plain = image.convert("RGB")
    if image.mode == "RGBA":
        # What shows through is white, as on a page.
        plain.paste("white", mask=image.getchannel("A").point(lambda alpha: 255 - alpha))
    for quality in _QUALITIES:
        yield _encoded(plain, "JPEG", quality=quality)


def _encoded(image: "Image.Image", form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
