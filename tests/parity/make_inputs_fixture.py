#!/usr/bin/env python3
"""What other programs make of odd inputs, for tests/parity/test_inputs.c.

fixtures/inputs/prepared.bin: images as transformers' processors and open_clip's transform prepare
them for a model of 32 x 32, a configuration each. For each case int32 (format, length of the model's
configuration, of the preprocessor's, of the file), these, then 32 x 32 x 3 bytes.

fixtures/inputs/topk.txt: rows of scores with many ties: the number of scores, k, the scores, and the
places that torch.topk gives, best first.

fixtures/inputs/pictures.bin: PNG and JPEG files that are damaged or unusual, and whether Pillow reads
them: for each case int32 (length of the name, of the file, width, height; 0 x 0: refused), name, file, and the
pixels of convert("RGB").
"""
import io
import json
import pathlib
import random
import struct
import zlib

import numpy
import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

here = pathlib.Path(__file__).parent / "fixtures" / "inputs"
here.mkdir(exist_ok=True)
random.seed(14)
numpy.random.seed(14)
torch.manual_seed(14)
HF, OPEN_CLIP, VIT = 1, 2, 4  # weights_format
SIDE = 32


def picture(width, height):
    y, x = numpy.mgrid[0:height, 0:width]
    hard = ((x // 5 + y // 7) % 2) * 255
    pixels = numpy.stack([x * 255 // width, y * 255 // height, (hard + numpy.random.randint(0, 40, hard.shape)) % 256], -1)
    return Image.fromarray(pixels.astype("uint8"))


def png_of(image):
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


prepared = bytearray()


def add_prepared(kind, model, preprocessor, image, pixels):
    assert pixels.shape == (SIDE, SIDE, 3), pixels.shape
    parts = [json.dumps(model).encode(), json.dumps(preprocessor).encode() if preprocessor else b"", png_of(image)]
    prepared.extend(struct.pack("<4i", kind, *map(len, parts)) + b"".join(parts) + pixels.astype("uint8").tobytes())


sizes = [(61, 47), (47, 61), (40, 40), (90, 35), (33, 35), (70, 41)]
clip_model = {"model_type": "clip", "vision_config": {"image_size": SIDE, "patch_size": 8}}
vit_model = {"model_type": "vit", "image_size": SIDE, "patch_size": 8}
hf_configs = [
    dict(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}, resample=3),
    dict(size=SIDE, crop_size=SIDE, resample=2),
    dict(size={"shortest_edge": 40}, crop_size={"height": SIDE, "width": SIDE}, resample=3),
    dict(size={"height": SIDE, "width": SIDE}, crop_size=SIDE, resample=3, do_center_crop=False),
    dict(size={"height": 37, "width": 37}, crop_size=SIDE, resample=2),
]
for config in hf_configs:
    for size in sizes:
        image = picture(*size)
        processor = CLIPImageProcessorPil(**config)
        out = processor(image, do_rescale=False, do_normalize=False, return_tensors="np")["pixel_values"][0]
        add_prepared(HF, clip_model, dict(config, image_processor_type="CLIPImageProcessor"), image, numpy.moveaxis(out, 0, -1))
for config in [dict(size={"height": SIDE, "width": SIDE}), dict(size=SIDE, resample=3)]:
    for size in sizes[:3]:
        image = picture(*size)
        out = ViTImageProcessorPil(**config)(image, do_rescale=False, do_normalize=False, return_tensors="np")["pixel_values"][0]
        add_prepared(VIT, vit_model, dict(config, image_processor_type="ViTImageProcessor"), image, numpy.moveaxis(out, 0, -1))
for mode in ("shortest", "squash", "longest"):
    for interpolation, fill in (("bicubic", 0), ("bilinear", 100)):
        for size in sizes:
            image = picture(*size)
            cfg = PreprocessCfg(size=SIDE, resize_mode=mode, interpolation=interpolation, fill_color=fill)
            tensor = image_transform_v2(cfg, is_train=False)(image)
            mean, std = (torch.tensor(v).view(3, 1, 1) for v in (cfg.mean, cfg.std))
            out = ((tensor * std + mean) * 255).round().permute(1, 2, 0).numpy()
            model = {"model_cfg": {"embed_dim": 16, "vision_cfg": {"image_size": SIDE, "patch_size": 8}, "text_cfg": {}},
                     "preprocess_cfg": {"size": SIDE, "mode": "RGB", "mean": list(cfg.mean), "std": list(cfg.std),
                                        "interpolation": interpolation, "resize_mode": mode, "fill_color": fill}}
            add_prepared(OPEN_CLIP, model, None, image, out)
(here / "prepared.bin").write_bytes(prepared)

lines = []
for count in (2, 3, 4, 5, 6, 8, 10, 13, 16, 17, 20, 33, 64, 100, 319, 320, 321, 1000):
    k = 1 if count < 5 else 5
    for values in (1, 2, 4, 1000):
        for _ in range(2 if count > 64 else 6):
            scores = torch.tensor([float(random.randrange(values)) for _ in range(count)])
            best = torch.topk(scores[None], k, 1, True, True)[1][0].tolist()
            lines.append(" ".join(str(int(n)) for n in [count, k, *scores.tolist(), *best]))
(here / "topk.txt").write_text("\n".join(lines) + "\n")

pictures = bytearray()


def add_picture(name, data):
    try:
        image = Image.open(io.BytesIO(data)).convert("RGB")
        size, pixels = image.size, image.tobytes()
    except (OSError, SyntaxError):
        size, pixels = (0, 0), b""
    pictures.extend(struct.pack("<4i", len(name), len(data), *size) + name.encode() + data + pixels)


def chunk(kind, data, crc=None):
    return struct.pack(">I", len(data)) + kind + data + (struct.pack(">I", zlib.crc32(kind + data)) if crc is None else crc)


def png(image, before=(), idat=None, crc=None, head_crc=None, end=True):
    data = png_of(image)
    chunks, at = [], 8
    while at < len(data):
        length = struct.unpack(">I", data[at:at + 4])[0]
        chunks.append((data[at + 4:at + 8], data[at + 8:at + 8 + length]))
        at += 12 + length
    whole = b"".join(body for kind, body in chunks if kind == b"IDAT")
    out = b"\x89PNG\r\n\x1a\n"
    for kind, body in chunks:
        if kind in (b"IDAT", b"IEND"):
            continue
        out += chunk(kind, body, head_crc if kind == b"IHDR" else None)
    out += b"".join(before)
    for part in (idat(whole) if idat else [whole]):
        out += chunk(b"IDAT", part, crc)
    return out + (chunk(b"IEND", b"") if end else b"")


small = picture(13, 11)
for mode in ("RGB", "L", "P", "RGBA", "1"):
    image = small.convert(mode)
    whole = png(image)
    add_picture(f"{mode} whole", whole)
    add_picture(f"{mode} wrong sum of the data chunk", png(image, crc=b"abcd"))
    add_picture(f"{mode} wrong sum of the header", png(image, head_crc=b"abcd"))
    add_picture(f"{mode} wrong sum of a text in front", png(image, before=[chunk(b"tEXt", b"a\0b", b"abcd")]))
    add_picture(f"{mode} unknown critical chunk", png(image, before=[chunk(b"ABCD", b"x" * 9)]))
    add_picture(f"{mode} no end", png(image, end=False))
    add_picture(f"{mode} data in two chunks, one empty", png(image, idat=lambda d: [d[:9], b"", d[9:]]))
    add_picture(f"{mode} last sum missing", png(image, idat=lambda d: [d[:-4]]))
    add_picture(f"{mode} last sum wrong", png(image, idat=lambda d: [d[:-4] + b"abcd"]))
    add_picture(f"{mode} half of the data", png(image, idat=lambda d: [d[: len(d) // 2]]))
    add_picture(f"{mode} cut in the middle", whole[: len(whole) // 2])
    add_picture(f"{mode} cut in the end", whole[:-14])
    add_picture(f"{mode} more behind the end", whole + b"trailing")


def jpeg(image, **options):
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=92, subsampling=0, **options)
    return stream.getvalue()


def without_adobe(data):
    at = data.index(b"\xff\xee")
    return data[:at] + data[at + 2 + struct.unpack(">H", data[at + 2:at + 4])[0]:]


def as_ycck(data):
    at = data.index(b"Adobe")
    return data[:at + 11] + b"\2" + data[at + 12:]


cmyk = picture(24, 18).convert("CMYK")
add_picture("jpeg cmyk", jpeg(cmyk))
add_picture("jpeg cmyk without Adobe's marker", without_adobe(jpeg(cmyk)))
add_picture("jpeg ycck", as_ycck(jpeg(cmyk)))
(here / "pictures.bin").write_bytes(pictures)
print(len(prepared), len(lines), len(pictures))
