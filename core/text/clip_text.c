#include "text/clip_text.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "base/mem.h"
#include "text/fix_text.h"
#include "text/html_entities.h"
#include "text/utf8.h"

/* White space as Python's str.split sees it. */
static bool is_python_space(int32_t c) {
  return utf8_is_space(c) || (c >= 0x1C && c <= 0x1F);
}

static bool is_ascii_letter(int32_t c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_cased(int32_t c) {
  if (c < 0x80) return is_ascii_letter(c);
  utf8proc_category_t category = utf8proc_category(c);
  return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LT) ||
         utf8proc_islower(c) || utf8proc_isupper(c);
}

/* Characters ignored by the rule for a final sigma. */
static bool is_case_ignorable(int32_t c) {
  static const int32_t inside_words[] = {'\'',   '.',    ':',    0xB7,   0x387,  0x55F,
                                         0x5F4,  0x2018, 0x2019, 0x2024, 0x2027, 0xFE13,
                                         0xFE52, 0xFE55, 0xFF07, 0xFF0E, 0xFF1A};
  if (is_ascii_letter(c) || c == ' ') return false;
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
  if (c < 0x80)
    strbuf_append_char(out, (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c));
  else if (c == 0x130)
    strbuf_append(out, "i\u0307");
  else
    utf8_append(out, utf8proc_tolower(c));
}

/* Python's str.lower: Σ at the end of a word becomes ς. */
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

/* Sufficient for plain ASCII: single spaces, lower case. */
static void append_plain(const char *text, strbuf *out) {
  while (*text) {
    size_t word = strcspn(text, " ");
    if (word && out->length) strbuf_append_char(out, ' ');
    strbuf_append_bytes(out, text, word);
    text += word + strspn(text + word, " ");
  }
  for (size_t i = 0; i < out->length && !out->is_broken; i++)
    if (out->data[i] >= 'A' && out->data[i] <= 'Z') out->data[i] += 'a' - 'A';
}

err clip_text_clean(const char *text, bool repairs, strbuf *out) {
  strbuf a = {0}, b = {0};
  err error = NULL;
  strbuf_clear(out);
  if (is_plain(text)) {
    append_plain(text, out);
    return out->is_broken ? mem_error(strlen(text), "a caption") : NULL;
  }
  TRY(fix_text(text, repairs, &a));
  TRY(html_unescape(strbuf_string(&a), &b));
  strbuf_clear(&a);
  TRY(html_unescape(strbuf_string(&b), &a));
  strbuf_clear(&b);
  append_single_spaced(strbuf_string(&a), &b);
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

/* U+0345, whose capital is a letter, is of no class in CLIP's regular expression, which ignores
 * letter case: it separates words as a space does. */
static word_class class_of(int32_t c, bool is_huggingface) {
  if (c == 0x345 && !is_huggingface) return WORD_SPACE;
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
    class = class_of(utf8_next(&at), is_huggingface);
  } while (class == WORD_SPACE);
  *text = start;
  size_t contraction = contraction_length(start, is_huggingface);
  if (contraction) return contraction;
  if (class == WORD_NUMBER) return (size_t)(at - start);
  while (*at) {
    const char *next = at;
    if (class_of(utf8_next(&next), is_huggingface) != class) break;
    at = next;
  }
  return (size_t)(at - start);
}
