/* Text: a growing string, nearest-name suggestions, and human-readable numbers. */
#ifndef FLIP_BASE_TEXT_H
#define FLIP_BASE_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A growing, always NUL-terminated string. Initialise with `{0}`. After a failed allocation
 * `is_broken` is set, further writes are ignored, and the owner checks once at the end. */
typedef struct {
  char *data; /* NULL until first written; use strbuf_string to read */
  size_t length, capacity;
  bool is_broken;
} strbuf;

void strbuf_append(strbuf *t, const char *string);
void strbuf_append_bytes(strbuf *t, const void *bytes, size_t length);
void strbuf_append_char(strbuf *t, char c);
/* A word as a shell reads it, in single quotes. */
void strbuf_quote(strbuf *out, const char *word);
void strbuf_format(strbuf *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same as one line: line ends in it become \n and \r, and one ends it. */
void strbuf_format_line(strbuf *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void strbuf_format_list(strbuf *t, const char *format, va_list arguments);
void strbuf_clear(strbuf *t);
const char *strbuf_string(const strbuf *t);
/* Transfers the string to the caller (who frees it) and leaves `t` empty; NULL if broken. */
char *strbuf_take(strbuf *t);
void strbuf_free(strbuf *t);
/* True once an allocation failed for any strbuf of this process: a safety net for owners that did
 * not check, so that no command exits with success after truncated output (options_exit_status). */
bool strbuf_any_broken(void);

/* The candidate with the smallest edit distance to `name` (a transposition counts as one), or NULL
 * when none is close enough. Candidates: `count` strings. */
const char *text_nearest(const char *name, const char *const *candidates, size_t count);

/* "1.92 GiB", "412 KiB"; "3 m 20 s", "1 h 02 m", "85 ms", "32 years"; "12.8 B", "75.0 k"; "4.00
 * TFLOP" for the unit "FLOP". Rounded before the unit is chosen: 59.7 s gives "1 m 00 s". Return
 * buffer. */
enum { TEXT_NUMBER_SIZE = 32 };
const char *text_bytes(uint64_t bytes, char buffer[TEXT_NUMBER_SIZE]);
const char *text_duration(double seconds, char buffer[TEXT_NUMBER_SIZE]);
const char *text_count(double count, char buffer[TEXT_NUMBER_SIZE]);
const char *text_si(double value, const char *unit, char buffer[TEXT_NUMBER_SIZE]);

/* An integer: decimal digits with an optional sign. Returns what follows; NULL when there are no
 * digits at `text` or the number does not fit. */
const char *text_read_whole(const char *text, int64_t *value);
/* Parses the whole text as a number: "12", "0.5", "1e-3", "1_000" and "50k", "2.5M", "1G" (powers
 * of 1000). The integer version requires an integral value: "2.5k" is, "2.5" is not. False when it
 * is not a number, or has more than 63 characters. */
bool text_parse_real(const char *text, double *value);
bool text_parse_whole(const char *text, int64_t *value);

/* Parses "90", "30s", "1h30m", "1h 30m", "2d", "250ms" into seconds, and "512MiB", "8GiB", "8G"
 * (powers of 1024), "8GB" (of 1000), "4096" into bytes. False when the text is neither. */
bool text_parse_duration(const char *text, double *seconds);
bool text_parse_bytes(const char *text, int64_t *bytes);

/* Is `end` the end of a longer text? */
bool text_ends_with(const char *text, const char *end);

/* The last `count` lines of a text, up to its end; line ends there do not begin another. */
const char *text_last_lines(const char *text, int count);

/* `one` for a count of 1, else `many`: text_plural(n, "image has", "images have"). */
const char *text_plural(int64_t count, const char *one, const char *many);

bool text_is_utf8(const char *text);

/* Number of terminal columns that UTF-8 `string` takes (utf8proc widths). */
size_t text_columns(const char *string);
/* Appends text from outside (a trainer's output, a name in an archive) safe for a terminal: control
 * characters as \r, \x1B, invalid UTF-8 bytes as \xE4, bidirectional controls as \u202E. Line ends
 * and tabs are kept. */
void text_escape(const char *text, strbuf *out);
/* The same, as the content of an HTML element or attribute. */
void text_escape_html(const char *text, strbuf *out);
/* Truncates the text after byte `start` to a number of columns, never inside a character. */
void text_cut(strbuf *line, size_t start, size_t columns);

#endif
