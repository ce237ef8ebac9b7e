#!/usr/bin/env python3
"""Hostile strings and what Hugging Face's BertWordPieceTokenizer (uncased) makes of them, for
tests/parity/test_wordpiece.c. The vocabulary is in the same folder, trained by `flip tokenizer
train` on the captions of openclipart.

Writes fixtures/wordpiece.txt.gz: per case a line with the string (JSON) and a line with its numbers.
"""
import gzip
import json
import pathlib
import unicodedata

from tokenizers import BertWordPieceTokenizer

import hostile

here = pathlib.Path(__file__).parent / "fixtures"
tokenizer = BertWordPieceTokenizer(str(here / "vocab.txt"), lowercase=True)
# The tokenizers crate carries an old Unicode table and takes newer combining marks for letters:
# characters younger than Unicode 3.2 are left out, emoji apart.
lines = []
for text in hostile.strings(12000, unicodedata.ucd_3_2_0):
    lines.append(json.dumps(text))
    lines.append(" ".join(map(str, tokenizer.encode(text).ids)))
data = "\n".join(lines) + "\n"
(here / "wordpiece.txt.gz").write_bytes(gzip.compress(data.encode(), 9, mtime=0))
print(len(lines) // 2, "cases")
