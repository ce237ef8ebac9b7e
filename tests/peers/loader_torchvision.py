#!/usr/bin/env python3
"""Loading speed compared with torchvision, one core each, on the same JPEGs in the same run.

    loader_torchvision.py FLIP [--images 512] [--size 224] [--rounds 3]

Makes a shard of JPEGs of 256 to 512 pixels (4:2:0, quality 95: fractal noise with edges and some grain, about as many
bytes per pixel as photographs), then measures alternately, pinned to one core:
  torchvision   Image.open, convert("RGB"), RandomResizedCrop(bicubic, antialiased, 0.5 to 1 of the area),
                RandomHorizontalFlip, bytes as a tensor: what `flip` hands on (no tokens, no normalisation)
  flip          flip bench loader, one worker: the same, and the caption's tokens
and prints images/s and the ratio of the best rounds. Versions: tests/parity/requirements.txt and torchvision==0.29.2.
"""
import argparse
import io
import json
import os
import pathlib
import subprocess
import tarfile
import tempfile
import time

import numpy
import torch
from PIL import Image
from torchvision import transforms

parser = argparse.ArgumentParser()
parser.add_argument("flip")
parser.add_argument("--images", type=int, default=512)
parser.add_argument("--size", type=int, default=224)
parser.add_argument("--rounds", type=int, default=3)
arguments = parser.parse_args()
random = numpy.random.default_rng(7)
torch.set_num_threads(1)
torch.manual_seed(0)
os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def picture():
    """Fractal noise in three channels with a few hard-edged shapes, and grain."""
    width, height = random.integers(256, 513, 2)
    total = numpy.zeros((height, width, 3))
    for octave in range(2, 8):
        cells = random.standard_normal((2**octave, 2**octave, 3))
        layers = [Image.fromarray(cells[:, :, c].astype("float32")).resize((width, height), Image.BICUBIC) for c in range(3)]
        total += numpy.stack([numpy.asarray(layer) for layer in layers], -1) * 0.55**octave
    pixels = 128 + 200 * total / (4 * total.std())
    for _ in range(4):
        top, left = random.integers(0, height - 40), random.integers(0, width - 40)
        pixels[top:top + random.integers(20, 200), left:left + random.integers(20, 200)] += random.integers(-60, 60, 3)
    pixels += random.standard_normal((height, width, 1)) * 4
    return Image.fromarray(pixels.clip(0, 255).astype("uint8"))


files = []
with tempfile.TemporaryDirectory() as folder:
    here = pathlib.Path(folder)
    with tarfile.open(here / "photos.tar", "w") as shard:
        for i in range(arguments.images):
            stream = io.BytesIO()
            picture().save(stream, "JPEG", quality=95)
            files.append(stream.getvalue())
            for name, data in ((f"{i:06d}.jpg", files[-1]), (f"{i:06d}.txt", b"a photo of a red dog on the left")):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                shard.addfile(info, io.BytesIO(data))
    (here / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "photo", "of", "red", "dog", "on", "the", "left"]))
    pixels = sum(numpy.prod(Image.open(io.BytesIO(f)).size) for f in files)
    print(f"{len(files)} JPEGs, {pixels / len(files) / 1e3:.0f} kilopixels and {sum(map(len, files)) / len(files) / 1e3:.1f} kB each,"
          f" to {arguments.size} x {arguments.size}")
    crop = transforms.Compose([
        transforms.RandomResizedCrop(arguments.size, (0.5, 1), interpolation=transforms.InterpolationMode.BICUBIC, antialias=True),
        transforms.RandomHorizontalFlip(), transforms.PILToTensor()])
    rates = {"torchvision": [], "flip": []}
    for _ in range(arguments.rounds):
        start = time.perf_counter()
        for data in files:
            crop(Image.open(io.BytesIO(data)).convert("RGB"))
        rates["torchvision"].append(len(files) / (time.perf_counter() - start))
        patch = arguments.size // 2
        settings = {"data.train": here / "photos.tar", "text.vocabulary": here / "vocab.txt", "image.size": arguments.size,
                    "image.patch": patch, "image.layers": 1, "text.layers": 1, "batch_size": 32, "data.workers": 1,
                    "data.cache_mib": 0, "threads": 1}
        command = [arguments.flip, "bench", "loader", "--json", "--steps", "1"]
        for key, value in settings.items():
            command += ["-s", f"{key}={value}"]
        rows = [json.loads(line) for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()]
        rates["flip"].append(rows[0]["images_per_second"])
    for name, each in rates.items():
        print(f"{name:12s} {max(each):8.0f} images/s on one core   (rounds: {', '.join(f'{r:.0f}' for r in each)})")
    print(f"ratio        {max(rates['flip']) / max(rates['torchvision']):8.2f}")
