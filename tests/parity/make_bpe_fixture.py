#!/usr/bin/env python3
"""Hostile strings and the tokens that open_clip's SimpleTokenizer and Hugging Face's CLIPTokenizer make of them,
for tests/parity/test_bpe.c, over the vocabulary that make_merges.py made.

Writes fixtures/bpe.txt.gz: per case a line with the string (JSON), a line with open_clip's tokens in a context of
77, cut at the padding, and a line with Hugging Face's, cut to 77.
"""
import gzip
import json
import pathlib

from open_clip.tokenizer import SimpleTokenizer, bytes_to_unicode
from transformers import CLIPTokenizer

import hostile

here = pathlib.Path(__file__).parent / "fixtures"
ours = SimpleTokenizer(str(here / "merges.txt.gz"))
merges = [tuple(m.split()) for m in gzip.open(here / "merges.txt.gz").read().decode().split("\n")[1:] if m]
spellings = list(bytes_to_unicode().values())
spellings += [s + "</w>" for s in spellings] + ["".join(m) for m in merges] + ["<|startoftext|>", "<|endoftext|>"]
theirs = CLIPTokenizer(vocab={s: i for i, s in enumerate(spellings)}, merges=merges)

extra = ["<start_of_text>", "a <end_of_text> b", "<START_of_Text>x", "!<end_of_text>", "<|startoftext|>", "a<|endoftext|>b",
         "<|EndOfText|>", "word " * 100, "Ünï" * 60, "👍" * 80, "x" * 400, "a\u0301" * 90, "&amp;" * 30, "1234567890" * 9]
lines = []
for text in extra + hostile.strings(12000):
    row = ours([text])[0].tolist()
    row = row[: max(i for i, t in enumerate(row) if t == ours.eot_token_id) + 1]
    lines += [json.dumps(text), " ".join(map(str, row)),
              " ".join(map(str, theirs(text, truncation=True, max_length=77)["input_ids"]))]
data = "\n".join(lines) + "\n"
(here / "bpe.txt.gz").write_bytes(gzip.compress(data.encode(), 9, mtime=0))
print(len(lines) // 3, "cases")
