#!/usr/bin/env python3
"""Embeddings and what clip_benchmark and scikit-learn measure on them, for tests/parity/test_eval.c.

Zero-shot: top-k by torch.topk as clip_benchmark counts it (its own function fails under this
numpy), balanced accuracy by scikit-learn. Retrieval: its recall_at_k with one to
five captions an image, counted as it counts. Linear probe: LogisticRegression's predictions and
weights, fitted to a far tighter tolerance than the gap between the two best classes.
"""
import io
import pathlib

import numpy
import torch
from clip_benchmark.metrics.zeroshot_retrieval import recall_at_k
from safetensors.numpy import save_file
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score

random = numpy.random.default_rng(5)
here = pathlib.Path(__file__).parent / "fixtures"
CLASSES, WIDTH, IMAGES = 12, 16, 300


def unit(x):
    return (x / numpy.linalg.norm(x, axis=1, keepdims=True)).astype(numpy.float32)


classes = unit(random.normal(size=(CLASSES, WIDTH)))
labels = random.integers(0, CLASSES, IMAGES).astype(numpy.int32)
labels[labels == 5] = 4  # a class without images
images = unit(classes[labels] + 0.9 * random.normal(size=(IMAGES, WIDTH)) / numpy.sqrt(WIDTH) * 2)
logits = torch.tensor(100 * images @ classes.T)
right = logits.topk(5, 1, True, True)[1].eq(torch.tensor(labels).long().view(-1, 1))
top1, top5 = right[:, 0].double().mean().item(), right.any(1).double().mean().item()
balanced = balanced_accuracy_score(labels, logits.argmax(1).numpy())

owners = numpy.repeat(numpy.arange(IMAGES), random.integers(1, 6, IMAGES)).astype(numpy.int32)
texts = unit(images[owners] + 1.6 * random.normal(size=(len(owners), WIDTH)) / numpy.sqrt(WIDTH))
scores = torch.tensor(texts @ images.T)
positive = torch.zeros_like(scores, dtype=bool)
positive[torch.arange(len(scores)), torch.tensor(owners).long()] = True
retrieval = []
for k in (1, 5, 10):
    retrieval.append((recall_at_k(scores.T, positive.T, k) > 0).double().mean().item())
for k in (1, 5, 10):
    retrieval.append((recall_at_k(scores, positive, k) > 0).double().mean().item())

train, test = slice(0, 200), slice(200, IMAGES)
c_values = numpy.array([1e-3, 0.1, 1.0, 100.0])
dense = labels.copy()
dense[dense > 5] -= 1  # scikit-learn drops the empty class
predicted, weights = [], []
for c in c_values:
    model = LogisticRegression(C=c, tol=1e-10, max_iter=100000).fit(images[train].astype(numpy.float64), dense[train])
    predicted.append(model.predict(images[test].astype(numpy.float64)).astype(numpy.int32))
    weights.append(numpy.concatenate([model.coef_, model.intercept_[:, None]], 1))
out = io.BytesIO()
numpy.save(out, images[:7])
save_file({"classes": classes, "labels": labels, "images": images, "texts": texts, "owners": owners,
           "zeroshot": numpy.array([top1, top5, balanced]), "retrieval": numpy.array(retrieval),
           "probe_labels": dense, "probe_c": c_values, "probe_predicted": numpy.stack(predicted),
           "probe_weights": numpy.ascontiguousarray(numpy.stack(weights)),
           "npy": numpy.frombuffer(out.getvalue(), dtype=numpy.uint8)}, here / "eval.safetensors")
print(top1, top5, balanced, retrieval, len(owners),
      [(p == dense[test]).mean() for p in predicted])
