#include "base/text.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "base/mem.h"

static atomic_bool any_is_broken;

bool strbuf_any_broken(void) {
  return atomic_load(&any_is_broken);
}

static bool is_broken_now(strbuf *t) {
  t->is_broken = true;
  atomic_store(&any_is_broken, true);
  return false;
}

static bool reserve(strbuf *t, size_t extra) {
  if (t->is_broken) return false;
  if (extra < t->capacity - t->length) return true;
  size_t capacity = t->capacity ? t->capacity : 64;
  while (capacity - t->length <= extra) {
    if (capacity > SIZE_MAX / 2) return is_broken_now(t);
    capacity *= 2;
  }
  char *data = mem_resize(t->data, capacity, 1);
  if (!data) return is_broken_now(t);
  t->data = data;
  t->capacity = capacity;
  return true;
}

void strbuf_append_bytes(strbuf *t, const void *bytes, size_t length) {
  if (!reserve(t, length)) return;
  if (length) memcpy(t->data + t->length, bytes, length);
  t->length += length;
  t->data[t->length] = '\0';
}

void strbuf_append(strbuf *t, const char *string) {
  strbuf_append_bytes(t, string, strlen(string));
}

void strbuf_append_char(strbuf *t, char c) {
  strbuf_append_bytes(t, &c, 1);
}

void strbuf_format_list(strbuf *t, const char *format, va_list arguments) {
  va_list copy;
  va_copy(copy, arguments);
  int length = vsnprintf(NULL, 0, format, copy);
  va_end(copy);
  if (length < 0) is_broken_now(t);
  if (length < 0 || !reserve(t, (size_t)length + 1)) return;
  vsnprintf(t->data + t->length, (size_t)length + 1, format, arguments);
  t->length += (size_t)length;
}

void strbuf_format(strbuf *t, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  strbuf_format_list(t, format, arguments);
  va_end(arguments);
}

void strbuf_format_line(strbuf *t, const char *format, ...) {
  strbuf line = {0};
  va_list arguments;
  va_start(arguments, format);
  strbuf_format_list(&line, format, arguments);
  va_end(arguments);
  for (const char *c = strbuf_string(&line); *c; c++)
    if (*c == '\n' || *c == '\r')
      strbuf_append(t, *c == '\n' ? "\\n" : "\\r");
    else
      strbuf_append_char(t, *c);
  strbuf_append_char(t, '\n');
  if (line.is_broken) is_broken_now(t);
  strbuf_free(&line);
}

void strbuf_clear(strbuf *t) {
  t->length = 0;
  if (t->data) t->data[0] = '\0';
}

const char *strbuf_string(const strbuf *t) {
  return t->data ? t->data : "";
}

char *strbuf_take(strbuf *t) {
  char *data = NULL;
  if (!t->is_broken) data = t->data ? t->data : mem_copy_string("");
  if (t->is_broken) free(t->data);
  *t = (strbuf){0};
  return data;
}

void strbuf_free(strbuf *t) {
  free(t->data);
  *t = (strbuf){0};
}

/* Optimal string alignment distance, three rolling rows; names longer than the rows are
 * truncated. */
static size_t edit_distance(const char *a, const char *b) {
  enum { LONGEST = 63 };
  size_t rows[3][LONGEST + 1];
  size_t a_length = strnlen(a, LONGEST), b_length = strnlen(b, LONGEST);
  for (size_t j = 0; j <= b_length; j++) rows[0][j] = j;
  for (size_t i = 1; i <= a_length; i++) {
    size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
    row[0] = i;
    for (size_t j = 1; j <= b_length; j++) {
      size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
      if (above[j] + 1 < best) best = above[j] + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
          above2[j - 2] + 1 < best)
        best = above2[j - 2] + 1;
      row[j] = best;
    }
  }
  return rows[a_length % 3][b_length];
}

const char *text_nearest(const char *name, const char *const *candidates, size_t count) {
  const char *nearest = NULL;
  size_t best = strlen(name) / 3 + 2; /* beyond this it is a different word */
  for (size_t i = 0; i < count; i++) {
    size_t distance = edit_distance(name, candidates[i]);
    if (distance < best) {
      best = distance;
      nearest = candidates[i];
    }
  }
  return nearest;
}

/* Three digits; a number that rounds up to the next power of ten has one decimal less. */
static int places_of(double value) {
  return value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
}

/* "1.92" and the index of its unit in powers of `step`: rounded first, so that a value that rounds
 * up to `step` gets the next unit. Values in the first unit are printed as integers. */
static int write_scaled(double value, double step, size_t units, char *buffer, size_t *unit) {
  *unit = 0;
  while (value >= step - 0.5 && *unit + 1 < units) {
    value /= step;
    ++*unit;
  }
  return snprintf(buffer, TEXT_NUMBER_SIZE, "%.*f", *unit == 0 ? 0 : places_of(value), value);
}

