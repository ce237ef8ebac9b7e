#!/usr/bin/env python3
"""The same training step in PyTorch, in the fastest of the ways that a user would try: FLIP's towers, weights
in fp32 under bf16 autocast or in bf16 with fp32 masters, eager and compiled in three modes, SDPA's choice of
backend unrestricted, fused AdamW. On a CPU: --model mini or vit_s16, and --mask with one ratio per process, to
measure its peak memory.

Prints one JSON object per mask ratio and way ("kind": "way"), each measured in a separate process, with the
fields of `flip bench step --json`, the compilation time, and the type of the residual stream (fp32 under
autocast; bf16, like flip's, with bf16 weights); "error" describes a failure or a compilation that took too long.
Then, for each mask ratio, the fastest way's object again with "kind": "best", or "best_of_measured" if ways are
missing, the number of measured ways and the missing ones. Written for this purpose; it shares no code with flip.
Patches are dropped before the encoder; inputs are random and already on the device (flip's step, to which it is
compared, copies its batch)."""

import argparse
import json
import math
import queue
import resource
import statistics
import subprocess
import sys
import threading
import time

try:
    import torch
    import torch.nn as nn
    import torch.nn.functional as F
except ImportError as missing:
    sys.exit(f"{sys.argv[0]}: {missing}: needs PyTorch")

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
        x = self.patch(cut.to(self.patch.weight.dtype)) + self.image_positions[keep]
        x = torch.cat([self.class_token.expand(batch, 1, -1).to(x.dtype), x], 1)
        image = self.image.projection(self.image(x).mean(1))
        text = self.text.projection(self.text(self.words(ids) + self.text_positions)[:, 0])
        image, text = F.normalize(image.float(), dim=1), F.normalize(text.float(), dim=1)
        logits = self.scale.float().exp() * image @ text.T
        target = torch.arange(batch, device=logits.device)
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


COMPILERS = ("none", "default", "max-autotune-no-cudagraphs", "reduce-overhead")
WEIGHTS = ("autocast", "bf16")


