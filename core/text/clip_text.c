#include "text/clip_text.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "base/mem.h"
#include "text/html_entities.h"
#include "text/utf8.h"

enum { MOST_PASSES = 64 }; /* each takes one layer of &amp;amp; off; more is no caption */

/* Ligatures and digraphs of Latin letters that ftfy takes apart; NULL: not one. */
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
static void append_fixed(strbuf *out, int32_t c) {
  if (c < 0x80) {
    utf8_append(out, straighten(c));
    return;
  }
  c = utf8_from_windows_1252(c);
  const char *parts = ligature_parts(c);
  if (parts) {
    strbuf_append(out, parts);
  } else if (c >= 0xFF01 && c < 0xFFF0) { /* half and full width forms: their NFKC */
    utf8proc_int32_t wide[32];
    int boundary = 0;
    utf8proc_ssize_t count =
        utf8proc_decompose_char(c, wide, 32, UTF8PROC_COMPAT | UTF8PROC_DECOMPOSE, &boundary);
    for (utf8proc_ssize_t i = 0; i < count && i < 32; i++) utf8_append(out, straighten(wide[i]));
  } else {
    utf8_append(out, c == 0x3000 ? ' ' : straighten(c));
  }
}

/* Control characters that ftfy drops. */
static bool is_dropped(int32_t c) {
  return c < 0x09 || c == 0x0B || (c >= 0x0E && c < 0x20) || c == 0x7F ||
         (c >= 0x206A && c <= 0x206F) || c == 0xFEFF || (c >= 0xFFF9 && c <= 0xFFFC);
}

/* Bytes of the terminal escape (ESC [ 36;44 m) at `text`, 0 when there is none. */
static size_t escape_length(const char *text) {
  if (text[0] != '\033' || text[1] != '[') return 0;
  size_t length = 2 + strspn(text + 2, "0123456789;");
  return isalpha((unsigned char)text[length]) ? length + 1 : 0;
}

/* One pass of ftfy over `from`, to `to`; `scratch` is for what is between. */
static err fix_once(const char *from, bool has_references, strbuf *scratch, strbuf *to) {
  strbuf unescaped = {0};
  err error = NULL;
  strbuf_clear(scratch);
  strbuf_clear(to);
  if (has_references && strchr(from, '&')) {
    error = html_unescape_whole(from, &unescaped);
    from = strbuf_string(&unescaped);
  }
  for (const char *at = from; *at && !error;) append_fixed(scratch, utf8_next(&at));
  strbuf_clear(&unescaped);
  for (const char *at = strbuf_string(scratch); *at && !error;) {
    size_t escape = escape_length(at);
    if (escape) {
      at += escape;
      continue;
    }
    int32_t c = utf8_next(&at);
    if (!is_dropped(c)) utf8_append(&unescaped, c);
  }
  if (!error && (!utf8_compose(strbuf_string(&unescaped), to) || unescaped.is_broken))
    error = mem_error(unescaped.length, "a caption");
  strbuf_free(&unescaped);
  return error;
}

/* ftfy goes line by line, each until nothing changes; the first '<' ends the unescaping. */
static err fix_text(const char *text, strbuf *out) {
  strbuf line = {0}, scratch = {0}, fixed = {0};
  bool has_references = true;
  err error = NULL;
  while (*text && !error) {
    size_t length = strcspn(text, "\n");
    length += text[length] == '\n';
    strbuf_clear(&line);
    strbuf_append_bytes(&line, text, length);
    text += length;
    has_references = has_references && !memchr(text - length, '<', length);
    for (int pass = 0; pass < MOST_PASSES && !error; pass++) {
      error = fix_once(strbuf_string(&line), has_references, &scratch, &fixed);
      if (error || strcmp(strbuf_string(&line), strbuf_string(&fixed)) == 0) break;
      strbuf swap = line;
      line = fixed;
      fixed = swap;
    }
    strbuf_append(out, strbuf_string(&line));
  }
  if (!error && (line.is_broken || scratch.is_broken || fixed.is_broken || out->is_broken))
    error = mem_error(out->length, "a caption");
  strbuf_free(&line);
  strbuf_free(&scratch);
  strbuf_free(&fixed);
  return error;
}

/* White space as Python's str.split sees it. */
static bool is_python_space(int32_t c) {
  return utf8_is_space(c) || (c >= 0x1C && c <= 0x1F);
}

static bool is_cased(int32_t c) {
  utf8proc_category_t category = utf8proc_category(c);
  return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LT) ||
         utf8proc_islower(c) || utf8proc_isupper(c);
}

/* Characters that the rule of the final sigma looks through. */
static bool is_case_ignorable(int32_t c) {
  static const int32_t inside_words[] = {'\'',   '.',    ':',    0xB7,   0x387,  0x55F,
                                         0x5F4,  0x2018, 0x2019, 0x2024, 0x2027, 0xFE13,
                                         0xFE52, 0xFE55, 0xFF07, 0xFF0E, 0xFF1A};
  for (size_t i = 0; i < sizeof inside_words / sizeof *inside_words; i++)
    if (inside_words[i] == c) return true;
  utf8proc_category_t category = utf8proc_category(c);
  return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_ME ||
         category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_LM ||
         category == UTF8PROC_CATEGORY_SK;
}

