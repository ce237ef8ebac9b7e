/* Characters of wrongly decoded text: made by tests/parity/make_mojibake_table.py, not by hand.
 * The classes are those of ftfy 6.3.1 (Robyn Speer, Apache License 2.0). */
#ifndef FLIP_TEXT_MOJIBAKE_TABLE_H
#define FLIP_TEXT_MOJIBAKE_TABLE_H

#include <stdint.h>

/* Bits of mojibake_row.classes. */
enum {
  CLASS_COMMON = 1 << 0,
  CLASS_C1 = 1 << 1,
  CLASS_BAD = 1 << 2,
  CLASS_LAW = 1 << 3,
  CLASS_CURRENCY = 1 << 4,
  CLASS_START = 1 << 5,
  CLASS_END = 1 << 6,
  CLASS_NUMERIC = 1 << 7,
  CLASS_KAOMOJI = 1 << 8,
  CLASS_UPPER_ACCENTED = 1 << 9,
  CLASS_LOWER_ACCENTED = 1 << 10,
  CLASS_UPPER_COMMON = 1 << 11,
  CLASS_LOWER_COMMON = 1 << 12,
  CLASS_BOX = 1 << 13,
  CLASS_FIRST_OF_2 = 1 << 14,
  CLASS_FIRST_OF_3 = 1 << 15,
  CLASS_FIRST_OF_4 = 1 << 16,
  CLASS_CONTINUATION = 1 << 17,
  CLASS_STRICT = 1 << 18,
};

/* Encodings in the order in which they are tried. */
enum {
  ENCODING_LATIN_1,
  ENCODING_WINDOWS_1252,
  ENCODING_WINDOWS_1251,
  ENCODING_WINDOWS_1250,
  ENCODING_WINDOWS_1253,
  ENCODING_WINDOWS_1254,
  ENCODING_WINDOWS_1257,
  ENCODING_ISO_8859_2,
  ENCODING_MACROMAN,
  ENCODING_CP437,
  ENCODING_COUNT
};

/* Those that also take bytes without a meaning, and U+FFFD as byte 1A. */
enum {
  SLOPPY_ENCODINGS = 1 << ENCODING_WINDOWS_1252 | 1 << ENCODING_WINDOWS_1251 |
                     1 << ENCODING_WINDOWS_1250 | 1 << ENCODING_WINDOWS_1253 |
                     1 << ENCODING_WINDOWS_1254 | 1 << ENCODING_WINDOWS_1257
};

typedef struct {
  uint16_t c;
  uint16_t encodings; /* bits of those that can write it */
  uint32_t classes;
  uint8_t bytes[ENCODING_COUNT];
} mojibake_row;

/* Row 0 is of every other character, row 1 the space, rows 2 to 129 U+0080 to U+00FF, then the
 * rest, ascending. */
enum { MOJIBAKE_ROWS = 486 };
extern const mojibake_row mojibake_rows[MOJIBAKE_ROWS];

#endif
