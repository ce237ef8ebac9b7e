#!/usr/bin/env python3
"""Attentive masking (A-CLIP, Yang et al. 2023) on fixed numbers, for tests/parity/test_attentive.c:
fixtures/attentive.safetensors. The tower is written here with torch's own modules, in double; its
moving average follows the cosine of A-CLIP's released code from MOMENTUM to 1 over UPDATES updates.

Two towers: `class` (learned positions, a norm before the first block, the class token is pooled) and
`mean` (fixed positions, the mean of all tokens is pooled). Stored for each, CASE being one of them:
CASE.K.NAME      weights of the trained tower before update K, under flip's names
CASE.average.NAME  the average after the last update (double)
CASE.scores.SIZE   scores of the patches of images of that size, by the average of the last update (double)
CASE.kept.SIZE.CELL.K  the kept patches before update K, for KEEP of them
"""
import pathlib

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

torch.manual_seed(16)
torch.set_default_dtype(torch.float64)
COUNT, SIZE, PATCH, WIDTH, LAYERS, HEADS, HIDDEN, EMBED = 5, 24, 4, 8, 3, 2, 16, 6
GRID, KEEP, UPDATES, MOMENTUM = SIZE // PATCH, 18, 3, 0.6
TOTAL = 7  # updates of the whole run
MEAN = torch.tensor((0.485, 0.456, 0.406), dtype=torch.float32).double()
STD = torch.tensor((0.229, 0.224, 0.225), dtype=torch.float32).double()


class QuickGELU(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


class Block(nn.Module):
    def __init__(self, gelu):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH, eps=1e-6), nn.LayerNorm(WIDTH, eps=1e-6)
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.fc1, self.fc2, self.gelu = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH), gelu

    def forward(self, x):
        y = self.norm1(x)
        y, weights = self.attention(y, y, y, need_weights=True, average_attn_weights=False)
        x = x + y
        return x + self.fc2(self.gelu(self.fc1(self.norm2(x)))), weights

    def named(self, prefix):
        a = self.attention
        yield from ((f"{prefix}.norm1.weight", self.norm1.weight), (f"{prefix}.norm1.bias", self.norm1.bias),
                    (f"{prefix}.qkv.weight", a.in_proj_weight), (f"{prefix}.qkv.bias", a.in_proj_bias),
                    (f"{prefix}.out.weight", a.out_proj.weight), (f"{prefix}.out.bias", a.out_proj.bias),
                    (f"{prefix}.norm2.weight", self.norm2.weight), (f"{prefix}.norm2.bias", self.norm2.bias),
                    (f"{prefix}.fc1.weight", self.fc1.weight), (f"{prefix}.fc1.bias", self.fc1.bias),
                    (f"{prefix}.fc2.weight", self.fc2.weight), (f"{prefix}.fc2.bias", self.fc2.bias))


