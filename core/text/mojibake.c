#include "text/mojibake.h"

#include <string.h>

#include <utf8proc.h>

#include "text/badness.h"
#include "text/utf8.h"

enum { LOST = 0x1A, /* the byte of U+FFFD in sloppy encodings */ HARD_SPACE = 0xA0 };

size_t mojibake_row_of(int32_t c) {
  size_t low = 130, high = MOJIBAKE_ROWS;
  if (c < 0x80) return c == ' ';
  if (c <= 0xFF) return (size_t)c - 0x80 + 2;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (mojibake_rows[middle].c < c)
      low = middle + 1;
    else
      high = middle;
  }
  return low < MOJIBAKE_ROWS && mojibake_rows[low].c == c ? low : 0;
}

static bool is_between(uint8_t byte, int low, int high) {
  return byte >= low && byte <= high;
}

/* ---- bytes: what was lost or changed on the way ---- */

/* Bytes with their length: they may hold NUL. A match never reads past `left`. */
typedef struct {
  const uint8_t *at;
  size_t left;
} bytes_view;

/* A UTF-8 sequence at `b` whose byte A0 has become a space; its length, or 0. */
static size_t spaced_length(bytes_view b) {
  const uint8_t *at = b.at;
  if (b.left < 2) return 0;
  bool is_space = at[1] == ' ';
  if (is_space && *at && strchr("\xC2\xC3\xC5\xCE\xD0\xD9", *at)) return 2;
#define IS_OTHER(byte) (is_between(byte, 0x80, 0xBF) && (byte) != 0x85 && (byte) != HARD_SPACE)
  if (b.left >= 3 && is_between(*at, 0xE2, 0xE3) && is_space && IS_OTHER(at[2])) return 3;
  if (b.left >= 3 && is_between(*at, 0xE0, 0xE3) && IS_OTHER(at[1]) && at[2] == ' ') return 3;
#undef IS_OTHER
  if (b.left < 4 || *at != 0xF0) return 0;
  int spaces = 0;
  for (int i = 1; i < 4; i++) {
    if (at[i] == ' ')
      spaces++;
    else if (!is_between(at[i], 0x80, 0xBF))
      return 0;
  }
  return spaces == 1 ? 4 : 0;
}

static bool starts_with(bytes_view b, const char *text) {
  size_t length = strlen(text);
  return b.left >= length && memcmp(b.at, text, length) == 0;
}

/* "Ã " that is a separate word, à, and not the beginning of one of Portuguese. */
static bool is_a_grave_word(bytes_view b) {
  if (!starts_with(b, "\xC3 ")) return false;
  bytes_view next = {b.at + 2, b.left - 2};
  return !starts_with(next, " ") && !starts_with(next, "quele") && !starts_with(next, "quela") &&
         !starts_with(next, "quilo") && !starts_with(next, "s ");
}

static void restore_hard_spaces(const strbuf *from, strbuf *to) {
  strbuf words = {0};
  bytes_view b = {(const uint8_t *)from->data, from->length};
  while (b.left) {
    bool is_word = is_a_grave_word(b);
    strbuf_append_bytes(&words, is_word ? "\xC3\xA0 " : (const char *)b.at, is_word ? 3 : 1);
    b.at += is_word ? 2 : 1;
    b.left -= is_word ? 2 : 1;
  }
  b = (bytes_view){(const uint8_t *)words.data, words.length};
  while (b.left) {
    size_t length = spaced_length(b);
    for (size_t i = 0; i < (length ? length : 1); i++)
      strbuf_append_char(to, length && b.at[i] == ' ' ? (char)HARD_SPACE : (char)b.at[i]);
    b.at += length ? length : 1;
    b.left -= length ? length : 1;
  }
  to->is_broken = to->is_broken || words.is_broken;
  strbuf_free(&words);
}

static bool has_spaced(const strbuf *bytes) {
  for (size_t i = 0; i < bytes->length; i++)
    if (spaced_length((bytes_view){(const uint8_t *)bytes->data + i, bytes->length - i}))
      return true;
  return false;
}

/* What may take the place of a lost byte, and of the others of its sequence. */
static bool is_gap(uint8_t byte) {
  return byte == LOST || byte == '?';
}

static bool is_kept(uint8_t byte) {
  return byte == LOST || is_between(byte, 0x80, 0xBF);
}

/* `count` bytes of a sequence after its first: one of them a gap, the others kept. */
static bool is_holed(const uint8_t *at, size_t count) {
  size_t question_marks = 0, lost = 0;
  for (size_t i = 0; i < count; i++) {
    if (!is_gap(at[i]) && !is_kept(at[i])) return false;
    question_marks += at[i] == '?';
    lost += at[i] == LOST;
  }
  return question_marks == 1 || (question_marks == 0 && lost > 0);
}

