#include "run/bundle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/version.h"
#include "config/yaml.h"
#include "run/directory.h"
#include "store/sql.h"

enum { MOST_VOCABULARY_BYTES = 8 << 20, MOST_DEPTH = 8 };

/* A file to be packed: where it is, and its name below NAME/. */
typedef struct {
  char *path, *name;
  char digest[HASH_SIZE];
  uint64_t bytes;
} packed_file;

typedef struct {
  const spec_experiment *e;
  const bundle_options *options;
  packed_file *files;
  size_t count;
} packing;

/* "../presets/x.yaml" and "/a/b" become names below the bundle. */
static void append_safe(strbuf *out, const char *path) {
  while (*path) {
    size_t length = strcspn(path, "/");
    bool is_up = length == 2 && path[0] == '.' && path[1] == '.';
    bool is_nothing = length == 0 || (length == 1 && path[0] == '.');
    if (!is_nothing) {
      if (out->length && out->data[out->length - 1] != '/') strbuf_append_char(out, '/');
      strbuf_append_bytes(out, is_up ? "up" : path, length);
    }
    path += length + (path[length] == '/');
  }
}

static err add_file(packing *p, const char *path, const char *folder, const char *name) {
  struct stat status;
  strbuf full = {0};
  strbuf_format(&full, "%s/", folder);
  append_safe(&full, name);
  for (size_t i = 0; i < p->count; i++)
    if (strcmp(p->files[i].name, strbuf_string(&full)) == 0) {
      strbuf_free(&full);
      return NULL;
    }
  packed_file *grown = mem_resize(p->files, p->count + 1, sizeof *grown);
  if (grown) p->files = grown;
  packed_file f = {mem_copy_string(path), strbuf_take(&full), "", 0};
  err error = grown && f.path && f.name ? hash_file(path, f.digest) : mem_error(0, "a bundle");
  if (!error && stat(path, &status) != 0) error = err_new(ERR_IO, "%s: cannot be read", path);
  if (error) {
    free(f.path);
    free(f.name);
    return error;
  }
  f.bytes = (uint64_t)status.st_size;
  p->files[p->count++] = f;
  return NULL;
}

/* ---- what an experiment needs ---- */

static err add_bases(packing *p, const char *path, const char *name, int depth);

static err add_base(packing *p, const char *origin, const char *name, const char *base, int depth) {
  char *path = settings_find_base(origin, base);
  if (!path) return NULL; /* the experiment was loaded, so this is no base that is used */
  strbuf packed = {0};
  const char *slash = strrchr(name, '/');
  if (slash) strbuf_append_bytes(&packed, name, (size_t)(slash - name + 1));
  strbuf_append(&packed, base);
  err error = add_file(p, path, "files", strbuf_string(&packed));
  if (!error) error = add_bases(p, path, strbuf_string(&packed), depth + 1);
  strbuf_free(&packed);
  free(path);
  return error;
}

static err add_bases_under(packing *p, const yml_node *node, const char *path, const char *name,
                           int depth) {
  err error = NULL;
  for (size_t i = 0; node->kind == YML_MAP && i < node->count && !error; i++) {
    const yml_node *item = node->items[i];
    bool is_base = strcmp(node->keys[i]->scalar, "base") == 0;
    if (is_base && item->kind == YML_SCALAR) error = add_base(p, path, name, item->scalar, depth);
    for (size_t k = 0; is_base && item->kind == YML_SEQUENCE && k < item->count && !error; k++)
      if (item->items[k]->kind == YML_SCALAR)
        error = add_base(p, path, name, item->items[k]->scalar, depth);
    if (!is_base) error = add_bases_under(p, item, path, name, depth);
  }
  return error;
}

/* The files that `path`, packed as `name`, is built on, and those that they are built on. They are
 * packed beside it, wherever they were found. */
static err add_bases(packing *p, const char *path, const char *name, int depth) {
  yml_document *document = NULL;
  if (depth > MOST_DEPTH) return NULL;
  err error = yml_load(path, &document);
  if (!error) error = add_bases_under(p, yml_root(document), path, name, depth);
  yml_free(document);
  return error;
}

