/* Lists in Parquet: image paths and captions, in the layout of LAION and others, and the metadata
 * that img2dataset writes for each of its shards. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/fs.h"
#include "base/mem.h"
#include "parquet/parquet.h"
#include "read/csv_rows.h"
#include "read/list_rows.h"

/* Maximum rows per byte of a file: a damaged footer may claim any number of nulls. */
enum { MOST_ROWS_A_BYTE = 64 };

/* Columns to read, by their index among `read`. */
typedef enum { COLUMN_IMAGE, COLUMN_CAPTION, COLUMN_STATUS, COLUMN_FAULT, COLUMNS } list_column;

typedef struct {
  list_rows list;
  parquet_file *file;
  size_t read[COLUMNS], count; /* columns of the file */
  int place[COLUMNS];          /* index of each among `read`; -1: not present */
  strbuf texts[COLUMNS];
  bool is_metadata;      /* img2dataset's: keys, with a status */
  char *prefix;          /* for keys: the folder of the shard's files */
  const char *extension; /* extension of the most recently found picture */
  bool has_tar;          /* the pictures are in the shard; only failures are read here */
  int64_t successes;
} parquet_list;

/* The index of the first of `names` among the columns; otherwise an error that lists the
 * columns. */
static err find_column(const parquet_list *l, const char *names, size_t *at) {
  size_t count;
  const parquet_column *columns = parquet_columns(l->file, &count);
  char **header = mem_zeroed(count + 1, sizeof *header);
  if (!header) return mem_error(count * sizeof *header, "columns");
  for (size_t i = 0; i < count; i++) header[i] = columns[i].name;
  err error = csv_find(header, count, names, at);
  free(header);
  return err_context(error, "%s", l->list.r->location);
}

static bool has_column(const parquet_list *l, const char *names, size_t *at) {
  err error = find_column(l, names, at);
  bool is_there = !error;
  err_free(error);
  return is_there;
}

/* Adds a column to read, which must contain text, or nothing at all. */
static err use_column(parquet_list *l, list_column which, size_t at) {
  static const char *const kinds[] = {"booleans", "whole numbers", "numbers", "bytes"};
  size_t count;
  const parquet_column *c = &parquet_columns(l->file, &count)[at];
  if (c->is_always_null) return NULL; /* as if it were not there: text_of */
  l->place[which] = (int)l->count;
  l->read[l->count++] = at;
  if (c->kind == PARQUET_BYTES || c->obstacle)
    return NULL; /* unreadable: reported by
                  * parquet_read */
  return err_new(ERR_INPUT, "%s: column '%s' holds %s, but text is expected", l->list.r->location,
                 c->name, kinds[c->kind]);
}

static err refuse_addresses(const parquet_list *l, const char *column) {
  return err_new(
      ERR_INPUT,
      "%s: column '%s' holds URLs, and the images are not on this machine; download them with "
      "img2dataset (--input_format parquet --url_col %s --output_format webdataset) and "
      "train on the shards that it writes",
      l->list.r->location, column, column);
}

/* "FOLDER/00000" of "FOLDER/00000.parquet". */
static err find_prefix(parquet_list *l) {
  const char *location = l->list.r->location, *dot = strrchr(fs_name(location), '.');
  l->prefix = mem_copy_string(location);
  if (!l->prefix) return mem_error(strlen(location), "a path");
  if (dot) l->prefix[dot - location] = '\0';
  return NULL;
}

/* img2dataset writes its metadata next to the shard 00000.tar or the folder 00000. */
static err find_pictures(parquet_list *l) {
  strbuf tar = {0};
  err error = find_prefix(l);
  if (error) return error;
  strbuf_format(&tar, "%s.tar", l->prefix);
  bool is_folder = fs_is_folder(l->prefix) || source_option(l->list.r, "images");
  l->has_tar = !is_folder && fs_exists(strbuf_string(&tar));
  if (!is_folder && !l->has_tar)
    error = err_new(ERR_INPUT,
                    "%s: is a list of img2dataset's downloads, but neither the shard %s nor "
                    "the folder %s exists; give the shards, or the folder with #images=DIR",
                    l->list.r->location, strbuf_string(&tar), l->prefix);
  strbuf_free(&tar);
  if (!error && !source_option(l->list.r, "images")) {
    free(l->list.folder);
    l->list.folder = l->prefix;
    l->prefix = NULL;
  }
  return error;
}

static err choose_columns(parquet_list *l) {
  const char *image = source_option(l->list.r, "image");
  const char *caption = source_option(l->list.r, "caption");
  size_t at = 0, key = 0, count;
  err error = NULL;
  bool has_status = has_column(l, "status", &at), has_address = has_column(l, "url", &count);
  l->is_metadata = !image && has_status && has_address && has_column(l, "key", &key);
  if (l->is_metadata) {
    error = use_column(l, COLUMN_STATUS, at);
    if (!error && has_column(l, "error_message", &at)) error = use_column(l, COLUMN_FAULT, at);
    if (!error) error = use_column(l, COLUMN_IMAGE, key);
    if (!error) error = find_pictures(l);
  } else {
    error = find_column(l, image ? image : LIST_IMAGE_NAMES, &at);
    if (error && !image && has_address) {
      err_free(error);
      return refuse_addresses(l, parquet_columns(l->file, &key)[count].name);
    }
    if (!error) error = use_column(l, COLUMN_IMAGE, at);
  }
  if (error) return error;
  error = find_column(l, caption ? caption : LIST_CAPTION_NAMES, &at);
  if (!error) return use_column(l, COLUMN_CAPTION, at);
  if (source_needs_caption(l->list.r)) return error;
  err_free(error);
  return NULL;
}

