#include "make/caption.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MOST_WORDS = 40, MOST_DESCRIPTION_WORDS = 20, LONGEST_TITLE = 120 };

static bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '_';
}

void caption_tidy(const char *text, strbuf *out) {
  bool is_gap = false;
  strbuf_clear(out);
  for (const char *at = text; *at; at++) {
    if (*at == '<') { /* markup left over as text */
      const char *end = strchr(at, '>');
      if (end) {
        at = end;
        is_gap = true;
        continue;
      }
    }
    if (strncmp(at, "\xC2\xA0", 2) == 0) { /* no-break space */
      at++;
      is_gap = true;
    } else if (is_space(*at) || (unsigned char)*at < 0x20) {
      is_gap = true;
    } else {
      if (is_gap && out->length) strbuf_append_char(out, ' ');
      is_gap = false;
      strbuf_append_char(out, *at);
    }
  }
}

static bool has_letter(const char *text) {
  for (; *text; text++)
    if (isalpha((unsigned char)*text) || (unsigned char)*text >= 0x80) return true;
  return false;
}

static void cut_front(strbuf *text, size_t count) {
  memmove(text->data, text->data + count, text->length - count + 1);
  text->length -= count;
}

void caption_clean_title(const char *title, strbuf *out) {
  caption_tidy(title, out);
  const char *text = strbuf_string(out);
  if (strncasecmp(text, "clipart by ", 11) == 0) {
    const char *dash = strstr(text, " - ");
    if (dash)
      cut_front(out, (size_t)(dash - text) + 3);
    else
      strbuf_clear(out);
    text = strbuf_string(out);
  }
  bool is_empty = strncasecmp(text, "part of ", 8) == 0 || strstr(text, "://") ||
                  strstr(text, "Collection (") || strcasecmp(text, "untitled") == 0 ||
                  strcasecmp(text, "title") == 0 || strcasecmp(text, "unknown") == 0 ||
                  strncasecmp(text, "open clip art", 13) == 0 || !has_letter(text);
  if (is_empty || out->length > LONGEST_TITLE) strbuf_clear(out);
  size_t length = out->length; /* a file name instead of a title */
  if (length > 4 && (strcasecmp(out->data + length - 4, ".svg") == 0 ||
                     strcasecmp(out->data + length - 4, ".png") == 0)) {
    strbuf copy = {0};
    strbuf_append(&copy, out->data);
    caption_from_file(strbuf_string(&copy), "", out);
    strbuf_free(&copy);
  }
}

/* True when `word` [length] is one of the words of `text`, ignoring case. */
static bool is_word_of(const char *word, size_t length, const char *text) {
  for (const char *at = text; *at;) {
    while (*at && !isalnum((unsigned char)*at) && (unsigned char)*at < 0x80) at++;
    const char *end = at;
    while (*end && (isalnum((unsigned char)*end) || (unsigned char)*end >= 0x80)) end++;
    if ((size_t)(end - at) == length && strncasecmp(at, word, length) == 0) return true;
    at = end;
  }
  return false;
}

void caption_from_file(const char *file_name, const char *creator, strbuf *out) {
  const char *dot = strrchr(file_name, '.');
  size_t length = dot ? (size_t)(dot - file_name) : strlen(file_name);
  strbuf_clear(out);
  for (size_t at = 0; at < length;) {
    while (at < length && strchr("_-. +", file_name[at])) at++;
    size_t end = at;
    while (end < length && !strchr("_-. +", file_name[end])) end++;
    if (end == at) break;
    const char *word = file_name + at;
    size_t digits = strspn(word, "0123456789");
    bool is_number = digits >= end - at;
    if (!is_number && !is_word_of(word, end - at, creator)) {
      if (out->length) strbuf_append_char(out, ' ');
      strbuf_append_bytes(out, word, end - at);
    }
    at = end;
  }
}

void caption_clean_keyword(const char *keyword, strbuf *out) {
  caption_tidy(keyword, out);
  const char *text = strbuf_string(out);
  bool is_empty = !has_letter(text) || strncasecmp(text, "hash", 4) == 0 ||
                  strncasecmp(text, "0x", 2) == 0 || strcasecmp(text, "unsorted") == 0 ||
                  strstr(text, "://") || out->length > 60;
  if (is_empty) strbuf_clear(out);
}

void caption_clean_description(const char *description, strbuf *out) {
  caption_tidy(description, out);
  const char *text = strbuf_string(out);
  if (strchr(text, '@') || strstr(text, "://") || strstr(text, "www.") ||
      strcasestr(text, "created with") || strcasestr(text, "public domain") ||
      strcasestr(text, "inkscape") || !has_letter(text))
    strbuf_clear(out);
}

static size_t count_words(const char *text) {
  size_t words = 0;
  for (bool is_in = false; *text; text++) {
    bool is_gap = *text == ' ';
    words += !is_gap && !is_in;
    is_in = !is_gap;
  }
  return words;
}

bool caption_shares_word(const char *a, const char *b) {
  for (const char *at = a; *at;) {
    while (*at && !isalnum((unsigned char)*at) && (unsigned char)*at < 0x80) at++;
    const char *end = at;
    while (*end && (isalnum((unsigned char)*end) || (unsigned char)*end >= 0x80)) end++;
    if (end > at && is_word_of(at, (size_t)(end - at), b)) return true;
    at = end;
  }
  return false;
}

/* True when every word of `part` is in `so_far` already. */
static bool is_repetition(const char *part, const char *so_far) {
  for (const char *at = part; *at;) {
    while (*at && !isalnum((unsigned char)*at) && (unsigned char)*at < 0x80) at++;
    const char *end = at;
    while (*end && (isalnum((unsigned char)*end) || (unsigned char)*end >= 0x80)) end++;
    if (end > at && !is_word_of(at, (size_t)(end - at), so_far)) return false;
    at = end;
  }
  return true;
}

void caption_join(const caption_parts *p, strbuf *out) {
  strbuf_clear(out);
  strbuf_append(out, p->title);
  size_t words = count_words(p->description);
  if (words && words <= MOST_DESCRIPTION_WORDS && !is_repetition(p->description, p->title)) {
    while (out->length && strchr(".!", out->data[out->length - 1])) out->data[--out->length] = '\0';
    if (out->length) strbuf_append(out, ". ");
    strbuf_append(out, p->description);
  }
  while (out->length && strchr(".,;: ", out->data[out->length - 1]))
    out->data[--out->length] = '\0';
  for (size_t i = 0; i < p->keyword_count; i++) {
    if (is_repetition(p->keywords[i], strbuf_string(out))) continue;
    if (count_words(strbuf_string(out)) + count_words(p->keywords[i]) > MOST_WORDS) break;
    if (out->length) strbuf_append(out, ", ");
    strbuf_append(out, p->keywords[i]);
  }
}
