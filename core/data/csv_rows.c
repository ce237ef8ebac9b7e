#include "data/csv_rows.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <csv.h>
#include <zlib.h>

#include "base/mem.h"
#include "base/text.h"

enum { MOST_FIELDS = 1024 };

/* The fields of the row that is being read: strings in `texts`, one after the other. */
typedef struct {
  csv_row take;
  void *context;
  strbuf texts;
  size_t starts[MOST_FIELDS], count;
  long number;
  err error;
} reading;

static void take_field(void *bytes, size_t length, void *context) {
  reading *r = context;
  if (r->count == MOST_FIELDS) return;
  r->starts[r->count++] = r->texts.length;
  strbuf_append_bytes(&r->texts, bytes, length);
  strbuf_append_char(&r->texts, '\0');
}

static void take_row(int terminator, void *context) {
  reading *r = context;
  char *fields[MOST_FIELDS];
  (void)terminator;
  r->number++;
  for (size_t i = 0; i < r->count; i++) fields[i] = r->texts.data + r->starts[i];
  if (r->number == 1 && r->count && strncmp(fields[0], "\xEF\xBB\xBF", 3) == 0)
    fields[0] += 3; /* a byte order mark */
  if (!r->error)
    r->error = r->texts.is_broken ? mem_error(r->texts.length, "a row")
                                  : r->take(r->context, r->number, fields, r->count);
  r->count = 0;
  strbuf_clear(&r->texts);
}

static bool ends_with_tsv(const char *path) {
  size_t length = strlen(path);
  if (length > 3 && strcmp(path + length - 3, ".gz") == 0) length -= 3;
  return length > 4 && strncmp(path + length - 4, ".tsv", 4) == 0;
}

static int is_nothing(unsigned char c) {
  (void)c;
  return 0; /* spaces around a field are its own */
}

err csv_read(const char *path, char separator, csv_row take, void *context) {
  struct csv_parser parser;
  reading *r = NULL;
  char block[1 << 16];
  int length;
  err error = NULL;
  gzFile file = gzopen(path, "rb");
  if (!file) return err_new(ERR_IO, "%s: cannot open: no such file, or not readable", path);
  bool is_tabs = separator == '\t' || (!separator && ends_with_tsv(path));
  if (csv_init(&parser, 0) != 0) {
    gzclose_r(file);
    return mem_error(0, path);
  }
  csv_set_delim(&parser, is_tabs ? CSV_TAB : separator ? (unsigned char)separator : CSV_COMMA);
  csv_set_space_func(&parser, is_nothing);
  r = mem_zeroed(1, sizeof *r);
  if (!r) FAIL(ERR_MEMORY, "out of memory: %s", path);
  *r = (reading){.take = take, .context = context};
  while (!r->error && (length = gzread(file, block, sizeof block)) != 0) {
    if (length < 0) FAIL(ERR_INPUT, "%s: damaged gzip file", path);
    if (csv_parse(&parser, block, (size_t)length, take_field, take_row, r) != (size_t)length)
      FAIL(ERR_INPUT, "%s: %s", path, csv_strerror(csv_error(&parser)));
  }
  csv_fini(&parser, take_field, take_row, r);
  error = err_context(r->error, "%s:%ld", path, r->number);
cleanup:
  if (r) strbuf_free(&r->texts);
  free(r);
  csv_free(&parser);
  gzclose_r(file);
  return error;
}

err csv_find(const char *path, char *const *header, size_t count, const char *names, size_t *at) {
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
  err error = err_new(ERR_INPUT, "%s: no column %s; its header has: %.200s", path, names,
                      strbuf_string(&list));
  strbuf_free(&list);
  return error;
}