static bool is_followed_by_cased(const char *at) {
  int32_t c;
  do {
    c = utf8_next(&at);
  } while (c && is_case_ignorable(c));
  return c && is_cased(c);
}

static void append_lower(strbuf *out, int32_t c) {
  if (c == 0x130)
    strbuf_append(out, "i\u0307");
  else
    utf8_append(out, utf8proc_tolower(c));
}

/* Python's str.lower: Σ at the end of a word is ς. */
static void lower_as_python(const char *text, strbuf *out) {
  bool is_after_cased = false;
  for (const char *at = text; *at;) {
    int32_t c = utf8_next(&at);
    if (c == 0x3A3)
      utf8_append(out, is_after_cased && !is_followed_by_cased(at) ? 0x3C2 : 0x3C3);
    else
      append_lower(out, c);
    if (!is_case_ignorable(c)) is_after_cased = is_cased(c);
  }
}

static void append_single_spaced(const char *text, strbuf *out) {
  bool is_gap = false;
  for (const char *at = text; *at;) {
    int32_t c = utf8_next(&at);
    if (is_python_space(c)) {
      is_gap = true;
      continue;
    }
    if (is_gap && out->length) strbuf_append_char(out, ' ');
    is_gap = false;
    utf8_append(out, c);
  }
}

static bool is_plain(const char *text) {
  for (; *text; text++)
    if ((unsigned char)*text >= 0x7F || *text == '&' || ((unsigned char)*text < ' ')) return false;
  return true;
}

err clip_text_clean(const char *text, strbuf *out) {
  strbuf a = {0}, b = {0};
  err error = NULL;
  strbuf_clear(out);
  if (is_plain(text)) { /* nothing for ftfy to fix */
    append_single_spaced(text, &b);
  } else {
    TRY(fix_text(text, &a));
    TRY(html_unescape(strbuf_string(&a), &b));
    strbuf_clear(&a);
    TRY(html_unescape(strbuf_string(&b), &a));
    strbuf_clear(&b);
    append_single_spaced(strbuf_string(&a), &b);
  }
  lower_as_python(strbuf_string(&b), out);
  if (a.is_broken || b.is_broken || out->is_broken) error = mem_error(b.length, "a caption");
cleanup:
  strbuf_free(&a);
  strbuf_free(&b);
  return error;
}

err clip_text_clean_huggingface(const char *text, strbuf *out) {
  strbuf valid = {0}, composed = {0};
  bool is_gap = false;
  strbuf_clear(out);
  for (const char *at = text; *at;) utf8_append(&valid, utf8_next(&at));
  bool is_fine = utf8_compose(strbuf_string(&valid), &composed);
  for (const char *at = strbuf_string(&composed); *at;) {
    int32_t c = utf8_next(&at);
    if (utf8_is_space(c)) {
      if (!is_gap) strbuf_append_char(out, ' ');
      is_gap = true;
    } else {
      append_lower(out, c);
      is_gap = false;
    }
  }
  is_fine = is_fine && !valid.is_broken && !composed.is_broken && !out->is_broken;
  strbuf_free(&valid);
  strbuf_free(&composed);
  return is_fine ? NULL : mem_error(strlen(text), "a caption");
}

/* Bytes of the contraction at `text`; 0: none. CLIP ignores letter case, so that ſ is s. */
static size_t contraction_length(const char *text, bool is_huggingface) {
  static const char *const table[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'\u017F"};
  for (size_t i = 0; i < sizeof table / sizeof *table - is_huggingface; i++)
    if (strncmp(text, table[i], strlen(table[i])) == 0) return strlen(table[i]);
  return 0;
}

typedef enum { WORD_SPACE, WORD_LETTER, WORD_NUMBER, WORD_OTHER } word_class;

static word_class class_of(int32_t c) {
  return utf8_is_letter(c)   ? WORD_LETTER
         : utf8_is_number(c) ? WORD_NUMBER
         : utf8_is_space(c)  ? WORD_SPACE
                             : WORD_OTHER;
}

size_t clip_text_next_word(const char **text, bool is_huggingface) {
  const char *start, *at = *text;
  word_class class = WORD_SPACE;
  do {
    start = at;
    if (!*at) return 0;
    class = class_of(utf8_next(&at));
  } while (class == WORD_SPACE);
  *text = start;
  size_t contraction = contraction_length(start, is_huggingface);
  if (contraction) return contraction;
  if (class == WORD_NUMBER) return (size_t)(at - start);
  while (*at) {
    const char *next = at;
    if (class_of(utf8_next(&next)) != class) break;
    at = next;
  }
  return (size_t)(at - start);
}
