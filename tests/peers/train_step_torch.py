"""The same training step in PyTorch, for comparison: FLIP's towers, bf16 autocast (or --precision fp32),
SDPA, fused AdamW. On a CPU: --model mini or vit_s16, --mask one ratio a process, for its peak memory.

One JSON object a mask ratio, with the fields of `flip bench step --json`. Written for this purpose;
it shares no code with flip. Patches are dropped before the encoder, inputs are random and on the
device already (flip's step, which it is compared with, copies its batch)."""

import argparse
import json
import math
import resource
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

MODELS = {
    "vit_b16": dict(image=(768, 12, 12), text=(512, 12, 8), embed=512),
    "vit_l16": dict(image=(1024, 24, 16), text=(768, 12, 12), embed=768),
    "vit_s16": dict(image=(384, 12, 6), text=(384, 12, 6), embed=384),
    "mini": dict(image=(192, 6, 3), text=(192, 4, 3), embed=192),
}
VOCABULARY, TEXT_LENGTH, SIZE, PATCH = 30522, 32, 224, 16
SIZES = {"vit_s16": (4096, 224, 16), "mini": (4096, 64, 8)}  # of `flip bench step`: its vocabulary, image, patch


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        batch, tokens, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v)
        x = x + self.out(attended.transpose(1, 2).reshape(batch, tokens, width))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x)), approximate="tanh"))


class Tower(nn.Module):
    def __init__(self, width, layers, heads, embed):
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.projection = nn.Linear(width, embed, bias=False)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class Flip(nn.Module):
    def __init__(self, image, text, embed):
        super().__init__()
        patches = (SIZE // PATCH) ** 2
        self.patch = nn.Linear(3 * PATCH * PATCH, image[0])
        self.register_buffer("image_positions", torch.randn(patches, image[0]) * 0.02)
        self.class_token = nn.Parameter(torch.randn(image[0]) * 0.02)
        self.image = Tower(*image, embed)
        self.words = nn.Embedding(VOCABULARY, text[0])
        self.text_positions = nn.Parameter(torch.randn(TEXT_LENGTH, text[0]) * 0.02)
        self.text = Tower(*text, embed)
        self.scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, images, keep, ids):
        batch, side = images.shape[0], SIZE // PATCH
        cut = images.view(batch, side, PATCH, side, PATCH, 3).permute(0, 1, 3, 5, 2, 4)
        cut = cut.reshape(batch, side * side, -1)
        cut = torch.gather(cut, 1, keep[:, :, None].expand(-1, -1, cut.shape[2])).float() / 255 - 0.5
        x = self.patch(cut) + self.image_positions[keep]
        x = torch.cat([self.class_token.expand(batch, 1, -1).to(x.dtype), x], 1)
        image = self.image.projection(self.image(x).mean(1))
        text = self.text.projection(self.text(self.words(ids) + self.text_positions)[:, 0])
        image, text = F.normalize(image.float(), dim=1), F.normalize(text.float(), dim=1)
        logits = self.scale.exp() * image @ text.T
        target = torch.arange(batch, device=logits.device)
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def measure(model, step, batch, mask_ratio, device, steps):
    patches = (SIZE // PATCH) ** 2
    kept = int(patches * (1 - mask_ratio))
    images = torch.randint(0, 256, (batch, SIZE, SIZE, 3), dtype=torch.uint8, device=device)
    keep = torch.rand(batch, patches, device=device).argsort(1)[:, :kept].sort(1).values
    ids = torch.randint(0, VOCABULARY, (batch, TEXT_LENGTH), device=device)
    for _ in range(5):
        step(images, keep, ids)
    times = []
    for _ in range(steps):
        synchronize(device)
        start = time.perf_counter()
        step(images, keep, ids)
        synchronize(device)
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


def synchronize(device):
    if device == "cuda":
        torch.cuda.synchronize()


def peak_of_process():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=MODELS, default="vit_l16")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--mask", type=float, action="append")
    arguments = parser.parse_args()
    global VOCABULARY, SIZE, PATCH
    VOCABULARY, SIZE, PATCH = SIZES.get(arguments.model, (VOCABULARY, SIZE, PATCH))
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    is_bf16 = arguments.precision == "bf16"
    base = peak_of_process()  # the libraries
    device = "cuda" if torch.cuda.is_available() else "cpu"
    first = None
    for mask_ratio in arguments.mask or (0.0, 0.5, 0.75):
        torch.manual_seed(0)
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        model = Flip(**MODELS[arguments.model]).to(device)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.2, fused=True)
        # each shape compiled for itself: sizes that varied would be compiled as variables
        torch.compiler.reset()
        forward = torch.compile(model, dynamic=False) if arguments.compile else model

        def step(images, keep, ids):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device, dtype=torch.bfloat16, enabled=is_bf16):
                loss = forward(images, keep, ids)
            loss.backward()
            optimizer.step()
            return loss.item()

        seconds = measure(model, step, arguments.batch, mask_ratio, device, arguments.steps)
        first = first or seconds
        print(json.dumps({
            "program": f"PyTorch {torch.__version__}" + (" compiled" if arguments.compile else " eager"),
            "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
            "mask_ratio": mask_ratio, "batch_size": arguments.batch,
            "samples_per_second": arguments.batch / seconds, "time_ratio": seconds / first,
            "precision": arguments.precision,
            "peak_bytes": torch.cuda.max_memory_allocated() if device == "cuda" else
                          peak_of_process() - base,
        }), flush=True)
        del model, optimizer, forward


if __name__ == "__main__":
    main()