def sincos():
    omega = 10000.0 ** -(torch.arange(WIDTH // 4) / (WIDTH / 4))
    rows, columns = torch.meshgrid(torch.arange(GRID), torch.arange(GRID), indexing="ij")
    halves = [place.reshape(-1, 1).double() * omega for place in (columns, rows)]
    return torch.cat([f(h) for h in halves for f in (torch.sin, torch.cos)], dim=1)


class Tower(nn.Module):
    def __init__(self, pools_class):
        super().__init__()
        self.pools_class = pools_class
        self.patch = nn.Conv2d(3, WIDTH, PATCH, PATCH)
        self.class_token = nn.Parameter(torch.zeros(1, WIDTH))
        self.positions = nn.Parameter(torch.zeros(1 + GRID * GRID, WIDTH)) if pools_class else None
        self.pre_norm = nn.LayerNorm(WIDTH, eps=1e-6) if pools_class else None
        gelu = QuickGELU() if pools_class else nn.GELU(approximate="tanh")
        self.blocks = nn.ModuleList(Block(gelu) for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH, eps=1e-6)
        self.projection = nn.Linear(WIDTH, EMBED, bias=False)

    def named(self):
        yield from (("image.patch.weight", self.patch.weight), ("image.patch.bias", self.patch.bias),
                    ("image.class_token", self.class_token), ("image.norm.weight", self.norm.weight),
                    ("image.norm.bias", self.norm.bias), ("image.projection.weight", self.projection.weight))
        if self.pools_class:
            yield from (("image.positions", self.positions), ("image.pre_norm.weight", self.pre_norm.weight),
                        ("image.pre_norm.bias", self.pre_norm.bias))
        for i, block in enumerate(self.blocks):
            yield from block.named(f"image.blocks.{i}")

    def scores(self, images):
        """[count, patches]: attention received, the mean over blocks, heads and pooled queries."""
        x = self.patch(images)
        grid = x.shape[-1]
        table = self.positions[1:] if self.pools_class else sincos()
        table = table.T.reshape(1, WIDTH, GRID, GRID)
        if grid != GRID:
            table = nn.functional.interpolate(table, size=(grid, grid), mode="bicubic", antialias=True)
        x = (x + table).flatten(2).transpose(1, 2)
        first = self.class_token + (self.positions[:1] if self.pools_class else 0)
        x = torch.cat([first.expand(len(x), 1, WIDTH), x], dim=1)
        if self.pre_norm:
            x = self.pre_norm(x)
        received = []
        for block in self.blocks:
            x, weights = block(x)
            queries = weights[:, :, :1] if self.pools_class else weights
            received.append(queries[..., 1:].mean(2))
        return torch.stack(received).mean(0).mean(1)


def kept(scores, size, cell):
    """The KEEP patches with the largest scores, ascending; cells of cell x cell share their mean."""
    grid = scores.reshape(COUNT, 1, size // PATCH, size // PATCH)
    grid = nn.functional.interpolate(grid, scale_factor=GRID // grid.shape[-1], mode="nearest")
    if cell > 1:
        grid = nn.functional.interpolate(nn.functional.avg_pool2d(grid, cell), scale_factor=cell, mode="nearest")
    flat = grid.flatten(1)
    order = torch.argsort(flat, dim=1, descending=True, stable=True)
    ranked = torch.gather(flat, 1, order)
    distinct = torch.unique(scores if cell == 1 else flat, dim=1).sort(dim=1).values.diff(dim=1)
    distinct = distinct[distinct > 1e-15]
    assert distinct.min() > 2e-7, f"two scores are too close for fp32: {distinct.min()}"
    assert (ranked[:, KEEP - 1] > ranked[:, -1]).all()
    return order[:, :KEEP].sort(dim=1).values.int()


raw = torch.randint(0, 256, (COUNT, SIZE, SIZE, 3), dtype=torch.uint8)
half = torch.from_numpy(np.stack([np.asarray(Image.fromarray(i.numpy()).resize(
    (SIZE // 2, SIZE // 2), Image.Resampling.BICUBIC)) for i in raw]))
pixels = {n: ((i.double() / 255 - MEAN) / STD).permute(0, 3, 1, 2) for n, i in ((SIZE, raw), (SIZE // 2, half))}
out = {"images": raw, "small": half}
for case in ("class", "mean"):
    tower, average = Tower(case == "class"), Tower(case == "class")
    for k in range(UPDATES):
        with torch.no_grad():
            for _, p in tower.named():
                p.add_(torch.randn_like(p) * (0.3 if k == 0 else 0.1))
                p.copy_(p.float().double())  # stored with the precision in which they are used
            if k == 0:
                average.load_state_dict(tower.state_dict())
            momentum = 1 + 0.5 * (MOMENTUM - 1) * (1 + np.cos(np.pi * k / TOTAL))
            for (_, a), (name, p) in zip(average.named(), tower.named()):
                a.copy_(a * momentum + p * (1 - momentum))
                out[f"{case}.{k}.{name}"] = p.float().reshape(-1).clone()
            for size, images in pixels.items():
                scores = average.scores(images)
                for cell in (1, 2):
                    out[f"{case}.kept.{size}.{cell}.{k}"] = kept(scores, size, cell)
                out[f"{case}.scores.{size}"] = scores.contiguous()
    for name, a in average.named():
        out[f"{case}.average.{name}"] = a.detach().reshape(-1).clone()
save_file(out, pathlib.Path(__file__).parent / "fixtures" / "attentive.safetensors")
print(f"{sum(t.numel() * t.element_size() for t in out.values())} bytes; scores from "
      f"{out['class.scores.24'].min():.4f} to {out['class.scores.24'].max():.4f}")
