#!/usr/bin/env python3
"""Scores and what others measure on them, for tests/parity/test_metrics.c.

ROC AUC: scikit-learn's roc_auc_score, on scores with many ties. 11-point average precision: the
arithmetic of the VOC2007 devkit (VOCevalcls: a stable sort by falling score; images marked 0 count
neither as right nor as wrong; at recalls 0, 0.1, ... 1 the greatest precision at that recall or a
higher one), its recalls as fractions, so that 3/10 is 0.3; written here after the devkit's
documentation, independently of the C. Embeddings are one-hot rows of the scores, so that every
score is exact in fp32.
"""
import pathlib
from fractions import Fraction

import numpy
from safetensors.numpy import save_file
from sklearn.metrics import roc_auc_score

here = pathlib.Path(__file__).parent / "fixtures"
random = numpy.random.default_rng(11)
IMAGES, CLASSES = 240, 7


def eleven_points(scores, truths):
    order = numpy.argsort(-scores, kind="stable")
    found = numpy.cumsum(truths[order] > 0)
    wrong = numpy.cumsum(truths[order] < 0)
    total, area = int((truths > 0).sum()), 0.0
    for level in range(11):
        reached = [f / (f + w) for f, w in zip(found, wrong)
                   if f + w and Fraction(int(f), total) >= Fraction(level, 10)]
        area += (max(reached) if reached else 0.0) / 11
    return area


# A dozen values of score: ties everywhere. Positives score a little higher.
truths = numpy.where(random.random((IMAGES, CLASSES)) < 0.2, 1, -1).astype(numpy.int8)
truths[random.random((IMAGES, CLASSES)) < 0.07] = 0
truths[:, 3][truths[:, 3] > 0] = -1
truths[:40:2, 3] = 1  # twenty positives: recalls of exactly k / 10
scores = (random.integers(0, 12, (IMAGES, CLASSES)) + 3 * (truths > 0)).astype(numpy.float32) / 16
precisions = [eleven_points(scores[:, c], truths[:, c]) for c in range(CLASSES)]

labels = (truths[:, 0] > 0).astype(numpy.int32)
save_file({
    "images": scores, "classes": numpy.eye(CLASSES, dtype=numpy.float32), "truths": truths,
    "precisions": numpy.array(precisions), "labels": labels,
    "auc": numpy.array([roc_auc_score(labels, scores[:, 0]), roc_auc_score(labels, -scores[:, 0]),
                        roc_auc_score(labels, scores[:, 1])]),
}, str(here / "metrics.safetensors"))
print("mAP", numpy.mean(precisions), "AUC", roc_auc_score(labels, scores[:, 0]))