/* A value as a string without NUL; "" for null and for columns that are not read. */
static const char *text_of(parquet_list *l, list_column which, const parquet_value *values) {
  strbuf *text = &l->texts[which];
  strbuf_clear(text);
  if (l->place[which] < 0 || values[l->place[which]].is_null) return "";
  const parquet_value *v = &values[l->place[which]];
  if (v->size && !memchr(v->bytes, 0, v->size))
    strbuf_append_bytes(text, v->bytes, v->size);
  else
    for (size_t i = 0; i < v->size; i++)
      if (v->bytes[i]) strbuf_append_char(text, v->bytes[i]);
  return strbuf_string(text);
}

/* The extension of the existing picture of `key`. */
static const char *find_extension(parquet_list *l, const char *key) {
  static const char *const extensions[] = {".jpg", ".png", ".webp", ".jpeg"};
  for (size_t i = 0; i <= 4; i++) {
    const char *extension = i ? extensions[i - 1] : l->extension;
    strbuf_clear(&l->list.path);
    strbuf_format(&l->list.path, "%s/%s%s", l->list.folder, key, extension);
    if (fs_exists(strbuf_string(&l->list.path))) return l->extension = extension;
  }
  return l->extension;
}

/* A row of img2dataset's metadata; *is_done: it is a failure, or in the shard. */
static err take_status(parquet_list *l, const char *place, const char *key,
                       const parquet_value *values, bool *is_done) {
  const char *status = text_of(l, COLUMN_STATUS, values);
  *is_done = true;
  if (strcmp(status, "success") != 0) {
    const char *fault = text_of(l, COLUMN_FAULT, values);
    strbuf what = {0};
    strbuf_format(&what, "%s: %s%s", key, *status ? status : "no status", *fault ? ": " : "");
    text_escape(fault, &what);
    for (char *at = what.data; at && *at; at++)
      if (*at == '\n') *at = ' ';
    err error = list_rows_leave_out(&l->list, place, strbuf_string(&what));
    strbuf_free(&what);
    return error;
  }
  l->successes++;
  *is_done = l->has_tar;
  return NULL;
}

static err take_row(void *context, int64_t row, const parquet_value *values) {
  parquet_list *l = context;
  char place[48];
  bool is_done = false;
  snprintf(place, sizeof place, ": row %lld", (long long)row);
  const char *image = text_of(l, COLUMN_IMAGE, values), *extension = "";
  const char *caption = text_of(l, COLUMN_CAPTION, values);
  for (int i = 0; i < COLUMNS; i++)
    if (l->texts[i].is_broken) return mem_error(l->texts[i].length, "a row");
  if (l->is_metadata) {
    err error = take_status(l, place, image, values, &is_done);
    if (error || is_done) return error;
    extension = find_extension(l, image);
  }
  size_t count;
  if (strncasecmp(image, "http://", 7) == 0 || strncasecmp(image, "https://", 8) == 0)
    return refuse_addresses(l,
                            parquet_columns(l->file, &count)[l->read[l->place[COLUMN_IMAGE]]].name);
  return list_rows_take(&l->list, place, image, extension, caption, l->is_metadata ? NULL : "{}");
}

/* The shard that the metadata describe, with missing samples reported as recorded there. */
static err open_tar(parquet_list *l, data_source **out) {
  strbuf tar = {0};
  data_source *rows = (data_source *)l->list.rows;
  source_request r = *l->list.r;
  strbuf_format(&tar, "%s.tar", l->list.folder);
  r.location = tar.data;
  err error = tar.is_broken ? mem_error(0, "a path") : source_open_shards(&r, out);
  if (!error) {
    data_source *s = *out;
    int64_t found = s->count + s->left_out.count;
    left_out_append(&s->left_out, &rows->left_out);
    if (found != l->successes)
      strbuf_format(&s->damage, "%s: lists %lld downloaded %s, but %s has %lld\n",
                    l->list.r->location, (long long)l->successes,
                    text_plural(l->successes, "sample", "samples"), tar.data, (long long)found);
  }
  strbuf_free(&tar);
  return error;
}

static err check_rows(const parquet_list *l) {
  uint64_t rows = (uint64_t)parquet_rows(l->file), bytes = parquet_size(l->file);
  if (rows / MOST_ROWS_A_BYTE <= bytes) return NULL;
  return err_new(ERR_INPUT, "%s: is damaged, or not a list of images: %llu rows in %llu bytes",
                 l->list.r->location, (unsigned long long)rows, (unsigned long long)bytes);
}

err source_open_parquet(const source_request *r, data_source **out) {
  parquet_list l = {.place = {-1, -1, -1, -1}, .extension = ".jpg"};
  if (source_option(r, "separator"))
    return err_new(ERR_INPUT, "%s: separator does not apply to Parquet", r->whole);
  err error = list_rows_begin(r, &l.list);
  if (!error) error = parquet_open(r->location, &l.file);
  if (!error) error = check_rows(&l);
  if (!error) error = choose_columns(&l);
  if (!error) error = parquet_read(l.file, l.read, l.count, take_row, &l);
  bool is_tar = !error && l.has_tar;
  if (is_tar) {
    error = open_tar(&l, out);
    source_close((data_source *)l.list.rows);
  }
  for (int i = 0; i < COLUMNS; i++) strbuf_free(&l.texts[i]);
  free(l.prefix);
  parquet_close(l.file);
  list_rows_free(&l.list);
  return is_tar ? error : file_rows_finish(l.list.rows, error, out);
}