static err add_settings_files(packing *p) {
  err error = NULL;
  for (size_t i = 0; i < p->e->cell_count && !error; i++) {
    const settings *s = &p->e->cells[i].settings;
    struct stat status;
    for (size_t k = 0; k < s->eval_sets.count && !error; k++)
      if (fs_exists(s->eval_sets.items[k]))
        error = add_file(p, s->eval_sets.items[k], "files", s->eval_sets.items[k]);
    const char *words = s->text_vocabulary;
    bool is_small = words && stat(words, &status) == 0 && S_ISREG(status.st_mode) &&
                    status.st_size <= MOST_VOCABULARY_BYTES;
    if (!error && is_small && *words != '/') error = add_file(p, words, "files", words);
  }
  return error;
}

/* ---- runs ---- */

static err add_folder(packing *p, const char *folder, const char *name, bool with_folders) {
  char **names = NULL;
  size_t count = 0;
  err error = fs_list(folder, &names, &count);
  for (size_t i = 0; i < count && !error; i++) {
    char *path = fs_join(folder, names[i]), *packed = fs_join(name, names[i]);
    if (!path || !packed)
      error = mem_error(0, "a bundle");
    else if (!fs_is_folder(path) && names[i][0] != '.' && strcmp(names[i], "lock") != 0)
      error = add_file(p, path, "results", packed);
    else if (fs_is_folder(path) && with_folders)
      error = add_folder(p, path, packed, false);
    free(path);
    free(packed);
  }
  fs_free_names(names, count);
  return error;
}

static err add_runs(packing *p, store *s, bundle_count *count) {
  sqlite3_stmt *rows;
  bool more;
  err error = sql_query(s, &rows,
                        "SELECT DISTINCT run.directory FROM run JOIN experiment_cell USING"
                        " (cell_id) JOIN experiment ON experiment.id = experiment_id"
                        " WHERE experiment.name = ? ORDER BY run.started",
                        "t", p->e->name);
  while (!error && !(error = sql_next(s, rows, &more)) && more) {
    char *folder = directory_path(p->options->results, sql_text(rows, 0), NULL);
    if (!folder)
      error = mem_error(0, "a bundle");
    else if (fs_is_folder(folder))
      error = add_folder(p, folder, sql_text(rows, 0), p->options->with_checkpoints);
    free(folder);
    count->runs++;
  }
  return error;
}

static err add_experiment(packing *p) {
  strbuf record = {0}, name = {0};
  strbuf_format(&name, "%s/experiment.json", p->e->name);
  strbuf_format(&record, "%s/%s", p->options->results, strbuf_string(&name));
  err error = add_file(p, p->e->path, "files", p->e->path);
  if (!error) error = add_bases(p, p->e->path, p->e->path, 0);
  if (!error) error = add_settings_files(p);
  if (!error) error = add_file(p, strbuf_string(&record), "results", strbuf_string(&name));
  strbuf_free(&record);
  strbuf_free(&name);
  return error;
}

/* ---- writing ---- */

static err write_data(json_writer *w, store *s, const spec_experiment *e) {
  sqlite3_stmt *rows;
  bool more;
  jsonw_array(w, "data");
  err error = sql_query(s, &rows,
                        "SELECT DISTINCT data_fingerprint FROM run JOIN experiment_cell"
                        " USING (cell_id) JOIN experiment ON experiment.id = experiment_id"
                        " WHERE experiment.name = ? AND data_fingerprint <> ''",
                        "t", e->name);
  while (!error && !(error = sql_next(s, rows, &more)) && more)
    jsonw_string(w, NULL, sql_text(rows, 0));
  jsonw_end(w);
  return error;
}

