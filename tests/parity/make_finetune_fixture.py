#!/usr/bin/env python3
"""Two updates of a fine-tuned classifier by PyTorch in double precision, for tests/parity/test_finetune.c.

    python tests/parity/make_finetune_fixture.py TIMM        the folder of an unpacked timm (1.0.x)

A small ViT (class token, fixed sine-cosine positions, mean of all tokens behind the last norm, linear
head), written here in torch; targets by timm's mixup_target; soft-target cross-entropy; torch's AdamW
with MAE's layer-wise rates: decay ** (layers + 1 - layer), layer 0 being what is in front of the
blocks; no decay on vectors.
"""
import importlib.util
import math
import pathlib
import sys

import numpy
import torch
from safetensors.numpy import save_file

spec = importlib.util.spec_from_file_location("mixup", pathlib.Path(sys.argv[1]) / "data" / "mixup.py")
mixup = importlib.util.module_from_spec(spec)
spec.loader.exec_module(mixup)
torch.manual_seed(11)
torch.set_default_dtype(torch.float64)
SIZE, PATCH, WIDTH, LAYERS, HEADS, HIDDEN, CLASSES, BATCH = 12, 4, 12, 2, 3, 24, 5, 6
SHARE, SMOOTHING, DECAY, RATES = 0.7, 0.1, 0.75, [2e-2, 1e-2]
grid = SIZE // PATCH
mean, deviation = torch.tensor([0.485, 0.456, 0.406]).float().double(), torch.tensor([0.229, 0.224, 0.225]).float().double()

shapes = {"image.patch.weight": (WIDTH, 3 * PATCH * PATCH), "image.patch.bias": (WIDTH,), "image.class_token": (WIDTH,)}
for i in range(LAYERS):
    block = {"norm1.weight": (WIDTH,), "norm1.bias": (WIDTH,), "qkv.weight": (3 * WIDTH, WIDTH), "qkv.bias": (3 * WIDTH,),
             "out.weight": (WIDTH, WIDTH), "out.bias": (WIDTH,), "norm2.weight": (WIDTH,), "norm2.bias": (WIDTH,),
             "fc1.weight": (HIDDEN, WIDTH), "fc1.bias": (HIDDEN,), "fc2.weight": (WIDTH, HIDDEN), "fc2.bias": (WIDTH,)}
    shapes.update({f"image.blocks.{i}.{name}": shape for name, shape in block.items()})
shapes.update({"image.norm.weight": (WIDTH,), "image.norm.bias": (WIDTH,), "head.weight": (CLASSES, WIDTH), "head.bias": (CLASSES,)})
weights = {name: torch.nn.Parameter(0.3 * torch.randn(shape) + (1 if "norm" in name and name.endswith("weight") else 0))
           for name, shape in shapes.items()}


def positions():
    quarter = WIDTH // 4
    frequency = 10000.0 ** (-torch.arange(quarter) / quarter)
    rows = []
    for patch in range(grid * grid):
        halves = [torch.cat([torch.sin(at * frequency), torch.cos(at * frequency)]) for at in (patch % grid, patch // grid)]
        rows.append(torch.cat(halves))
    return torch.stack(rows)


def logits(images):
    w = weights
    x = (images.permute(0, 3, 1, 2) / 255.0 - mean.view(1, 3, 1, 1)) / deviation.view(1, 3, 1, 1)
    x = x.unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH).permute(0, 2, 3, 1, 4, 5).reshape(BATCH, grid * grid, -1)
    x = torch.nn.functional.linear(x, w["image.patch.weight"], w["image.patch.bias"]) + positions()
    x = torch.cat([w["image.class_token"].view(1, 1, -1).expand(BATCH, 1, -1), x], 1)
    norm = lambda x, name: torch.nn.functional.layer_norm(x, (WIDTH,), w[name + ".weight"], w[name + ".bias"], 1e-6)
    for i in range(LAYERS):
        dense = lambda x, name: torch.nn.functional.linear(x, w[f"image.blocks.{i}.{name}.weight"], w[f"image.blocks.{i}.{name}.bias"])
        qkv = dense(norm(x, f"image.blocks.{i}.norm1"), "qkv").reshape(BATCH, -1, 3, HEADS, WIDTH // HEADS)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        attended = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(WIDTH // HEADS), -1) @ v
        x = x + dense(attended.transpose(1, 2).reshape(BATCH, -1, WIDTH), "out")
        hidden = torch.nn.functional.gelu(dense(norm(x, f"image.blocks.{i}.norm2"), "fc1"), approximate="tanh")
        x = x + dense(hidden, "fc2")
    return torch.nn.functional.linear(norm(x, "image.norm").mean(1), w["head.weight"], w["head.bias"])


def layer_of(name):
    if name.startswith("image.blocks."):
        return int(name.split(".")[2]) + 1
    return 0 if name.startswith(("image.patch", "image.class_token")) else LAYERS + 1


images = torch.randint(0, 256, (2, BATCH, SIZE, SIZE, 3))
labels = torch.randint(0, CLASSES, (2, BATCH))
groups = [{"params": [p], "scale": DECAY ** (LAYERS + 1 - layer_of(name)),
           "weight_decay": 0.05 if p.ndim > 1 or name == "image.class_token" else 0.0} for name, p in weights.items()]
optimizer = torch.optim.AdamW(groups, lr=1.0, betas=(0.9, 0.999), eps=1e-8)
out = {f"before/{name}": p.detach().numpy().copy() for name, p in weights.items()}
losses = []
for step in range(2):
    for group in optimizer.param_groups:
        group["lr"] = RATES[step] * group["scale"]
    target = mixup.mixup_target(labels[step], CLASSES, SHARE, SMOOTHING)
    loss = torch.sum(-target.double() * torch.log_softmax(logits(images[step].double()), -1), -1).mean()
    optimizer.zero_grad()
    loss.backward()
    losses.append(loss.item())
    if step == 0:
        out.update({f"gradient/{name}": p.grad.numpy().copy() for name, p in weights.items()})
    optimizer.step()
    out.update({f"after{step + 1}/{name}": p.detach().numpy().copy() for name, p in weights.items()})
out.update({"images": images.numpy().astype(numpy.uint8), "labels": labels.numpy().astype(numpy.int32),
            "losses": numpy.array(losses), "rates": numpy.array(RATES)})
target = pathlib.Path(__file__).parent / "fixtures" / "finetune.safetensors"
save_file(out, str(target), {"torch": torch.__version__})
print(losses, target.stat().st_size)
