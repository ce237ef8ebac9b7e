#!/usr/bin/env python3
"""Hostile strings and what Hugging Face's BertWordPieceTokenizer (uncased) makes of them, for
tests/parity/test_wordpiece.c. The vocabulary is the one beside it, trained by `flip tokenizer
train` on the captions of openclipart.

Writes fixtures/wordpiece.txt: per case a line with the string (JSON) and a line with its numbers.
"""
import json
import pathlib
import random
import unicodedata

from tokenizers import BertWordPieceTokenizer

here = pathlib.Path(__file__).parent / "fixtures"
tokenizer = BertWordPieceTokenizer(str(here / "vocab.txt"), lowercase=True)
random.seed(11)

words = ["red", "Heart", "CAFÉ", "naïve", "Ångström", "straße", "İstanbul", "ΣΊΣΥΦΟΣ", "don't", "e.g.",
         "x"*99, "x"*100, "x"*101, "é"*100, "数字", "漢字かな交じり", "한국어", "العربية", "हिन्दी", "ไทย",
         "👍🏽", "👩‍👩‍👧", "ﬁsh", "½", "№5", "a\u0301", "e\u0301\u0302", "\u200bzero", "soft\u00adhyphen",
         "tab\tbed", "new\nline", "\u00a0nbsp\u3000wide", "\ufeffbom", "nul\u0001ctl", "[CLS]x", "##ing",
         "a-b_c/d\\e", "“quoted”", "…", "—", "$5.00", "C++", "100%", "Ⅷ", "ǅ", "ß", "ŉ", "ﷺ", "\u0130",
         "\U0001d400\U0001d401", "\u2028sep", "q\u0307\u0323", "¡¿", "£€¥", "°C", "µm", "ªº", "\ufffd"]
singles = [chr(c) for c in list(range(1, 0x250)) + random.sample(range(0x250, 0xD800), 700)
           + random.sample(range(0xE000, 0x11000), 200) + random.sample(range(0x1F300, 0x1FAFF), 100)]
# The tokenizers crate carries an old Unicode table and takes newer combining marks for letters:
# characters younger than Unicode 3.2 are left out, emoji apart.
singles = [c for c in singles if unicodedata.ucd_3_2_0.category(c) != "Cn" or 0x1F300 <= ord(c) < 0x1FAFF]
cases = list(words)
cases += ["a" + c + "b" for c in singles if c not in "\r" and unicodedata.category(c) not in ("Cn", "Cs")]
for _ in range(1500):
    cases.append(random.choice([" ", "", ", ", "-"]).join(random.choice(words + singles[:400])
                                                          for _ in range(random.randrange(1, 9))))
lines = []
for text in cases:
    if "\x00" in text or "[CLS]" in text:  # specials inside text: HF matches them before splitting
        continue
    try:
        text.encode()
    except UnicodeEncodeError:
        continue
    lines.append(json.dumps(text))
    lines.append(" ".join(map(str, tokenizer.encode(text).ids)))
(here / "wordpiece.txt").write_text("\n".join(lines) + "\n")
print(len(lines) // 2, "cases")
