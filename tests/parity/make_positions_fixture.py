#!/usr/bin/env python3
"""Position grids and what torch's antialiased bicubic interpolation makes of them (the way of
open_clip's resize_pos_embed), for tests/parity/test_positions.c: fixtures/positions.safetensors."""
import pathlib

import torch
from safetensors.torch import save_file

torch.manual_seed(2)
WIDTH, out = 6, {}
for old, new in ((4, 7), (7, 4), (5, 5), (2, 14), (14, 3), (1, 4)):
    grid = torch.randn(old * old, WIDTH)
    image = grid.reshape(1, old, old, WIDTH).permute(0, 3, 1, 2)
    made = torch.nn.functional.interpolate(image.double(), size=(new, new), mode="bicubic", antialias=True,
                                           align_corners=False).float()
    out[f"from.{old}.{new}"] = grid
    out[f"to.{old}.{new}"] = made.permute(0, 2, 3, 1).reshape(new * new, WIDTH).contiguous()
save_file(out, pathlib.Path(__file__).parent / "fixtures" / "positions.safetensors")
