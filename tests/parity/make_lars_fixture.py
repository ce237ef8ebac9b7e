#!/usr/bin/env python3
"""A linear probe trained by PyTorch in double precision, for tests/parity/test_lars.c.

BatchNorm1d(affine=False, eps=1e-6), Linear, cross_entropy by torch; LARS written here after MoCo v3's
description: momentum 0.9, trust coefficient 0.001, weights scaled by |W| / |gradient|, biases not.
Twenty updates of 24 rows each, a rate that rises and falls.
"""
import pathlib

import numpy
import torch
from safetensors.numpy import save_file

here = pathlib.Path(__file__).parent / "fixtures"
torch.manual_seed(3)
torch.set_default_dtype(torch.float64)
UPDATES, BATCH, WIDTH, CLASSES = 20, 24, 10, 6
rows = (torch.randn(UPDATES, BATCH, WIDTH) * 0.3 + 0.1).to(torch.float32)
labels = torch.randint(0, CLASSES, (UPDATES, BATCH))
rows[..., 0] += 0.2 * labels  # something to learn
rates = torch.tensor([4.0 * min(u, UPDATES - u) / UPDATES for u in range(UPDATES)])
norm = torch.nn.BatchNorm1d(WIDTH, affine=False, eps=1e-6)
layer = torch.nn.Linear(WIDTH, CLASSES)
torch.nn.init.normal_(layer.weight, std=0.01)
torch.nn.init.zeros_(layer.bias)
first = layer.weight.detach().clone()
speed = [torch.zeros_like(p) for p in (layer.weight, layer.bias)]
losses = []
for update in range(UPDATES):
    loss = torch.nn.functional.cross_entropy(layer(norm(rows[update].double())), labels[update])
    layer.zero_grad()
    loss.backward()
    losses.append(loss.item())
    with torch.no_grad():
        for p, v in zip((layer.weight, layer.bias), speed):
            step = p.grad
            if p.ndim > 1:
                step = step * (0.001 * p.norm() / step.norm())
            v.mul_(0.9).add_(step)
            p.sub_(rates[update] * v)
norm.eval()
with torch.no_grad():
    predicted = layer(norm(rows.reshape(-1, WIDTH).double())).argmax(1)
save_file({"rows": rows.numpy(), "labels": labels.numpy().astype(numpy.int32), "rates": rates.numpy(),
           "first": first.numpy(), "weights": layer.weight.detach().numpy(),
           "bias": layer.bias.detach().numpy(), "losses": numpy.array(losses),
           "mean": norm.running_mean.numpy(), "variance": norm.running_var.numpy(),
           "predicted": predicted.numpy().astype(numpy.int32)}, str(here / "lars.safetensors"))
print(losses[0], losses[-1], (predicted == labels.reshape(-1)).double().mean().item())
