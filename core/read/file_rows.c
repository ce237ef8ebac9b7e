#include "read/file_rows.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "text/plain_text.h"
#include "read/sample_json.h"
#include "text/template.h"

static const uint64_t none = UINT64_MAX;
enum { MOST_SIZES = 4096, MOST_HEADS = 256, HEAD_BYTES = 4096 }; /* of files, for the hash */

/* Offsets of strings in `texts`; `none`: next to the image. */
typedef struct {
  uint64_t path, caption, json;
} file_row;

struct file_rows {
  data_source base;
  char *name;
  strbuf texts;
  file_row *rows;
  size_t capacity;
};

static const char *text_at(const file_rows *f, uint64_t at) {
  return at == none ? NULL : f->texts.data + at;
}

/* `path` with another extension; NULL when out of memory. */
static char *path_beside(const char *path, const char *extension) {
  strbuf beside = {0};
  const char *dot = strrchr(fs_name(path), '.');
  strbuf_append_bytes(&beside, path, dot ? (size_t)(dot - path) : strlen(path));
  strbuf_append(&beside, extension);
  return strbuf_take(&beside);
}

/* A file that is missing or unreadable is the fault of its sample, which a run can do without. An
 * outage is not: it would make bad samples of all that are read while it lasts. */
static err read_own_file(const char *path, char **bytes, size_t *length) {
  err error = fs_read_regular(path, bytes, length);
  if (!error || err_kind_of(error) != ERR_IO) return error;
  err judged = fs_is_at_fault(path)
                   ? err_new(ERR_INPUT, "%s", err_message(error))
                   : err_new(ERR_IO,
                             "%s (not the fault of this file alone: its folder or file system was "
                             "unavailable, or a limit was reached)",
                             err_message(error));
  err_free(error);
  return judged;
}

/* Converts the bytes of a file to text. */
typedef err (*decode_text)(const char *bytes, size_t size, char **text);

static err decode_caption(const char *bytes, size_t size, char **text) {
  return plain_text(bytes, size, "its caption", text);
}

/* The file next to `path` with another extension, as a string; NULL when there is none. */
static err read_beside(const char *path, const char *extension, decode_text decode, char **text) {
  char *bytes = NULL;
  size_t length;
  char *beside = path_beside(path, extension);
  *text = NULL;
  err error = beside ? NULL : mem_error(strlen(path), "a path");
  if (!error && fs_exists(beside)) {
    error = read_own_file(beside, &bytes, &length);
    if (!error) error = decode(bytes, length, text);
  }
  free(bytes);
  free(beside);
  return error;
}

static err copy_or_read(const char *known, const char *path, const char *extension,
                        decode_text decode, char **text) {
  if (!known) return read_beside(path, extension, decode, text);
  *text = mem_copy_string(known);
  return *text ? NULL : mem_error(strlen(known), "a sample");
}

/* The .txt next to the image, which was there when the data set was opened. */
static err refuse_missing_caption(const char *path) {
  char *beside = path_beside(path, ".txt");
  if (!beside) return mem_error(strlen(path), "a path");
  bool is_own = fs_is_at_fault(beside);
  free(beside);
  if (is_own) return err_new(ERR_INPUT, "its caption (.txt) no longer exists");
  return err_new(ERR_IO,
                 "%s: its caption (.txt) cannot be read: its folder or file system was unavailable",
                 path);
}

/* A caption that is missing or not text is an error only where captions are required. */
static err take_caption(const file_rows *f, const file_row *r, const char *path, char **caption) {
  bool is_needed = f->base.needs & DATASET_CAPTION;
  err error = copy_or_read(text_at(f, r->caption), path, ".txt", decode_caption, caption);
  if (!error && !*caption && is_needed) return refuse_missing_caption(path);
  if (!error || is_needed || err_kind_of(error) != ERR_INPUT) return error;
  err_free(error);
  return NULL;
}

static err read_row(const data_source *base, int64_t row, bool has_image, dataset_sample *out) {
  const file_rows *f = (const file_rows *)base;
  const file_row *r = &f->rows[row];
  const char *path = text_at(f, r->path);
  err error = NULL;
  *out = (dataset_sample){.shard = f->name, .key = path, .key_is_path = true};
  if (has_image) {
    char *bytes = NULL;
    error = read_own_file(path, &bytes, &out->image_bytes);
    out->image = out->owned = bytes;
  }
  if (!error) error = take_caption(f, r, path, &out->caption);
  if (!error)
    error = copy_or_read(text_at(f, r->json), path, ".json", sample_json_text, &out->json);
  return error;
}

/* The size of a file, and its first bytes when `has_head`; nothing if it is missing, which is
 * reported when it is read. */