def make_inputs(batch, mask_ratio, device):
    patches = (SIZE // PATCH) ** 2
    kept = int(patches * (1 - mask_ratio))
    images = torch.randint(0, 256, (batch, SIZE, SIZE, 3), dtype=torch.uint8, device=device)
    keep = torch.rand(batch, patches, device=device).argsort(1)[:, :kept].sort(1).values
    ids = torch.randint(0, VOCABULARY, (batch, TEXT_LENGTH), device=device)
    return images, keep, ids


def measure(step, inputs, device, steps):
    for _ in range(3):
        step(*inputs)
    times = []
    for _ in range(steps):
        synchronize(device)
        start = time.perf_counter()
        step(*inputs)
        synchronize(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


class Masters:
    """AdamW on fp32 copies of weights whose computations are in bf16."""

    def __init__(self, parameters):
        self.weights = list(parameters)
        self.copies = [p.detach().float().clone().requires_grad_() for p in self.weights]
        self.optimizer = adamw(self.copies)

    def zero_grad(self, set_to_none=True):
        for p in self.weights:
            p.grad = None

    def step(self):
        for copy, p in zip(self.copies, self.weights):
            copy.grad = p.grad.float()
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_copy_(self.weights, self.copies)


def adamw(parameters):
    return torch.optim.AdamW(parameters, lr=1e-4, betas=(0.9, 0.95), weight_decay=0.2, fused=True)


def residual_stream_of(model, inputs, context):
    """The type of the residual stream."""
    seen = []
    hook = model.image.blocks[0].register_forward_hook(lambda m, i, output: seen.append(output.dtype))
    with torch.no_grad(), context():
        model(*(x[:2] for x in inputs))
    hook.remove()
    return str(seen[0]).replace("torch.", "")


def synchronize(device):
    if device == "cuda":
        torch.cuda.synchronize()


def peak_of_process():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def run_way(arguments):
    """One mask ratio in one way, in this process: prints a line after compiling, one with the result."""
    base = peak_of_process()  # the libraries
    device = "cuda" if torch.cuda.is_available() else "cpu"
    mask_ratio, mode = arguments.mask[0], arguments.compile[0]
    is_autocast = arguments.precision == "bf16" and arguments.weights[0] == "autocast"
    has_masters = arguments.precision == "bf16" and arguments.weights[0] == "bf16"
    torch.manual_seed(0)

    def context():
        return torch.autocast(device, dtype=torch.bfloat16, enabled=is_autocast)

    model = Flip(**MODELS[arguments.model]).to(device)
    if has_masters:
        model = model.to(torch.bfloat16)
    inputs = make_inputs(arguments.batch, mask_ratio, device)
    optimizer = Masters(model.parameters()) if has_masters else adamw(model.parameters())
    stream = residual_stream_of(model, inputs, context)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    # each shape is compiled separately: sizes that vary would become dynamic
    forward = model if mode == "none" else torch.compile(
        model, dynamic=False, mode=None if mode == "default" else mode)

    def step(images, keep, ids):
        if mode == "reduce-overhead":
            torch.compiler.cudagraph_mark_step_begin()
        optimizer.zero_grad(set_to_none=True)
        with context():
            loss = forward(images, keep, ids)
        loss.backward()
        optimizer.step()
        return loss.item()

    start = time.perf_counter()
    for _ in range(2):
        step(*inputs)
    synchronize(device)
    first_seconds = time.perf_counter() - start
    print(json.dumps({"is_compiled": True}), flush=True)
    seconds = measure(step, inputs, device, arguments.steps)
    backends = torch.backends.cuda
    print(json.dumps({
        "program": f"PyTorch {torch.__version__}" + (" eager" if mode == "none" else f" compiled ({mode})"),
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "mask_ratio": mask_ratio, "batch_size": arguments.batch,
        "samples_per_second": arguments.batch / seconds, "step_seconds": seconds,
        "precision": arguments.precision,
        "weights": "fp32" if arguments.precision == "fp32" else
                   "bf16 with fp32 masters" if has_masters else "fp32 under bf16 autocast",
        "compile": mode, "residual_stream": stream,
        "first_steps_seconds": first_seconds,
        "compile_seconds": max(first_seconds - 2 * seconds, 0) if mode != "none" else 0,
        "sdpa_backends": [name for name, is_on in (
            ("flash", backends.flash_sdp_enabled()), ("efficient", backends.mem_efficient_sdp_enabled()),
            ("cudnn", backends.cudnn_sdp_enabled()), ("math", backends.math_sdp_enabled())) if is_on],
        "peak_bytes": torch.cuda.max_memory_allocated() if device == "cuda" else peak_of_process() - base,
    }), flush=True)


def ask(arguments, mask_ratio, weights, mode):
    """The result of one way, measured in a process that is ended when it takes too long."""
    command = [sys.executable, __file__, "--one", "--model", arguments.model, "--batch", str(arguments.batch),
               "--steps", str(arguments.steps), "--precision", arguments.precision, "--mask", str(mask_ratio),
               "--weights", weights, "--compile", mode]
    if arguments.threads:
        command += ["--threads", str(arguments.threads)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines, complaints = queue.Queue(), []

    def read_lines():
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    readers = [threading.Thread(target=read_lines, daemon=True),
               threading.Thread(target=lambda: complaints.extend(process.stderr), daemon=True)]
    for reader in readers:
        reader.start()
    row = {"mask_ratio": mask_ratio, "weights": weights, "compile": mode}
    try:
        if lines.get(timeout=arguments.compile_limit) is not None:
            line = lines.get(timeout=arguments.run_limit)
            if line is not None:
                return json.loads(line)
        process.wait()
        readers[1].join()
        said = [line.strip() for line in complaints if line.strip()]
        row["error"] = f"status {process.returncode}: {said[-1] if said else 'no message'}"
    except queue.Empty:
        row["error"] = f"stopped: not compiled within {arguments.compile_limit:g} s, or not measured within " \
                       f"{arguments.run_limit:g} s more"
    finally:
        process.kill()
        process.wait()
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, default="vit_l16")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--compile", choices=COMPILERS, action="append", nargs="?", const="default",
                        help="one way of compiling, may be repeated; without it: all")
    parser.add_argument("--weights", choices=WEIGHTS, action="append", help="likewise; without it: both")
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--mask", type=float, action="append")
    parser.add_argument("--compile-limit", type=float, default=300, metavar="S",
                        help="seconds for starting Python and the first two steps of a way, in which it is compiled")
    parser.add_argument("--run-limit", type=float, default=300, metavar="S", help="seconds for those that follow")
    parser.add_argument("--best-only", action="store_true", help="print the fastest way of each mask ratio alone")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    global VOCABULARY, SIZE, PATCH
    VOCABULARY, SIZE, PATCH = SIZES.get(arguments.model, (VOCABULARY, SIZE, PATCH))
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.one:
        return run_way(arguments)
    weights = arguments.weights or (WEIGHTS if arguments.precision == "bf16" else WEIGHTS[:1])
    ways = [(w, mode) for w in weights for mode in arguments.compile or COMPILERS]
    first, is_measured = None, True
    for mask_ratio in arguments.mask or (0.0, 0.5, 0.75):
        rows = []
        for way in ways:
            rows.append(ask(arguments, mask_ratio, *way))
            if not arguments.best_only:
                print(json.dumps({"kind": "way", **rows[-1]}), flush=True)
        measured = [row for row in rows if "error" not in row]
        missing = [row for row in rows if "error" in row]
        is_measured &= bool(measured)
        if not measured:
            print(json.dumps({"kind": "best", "mask_ratio": mask_ratio, "error": "no way was measured",
                              "missing": missing}), flush=True)
            continue
        best = max(measured, key=lambda row: row["samples_per_second"])
        if mask_ratio == (arguments.mask or (0.0,))[0]:
            first = best["step_seconds"]
        print(json.dumps({"kind": "best_of_measured" if missing else "best", **best,
                          "time_ratio": best["step_seconds"] / first if first else None,
                          "ways_measured": len(measured), "missing": missing}), flush=True)
    return 0 if is_measured else 1


if __name__ == "__main__":
    sys.exit(main())
