#include "text/html_entities.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include <gumbo.h>
#include <utf8proc.h>

#include "base/mem.h"
#include "text/utf8.h"

enum { LONGEST_NAME = 32, LONGEST_WHOLE_NAME = 24 };

static const int32_t most_code = 0x10FFFF;

/* "&name…" [length] with its named reference replaced, by Gumbo, which has HTML's table: parsed as
 * the content of a <title>, where references are decoded and tags are not. */
static err replace_named(const char *text, size_t length, strbuf *out) {
  GumboOptions options = kGumboDefaultOptions;
  options.fragment_context = GUMBO_TAG_TITLE;
  options.max_errors = 0;
  GumboOutput *page = gumbo_parse_with_options(&options, text, length);
  if (!page) return mem_error(length, "a character reference");
  const GumboVector *children = &page->root->v.element.children;
  for (unsigned i = 0; i < children->length; i++) {
    const GumboNode *node = children->data[i];
    if (node->type == GUMBO_NODE_TEXT || node->type == GUMBO_NODE_WHITESPACE)
      strbuf_append(out, node->v.text.text);
  }
  gumbo_destroy_output(&options, page);
  return NULL;
}

/* Code points that HTML calls errors and Python drops. */
static bool is_dropped(int32_t code) {
  return (code >= 0x1 && code <= 0x8) || code == 0xB || (code >= 0xE && code <= 0x1F) ||
         (code >= 0x7F && code <= 0x9F) || (code >= 0xFDD0 && code <= 0xFDEF) ||
         (code & 0xFFFE) == 0xFFFE;
}

/* What follows "&#": digits, perhaps a semicolon. Returns the bytes used, 0 when it is no number.
 */
static size_t replace_number(const char *text, strbuf *out) {
  bool is_hex = *text == 'x' || *text == 'X';
  const char *at = text + is_hex;
  const char *digits = is_hex ? "0123456789abcdefABCDEF" : "0123456789";
  size_t length = strspn(at, digits);
  int32_t code = 0;
  if (!length) return 0;
  for (size_t i = 0; i < length; i++) {
    int digit = isdigit((unsigned char)at[i]) ? at[i] - '0' : (at[i] | 0x20) - 'a' + 10;
    code = code > most_code ? code : code * (is_hex ? 16 : 10) + digit;
  }
  if (code == 0 || code > most_code || (code >= 0xD800 && code <= 0xDFFF))
    utf8_append(out, 0xFFFD);
  else if (code >= 0x80 && code <= 0x9F)
    utf8_append(out, utf8_from_windows_1252(code));
  else if (!is_dropped(code))
    utf8_append(out, code);
  at += length;
  return (size_t)(at - text) + (*at == ';');
}

static size_t count_alphanumerics(const char *text, size_t most) {
  size_t length = 0;
  while (length < most && isalnum((unsigned char)text[length])) length++;
  return length;
}

err html_unescape(const char *text, strbuf *out) {
  while (*text) {
    size_t plain = strcspn(text, "&");
    strbuf_append_bytes(out, text, plain);
    text += plain;
    if (!*text) break;
    if (text[1] == '#') {
      size_t used = replace_number(text + 2, out);
      if (!used) strbuf_append(out, "&#");
      text += 2 + used;
      continue;
    }
    size_t length = 1 + count_alphanumerics(text + 1, LONGEST_NAME);
    if (length > 1) {
      length += text[length] == ';';
      err error = replace_named(text, length, out);
      if (error) return error;
    } else {
      strbuf_append_char(out, '&');
    }
    text += length;
  }
  return NULL;
}

/* Replaces "&name;" if all of it is one reference. */
static err replace_if_whole(const char *text, size_t length, strbuf *out, bool *is_whole) {
  size_t before = out->length;
  err error = replace_named(text, length, out);
  if (error || out->is_broken) return error;
  size_t made = out->length - before;
  /* a known prefix leaves the rest and its semicolon; &semi; itself is just that */
  *is_whole = made < 2 || out->data[out->length - 1] != ';';
  if (!*is_whole) out->data[out->length = before] = '\0';
  return NULL;
}

static bool is_upper_name(const char *text, size_t length) {
  bool has_letter = false;
  for (size_t i = 0; i < length; i++) {
    if (islower((unsigned char)text[i])) return false;
    has_letter = has_letter || isupper((unsigned char)text[i]);
  }
  return has_letter;
}

static void append_upper(const char *text, strbuf *out) {
  for (const char *at = text; *at;) {
    int32_t c = utf8_next(&at);
    if (c == 0xDF)
      strbuf_append(out, "SS");
    else
      utf8_append(out, utf8proc_toupper(c));
  }
}

/* &EACUTE; as &eacute; in upper case, unless one of its prefixes has a meaning of its own. */
static err replace_upper(const char *text, size_t length, strbuf *out, bool *is_whole) {
  char lower[LONGEST_WHOLE_NAME + 3];
  strbuf found = {0};
  *is_whole = false;
  err error = replace_named(text, length, &found);
  bool is_free = found.length == length && memcmp(strbuf_string(&found), text, length) == 0;
  strbuf_clear(&found);
  if (!error && is_free) {
    for (size_t i = 0; i < length; i++) lower[i] = (char)tolower((unsigned char)text[i]);
    error = replace_if_whole(lower, length, &found, is_whole);
    if (!error && *is_whole) append_upper(strbuf_string(&found), out);
  }
  if (!error && found.is_broken) error = mem_error(length, "a character reference");
  strbuf_free(&found);
  return error;
}

static err replace_whole_number(const char *text, size_t length, strbuf *out, bool *is_whole) {
  strbuf made = {0};
  size_t used = replace_number(text + 2, &made);
  *is_whole = used + 2 == length && !strchr(strbuf_string(&made), ';');
  if (*is_whole) strbuf_append(out, strbuf_string(&made));
  bool is_broken = made.is_broken;
  strbuf_free(&made);
  return is_broken ? mem_error(length, "a character reference") : NULL;
}

err html_unescape_whole(const char *text, strbuf *out) {
  while (*text) {
    size_t plain = strcspn(text, "&");
    strbuf_append_bytes(out, text, plain);
    text += plain;
    if (!*text) break;
    size_t start = 1 + (text[1] == '#');
    size_t name = count_alphanumerics(text + start, LONGEST_WHOLE_NAME), length = start + name + 1;
    bool is_whole = false;
    if (name && text[start + name] == ';') {
      err error;
      if (start == 2) {
        error = replace_whole_number(text, length, out, &is_whole);
      } else {
        error = replace_if_whole(text, length, out, &is_whole);
        if (!error && !is_whole && is_upper_name(text + 1, name))
          error = replace_upper(text, length, out, &is_whole);
      }
      if (error) return error;
    }
    if (!is_whole) {
      strbuf_append_char(out, '&');
      length = 1;
    }
    text += length;
  }
  return NULL;
}
