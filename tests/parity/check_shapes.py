#!/usr/bin/env python3
"""Published shapes at full size: random weights made by open_clip and transformers, read by flip, on
images of the model's own size and on texts through each side's own byte-pair tokenizer. Usage:
check_shapes.py path/to/flip [ViT-B-32 …]. Not part of the test suite: it needs requirements.txt, and
gigabytes of disk and memory for the larger shapes.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import numpy
import open_clip
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel

flip = os.path.abspath(sys.argv[1])
names = sys.argv[2:] or ["ViT-B-32", "ViT-B-16", "ViT-L-14"]
os.chdir(tempfile.mkdtemp(prefix="flip-shapes-"))
vocabulary = str(pathlib.Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz")
texts = ["a photo of a cat", "Two DOGS, running & barking!", "naïve café — 数字 👍", "x" * 400, "", "a  b\tc"]
pathlib.Path("texts.txt").write_text("\n".join(texts) + "\n")


def run(*words):
    start = time.time()
    subprocess.run([flip, *words], check=True, stdout=subprocess.DEVNULL)
    return time.time() - start


def embed(model, *more):
    seconds = run("embed", "-m", model, "-i", "images", "-o", "i.npy")
    run("embed", "-m", model, "-t", "texts.txt", "-o", "t.npy", "--set", f"text.vocabulary={vocabulary}", *more)
    return numpy.load("i.npy"), numpy.load("t.npy"), seconds


def tell(what, ours, theirs, seconds):
    worst = [abs(a - b).max() / abs(b).max() for a, b in zip(ours, theirs)]
    print(f"{what}: image {worst[0]:.1e}, text {worst[1]:.1e} of the largest component; read and embedded in {seconds:.1f} s",
          flush=True)
    return max(worst) > 1e-4


random, failed = numpy.random.default_rng(4), False
for name in names:
    torch.manual_seed(1)
    cfg = open_clip.get_model_config(name)
    size = cfg["vision_cfg"]["image_size"]
    shutil.rmtree("images", ignore_errors=True)
    os.mkdir("images")
    pixels = []
    for i in range(4):
        blocks = random.integers(0, 256, (7, 7, 3), dtype=numpy.uint8).repeat(size // 7, 0).repeat(size // 7, 1)
        Image.fromarray(blocks).save(f"images/{i}.png")
        pixels.append(blocks)
    x = torch.tensor(numpy.stack(pixels)).float() / 255
    x = ((x - torch.tensor(open_clip.OPENAI_DATASET_MEAN)) / torch.tensor(open_clip.OPENAI_DATASET_STD)).permute(0, 3, 1, 2)
    ids = open_clip.get_tokenizer(name)(texts)
    with torch.no_grad():
        model = open_clip.model.CLIP(**cfg).eval()
        os.makedirs("oc", exist_ok=True)
        save_file(model.state_dict(), "oc/open_clip_model.safetensors")
        pathlib.Path("oc/open_clip_config.json").write_text(json.dumps({"model_cfg": cfg}))
        theirs = [model.encode_image(x, normalize=True).numpy(), model.encode_text(ids, normalize=True).numpy()]
        del model
    *ours, seconds = embed("oc")
    failed |= tell(f"open_clip {name}", ours, theirs, seconds)
    print(f"  written for transformers in {run('convert', '-i', 'oc', '-o', 'hf', '-f', 'hf'):.1f} s", flush=True)
    with torch.no_grad():
        hf = CLIPModel.from_pretrained("hf").eval()
        out = hf(input_ids=ids, pixel_values=x)
        again = [out.image_embeds.numpy(), out.text_embeds.numpy()]
        del hf
    failed |= tell(f"transformers {name} from that", ours, again, 0)
shutil.rmtree(os.getcwd())
sys.exit(bool(failed))
