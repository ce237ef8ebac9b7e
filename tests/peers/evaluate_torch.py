#!/usr/bin/env python3
"""The same evaluation in PyTorch, in the fastest of the ways that a user would try: FLIP's towers with bf16
weights in inference mode, eager and compiled in three modes. Images are random bytes in pinned host memory, each
batch copied on a stream of its own while the one before is encoded; prompts are random tokens; embeddings are
normalised, fetched at the end, and each image is compared with each class on the device.

Prints one JSON object per number of templates and way ("kind": "way"), each way measured in a process of its own,
with the fields of `flip bench eval --json` that it measures, and printed when it has been; "error" describes a failure
or a way that took too long. Then, for each number of templates, the way that takes the least time for 50,000 images again
with "kind": "best", or "best_of_measured" if ways are missing, the number of measured ways and the missing ones. It
shares no code with flip."""

import argparse
import json
import subprocess
import sys
import time

try:
    import torch
    import torch.nn.functional as F
except ImportError as missing:
    sys.exit(f"{sys.argv[0]}: {missing}: needs PyTorch")

import train_step_torch as towers

IMAGES = 50000  # as many as ImageNet's validation set


def image_pass(model, images):
    """All patches of images [batch, side, side, 3] u8 to unit-length embeddings."""
    batch, side, patch = images.shape[0], towers.SIZE // towers.PATCH, towers.PATCH
    cut = images.view(batch, side, patch, side, patch, 3).permute(0, 1, 3, 5, 2, 4)
    cut = cut.reshape(batch, side * side, -1).to(model.patch.weight.dtype) / 255 - 0.5
    x = model.patch(cut) + model.image_positions
    x = torch.cat([model.class_token.expand(batch, 1, -1), x], 1)
    return F.normalize(model.image.projection(model.image(x).mean(1)).float(), dim=1)


def text_pass(model, ids):
    text = model.text(model.words(ids) + model.text_positions)[:, 0]
    return F.normalize(model.text.projection(text).float(), dim=1)


class Encoders(torch.nn.Module):
    """Both passes of a model as modules, so that each is compiled for its own shape."""

    def __init__(self, model, run):
        super().__init__()
        self.model, self.run = model, run

    def forward(self, x):
        return self.run(self.model, x)


def encode_all(encoder, batches, device, mode):
    """Embeddings of host batches, the next of which is copied while one is encoded."""
    out, copier = [], torch.cuda.Stream() if device == "cuda" else None

    def send(batch):
        if device != "cuda":
            return batch, None
        with torch.cuda.stream(copier):
            return batch.to(device, non_blocking=True), copier.record_event()

    ahead = send(batches[0])
    for i in range(len(batches)):
        inputs, copied = ahead
        if copied is not None:
            torch.cuda.current_stream().wait_event(copied)
            inputs.record_stream(torch.cuda.current_stream())
        if i + 1 < len(batches):
            ahead = send(batches[i + 1])
        if mode == "reduce-overhead":
            torch.compiler.cudagraph_mark_step_begin()
        features = encoder(inputs)
        out.append(features.clone() if mode == "reduce-overhead" else features)
    return torch.cat(out)


def seconds_of(run, device, rounds=3):
    times = []
    for _ in range(rounds):
        towers.synchronize(device)
        start = time.perf_counter()
        run()
        towers.synchronize(device)
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


def host(tensor, device):
    return tensor.pin_memory() if device == "cuda" else tensor


