#!/usr/bin/env python3
"""Images of many kinds with Pillow's own decoding and resizing of them, for tests/parity/test_image.c.

Writes fixtures/images.bin: for each case a header of int32 (name length, file bytes, width, height,
left, top, right, bottom as fixed point / 256, out width, out height), the name, the file and the
expected RGB bytes (decoded with convert("RGB"), resized with BICUBIC and box). A box of four zeros
is CLIP's evaluation: shorter side to the out width, centre crop, as torchvision does both.
"""
import io
import pathlib
import random
import struct
import zlib

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
    add_file(name, stream.getvalue(), box, size)


def add_eval(name, image, format_, size, **options):
    stream = io.BytesIO()
    image.save(stream, format_, **options)
    data = stream.getvalue()
    decoded = Image.open(io.BytesIO(data)).convert("RGB")
    short, long = sorted(decoded.size)
    longer = int(size * long / short)
    wide = (longer, size) if decoded.width > decoded.height else (size, longer)
    left, top = (int(round((side - size) / 2.0)) for side in wide)
    resized = decoded.resize(wide, Image.Resampling.BICUBIC).crop((left, top, left + size, top + size))
    out.extend(struct.pack("<10i", len(name), len(data), decoded.width, decoded.height, 0, 0, 0, 0, size, size))
    out.extend(name.encode() + data + resized.tobytes())


def add_file(name, data, box, size):
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

rgba = picture(33, 29, "RGB")
rgba.putalpha(picture(33, 29, "L"))
add("webp alpha", rgba, "WEBP", None, (16, 16), lossless=True)
add("webp animated", rgb, "WEBP", None, (20, 20), save_all=True, append_images=[rgb.rotate(180)], lossless=True)
add("png palette with transparency", picture(33, 29, "RGB").quantize(40), "PNG", None, (16, 16), transparency=3)
add("png transparent colour", picture(33, 29, "RGB"), "PNG", None, (16, 16), transparency=(0, 0, 0))
add("png two bit", picture(33, 29, "L").quantize(4), "PNG", None, (16, 16), bits=2)
exif = Image.Exif()
exif[0x0112] = 6  # to be turned by a viewer; convert("RGB") does not
add("jpeg exif rotated", rgb, "JPEG", None, (30, 30), quality=90, exif=exif)
add("png exif rotated", rgb, "PNG", None, (30, 30), exif=exif)
add("jpeg 4:2:2", rgb, "JPEG", None, (30, 30), quality=90, subsampling=1)
add("jpeg grey progressive", picture(40, 40, "L"), "JPEG", None, (25, 25), quality=90, progressive=True)
add("jpeg cmyk progressive", picture(40, 40, "CMYK"), "JPEG", None, (25, 25), quality=90, progressive=True)
add("jpeg one pixel high", picture(50, 1, "RGB"), "JPEG", None, (10, 10), quality=90)


def png(width, height, depth, colour, rows, interlace=0):
    """A PNG that Pillow does not write: 16 bits a channel, or interlaced (Adam7)."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))
            + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


def wide_rows(width, height, channels):
    return b"".join(b"\0" + struct.pack(f">{width * channels}H", *(random.randrange(65536) for _ in range(width * channels)))
                    for _ in range(height))


def adam7(image):
    rows = b""
    for left, top, across, down in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):
        for y in range(top, image.height, down):
            rows += b"\0" + b"".join(bytes(image.getpixel((x, y))) for x in range(left, image.width, across))
    return rows


add_file("png 16 bit", png(20, 16, 16, 2, wide_rows(20, 16, 3)), None, (12, 12))
add_file("png 16 bit alpha", png(20, 16, 16, 6, wide_rows(20, 16, 4)), None, (12, 12))
add_file("png 16 bit grey alpha", png(20, 16, 16, 4, wide_rows(20, 16, 2)), None, (12, 12))
add_file("png 16 bit grey", png(20, 16, 16, 0, wide_rows(20, 16, 1)), None, (12, 12))
small = picture(29, 23, "RGB")
add_file("png interlaced", png(29, 23, 8, 2, adam7(small), 1), None, (16, 16))
stream = io.BytesIO()
rgb.save(stream, "JPEG", quality=90)
add_file("jpeg bytes behind a scan", stream.getvalue()[:-2] + b"\0\0\0" + stream.getvalue()[-2:], None, (30, 30))
add_eval("eval wide", picture(90, 61, "RGB"), "PNG", 32)
add_eval("eval high", picture(47, 83, "RGB"), "PNG", 32)
add_eval("eval enlarged", picture(21, 17, "RGB"), "PNG", 32)
add_eval("eval square jpeg", picture(64, 64, "RGB"), "JPEG", 33, quality=95, subsampling=0)
add_eval("eval odd", picture(71, 40, "RGB"), "PNG", 31)

path = pathlib.Path(__file__).parent / "fixtures" / "images.bin"
path.write_bytes(bytes(out))
print(path, len(out), "bytes")
