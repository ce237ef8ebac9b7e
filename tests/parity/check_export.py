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
from clip_benchmark.metrics.zeroshot_retrieval import recall_at_k
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
text: {width: 32, layers: 2, heads: 2, length: 16, vocabulary: vocab.txt, special_tokens: both, causal: true, pool: eot,
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

pathlib.Path("held.yaml").write_text("""
name: held
images: ["data/heldout-*.tar"]
tasks: [zeroshot, retrieval]
label: shape
templates: ["a {}", "a picture of a {c}", "{}"]
""")
measured = json.loads(run("eval", "-m", "run", "-f", "held.yaml", "--json"))

pixels, labels, captions = [], [], []
for shard in sorted(pathlib.Path("data").glob("heldout-*.tar")):
    with tarfile.open(shard) as tar:
        members = {m.name: m for m in tar.getmembers()}
        for name in members:
            if name.endswith(".png"):
                image = Image.open(io.BytesIO(tar.extractfile(members[name]).read())).convert("RGB")
                assert image.size == (24, 24)
                pixels.append(numpy.asarray(image))
                about = json.loads(tar.extractfile(members[name[:-3] + "json"]).read())
                labels.append(about["labels"]["shape"])
                captions.append(tar.extractfile(members[name[:-3] + "txt"]).read().decode())
mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
x = ((torch.tensor(numpy.stack(pixels)).float() / 255 - torch.tensor(mean)) / torch.tensor(std)).permute(0, 3, 1, 2)
classes = sorted(set(labels))
templates = ["a {}", "a picture of a {}", "{}"]


def tokens(texts):
    """Through our own tokenizer: its parity has tests of its own."""
    ids = torch.zeros(len(texts), 16, dtype=torch.long)
    for row, line in zip(ids, run("tokenizer", "encode", "-v", "vocab.txt", "--length", "16", *texts).splitlines()):
        own = [int(t.rsplit(":", 1)[1]) for t in line.split()]
        row[:len(own)] = torch.tensor(own)
    return ids


ids = tokens(prompts)

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
    class_tokens, caption_tokens = tokens([t.format(c) for c in classes for t in templates]), tokens(captions)
    encoders = {"transformers": (lambda: hf.get_image_features(pixel_values=x),
                                 lambda i: hf.get_text_features(input_ids=i)),
                "open_clip": (lambda: oc.encode_image(x), oc.encode_text)}
    theirs_measured = {}
    for name, (encode_image, encode_text) in encoders.items():
        def features(out):
            return torch.nn.functional.normalize(getattr(out, "pooler_output", out), dim=-1)
        image = features(encode_image())
        mean = features(encode_text(class_tokens)).reshape(len(classes), len(templates), -1).mean(1)
        right = (image @ torch.nn.functional.normalize(mean, dim=-1).T).topk(5, 1)[1] == torch.tensor(
            [[classes.index(l)] for l in labels])
        own = {"top1": right[:, 0].double().mean().item(), "top5": right.any(1).double().mean().item()}
        scores = features(encode_text(caption_tokens)) @ image.T
        positive = torch.eye(len(captions), dtype=bool)
        for k in (1, 5, 10):
            own[f"image_to_text_r{k}"] = (recall_at_k(scores.T, positive.T, k) > 0).double().mean().item()
            own[f"text_to_image_r{k}"] = (recall_at_k(scores, positive, k) > 0).double().mean().item()
        theirs_measured[name] = own
ours_pick = (ours_image @ ours_text[:len(shapes)].T).argmax(1)
failed = False
for name, (image, text) in theirs.items():
    pick = (image @ text[:len(shapes)].T).argmax(1)
    worst_image, worst_text = abs(image - ours_image).max(), abs(text - ours_text).max()
    print(f"{name}: largest difference of image embeddings {worst_image:.2e}, of texts {worst_text:.2e}; "
          f"{(pick == ours_pick).sum()} of {len(pick)} predictions equal, {len(set(pick.tolist()))} classes predicted")
    ours_measured = {**measured["zeroshot"], **measured["retrieval"]}
    same = {k: abs(v - ours_measured[k]) < 1e-9 for k, v in theirs_measured[name].items()}
    print("  flip eval and clip_benchmark's counts on its features:",
          ", ".join(f"{k} {ours_measured[k]:.3f}{'' if ok else ' NOT ' + str(theirs_measured[name][k])}"
                    for k, ok in same.items()))
    failed |= not all(same.values())
    failed |= worst_image > 1e-4 or worst_text > 1e-4 or (pick != ours_pick).any()
sys.exit(bool(failed))
