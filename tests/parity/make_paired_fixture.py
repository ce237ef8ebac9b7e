#!/usr/bin/env python3
"""Two models' scores on the same images, and the standard error of the difference of their ROC AUC and
of their 11-point mAP, for tests/parity/test_paired.c.

The standard errors are of a paired bootstrap over images (both models are measured on the same
resample), with numpy's own random numbers and scikit-learn's roc_auc_score; and for the areas also
DeLong's (1988), from the placement of every image. 11-point average precision as in
make_metrics_fixture.py. Embeddings are one-hot rows of the scores, so that every score is exact.
"""
import pathlib

import numpy
from safetensors.numpy import save_file
from sklearn.metrics import roc_auc_score

here = pathlib.Path(__file__).parent / "fixtures"
random = numpy.random.default_rng(23)
IMAGES, CLASSES, RESAMPLES = 260, 4, 4000
LEVELS = numpy.arange(11)


def eleven_points(scores, truths):
    order = numpy.argsort(-scores, kind="stable")
    found, wrong = numpy.cumsum(truths[order] > 0), numpy.cumsum(truths[order] < 0)
    if not found[-1]:
        return numpy.nan
    precision = found / numpy.maximum(found + wrong, 1)
    later = numpy.maximum.accumulate(precision[::-1])[::-1]
    # recall >= level / 10, in integers
    first = numpy.searchsorted(10 * found, LEVELS * found[-1])
    return later[first].mean()


def mean_precision(scores, truths):
    return numpy.nanmean([eleven_points(scores[:, c], truths[:, c]) for c in range(CLASSES)])


def delong(one, other, labels):
    """The variance of the difference of two areas, from the placements of both models."""
    def placements(scores):
        wins = scores[labels == 1][:, None] - scores[labels == 0][None, :]
        wins = (wins > 0) + 0.5 * (wins == 0)
        return wins.mean(1), wins.mean(0)
    (a1, a0), (b1, b0) = placements(one), placements(other)
    return numpy.var(a1 - b1, ddof=1) / len(a1) + numpy.var(a0 - b0, ddof=1) / len(a0)


truths = numpy.where(random.random((IMAGES, CLASSES)) < 0.3, 1, -1).astype(numpy.int8)
truths[random.random((IMAGES, CLASSES)) < 0.05] = 0
labels = (random.random(IMAGES) < 0.35).astype(numpy.int32)
# Images are hard for both models: most of what moves one area moves the other.
shared = random.normal(size=(IMAGES, CLASSES))
models = [(strength * (truths > 0) + 0.8 * shared + 0.6 * random.normal(size=(IMAGES, CLASSES)))
          .astype(numpy.float32) for strength in (1.3, 1.0)]
shared = random.normal(size=IMAGES)
margins = [(strength * labels + 0.8 * shared + 0.6 * random.normal(size=IMAGES)).astype(numpy.float32)
           for strength in (1.1, 0.9)]

areas, precisions = [], []
for _ in range(RESAMPLES):
    at = random.integers(0, IMAGES, IMAGES)
    areas.append([roc_auc_score(labels[at], m[at]) for m in margins])
    precisions.append([mean_precision(m[at], truths[at]) for m in models])
areas, precisions = numpy.array(areas), numpy.array(precisions)


def errors(values):
    """Of the difference, paired; and as if the images were different ones."""
    return [numpy.std(values[:, 0] - values[:, 1], ddof=1), numpy.sqrt(values.var(0, ddof=1).sum())]


wanted = {
    "auc": [roc_auc_score(labels, m) for m in margins],
    "auc_errors": errors(areas) + [numpy.sqrt(delong(*margins, labels))],
    "map": [mean_precision(m, truths) for m in models],
    "map_errors": errors(precisions),
}
for name, value in wanted.items():
    print(name, numpy.round(value, 5))
save_file({
    "labels": labels, "truths": truths, "classes": numpy.eye(CLASSES, dtype=numpy.float32),
    "margins": numpy.stack(margins), "models": numpy.stack(models),
    **{name: numpy.array(value) for name, value in wanted.items()},
}, str(here / "paired.safetensors"))