/* Two surrogates in UTF-8, of which the last byte of one is lost. */
static bool is_holed_pair(bytes_view b) {
  const uint8_t *at = b.at;
  if (b.left < 6 || at[0] != 0xED || !is_between(at[1], 0xA0, 0xAF) || at[3] != 0xED ||
      !is_between(at[4], 0xB0, 0xBF))
    return false;
#define IS_ANY(byte) (is_gap(byte) || is_kept(byte))
  return (is_gap(at[2]) && IS_ANY(at[5])) || (IS_ANY(at[2]) && is_gap(at[5]));
#undef IS_ANY
}

/* A UTF-8 sequence at `b` of which something is lost; its length, or 0. */
static size_t lossy_length(bytes_view b) {
  const uint8_t *at = b.at;
  if (b.left >= 2 && is_between(*at, 0xC2, 0xDF) && at[1] == LOST) return 2;
  if (b.left >= 2 && is_between(*at, 0xC2, 0xC3) && at[1] == '?') return 2;
  if (is_holed_pair(b)) return 6;
  if (b.left >= 3 && is_between(*at, 0xE0, 0xEF) && is_holed(at + 1, 2)) return 3;
  if (b.left >= 4 && is_between(*at, 0xF0, 0xF4) && is_holed(at + 1, 3)) return 4;
  return *at == LOST;
}

static void replace_lossy(const strbuf *from, strbuf *to) {
  bytes_view b = {(const uint8_t *)from->data, from->length};
  while (b.left) {
    size_t length = lossy_length(b);
    if (length)
      strbuf_append(to, "\uFFFD");
    else
      strbuf_append_char(to, (char)*b.at);
    b.at += length ? length : 1;
    b.left -= length ? length : 1;
  }
}

/* ---- UTF-8 and its variants ---- */

/* The six bytes of a character beyond U+FFFF that went through UTF-16 (CESU-8). At the end of a
 * text a line feed passes for the last byte, as in ftfy. */
static bool is_surrogate_pair(bytes_view b) {
  const uint8_t *at = b.at;
  return b.left >= 6 && at[0] == 0xED && is_between(at[1], 0xA0, 0xAF) &&
         is_between(at[2], 0x80, 0xBF) && at[3] == 0xED && is_between(at[4], 0xB0, 0xBF) &&
         (is_between(at[5], 0x80, 0xBF) || (b.left == 6 && at[5] == '\n'));
}

/* The next character of `b`, *used: its bytes; -1: these bytes are not UTF-8. */
static int32_t decode_next(bytes_view b, size_t *used) {
  utf8proc_int32_t c;
  const uint8_t *at = b.at;
  if (*at == 0xC0 && b.left >= 2 && (at[1] == 0x80 || (b.left == 2 && at[1] == '\n'))) {
    *used = 2; /* Java's U+0000, and at the end of a text ftfy's reading of a line feed */
    return 0;
  }
  if (is_surrogate_pair(b)) {
    *used = 6;
    return 0x10000 + ((at[1] & 0xF) << 16) + ((at[2] & 0x3F) << 10) + ((at[4] & 0xF) << 6) +
           (at[5] & 0x3F);
  }
  utf8proc_ssize_t length = utf8proc_iterate(at, (utf8proc_ssize_t)b.left, &c);
  *used = length > 0 ? (size_t)length : 0;
  return length > 0 ? c : -1;
}

static bool decode(const strbuf *bytes, runes *out) {
  bytes_view b = {(const uint8_t *)bytes->data, bytes->length};
  runes_clear(out);
  while (b.left) {
    size_t used;
    int32_t c = decode_next(b, &used);
    if (c < 0) return false;
    runes_append(out, c);
    b.at += used;
    b.left -= used;
  }
  return !bytes->is_broken && !out->is_broken;
}

/* ---- one encoding for the whole text ---- */

static uint32_t possible_encodings(const runes *text) {
  uint32_t possible = (1U << ENCODING_COUNT) - 1;
  for (size_t i = 0; i < text->length && possible; i++) {
    if (text->c[i] >= 0x80)
      possible &= mojibake_rows[mojibake_row_of(text->c[i])].encodings;
    else if (text->c[i] == LOST)
      possible &= ~(uint32_t)SLOPPY_ENCODINGS;
  }
  return possible;
}