static err make_manifest(const packing *p, store *s, strbuf *out) {
  char now[CLOCK_STAMP_SIZE];
  strbuf experiment = {0};
  json_writer w = jsonw_start(out);
  append_safe(&experiment, p->e->path);
  jsonw_object(&w, NULL);
  jsonw_integer(&w, "version", 1);
  jsonw_string(&w, "name", p->e->name);
  jsonw_string(&w, "experiment", strbuf_string(&experiment));
  jsonw_string(&w, "profile", p->e->profile ? p->e->profile : "");
  jsonw_string(&w, "created", clock_stamp(now));
  jsonw_string(&w, "commit", version_commit);
  err error = write_data(&w, s, p->e);
  jsonw_array(&w, "files");
  for (size_t i = 0; i < p->count; i++) {
    jsonw_object(&w, NULL);
    jsonw_string(&w, "name", p->files[i].name);
    jsonw_integer(&w, "bytes", (int64_t)p->files[i].bytes);
    jsonw_string(&w, "xxh3", p->files[i].digest);
    jsonw_end(&w);
  }
  jsonw_end(&w);
  jsonw_end(&w);
  strbuf_append_char(out, '\n');
  strbuf_free(&experiment);
  return error;
}

static err archive_error(struct archive *a, const char *path) {
  const char *text = archive_error_string(a);
  return err_new(ERR_IO, "%s: %s", path, text ? text : "cannot be written");
}

static err write_entry(struct archive *a, const packing *p, const char *name, const void *data,
                       size_t length) {
  strbuf full = {0};
  strbuf_format(&full, "%s/%s", p->e->name, name);
  struct archive_entry *entry = archive_entry_new();
  archive_entry_set_pathname(entry, strbuf_string(&full));
  archive_entry_set_size(entry, (la_int64_t)length);
  archive_entry_set_filetype(entry, AE_IFREG);
  archive_entry_set_perm(entry, 0644);
  bool is_fine = archive_write_header(a, entry) == ARCHIVE_OK &&
                 archive_write_data(a, data, length) == (la_ssize_t)length;
  archive_entry_free(entry);
  strbuf_free(&full);
  return is_fine ? NULL : archive_error(a, p->options->out);
}

static err write_archive(const packing *p, const strbuf *manifest) {
  struct archive *a = archive_write_new();
  strbuf part = {0};
  err error = NULL;
  strbuf_format(&part, "%s.part", p->options->out);
  archive_write_add_filter_gzip(a);
  archive_write_set_format_pax_restricted(a);
  if (archive_write_open_filename(a, strbuf_string(&part)) != ARCHIVE_OK)
    error = archive_error(a, p->options->out);
  if (!error) error = write_entry(a, p, "MANIFEST.json", manifest->data, manifest->length);
  if (!error)
    error = write_entry(a, p, "table.json", p->options->table_json, strlen(p->options->table_json));
  for (size_t i = 0; i < p->count && !error; i++) {
    char *data = NULL;
    size_t length;
    error = fs_read(p->files[i].path, &data, &length);
    if (!error) error = write_entry(a, p, p->files[i].name, data, length);
    free(data);
  }
  if (archive_write_close(a) != ARCHIVE_OK && !error) error = archive_error(a, p->options->out);
  archive_write_free(a);
  if (!error && rename(strbuf_string(&part), p->options->out) != 0)
    error = err_new(ERR_IO, "%s: cannot be written", p->options->out);
  if (error) unlink(strbuf_string(&part));
  strbuf_free(&part);
  return error;
}

err bundle_write(const spec_experiment *e, store *s, const bundle_options *options,
                 bundle_count *count) {
  packing p = {.e = e, .options = options};
  strbuf manifest = {0};
  err error = NULL;
  *count = (bundle_count){0};
  TRY(add_experiment(&p));
  TRY(add_runs(&p, s, count));
  TRY(make_manifest(&p, s, &manifest));
  if (manifest.is_broken) FAIL(ERR_MEMORY, "out of memory: a bundle");
  TRY(write_archive(&p, &manifest));
  count->files = p.count;
  for (size_t i = 0; i < p.count; i++) count->bytes += p.files[i].bytes;
cleanup:
  for (size_t i = 0; i < p.count; i++) {
    free(p.files[i].path);
    free(p.files[i].name);
  }
  free(p.files);
  strbuf_free(&manifest);
  return error;
}