def run_way(a):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    mode = a.compile[0]
    torch.manual_seed(0)
    shape = towers.MODELS[a.model]
    model = towers.Flip(**shape).to(device).to(torch.bfloat16 if a.precision == "bf16" else torch.float32).eval()
    encoders = [Encoders(model, run) for run in (image_pass, text_pass)]
    if mode != "none":
        encoders = [torch.compile(e, dynamic=False, mode=None if mode == "default" else mode) for e in encoders]
    side, length = towers.SIZE, towers.TEXT_LENGTH
    images = [host(torch.randint(0, 256, (a.image_batch, side, side, 3), dtype=torch.uint8), device) for _ in range(3)]
    texts = [host(torch.randint(0, towers.VOCABULARY, (a.text_batch, length)), device) for _ in range(3)]
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()

    def run(encoder, batches, steps):
        return encode_all(encoder, [batches[i % len(batches)] for i in range(steps)], device, mode).cpu()

    with torch.inference_mode():
        start = time.perf_counter()
        for encoder, batches in zip(encoders, (images, texts)):
            run(encoder, batches, 4)
        first_seconds = time.perf_counter() - start
        image_rate = a.steps * a.image_batch / seconds_of(lambda: run(encoders[0], images, a.steps), device)
        text_rate = a.steps * a.text_batch / seconds_of(lambda: run(encoders[1], texts, a.steps), device)
        features = F.normalize(torch.randn(4096, shape["embed"], device=device), dim=1)
        classes = F.normalize(torch.randn(a.classes, shape["embed"], device=device), dim=1)
        score_rate = 4096 / seconds_of(lambda: (features @ classes.T).topk(min(5, a.classes)).indices.cpu(), device)
    for templates in a.templates:
        prompts = a.classes * templates
        print(json.dumps({
            "program": f"PyTorch {torch.__version__}" + (" eager" if mode == "none" else f" compiled ({mode})"),
            "device": torch.cuda.get_device_name() if device == "cuda" else "cpu", "compile": mode,
            "precision": a.precision, "classes": a.classes, "templates": templates, "prompts": prompts,
            "image_batch": a.image_batch, "text_batch": a.text_batch,
            "images_per_second": image_rate, "prompts_per_second": text_rate,
            "images_scored_per_second": score_rate, "prompt_seconds": prompts / text_rate,
            "seconds_of_50000_images": IMAGES / image_rate + prompts / text_rate + IMAGES / score_rate,
            "first_batches_seconds": first_seconds,
            "peak_bytes": torch.cuda.max_memory_allocated() if device == "cuda" else towers.peak_of_process(),
        }), flush=True)


def ask(arguments, mode):
    """The rows of one way, measured in a process that is ended when it takes too long."""
    command = [sys.executable, __file__, "--one", "--model", arguments.model, "--precision", arguments.precision,
               "--classes", str(arguments.classes), "--image-batch", str(arguments.image_batch),
               "--text-batch", str(arguments.text_batch), "--steps", str(arguments.steps), "--compile", mode]
    for templates in arguments.templates:
        command += ["--templates", str(templates)]
    if arguments.threads:
        command += ["--threads", str(arguments.threads)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=arguments.limit)
    except subprocess.TimeoutExpired:
        return [{"compile": mode, "error": f"stopped: not measured within {arguments.limit:g} s"}]
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode == 0 and len(rows) == len(arguments.templates):
        return rows
    said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return [{"compile": mode, "error": f"status {done.returncode}: {said[-1] if said else 'no message'}"}]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=towers.MODELS, default="vit_l16")
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--templates", type=int, action="append", help="prompts per class; default 7 and 80")
    parser.add_argument("--image-batch", type=int, default=256)
    parser.add_argument("--text-batch", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=10, help="batches per measurement")
    parser.add_argument("--compile", choices=towers.COMPILERS, action="append",
                        help="one way of compiling, may be repeated; without it: all")
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--limit", type=float, default=300, metavar="S",
                        help="seconds for a way, with starting Python and compiling")
    parser.add_argument("--best-only", action="store_true", help="print the fastest way alone")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    a = parser.parse_args()
    a.templates = a.templates or [7, 80]
    a.compile = a.compile or list(towers.COMPILERS)
    towers.VOCABULARY, towers.SIZE, towers.PATCH = towers.SIZES.get(
        a.model, (towers.VOCABULARY, towers.SIZE, towers.PATCH))
    if a.threads:
        torch.set_num_threads(a.threads)
    if a.one:
        return run_way(a)
    ways = []
    for mode in a.compile:
        ways.append(ask(a, mode))
        for row in ways[-1]:
            if not a.best_only:
                print(json.dumps({"kind": "way", **row}), flush=True)
    missing = [way[0] for way in ways if "error" in way[0]]
    measured = [way for way in ways if "error" not in way[0]]
    if a.best_only and not measured:
        for row in missing:
            print(json.dumps({"kind": "way", **row}), flush=True)
    for i in range(len(a.templates) if measured else 0):
        best = min((way[i] for way in measured), key=lambda row: row["seconds_of_50000_images"])
        kind = "best_of_measured" if missing else "best"
        print(json.dumps({"kind": kind, **best, "ways_measured": len(measured), "missing": missing}), flush=True)
    return 0 if measured else 1


if __name__ == "__main__":
    sys.exit(main())
