#!/usr/bin/env python3
"""A masked autoencoder's loss and gradients (He et al. 2021) on fixed numbers, for
tests/parity/test_reconstruction.c: fixtures/reconstruction.safetensors. The encoder and the decoder are
written here with torch's own modules; tensors are stored under flip's names, in flip's layout.

Each tensor t of the model is stored as weight.t, its gradient as gradient.t.
"""
import pathlib

import torch
from safetensors.torch import save_file
from torch import nn

torch.manual_seed(7)
torch.set_default_dtype(torch.float64)
COUNT, SIZE, PATCH, WIDTH, LAYERS, HEADS = 5, 12, 4, 16, 2, 2
DECODER, DECODER_LAYERS, DECODER_HEADS = 12, 2, 3
GRID = SIZE // PATCH
KEEP = 4
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.fc2(nn.functional.gelu(self.fc1(self.norm2(x))))

    def named(self, prefix):
        a = self.attention
        yield from ((f"{prefix}.norm1.weight", self.norm1.weight), (f"{prefix}.norm1.bias", self.norm1.bias),
                    (f"{prefix}.qkv.weight", a.in_proj_weight), (f"{prefix}.qkv.bias", a.in_proj_bias),
                    (f"{prefix}.out.weight", a.out_proj.weight), (f"{prefix}.out.bias", a.out_proj.bias),
                    (f"{prefix}.norm2.weight", self.norm2.weight), (f"{prefix}.norm2.bias", self.norm2.bias),
                    (f"{prefix}.fc1.weight", self.fc1.weight), (f"{prefix}.fc1.bias", self.fc1.bias),
                    (f"{prefix}.fc2.weight", self.fc2.weight), (f"{prefix}.fc2.bias", self.fc2.bias))


def sincos(width):
    """[patches, width]: sines and cosines of the column, then of the row."""
    omega = 10000.0 ** -(torch.arange(width // 4) / (width / 4))
    rows, columns = torch.meshgrid(torch.arange(GRID), torch.arange(GRID), indexing="ij")
    halves = [place.reshape(-1, 1).double() * omega for place in (columns, rows)]
    return torch.cat([f(h) for h in halves for f in (torch.sin, torch.cos)], dim=1)


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, WIDTH, PATCH, PATCH)
        self.class_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.blocks = nn.ModuleList(Block(WIDTH, HEADS) for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH, eps=1e-6)
        self.embed = nn.Linear(WIDTH, DECODER)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, DECODER))
        self.decoder = nn.ModuleList(Block(DECODER, DECODER_HEADS) for _ in range(DECODER_LAYERS))
        self.decoder_norm = nn.LayerNorm(DECODER, eps=1e-6)
        self.predict = nn.Linear(DECODER, 3 * PATCH * PATCH)

    def named(self):
        yield from (("image.patch.weight", self.patch.weight), ("image.patch.bias", self.patch.bias),
                    ("image.class_token", self.class_token), ("image.norm.weight", self.norm.weight),
                    ("image.norm.bias", self.norm.bias), ("reconstruction.embed.weight", self.embed.weight),
                    ("reconstruction.embed.bias", self.embed.bias),
                    ("reconstruction.mask_token", self.mask_token),
                    ("reconstruction.norm.weight", self.decoder_norm.weight),
                    ("reconstruction.norm.bias", self.decoder_norm.bias),
                    ("reconstruction.projection.weight", self.predict.weight),
                    ("reconstruction.projection.bias", self.predict.bias))
        for i, block in enumerate(self.blocks):
            yield from block.named(f"image.blocks.{i}")
        for i, block in enumerate(self.decoder):
            yield from block.named(f"reconstruction.blocks.{i}")

    def forward(self, images, kept):
        x = self.patch(images).flatten(2).transpose(1, 2) + sincos(WIDTH)
        x = torch.gather(x, 1, kept[..., None].expand(-1, -1, WIDTH))
        x = torch.cat([self.class_token.expand(COUNT, 1, WIDTH), x], dim=1)
        for block in self.blocks:
            x = block(x)
        x = self.embed(self.norm(x))
        grid = self.mask_token.expand(COUNT, GRID * GRID, DECODER).clone()
        grid = torch.scatter(grid, 1, kept[..., None].expand(-1, -1, DECODER), x[:, 1:])
        x = torch.cat([x[:, :1], grid + sincos(DECODER)], dim=1)
        for block in self.decoder:
            x = block(x)
        predicted = self.predict(self.decoder_norm(x))[:, 1:]
        target = nn.functional.unfold(images, PATCH, stride=PATCH).transpose(1, 2)
        target = (target - target.mean(-1, keepdim=True)) / (target.var(-1, keepdim=True) + 1e-6) ** 0.5
        is_dropped = torch.ones(COUNT, GRID * GRID).scatter(1, kept, 0.0)
        return (((predicted - target) ** 2).mean(-1) * is_dropped).sum() / is_dropped.sum()


model = Autoencoder()
with torch.no_grad():
    for _, p in model.named():
        p.add_(torch.randn_like(p) * 0.15)
        p.copy_(p.float().double())  # stored as they are used
images = torch.randint(0, 256, (COUNT, SIZE, SIZE, 3), dtype=torch.uint8)
images[0, 4:8, 4:8] = 77  # a patch without any contrast
kept = torch.stack([torch.randperm(GRID * GRID)[:KEEP].sort().values for _ in range(COUNT)])
kept[0] = torch.tensor([0, 1, 3, 8])
pixels = ((images.double() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2)
loss = model(pixels, kept)
loss.backward()
out = {"images": images, "kept": kept.int(), "loss": loss.detach().reshape(1)}
for name, p in model.named():
    out[f"weight.{name}"] = p.detach().float().reshape(-1).contiguous()
    out[f"gradient.{name}"] = p.grad.reshape(-1).contiguous()
save_file(out, pathlib.Path(__file__).parent / "fixtures" / "reconstruction.safetensors")
print(f"loss {loss.item():.6f}")
