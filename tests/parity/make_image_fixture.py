#!/usr/bin/env python3
"""Images of many kinds with Pillow's own decoding and resizing of them, for tests/parity/test_image.c.

Writes fixtures/images.bin: for each case a header of int32 (name length, file bytes, width, height,
left, top, right, bottom as fixed point / 256, out width, out height), the name, the file and the
expected RGB bytes (decoded with convert("RGB"), resized with BICUBIC and box).
"""
import io
import pathlib
import random
import struct

from PIL import Image

random.seed(7)
out = bytearray()


def picture(width, height, mode):
    """Smooth shapes and hard edges and some noise."""
    image = Image.new("RGB", (width, height))
    pixels = image.load()
    for y in range(height):
        for x in range(width):
            hard = 255 if (x // 5 + y // 7) % 2 else 0
            pixels[x, y] = ((x * 255) // width, (y * 255) // height, (hard + random.randrange(40)) % 256)
    return image if mode == "RGB" else image.convert(mode)


def add(name, image, format_, box, size, **options):
    stream = io.BytesIO()
    image.save(stream, format_, **options)
    data = stream.getvalue()
    decoded = Image.open(io.BytesIO(data)).convert("RGB")
    box = box or (0, 0, decoded.width, decoded.height)
    resized = decoded.resize(size, Image.Resampling.BICUBIC, box=box)
    fixed = [int(round(v * 256)) for v in box]
    out.extend(struct.pack("<10i", len(name), len(data), decoded.width, decoded.height, *fixed, *size))
    out.extend(name.encode())
    out.extend(data)
    out.extend(resized.tobytes())


rgb = picture(61, 47, "RGB")
add("png shrunk", rgb, "PNG", None, (20, 15))
add("png enlarged", rgb, "PNG", None, (97, 90))
add("png box", rgb, "PNG", (3.5, 7.25, 50.75, 40.5), (24, 24))
add("png much shrunk", picture(200, 150, "RGB"), "PNG", None, (7, 5))
add("png grey", picture(33, 29, "L"), "PNG", None, (16, 16))
add("png palette", picture(33, 29, "RGB").quantize(40), "PNG", None, (16, 16))
add("png one bit", picture(33, 29, "1"), "PNG", None, (16, 16))
alpha = picture(33, 29, "RGB")
alpha.putalpha(picture(33, 29, "L"))
add("png alpha", alpha, "PNG", None, (16, 16))
add("png grey alpha", picture(33, 29, "LA"), "PNG", None, (16, 16))
add("png same size", rgb, "PNG", None, (61, 47))
add("jpeg 4:4:4", rgb, "JPEG", None, (30, 30), quality=92, subsampling=0)
add("jpeg 4:2:0", rgb, "JPEG", None, (30, 30), quality=90, subsampling=2)
add("jpeg progressive", rgb, "JPEG", None, (30, 30), quality=90, progressive=True)
add("jpeg grey", picture(40, 40, "L"), "JPEG", None, (25, 25), quality=90)
add("jpeg cmyk", picture(40, 40, "CMYK"), "JPEG", None, (25, 25), quality=90)
add("webp lossless", rgb, "WEBP", None, (30, 30), lossless=True)
add("webp lossy", rgb, "WEBP", None, (30, 30), quality=90)

path = pathlib.Path(__file__).parent / "fixtures" / "images.bin"
path.write_bytes(bytes(out))
print(path, len(out), "bytes")