static const char *write_with_unit(double value, double step, const char *const *units,
                                   size_t count, char buffer[TEXT_NUMBER_SIZE]) {
  size_t unit;
  int length = write_scaled(value, step, count, buffer, &unit);
  if (length > 0 && length < TEXT_NUMBER_SIZE)
    snprintf(buffer + length, TEXT_NUMBER_SIZE - (size_t)length, "%s", units[unit]);
  return buffer;
}

const char *text_bytes(uint64_t bytes, char buffer[TEXT_NUMBER_SIZE]) {
  static const char *const units[] = {" B", " KiB", " MiB", " GiB", " TiB"};
  return write_with_unit((double)bytes, 1024, units, 5, buffer);
}

const char *text_duration(double seconds, char buffer[TEXT_NUMBER_SIZE]) {
  static const char *const years[] = {" years", " k years", " M years", " B years", " T years"};
  const double year = 365.25 * 86400;
  if (!(seconds >= 0) || seconds > 999 * 1e12 * year) {
    snprintf(buffer, TEXT_NUMBER_SIZE, "-");
  } else if (seconds > 1e9) {
    write_with_unit(seconds / year, 1000, years, 5, buffer);
  } else if (seconds < 0.9995) {
    snprintf(buffer, TEXT_NUMBER_SIZE, "%.0f ms", seconds * 1e3);
  } else if (seconds < 59.5) {
    snprintf(buffer, TEXT_NUMBER_SIZE, seconds < 9.95 ? "%.1f s" : "%.0f s", seconds);
  } else if (seconds < 3599.5) {
    long whole = lround(seconds);
    snprintf(buffer, TEXT_NUMBER_SIZE, "%ld m %02ld s", whole / 60, whole % 60);
  } else {
    long minutes = lround(seconds / 60);
    snprintf(buffer, TEXT_NUMBER_SIZE, "%ld h %02ld m", minutes / 60, minutes % 60);
  }
  return buffer;
}

const char *text_count(double count, char buffer[TEXT_NUMBER_SIZE]) {
  static const char *const units[] = {"", " k", " M", " B", " T"};
  return write_with_unit(count, 1000, units, 5, buffer);
}

const char *text_si(double value, const char *unit, char buffer[TEXT_NUMBER_SIZE]) {
  static const char *const prefixes[] = {"", "k", "M", "G", "T", "P", "E"};
  size_t prefix;
  int length = write_scaled(value, 1000, 7, buffer, &prefix);
  if (length > 0 && length < TEXT_NUMBER_SIZE)
    snprintf(buffer + length, TEXT_NUMBER_SIZE - (size_t)length, " %s%s", prefixes[prefix], unit);
  return buffer;
}

const char *text_read_whole(const char *text, int64_t *value) {
  const char *digits = text + (*text == '-' || *text == '+');
  size_t length = strspn(digits, "0123456789");
  errno = 0;
  long long whole = strtoll(text, NULL, 10);
  if (!length || errno) return NULL;
  *value = whole;
  return digits + length;
}

/* The factor of a suffix letter; 1: none. */
static int64_t scale_of(char letter) {
  return letter == 'k' ? 1000 : letter == 'M' ? 1000000 : letter == 'G' ? 1000000000 : 1;
}

bool text_parse_real(const char *text, double *value) {
  char digits[64], *end;
  size_t length = 0;
  for (const char *at = text; *at; at++) {
    if (*at == '_') continue;
    if (length == sizeof digits - 1) return false; /* the rest may be an exponent */
    digits[length++] = *at;
  }
  digits[length] = '\0';
  if (!length || strchr("+-.0123456789", digits[0]) == NULL) return false; /* no inf, nan */
  int64_t scale = scale_of(digits[length - 1]);
  if (scale > 1) digits[--length] = '\0';
  double parsed = strtod(digits, &end);
  if (end == digits || *end || !isfinite(parsed) || strpbrk(digits, "xX")) return false;
  *value = parsed * (double)scale;
  return true;
}

bool text_parse_whole(const char *text, int64_t *value) {
  int64_t whole, scaled;
  const char *end = text_read_whole(text, &whole);
  if (end && *end && !end[1] && scale_of(*end) > 1) {
    if (__builtin_mul_overflow(whole, scale_of(*end), &scaled)) return false;
    *value = scaled;
    return true;
  }
  if (end && !*end) {
    *value = whole;
    return true;
  }
  double real, rounded;
  if (!text_parse_real(text, &real)) return false;
  rounded = nearbyint(real);
  /* 12.8M need not be exact in binary */
  if (fabs(real - rounded) > fmin(1e-9 * fabs(real), 1e-3) || fabs(rounded) > 9e15) return false;
  *value = (int64_t)rounded;
  return true;
}

typedef struct {
  const char *name;
  double scale;
} text_unit;

/* Parses "NUMBER UNIT" at *at and advances. False if there is none. */
static bool parse_amount(const char **at, const text_unit *units, size_t count, double *amount) {
  char *end;
  if (!strchr("0123456789.", **at) || !**at || (*at)[1] == 'x' || (*at)[1] == 'X') return false;
  double number = strtod(*at, &end);
  while (*end == ' ') end++;
  size_t length = strcspn(end, "0123456789. ");
  for (size_t i = 0; i < count; i++)
    if (strlen(units[i].name) == length && strncmp(units[i].name, end, length) == 0) {
      *amount = number * units[i].scale;
      *at = end + length;
      return isfinite(*amount);
    }
  return false;
}

