#!/usr/bin/env python3
"""Patch embeddings and what timm's resample_patch_embed makes of them at another patch size, for
tests/parity/test_patch_resize.c: fixtures/patch_resize.safetensors."""
import pathlib

import torch
from safetensors.torch import save_file
from timm.layers import resample_patch_embed

torch.manual_seed(3)
WIDTH, out = 2, {}
for old, new in ((16, 14), (14, 16), (8, 8), (4, 7), (8, 3)):
    kernels = torch.randn(WIDTH, 3, old, old)
    made = resample_patch_embed(kernels.double(), [new, new])
    out[f"from.{old}.{new}"] = kernels.reshape(WIDTH, -1).contiguous()
    out[f"to.{old}.{new}"] = made.float().reshape(WIDTH, -1).contiguous()
save_file(out, pathlib.Path(__file__).parent / "fixtures" / "kernels.safetensors")
