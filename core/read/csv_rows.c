#include "read/csv_rows.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <zlib.h>

#include "base/mem.h"
#include "base/text.h"

enum { MOST_FIELDS = 1024 };

typedef enum { FIELD_START, FIELD_PLAIN, FIELD_QUOTED, FIELD_QUOTE_SEEN } field_state;

/* The current row: strings in `texts`, one after the other. */
typedef struct {
  csv_row take;
  void *context;
  const char *path;
  char separator;
  strbuf texts;
  size_t starts[MOST_FIELDS], count;
  field_state state;
  csv_place at;          /* of the row */
  long line, quote_line; /* current line; line where the last quote opened */
  bool was_return;       /* the last character was a CR, which an LF may follow */
  bool has_content;      /* of the row */
} reading;

static void end_field(reading *r) {
  if (r->count < MOST_FIELDS) r->count++;
  strbuf_append_char(&r->texts, '\0');
  r->state = FIELD_START;
}

static void begin_field(reading *r) {
  if (r->count < MOST_FIELDS) r->starts[r->count] = r->texts.length;
}

static err end_row(reading *r) {
  char *fields[MOST_FIELDS];
  err error = NULL;
  end_field(r);
  for (size_t i = 0; i < r->count; i++) fields[i] = r->texts.data + r->starts[i];
  if (r->has_content) {
    r->at.row++;
    error = r->texts.is_broken ? mem_error(r->texts.length, "a row")
                               : r->take(r->context, &r->at, fields, r->count);
  }
  r->count = 0;
  r->has_content = false;
  strbuf_clear(&r->texts);
  begin_field(r);
  return error;
}

static err end_line(reading *r) {
  err error = err_context(end_row(r), "%s:%ld", r->path, r->at.line);
  r->at.line = r->line + 1;
  return error;
}

/* A character after the quote that closed a field. pandas makes it part of the field; after a quote
 * that spans lines it indicates a misplaced quote. */
static err reopen(reading *r) {
  if (r->line > r->quote_line)
    return err_new(ERR_INPUT,
                   "%s:%ld: a quote opens here and closes on line %ld in the middle of a field: is "
                   "it a stray quote that swallows the rows in between?",
                   r->path, r->quote_line, r->line);
  r->state = FIELD_PLAIN;
  return NULL;
}

/* One character that ends neither a field nor a line. */
static err take_inside(reading *r, char c) {
  if (r->state == FIELD_START && c == '"') {
    r->state = FIELD_QUOTED;
    r->quote_line = r->line;
    return NULL;
  }
  if (r->state == FIELD_QUOTED && c == '"') {
    r->state = FIELD_QUOTE_SEEN;
    return NULL;
  }
  if (r->state == FIELD_QUOTE_SEEN && c == '"') {
    r->state = FIELD_QUOTED;
  } else if (r->state == FIELD_QUOTE_SEEN) {
    err error = reopen(r);
    if (error) return error;
  } else if (r->state == FIELD_START) {
    r->state = FIELD_PLAIN;
  }
  if (c) strbuf_append_char(&r->texts, c);
  return NULL;
}

static err take_character(reading *r, char c) {
  bool is_quoted = r->state == FIELD_QUOTED, is_second = c == '\n' && r->was_return;
  err error = NULL;
  r->was_return = c == '\r';
  if (is_second && !is_quoted) return NULL; /* of a CR LF */
  if (!is_quoted && (c == '\n' || c == '\r')) {
    error = end_line(r);
    r->line++;
    return error;
  }
  /* a line of blanks is an empty line, as in pandas */
  if ((c != ' ' && c != '\t') || c == r->separator) r->has_content = true;
  if (!is_quoted && c == r->separator) {
    end_field(r);
    begin_field(r);
    return NULL;
  }
  error = take_inside(r, c);
  if (!is_second) r->line += c == '\n' || c == '\r';
  return error;
}

static err take_block(reading *r, const char *block, size_t size) {
  err error = NULL;
  for (size_t i = 0; i < size && !error; i++) error = take_character(r, block[i]);
  return error;
}

static err finish(reading *r) {
  if (r->state == FIELD_QUOTED)
    return err_new(ERR_INPUT,
                   "%s:%ld: a quote opens here and never closes: it swallows all following rows",
                   r->path, r->quote_line);
  return r->has_content ? end_line(r) : NULL;
}

static bool ends_with_tsv(const char *path) {
  size_t length = strlen(path);
  if (length > 3 && strcmp(path + length - 3, ".gz") == 0) length -= 3;
  return length > 4 && strncmp(path + length - 4, ".tsv", 4) == 0;
}

char csv_separator(const char *path, char separator) {
  return separator ? separator : ends_with_tsv(path) ? '\t' : ',';
}

/* Length of a byte order mark at the start of the file; an error for UTF-16. */
static err skip_mark(const char *path, const char *block, size_t size, size_t *skip) {
  bool is_wide = size >= 2 && (memcmp(block, "\xFF\xFE", 2) == 0 || !memcmp(block, "\xFE\xFF", 2) ||
                               !block[0] || !block[1]);
  *skip = size >= 3 && memcmp(block, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
  return is_wide ? err_new(ERR_INPUT, "%s: is UTF-16; save it as UTF-8", path) : NULL;
}

/* After a failed gzread. */
static err read_error(gzFile file, const char *path) {
  int system_code = errno, code = Z_OK;
  (void)gzerror(file, &code);
  if (code == Z_ERRNO) return err_errno(system_code, "%s: cannot read", path);
  return err_new(ERR_INPUT, "%s: damaged gzip file", path);
}

err csv_read(const char *path, char separator, csv_row take, void *context) {
  char block[1 << 16];
  int length;
  bool is_first = true;
  err error = NULL;
  gzFile file = gzopen(path, "rb");
  if (!file) return err_new(ERR_IO, "%s: cannot open: no such file, or not readable", path);
  reading *r = mem_zeroed(1, sizeof *r);
  if (!r) FAIL(ERR_MEMORY, "out of memory: %s", path);
  *r = (reading){.take = take, .context = context, .path = path, .at = {1, 0}, .line = 1};
  r->separator = csv_separator(path, separator);
  begin_field(r);
  while (!error && (length = gzread(file, block, sizeof block)) != 0) {
    size_t skip = 0;
    if (length < 0) {
      error = read_error(file, path);
      goto cleanup;
    }
    if (is_first) error = skip_mark(path, block, (size_t)length, &skip);
    is_first = false;
    if (!error) error = take_block(r, block + skip, (size_t)length - skip);
  }
  if (!error) error = finish(r);
cleanup:
  if (r) strbuf_free(&r->texts);
  free(r);
  if (gzclose_r(file) == Z_BUF_ERROR && !error)
    error = err_new(ERR_INPUT, "%s: damaged gzip file: it is truncated", path);
  return error;
}

err csv_find(char *const *header, size_t count, const char *names, size_t *at) {
  for (const char *name = names; *name;) {
    size_t length = strcspn(name, "|");
    for (size_t i = 0; i < count; i++)
      if (strlen(header[i]) == length && strncasecmp(header[i], name, length) == 0) {
        *at = i;
        return NULL;
      }
    name += length + (name[length] == '|');
  }
  strbuf list = {0};
  for (size_t i = 0; i < count; i++) strbuf_format(&list, "%s%s", i ? ", " : "", header[i]);
  err error =
      err_new(ERR_INPUT, "no column %s; its header has: %.200s", names, strbuf_string(&list));
  strbuf_free(&list);
  return error;
}
