#!/usr/bin/env python3
"""A model trained here, converted, loaded by transformers and by open_clip: the same embeddings and
the same zero-shot predictions. Usage: check_export.py path/to/flip

Trains a small CLIP (learned positions, class token, pre-norm, causal text, end-of-text pooling) on
procedural scenes for a few seconds. The images are stored at the model's own size, so that both
sides see the same pixels. Not part of the test suite: it needs requirements.txt.
"""
import io
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile

import numpy
import torch
from PIL import Image
from open_clip.model import CLIP
from safetensors.torch import load_file
from transformers import AutoTokenizer, CLIPModel

flip = os.path.abspath(sys.argv[1])
os.chdir(tempfile.mkdtemp(prefix="flip-export-"))


def run(*words):
    result = subprocess.run([flip, *words], capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"flip {' '.join(words)}: {result.stderr}")
    return result.stdout


for split, count in (("train", 600), ("heldout", 200)):
    run("data", "scenes", "--out", "data", "--count", str(count), "--seed", "1", "--split", split, "--size", "24",
        "--no-progress")
run("tokenizer", "train", "--out", "vocab.txt", "--size", "300", "data/train-*.tar")
pathlib.Path("run.yaml").write_text("""
image: {size: 24, patch: 4, width: 48, layers: 2, heads: 3, position: learned, class_token: true, pool: class,
        pre_norm: true, patch_bias: false, activation: quick_gelu, norm_eps: 1e-5}
text: {width: 32, layers: 2, heads: 2, length: 16, vocabulary: vocab.txt, causal: true, pool: eot,
       activation: quick_gelu, norm_eps: 1e-5}
embed_dim: 24
batch_size: 100
samples: 12000
warmup_samples: 1000
learning_rate: 2.0e-3
mask_ratio: 0.25
data: {train: ["data/train-*.tar"], flip: false}
precision: fp32
""")
run("train", "--config", "run.yaml", "--out", "run", "--no-progress")

shapes = ["star", "circle", "square", "triangle", "heart", "cross", "ring", "moon"]
prompts = [f"a {s}" for s in shapes] + [f"a large red {s} on the left" for s in shapes]
pathlib.Path("prompts.txt").write_text("\n".join(prompts) + "\n")
run("embed", "-m", "run", "-i", "data/heldout-*.tar", "-o", "images.npy")
run("embed", "-m", "run", "-t", "prompts.txt", "-o", "texts.npy")
ours_image, ours_text = numpy.load("images.npy"), numpy.load("texts.npy")

pixels = []
for shard in sorted(pathlib.Path("data").glob("heldout-*.tar")):
    with tarfile.open(shard) as tar:
        members = {m.name: m for m in tar.getmembers()}
        for name in members:
            if name.endswith(".png"):
                image = Image.open(io.BytesIO(tar.extractfile(members[name]).read())).convert("RGB")
                assert image.size == (24, 24)
                pixels.append(numpy.asarray(image))
mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
x = ((torch.tensor(numpy.stack(pixels)).float() / 255 - torch.tensor(mean)) / torch.tensor(std)).permute(0, 3, 1, 2)
ids = torch.zeros(len(prompts), 16, dtype=torch.long)
for row, line in zip(ids, run("tokenizer", "encode", "-v", "vocab.txt", "--length", "16", *prompts).splitlines()):
    tokens = [int(t.rsplit(":", 1)[1]) for t in line.split()]
    row[:len(tokens)] = torch.tensor(tokens)

run("convert", "--in", "run", "--out", "hf", "--format", "hf")
run("convert", "--in", "run", "--out", "oc", "--format", "open_clip")
hf = CLIPModel.from_pretrained("hf").eval()
words = AutoTokenizer.from_pretrained("hf")(prompts, padding="max_length", truncation=True, return_tensors="pt")
assert words["input_ids"].shape == ids.shape and (words["input_ids"] == ids).all(), "other tokens"
cfg = json.loads(pathlib.Path("oc/open_clip_config.json").read_text())["model_cfg"]
oc = CLIP(**cfg).eval()
print(oc.load_state_dict(load_file("oc/open_clip_model.safetensors"), strict=True))


def unit(v):
    return (v / v.norm(dim=-1, keepdim=True)).numpy()


with torch.no_grad():
    out = hf(input_ids=ids, pixel_values=x)
    theirs = {"transformers": (out.image_embeds.numpy(), out.text_embeds.numpy()),
              "open_clip": (unit(oc.encode_image(x)), unit(oc.encode_text(ids)))}
ours_pick = (ours_image @ ours_text[:len(shapes)].T).argmax(1)
failed = False
for name, (image, text) in theirs.items():
    pick = (image @ text[:len(shapes)].T).argmax(1)
    worst_image, worst_text = abs(image - ours_image).max(), abs(text - ours_text).max()
    print(f"{name}: largest difference of image embeddings {worst_image:.2e}, of texts {worst_text:.2e}; "
          f"{(pick == ours_pick).sum()} of {len(pick)} predictions equal, {len(set(pick.tolist()))} classes predicted")
    failed |= worst_image > 1e-4 or worst_text > 1e-4 or (pick != ours_pick).any()
sys.exit(bool(failed))
