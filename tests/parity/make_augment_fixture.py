#!/usr/bin/env python3
"""RandAugment's operations by Pillow, with timm's magnitudes, for tests/parity/test_augment.c.

    python tests/parity/make_augment_fixture.py TIMM        the folder of an unpacked timm (1.0.x)

timm's auto_augment.py is loaded alone: it needs Pillow and NumPy, not torch. Each operation of
rand-m9-mstd0.5-inc1 is applied to a noisy and to a smooth image of 24 x 24 at two magnitudes and
both signs (timm draws the sign by random.random, replaced here).
"""
import importlib.util
import pathlib
import sys

import numpy
import PIL
from PIL import Image
from safetensors.numpy import save_file

spec = importlib.util.spec_from_file_location("auto_augment", pathlib.Path(sys.argv[1]) / "data" / "auto_augment.py")
timm = importlib.util.module_from_spec(spec)
spec.loader.exec_module(timm)
SIZE, MAGNITUDES, FILL = 24, [4.3, 9.4], (124, 116, 104)
rng = numpy.random.default_rng(5)
y, x = numpy.mgrid[0:SIZE, 0:SIZE]
smooth = numpy.stack([30 + 7 * x, 200 - 5 * y, 60 + 3 * x + 2 * y], -1).clip(0, 255)
images = numpy.stack([rng.integers(0, 256, (SIZE, SIZE, 3)), smooth]).astype(numpy.uint8)
hparams = {"img_mean": FILL, "interpolation": Image.Resampling.BICUBIC}
names = timm._RAND_INCREASING_TRANSFORMS
out, arguments = [], []
for name in names:
    for magnitude in MAGNITUDES:
        for negative in (False, True):
            timm.random.random = lambda negative=negative: 0.9 if negative else 0.1
            level = timm.LEVEL_TO_ARG[name]
            arguments.append(level(magnitude, hparams)[0] if level else 0)
            operation = timm.AugmentOp(name, prob=1.0, magnitude=magnitude, hparams=hparams)
            out.append([numpy.asarray(operation(Image.fromarray(i))) for i in images])
target = pathlib.Path(__file__).parent / "fixtures" / "augment.safetensors"
save_file({"images": images, "magnitudes": numpy.array(MAGNITUDES), "fill": numpy.array(FILL, numpy.uint8),
           "arguments": numpy.array(arguments, numpy.float64),
           "augmented": numpy.array(out, numpy.uint8).reshape(len(names), len(MAGNITUDES), 2, 2, -1)},
          str(target), {"operations": " ".join(names), "pillow": PIL.__version__})
print(names, target.stat().st_size)
