#!/usr/bin/env python3
"""Writes core/text/mojibake_table.h and .c: the characters that occur in wrongly decoded UTF-8, with what ftfy's heuristic
takes each for and the byte that it is in each of the encodings which ftfy tries.

The classes are those of ftfy 6.3.1 (badness.py and chardata.py; Robyn Speer, Apache License 2.0), the code pages are
Python's.
"""
import pathlib
import re
import subprocess

import ftfy
from ftfy import bad_codecs, badness, chardata

assert ftfy.__version__ == "6.3.1"
bad_codecs.ok()

CLASSES = {"COMMON": "common", "C1": "c1", "BAD": "bad", "LAW": "law", "CURRENCY": "currency", "START": "start_punctuation",
           "END": "end_punctuation", "NUMERIC": "numeric", "KAOMOJI": "kaomoji", "UPPER_ACCENTED": "upper_accented",
           "LOWER_ACCENTED": "lower_accented", "UPPER_COMMON": "upper_common", "LOWER_COMMON": "lower_common",
           "BOX": "box"}
CLUES = {"FIRST_OF_2": "utf8_first_of_2", "FIRST_OF_3": "utf8_first_of_3", "FIRST_OF_4": "utf8_first_of_4",
         "CONTINUATION": "utf8_continuation", "STRICT": "utf8_continuation_strict"}
NAMES = list(CLASSES) + list(CLUES)
PATTERNS = [badness.MOJIBAKE_CATEGORIES[v] for v in CLASSES.values()] + [chardata.UTF8_CLUES[v] for v in CLUES.values()]
SETS = [re.compile("[" + p + "]") for p in PATTERNS]
ENCODINGS = chardata.CHARMAP_ENCODINGS

bytes_of = {}
for place, encoding in enumerate(ENCODINGS):
    for byte in [0x1A] + list(range(0x80, 0x100)):
        c = bytes([byte]).decode(encoding)
        if ord(c) >= 0x80:
            assert c.encode(encoding) == bytes([byte])
            bytes_of.setdefault(ord(c), [0] * len(ENCODINGS))[place] = byte

rows = []
for c in range(0x20, 0xFFFF):
    classes = sum(1 << i for i, s in enumerate(SETS) if s.match(chr(c)))
    if c < 0x80:
        assert not classes or c == 0x20, chr(c)
    if classes or c in bytes_of:
        rows.append((c, classes, bytes_of.get(c, [0] * len(ENCODINGS))))
assert [r[0] for r in rows[:129]] == [0x20] + list(range(0x80, 0x100))

def name_of(encoding):
    return "ENCODING_" + encoding.replace("sloppy-", "").replace("-", "_").upper()


made = "made by tests/parity/make_mojibake_table.py, not by hand."
header = ["/* Characters of wrongly decoded text: " + made,
          " * The classes are those of ftfy 6.3.1 (Robyn Speer, Apache License 2.0). */",
          "#ifndef FLIP_TEXT_MOJIBAKE_TABLE_H", "#define FLIP_TEXT_MOJIBAKE_TABLE_H", "", "#include <stdint.h>", "",
          "/* Bits of mojibake_row.classes. */", "enum {"]
header += [f"  CLASS_{name} = 1 << {i}," for i, name in enumerate(NAMES)]
header += ["};", "", "/* Encodings in the order in which they are tried. */", "enum {"]
header += [f"  {name_of(e)}," for e in ENCODINGS]
header += ["  ENCODING_COUNT", "};", "",
           "/* Those that also take bytes without a meaning, and U+FFFD as byte 1A. */", "enum {", "  SLOPPY_ENCODINGS =",
           " | ".join("1 << " + name_of(e) for e in ENCODINGS if e.startswith("sloppy")), "};", "",
           "typedef struct {", "  uint16_t c;", "  uint16_t encodings; /* bits of those that can write it */",
           "  uint32_t classes;", "  uint8_t bytes[ENCODING_COUNT];", "} mojibake_row;", "",
           "/* Row 0 is of every other character, row 1 the space, rows 2 to 129 U+0080 to U+00FF, then the",
           " * rest, ascending. */", f"enum {{ MOJIBAKE_ROWS = {len(rows) + 1} }};",
           "extern const mojibake_row mojibake_rows[MOJIBAKE_ROWS];", "", "#endif", ""]
table = ["/* " + made[0].upper() + made[1:] + " */", '#include "text/mojibake_table.h"', "",
         "const mojibake_row mojibake_rows[MOJIBAKE_ROWS] = {", "    {0},"]
for c, classes, row in rows:
    mask = sum(1 << i for i, b in enumerate(row) if b)
    values = ", ".join(f"0x{b:02X}" if b else "0" for b in row)
    table.append(f"    {{0x{c:04X}, 0x{mask:03X}, 0x{classes:05X}, {{{values}}}}},")
table += ["};", ""]
folder = pathlib.Path(__file__).resolve().parents[2] / "core/text"
(folder / "mojibake_table.h").write_text("\n".join(header))
(folder / "mojibake_table.c").write_text("\n".join(table))
subprocess.run(["clang-format", "-i", folder / "mojibake_table.h", folder / "mojibake_table.c"], check=True)
print(len(rows), "characters")
