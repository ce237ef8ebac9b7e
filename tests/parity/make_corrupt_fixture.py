#!/usr/bin/env python3
"""Corrupted images by scipy, Pillow and numpy, for tests/parity/test_corrupt.c.

Parameters are ImageNet-C's (Hendrycks and Dietterich 2019): blur of sigma 1, 2, 3, 4, 6 at 224 pixels
(here times 64 / 224) by scipy.ndimage.gaussian_filter, JPEG of quality 25, 18, 15, 10, 7 by Pillow,
contrast 0.4, 0.3, 0.2, 0.1, 0.05 about each channel's mean by numpy. Rounded to the nearest level.
"""
import io
import pathlib

import numpy
from PIL import Image
from safetensors.numpy import save_file
from scipy.ndimage import gaussian_filter

here = pathlib.Path(__file__).parent / "fixtures"
SIDE = 64
random = numpy.random.default_rng(4)


def rounded(x):
    return numpy.clip(numpy.floor(x + 0.5), 0, 255).astype(numpy.uint8)


# a gradient, a disc, a rectangle with hard edges, some noise
y, x = numpy.mgrid[0:SIDE, 0:SIDE]
picture = numpy.stack([3 * x + 20, 2 * y + x, 200 - 2 * y], axis=-1).astype(float)
picture[(x - 40) ** 2 + (y - 24) ** 2 < 150] = (230, 40, 30)
picture[44:60, 2:30] = (20, 60, 220)
picture = rounded(picture + random.normal(0, 6, picture.shape))

blurred = [rounded(numpy.stack([gaussian_filter(picture[..., c].astype(float), s * SIDE / 224,
                                                mode="nearest", truncate=4) for c in range(3)], axis=-1))
           for s in (1, 2, 3, 4, 6)]
compressed = []
for quality in (25, 18, 15, 10, 7):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    compressed.append(numpy.array(Image.open(file).convert("RGB")))
means = picture.mean(axis=(0, 1), keepdims=True)
flattened = [rounded((picture - means) * c + means) for c in (0.4, 0.3, 0.2, 0.1, 0.05)]
save_file({"picture": picture, "blur": numpy.stack(blurred), "jpeg": numpy.stack(compressed),
           "contrast": numpy.stack(flattened)}, str(here / "corrupt.safetensors"))