/* Writes the text in `encoding`, mends the bytes and reads them as UTF-8. */
static bool decode_as(const runes *text, int encoding, runes *out) {
  strbuf bytes = {0}, mended = {0};
  for (size_t i = 0; i < text->length; i++) {
    int32_t c = text->c[i];
    strbuf_append_char(&bytes,
                       (char)(c < 0x80 ? c : mojibake_rows[mojibake_row_of(c)].bytes[encoding]));
  }
  /* not in MacRoman, where an en dash and a space would be taken for such a sequence */
  if (encoding != ENCODING_MACROMAN && has_spaced(&bytes)) {
    restore_hard_spaces(&bytes, &mended);
    strbuf swap = bytes;
    bytes = mended;
    mended = swap;
    strbuf_clear(&mended);
  }
  bool is_sloppy = SLOPPY_ENCODINGS & 1 << encoding;
  if (is_sloppy) replace_lossy(&bytes, &mended);
  bool is_fine = decode(is_sloppy ? &mended : &bytes, out);
  out->is_broken = out->is_broken || bytes.is_broken || mended.is_broken;
  strbuf_free(&bytes);
  strbuf_free(&mended);
  return is_fine;
}

/* ---- parts of a text ---- */

static uint32_t classes_of(int32_t c) {
  return mojibake_rows[mojibake_row_of(c)].classes;
}

/* Characters at c that look like one UTF-8 sequence; 0: none. */
static size_t sequence_length(const int32_t *c, size_t count) {
  uint32_t first = classes_of(*c);
  for (size_t more = 1; more <= 3; more++) {
    if (!(first & (uint32_t)CLASS_FIRST_OF_2 << (more - 1)) || more >= count) continue;
    size_t i = 1;
    while (i <= more && (classes_of(c[i]) & CLASS_CONTINUATION)) i++;
    if (i > more) return more + 1;
  }
  return 0;
}

/* Repairs each run of such sequences by itself if it looks wrong and is not the whole text. */
static void fix_parts(const runes *text, runes *out) {
  runes part = {0};
  runes_clear(out);
  for (size_t i = 0; i < text->length;) {
    size_t length = 0, more;
    bool is_inside = i > 0 && (classes_of(text->c[i - 1]) & CLASS_STRICT);
    while (!is_inside && i + length < text->length &&
           (more = sequence_length(text->c + i + length, text->length - i - length)) > 0)
      length += more;
    if (length && length < text->length && badness_is_bad(text->c + i, length)) {
      runes_clear(&part);
      runes_append_all(&part, text->c + i, length);
      int rounds = MOJIBAKE_ROUNDS;
      mojibake_fix(&part, &rounds); /* as deep as a text is encoded again and again: log(length) */
      runes_append_all(out, part.c, part.length);
    } else {
      runes_append_all(out, text->c + i, length ? length : 1);
    }
    i += length ? length : 1;
  }
  out->is_broken = out->is_broken || part.is_broken;
  runes_free(&part);
}

/* Control characters U+0080 to U+009F as the bytes of Windows-1252. */
static void fix_controls(const runes *text, runes *out) {
  runes_clear(out);
  for (size_t i = 0; i < text->length; i++) runes_append(out, utf8_from_windows_1252(text->c[i]));
}

static bool are_same(const runes *a, const runes *b) {
  return a->length == b->length &&
         (!a->length || memcmp(a->c, b->c, a->length * sizeof *a->c) == 0);
}

static bool is_ascii(const runes *text) {
  for (size_t i = 0; i < text->length; i++)
    if (text->c[i] >= 0x80) return false;
  return true;
}

/* One step of the repair, to `out`. False: the text stays as it is. */
static bool fix_once(const runes *text, runes *out) {
  if (is_ascii(text) || !badness_is_bad(text->c, text->length)) return false;
  uint32_t possible = possible_encodings(text);
  for (int encoding = 0; encoding < ENCODING_COUNT; encoding++) {
    if (!(possible & 1U << encoding)) continue;
    if (decode_as(text, encoding, out)) return !are_same(text, out);
    if (out->is_broken) return false;
  }
  fix_parts(text, out);
  if (out->is_broken) return false;
  if (!are_same(text, out)) return true;
  fix_controls(text, out); /* Latin-1 that was Windows-1252, or what is left of it */
  return !out->is_broken && !are_same(text, out);
}

void mojibake_fix(runes *text, int *rounds) {
  runes fixed = {0};
  while (*rounds > 0 && !text->is_broken && fix_once(text, &fixed)) {
    runes_swap(text, &fixed);
    --*rounds;
  }
  text->is_broken = text->is_broken || fixed.is_broken;
  runes_free(&fixed);
}
