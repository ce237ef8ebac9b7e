#include "text/fix_text.h"

#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "base/mem.h"
#include "text/html_entities.h"
#include "text/mojibake.h"
#include "text/utf8.h"

enum {
  MOST_PASSES = 64,          /* each removes one layer of &amp;amp; escapes; captions do not have
                              * more */
  LONGEST_SEGMENT = 1000000, /* characters that are examined together */
  ESCAPE = 0x1B
};

/* Working state of one call. */
typedef struct {
  bool repairs, has_references;
  strbuf line, unescaped, plain, fixed;
  runes from, to;
} fixer;

/* Ligatures and digraphs of Latin letters that ftfy expands; NULL: not one. */
static const char *ligature_parts(int32_t c) {
  static const struct {
    int32_t c;
    const char *parts;
  } table[] = {{0x132, "IJ"},       {0x133, "ij"},      {0x149, "'n"},   {0x1C4, "D\u017D"},
               {0x1C5, "D\u017E"},  {0x1C6, "d\u017E"}, {0x1C7, "LJ"},   {0x1C8, "Lj"},
               {0x1C9, "lj"},       {0x1CA, "NJ"},      {0x1CB, "Nj"},   {0x1CC, "nj"},
               {0x1F1, "DZ"},       {0x1F2, "Dz"},      {0x1F3, "dz"},   {0xFB00, "ff"},
               {0xFB01, "fi"},      {0xFB02, "fl"},     {0xFB03, "ffi"}, {0xFB04, "ffl"},
               {0xFB05, "\u017Ft"}, {0xFB06, "st"}};
  if (c < 0x132 || (c > 0x1F3 && c < 0xFB00)) return NULL;
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    if (table[i].c == c) return table[i].parts;
  return NULL;
}

/* Straight quotes for curly ones, one line break for all kinds. */
static int32_t straighten(int32_t c) {
  if (c == 0x2BC || (c >= 0x2018 && c <= 0x201B)) return '\'';
  if (c >= 0x201C && c <= 0x201F) return '"';
  return c == '\r' || c == 0x2028 || c == 0x2029 || c == 0x85 ? '\n' : c;
}

/* ftfy's replacements of single characters, in its order: C1 controls, ligatures, width, quotes,
 * line breaks. */
static void append_fixed(runes *out, int32_t c) {
  if (c < 0x80) {
    runes_append(out, straighten(c));
    return;
  }
  c = utf8_from_windows_1252(c);
  const char *parts = ligature_parts(c);
  if (parts) {
    runes_append_text(out, parts);
  } else if (c >= 0xFF01 && c < 0xFFF0) { /* half and full width forms: their NFKC */
    utf8proc_int32_t wide[32];
    int boundary = 0;
    utf8proc_ssize_t count =
        utf8proc_decompose_char(c, wide, 32, UTF8PROC_COMPAT | UTF8PROC_DECOMPOSE, &boundary);
    for (utf8proc_ssize_t i = 0; i < count && i < 32; i++) runes_append(out, straighten(wide[i]));
  } else {
    runes_append(out, c == 0x3000 ? ' ' : straighten(c));
  }
}

static void fix_characters(const runes *from, runes *to) {
  runes_clear(to);
  for (size_t i = 0; i < from->length; i++)
    if (from->c[i] != '\r' || i + 1 == from->length || from->c[i + 1] != '\n')
      append_fixed(to, from->c[i]);
}

/* Control characters that ftfy drops. */
static bool is_dropped(int32_t c) {
  return c < 0x09 || c == 0x0B || (c >= 0x0E && c < 0x20) || c == 0x7F ||
         (c >= 0x206A && c <= 0x206F) || c == 0xFEFF || (c >= 0xFFF9 && c <= 0xFFFC);
}

static bool is_digit(int32_t c) {
  return c < 0x80 ? c >= '0' && c <= '9' : utf8proc_category(c) == UTF8PROC_CATEGORY_ND;
}

/* Characters of the terminal escape (ESC [ 36;44 m) at place i, 0 when there is none. */
static size_t escape_length(const runes *r, size_t i) {
  if (r->c[i] != ESCAPE || i + 1 >= r->length || r->c[i + 1] != '[') return 0;
  size_t at = i + 2;
  while (at < r->length && (r->c[at] == ';' || is_digit(r->c[at]))) at++;
  bool is_whole = at < r->length &&
                  ((r->c[at] >= 'a' && r->c[at] <= 'z') || (r->c[at] >= 'A' && r->c[at] <= 'Z'));
  return is_whole ? at + 1 - i : 0;
}

static void drop_controls(const runes *from, runes *to) {
  runes_clear(to);
  for (size_t i = 0; i < from->length;) {
    size_t escape = escape_length(from, i);
    if (!escape && !is_dropped(from->c[i])) runes_append(to, from->c[i]);
    i += escape ? escape : 1;
  }
}

/* One pass over f->line, to f->fixed. */
static err fix_once(fixer *f, int *rounds) {
  const char *text = strbuf_string(&f->line);
  if (f->has_references && strchr(text, '&')) {
    strbuf_clear(&f->unescaped);
    err error = html_unescape_whole(text, &f->unescaped);
    if (error) return error;
    text = strbuf_string(&f->unescaped);
  }
  runes_clear(&f->from);
  runes_append_text(&f->from, text);
  if (f->repairs) mojibake_fix(&f->from, rounds);
  fix_characters(&f->from, &f->to);
  drop_controls(&f->to, &f->from);
  strbuf_clear(&f->plain);
  strbuf_clear(&f->fixed);
  runes_write(&f->from, &f->plain);
  bool is_fine = utf8_compose(strbuf_string(&f->plain), &f->fixed);
  if (!is_fine || f->from.is_broken || f->to.is_broken || f->unescaped.is_broken ||
      f->plain.is_broken || f->fixed.is_broken || f->line.is_broken)
    return mem_error(f->plain.length, "a caption");
  return NULL;
}

/* Bytes of the next piece of `text` that is examined separately: a line with its end, cut where it
 * is very long. */
static size_t segment_bytes(const char *text) {
  size_t length = strcspn(text, "\n"), characters = 0;
  length += text[length] == '\n';
  if (length <= LONGEST_SEGMENT) return length;
  for (size_t i = 0; i < length; i++) {
    bool starts_character = ((unsigned char)text[i] & 0xC0) != 0x80;
    if (starts_character && characters++ == LONGEST_SEGMENT) return i;
  }
  return length;
}

err fix_text(const char *text, bool repairs, strbuf *out) {
  fixer f = {.repairs = repairs, .has_references = true};
  err error = NULL;
  while (*text && !error) {
    size_t length = segment_bytes(text);
    strbuf_clear(&f.line);
    strbuf_append_bytes(&f.line, text, length);
    /* the first '<' stops the unescaping */
    f.has_references = f.has_references && !memchr(text, '<', length);
    text += length;
    int rounds = MOJIBAKE_ROUNDS;
    for (int pass = 0; pass < MOST_PASSES; pass++) {
      error = fix_once(&f, &rounds);
      if (error || strcmp(strbuf_string(&f.line), strbuf_string(&f.fixed)) == 0) break;
      strbuf swap = f.line;
      f.line = f.fixed;
      f.fixed = swap;
    }
    strbuf_append(out, strbuf_string(&f.line));
  }
  if (!error && out->is_broken) error = mem_error(out->length, "a caption");
  strbuf_free(&f.line);
  strbuf_free(&f.unescaped);
  strbuf_free(&f.plain);
  strbuf_free(&f.fixed);
  runes_free(&f.from);
  runes_free(&f.to);
  return error;
}