static void hash_one(const char *path, bool has_head, hash_state *state) {
  struct stat status;
  char head[HEAD_BYTES];
  if (stat(path, &status) != 0) return;
  hash_add(state, &status.st_size, sizeof status.st_size);
  int fd = has_head ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
  ssize_t got = fd >= 0 ? read(fd, head, sizeof head) : 0;
  if (got > 0) hash_add(state, head, (size_t)got);
  if (fd >= 0) close(fd);
}

/* Names and texts; reading all files would take too long, but their sizes and some of their first
 * bytes reveal files that were replaced under the same name. */
static err hash_rows(const data_source *base, bool has_bytes, hash_state *state) {
  const file_rows *f = (const file_rows *)base;
  int64_t count = f->base.count, sizes = count < MOST_SIZES ? count : MOST_SIZES;
  (void)has_bytes;
  hash_add(state, f->texts.data, f->texts.length);
  for (int64_t i = 0; i < sizes; i++) {
    const file_row *row = &f->rows[i * count / sizes];
    bool has_head = sizes <= MOST_HEADS || i * MOST_HEADS / sizes != (i + 1) * MOST_HEADS / sizes;
    hash_one(text_at(f, row->path), has_head, state);
    if (row->caption != none) continue;
    char *beside = path_beside(text_at(f, row->path), ".txt");
    if (!beside) return mem_error(0, "a path");
    hash_one(beside, has_head, state);
    free(beside);
  }
  return NULL;
}

static void close_rows(data_source *base) {
  file_rows *f = (file_rows *)base;
  strbuf_free(&f->texts);
  free(f->rows);
  free(f->name);
  free(f);
}

static const source_calls rows_calls = {read_row, hash_rows, close_rows};

err file_rows_create(const char *name, file_rows **out) {
  file_rows *f = mem_zeroed(1, sizeof *f);
  if (!f) return mem_error(sizeof *f, "a data set");
  f->base.call = &rows_calls;
  f->name = mem_copy_string(name);
  *out = f;
  return f->name ? NULL : mem_error(strlen(name), "a data set");
}

static uint64_t keep_text(file_rows *f, const char *text) {
  if (!text) return none;
  uint64_t at = f->texts.length;
  strbuf_append_bytes(&f->texts, text, strlen(text) + 1);
  return at;
}

err file_rows_add(file_rows *f, const char *path, const char *caption, const char *json) {
  if ((size_t)f->base.count == f->capacity) {
    size_t capacity = f->capacity ? 2 * f->capacity : 1024;
    file_row *rows = mem_resize(f->rows, capacity, sizeof *rows);
    if (!rows) return mem_error(capacity * sizeof *rows, "a data set's index");
    f->rows = rows;
    f->capacity = capacity;
  }
  file_row *row = &f->rows[f->base.count++];
  row->path = keep_text(f, path);
  row->caption = keep_text(f, caption);
  row->json = keep_text(f, json);
  if (!json) f->base.has_json_files = true;
  return f->texts.is_broken ? mem_error(f->texts.length, "a data set's index") : NULL;
}

/* With the notes, a line each: they say what was there instead. */
static err no_images(const file_rows *f) {
  const char *notes = strbuf_string(&f->base.notes);
  const int length = (int)f->base.notes.length;
  if (!length) return err_new(ERR_INPUT, "%s: no images found", f->name);
  return err_new(ERR_INPUT, "%s: no images found\n%.*s", f->name, length - 1, notes);
}

err file_rows_finish(file_rows *f, err error, data_source **out) {
  if (!error && f->base.count == 0 && f->base.left_out.count == 0) error = no_images(f);
  if (error)
    source_close(f ? &f->base : NULL);
  else
    *out = &f->base;
  return error;
}

char *file_rows_labels(const char *const *pairs) {
  strbuf out = {0};
  json_writer w = jsonw_start(&out);
  jsonw_object(&w, NULL);
  jsonw_object(&w, "labels");
  for (; pairs[0]; pairs += 2) jsonw_string(&w, pairs[0], pairs[1]);
  jsonw_end(&w);
  jsonw_end(&w);
  return strbuf_take(&out);
}

void file_rows_fill(const char *pattern, const char *name, strbuf *out) {
  strbuf_clear(out);
  template_fill(pattern, name, out);
}

bool file_rows_is_image(const char *name) {
  static const char *const extensions[] = {".jpg", ".jpeg", ".png", ".webp"};
  const char *dot = strrchr(name, '.');
  for (size_t i = 0; dot && i < 4; i++)
    if (strcasecmp(dot, extensions[i]) == 0) return true;
  return false;
}

bool file_rows_is_stranger(const char *name) {
  const char *dot = strrchr(name, '.');
  if (*name == '.' || file_rows_is_image(name)) return false;
  return !dot || (strcasecmp(dot, ".txt") != 0 && strcasecmp(dot, ".json") != 0);
}
