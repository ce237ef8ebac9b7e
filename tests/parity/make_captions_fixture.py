#!/usr/bin/env python3
"""Captions and what open_clip makes of them before it takes byte pairs (ftfy, html.unescape twice, white space, lower
case), for tests/parity/test_captions.c.

Writes fixtures/captions.txt.gz: per case a line with the caption and a line with the cleaned one, both JSON.

    make_captions_fixture.py 10000 FILE.gz [TEXTS.json]

writes so many, or the strings of a JSON list, elsewhere; FLIP_CAPTIONS=FILE.gz lets the test read them.
"""
import gzip
import json
import pathlib
import sys

import ftfy
from open_clip.tokenizer import basic_clean, whitespace_clean

import mojibake_strings

assert ftfy.__version__ == "6.3.1"
count = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
path = sys.argv[2] if len(sys.argv) > 2 else pathlib.Path(__file__).parent / "fixtures/captions.txt.gz"
texts = json.load(open(sys.argv[3])) if len(sys.argv) > 3 else mojibake_strings.strings(count)
lines, repaired = [], 0
for text in texts:
    lines += [json.dumps(text), json.dumps(whitespace_clean(basic_clean(text)).lower())]
    repaired += ftfy.fix_text(text) != ftfy.fix_text(text, fix_encoding=False)
pathlib.Path(path).write_bytes(gzip.compress(("\n".join(lines) + "\n").encode(), 9, mtime=0))
print(len(texts), "captions;", repaired, "were decoded wrongly, as ftfy has it")