bool text_parse_duration(const char *text, double *seconds) {
  static const text_unit alone[] = {{"", 1}}, units[] = {{"s", 1},    {"ms", 1e-3}, {"m", 60},
                                                         {"h", 3600}, {"d", 86400}, {"min", 60}};
  double total = 0, amount;
  const char *at = text;
  if (parse_amount(&at, alone, 1, seconds)) return !*at; /* a bare number stands alone */
  if (!*text) return false;
  for (at = text; *at; total += amount) {
    if (!parse_amount(&at, units, sizeof units / sizeof *units, &amount)) return false;
    while (*at == ' ') at++;
  }
  *seconds = total;
  return true;
}

bool text_parse_bytes(const char *text, int64_t *bytes) {
  static const text_unit units[] = {
      {"", 1},         {"B", 1},        {"K", 0x1p10},   {"M", 0x1p20},  {"G", 0x1p30},
      {"T", 0x1p40},   {"kB", 1e3},     {"MB", 1e6},     {"GB", 1e9},    {"TB", 1e12},
      {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}};
  double amount;
  if (!parse_amount(&text, units, sizeof units / sizeof *units, &amount) || *text || amount > 9e18)
    return false;
  *bytes = (int64_t)amount;
  return true;
}

bool text_ends_with(const char *text, const char *end) {
  size_t length = strlen(text), tail = strlen(end);
  return length > tail && strcmp(text + length - tail, end) == 0;
}

const char *text_last_lines(const char *text, int count) {
  const char *at = text + strlen(text);
  while (at > text && at[-1] == '\n') at--;
  for (int found = 0; at > text; at--)
    if (at[-1] == '\n' && ++found == count) break;
  return at;
}

const char *text_plural(int64_t count, const char *one, const char *many) {
  return count == 1 ? one : many;
}

bool text_is_utf8(const char *text) {
  for (utf8proc_int32_t code; *text;) {
    utf8proc_ssize_t length = utf8proc_iterate((const utf8proc_uint8_t *)text, -1, &code);
    if (length <= 0) return false;
    text += length;
  }
  return true;
}

size_t text_columns(const char *string) {
  size_t columns = 0;
  const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)string;
  while (*at) {
    utf8proc_int32_t codepoint = 0;
    utf8proc_ssize_t length = utf8proc_iterate(at, -1, &codepoint);
    if (length <= 0) {
      at++;
      columns++;
      continue;
    }
    int width = utf8proc_charwidth(codepoint);
    columns += (size_t)(width > 0 ? width : 0);
    at += length;
  }
  return columns;
}

/* Overrides, embeddings and isolates of the bidirectional algorithm. */
static bool turns_direction(utf8proc_int32_t c) {
  return (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

void text_escape(const char *text, strbuf *out) {
  const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)text;
  while (*at) {
    utf8proc_int32_t c = 0;
    utf8proc_ssize_t length = utf8proc_iterate(at, -1, &c);
    bool is_control = length > 0 && (c < 0x20 || (c >= 0x7F && c < 0xA0));
    if (length <= 0)
      strbuf_format(out, "\\x%02X", *at);
    else if (c == '\r')
      strbuf_append(out, "\\r");
    else if (is_control && c != '\n' && c != '\t')
      strbuf_format(out, "\\x%02X", (unsigned)c);
    else if (turns_direction(c))
      strbuf_format(out, "\\u%04X", (unsigned)c);
    else
      strbuf_append_bytes(out, at, (size_t)length);
    at += length > 0 ? length : 1;
  }
}

void text_escape_html(const char *text, strbuf *out) {
  strbuf plain = {0};
  text_escape(text, &plain);
  for (const char *c = strbuf_string(&plain); *c; c++)
    if (*c == '<')
      strbuf_append(out, "&lt;");
    else if (*c == '>')
      strbuf_append(out, "&gt;");
    else if (*c == '&')
      strbuf_append(out, "&amp;");
    else if (*c == '"')
      strbuf_append(out, "&quot;");
    else
      strbuf_append_char(out, *c);
  out->is_broken |= plain.is_broken;
  strbuf_free(&plain);
}

void text_cut(strbuf *line, size_t start, size_t columns) {
  while (line->length > start && text_columns(line->data + start) > columns) {
    do line->length--;
    while (line->length > start && ((unsigned char)line->data[line->length] & 0xC0) == 0x80);
    line->data[line->length] = '\0';
  }
}

void strbuf_quote(strbuf *out, const char *word) {
  strbuf_append_char(out, '\'');
  for (; *word; word++)
    if (*word == '\'')
      strbuf_append(out, "'\\''");
    else
      strbuf_append_char(out, *word);
  strbuf_append_char(out, '\'');
}
