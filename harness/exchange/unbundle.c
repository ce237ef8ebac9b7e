/* Unpacks a bundle and checks the digest of every file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"
#include "exchange/bundle.h"
#include "exchange/pack.h"
#include "exchange/place.h"

enum { MOST_MANIFEST_BYTES = 256 << 20 };

void bundle_free(bundle_manifest *m) {
  free(m->name);
  free(m->experiment);
  free(m->profile);
  free(m->start);
  free(m->created);
  free(m->commit);
  spec_names_free(&m->set);
  spec_names_free(&m->set_cell);
  json_decref(m->inputs);
  json_decref(m->bases);
  *m = (bundle_manifest){0};
}

/* ---- the archive ---- */

/* Only regular files that stay below the folder. A hard link with contents, which pax archives may
 * contain, would write them to any file that it names. */
static err check_entry(struct archive_entry *entry) {
  const char *name = archive_entry_pathname(entry);
  if (archive_entry_filetype(entry) == AE_IFDIR) return NULL; /* created with their contents */
  bool is_file = archive_entry_filetype(entry) == AE_IFREG && !archive_entry_hardlink(entry);
  if (is_file && name && place_is_below(name)) return NULL;
  return err_new(ERR_INPUT, "contains '%s', which does not belong in a bundle", name ? name : "?");
}

/* The names that the manifest lists with their digests, and the two that are made from the others.
 * NULL for a bundle of the first version, which may list none. */
static json_t *names_of(const json_t *document) {
  if (json_integer_value(json_object_get(document, "version")) < 2) return NULL;
  json_t *names = json_pack("{sn sn}", "MANIFEST.json", "table.json");
  size_t i;
  json_t *file;
  json_array_foreach(json_object_get(document, "files"), i, file) {
    const char *name = json_string_value(json_object_get(file, "name"));
    if (name) json_object_set_new(names, name, json_null());
  }
  return names;
}

static bool is_manifest(const char *name, const char *root) {
  const size_t length = strlen(root);
  return strncmp(name, root, length) == 0 && strcmp(name + length, "/MANIFEST.json") == 0;
}

static err extract_entry(struct archive *in, struct archive *disk, struct archive_entry *entry,
                         const char *folder, const char *root, const json_t *names) {
  strbuf path = {0};
  err error = check_entry(entry);
  const char *name = archive_entry_pathname(entry);
  if (error || archive_entry_filetype(entry) == AE_IFDIR) return error;
  if (is_manifest(name, root)) return NULL; /* write_manifest wrote it */
  if (strncmp(name, root, strlen(root)) != 0 || name[strlen(root)] != '/')
    return err_new(ERR_INPUT, "contains '%s', which is outside its folder '%s'", name, root);
  if (names && !json_object_get(names, name + strlen(root) + 1))
    return err_new(ERR_INPUT,
                   "contains '%s', which its MANIFEST.json does not list: it would be read without "
                   "a digest; make the archive with 'flipbench bundle'",
                   name);
  strbuf_format(&path, "%s/%s", folder, name);
  archive_entry_set_pathname(entry, strbuf_string(&path));
  const void *block;
  size_t size;
  la_int64_t offset;
  int code = archive_write_header(disk, entry);
  while (code == ARCHIVE_OK) {
    code = archive_read_data_block(in, &block, &size, &offset);
    if (code == ARCHIVE_OK && archive_write_data_block(disk, block, size, offset) != ARCHIVE_OK)
      code = ARCHIVE_FATAL;
  }
  if (code != ARCHIVE_EOF || archive_write_finish_entry(disk) != ARCHIVE_OK)
    error = archive_error_string(in) && !archive_error_string(disk)
                ? err_new(ERR_IO, "%s: %s", strbuf_string(&path), archive_error_string(in))
                : pack_archive_error(disk, strbuf_string(&path), "cannot be unpacked");
  strbuf_free(&path);
  return error;
}

static err open_archive(const char *archive, struct archive **in) {
  *in = archive_read_new();
  archive_read_support_filter_gzip(*in);
  archive_read_support_format_tar(*in);
  if (archive_read_open_filename(*in, archive, 1 << 16) == ARCHIVE_OK) return NULL;
  return err_new(ERR_INPUT, "%s: %s", archive, archive_error_string(*in));
}

/* A warning concerns a name's characters, which are kept as they are. */
static bool is_entry(int code) {
  return code == ARCHIVE_OK || code == ARCHIVE_WARN;
}

/* Reads the entry's contents as text. */
static err read_entry(struct archive *in, const char *archive, strbuf *text) {
  char block[1 << 14];
  la_ssize_t got;
  while ((got = archive_read_data(in, block, sizeof block)) > 0 &&
         text->length < MOST_MANIFEST_BYTES)
    strbuf_append_bytes(text, block, (size_t)got);
  if (got != 0) return err_new(ERR_INPUT, "%s: MANIFEST.json cannot be read", archive);
  return text->is_broken ? mem_error(text->length, archive) : NULL;
}

/* Checks every entry, so that an archive is rejected before anything is written, and reads the
 * manifest and the name of the bundle's folder. */
static err find_manifest(const char *archive, char **name, strbuf *text) {
  struct archive *in = NULL;
  struct archive_entry *entry;
  int code;
  err error = NULL;
  TRY(open_archive(archive, &in));
  while (is_entry(code = archive_read_next_header(in, &entry))) {
    TRY(err_context(check_entry(entry), "%s", archive));
    const char *path = archive_entry_pathname(entry), *slash = path ? strchr(path, '/') : NULL;
    if (*name || !slash || strcmp(slash, "/MANIFEST.json") != 0) continue;
    strbuf first = {0};
    strbuf_append_bytes(&first, path, (size_t)(slash - path));
    *name = strbuf_take(&first);
    if (!*name) FAIL(ERR_MEMORY, "out of memory: a bundle");
    TRY(read_entry(in, archive, text));
  }
  if (code != ARCHIVE_EOF) FAIL(ERR_INPUT, "%s: %s", archive, archive_error_string(in));
  if (!*name) FAIL(ERR_INPUT, "%s: not a bundle: contains no NAME/MANIFEST.json", archive);
cleanup:
  archive_read_free(in);
  return error;
}

static err unpack(const char *archive, const char *folder, const char *root, const json_t *names) {
  struct archive *in = NULL, *disk = archive_write_disk_new();
  struct archive_entry *entry;
  err error = NULL;
  int code;
  /* links on the way to the folder are the user's own, those below it would be the archive's */
  char *real = realpath(folder, NULL);
  if (!real) {
    error = err_errno(errno, "%s: cannot be opened", folder);
    goto cleanup;
  }
  archive_write_disk_set_options(disk, ARCHIVE_EXTRACT_SECURE_SYMLINKS);
  TRY(open_archive(archive, &in));
  while (is_entry(code = archive_read_next_header(in, &entry)))
    TRY(err_context(extract_entry(in, disk, entry, real, root, names), "%s", archive));
  if (code != ARCHIVE_EOF) FAIL(ERR_INPUT, "%s: %s", archive, archive_error_string(in));
cleanup:
  free(real);
  archive_read_free(in);
  archive_write_free(disk);
  return error;
}

/* Removes links that an earlier `reproduce` made to this machine's data: nothing may be unpacked
 * through them. */
static void remove_links(const char *folder) {
  char **names = NULL;
  size_t count = 0;
  struct stat status;
  err_free(fs_list(folder, &names, &count));
  for (size_t i = 0; i < count; i++) {
    char *path = fs_join(folder, names[i]);
    if (path && lstat(path, &status) == 0 && S_ISLNK(status.st_mode))
      unlink(path);
    else if (path && S_ISDIR(status.st_mode))
      remove_links(path);
    free(path);
  }
  fs_free_names(names, count);
}

static bool is_empty(const char *folder) {
  char **names = NULL;
  size_t count = 0;
  err error = fs_list(folder, &names, &count);
  bool has_none = !error && count == 0;
  err_free(error);
  fs_free_names(names, count);
  return has_none;
}

/* Before all other files, and whole or not at all: it tells the next call, after an interruption,
 * that the folder is this bundle's. */
static err write_manifest(const char *inside, const strbuf *manifest) {
  char *path = fs_join(inside, "MANIFEST.json");
  err error = path ? fs_make_folders(inside) : mem_error(0, "a path");
  if (!error) error = fs_write_atomic(path, manifest->data, manifest->length);
  if (error) rmdir(inside); /* if there is nothing else in it */
  free(path);
  return error;
}

/* A folder of this name with other contents would mix its runs with the bundle's. */
static err check_folder(const char *inside, const strbuf *manifest) {
  char *path = fs_join(inside, "MANIFEST.json"), *text = NULL;
  size_t length = 0;
  err error = path ? NULL : mem_error(0, "a path");
  if (!error && fs_exists(path)) error = fs_read(path, &text, &length);
  bool is_same = text && length == manifest->length && memcmp(text, manifest->data, length) == 0;
  if (!error && fs_exists(inside) && !is_same && !is_empty(inside))
    error =
        err_new(ERR_INPUT,
                "%s: contains another bundle; choose another folder with --out, or remove this one",
                inside);
  free(path);
  free(text);
  return error;
}

/* ---- the manifest ---- */

static char *copy_text(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return mem_copy_string(text ? text : "");
}

static err check_files(const json_t *files, const char *folder) {
  size_t i;
  json_t *file;
  err error = NULL;
  json_array_foreach(files, i, file) {
    char digest[HASH_SIZE];
    const char *name = json_string_value(json_object_get(file, "name"));
    if (name && !place_is_below(name)) name = NULL;
    const char *wanted = json_string_value(json_object_get(file, "xxh3"));
    char *path = name ? fs_join(folder, name) : NULL;
    if (!path || !wanted)
      error = err_new(ERR_INPUT, "MANIFEST.json: entry %zu has no valid name or no digest", i);
    else if (!fs_exists(path))
      error = err_new(ERR_INPUT,
                      "%s: is missing, though MANIFEST.json lists it: the bundle is "
                      "incomplete",
                      path);
    else
      error = hash_file(path, digest);
    if (!error && strcmp(digest, wanted) != 0)
      error = err_new(ERR_INPUT, "%s: differs from what was packed (digest %s, packed %s)", path,
                      digest, wanted);
    free(path);
    if (error) break;
  }
  return error;
}

static err copy_names(const json_t *document, const char *key, spec_names *names) {
  size_t i;
  json_t *item;
  err error = NULL;
  json_array_foreach(json_object_get(document, key), i, item) {
    if (!error && json_is_string(item)) error = spec_names_add(names, json_string_value(item));
  }
  return error;
}

/* Version 1 had no list of inputs, but the fingerprints of the training data. */
static json_t *inputs_of(const json_t *document) {
  json_t *given = json_object_get(document, "inputs");
  if (json_is_array(given)) return json_incref(given);
  json_t *list = json_array(), *recorded = json_object_get(document, "data");
  if (json_array_size(recorded))
    json_array_append_new(list, json_pack("{ss ss sO}", "role", "train", "setting", "data.train",
                                          "recorded", recorded));
  return list;
}

static err read_manifest(const json_t *document, const char *archive, bundle_manifest *m) {
  json_int_t version = json_integer_value(json_object_get(document, "version"));
  if (version != 1 && version != 2)
    return err_new(ERR_INPUT,
                   "%s: unsupported bundle version (this flipbench reads versions 1 and 2)",
                   archive);
  m->name = copy_text(document, "name");
  m->profile = copy_text(document, "profile");
  m->start = copy_text(document, "start");
  m->created = copy_text(document, "created");
  m->commit = copy_text(document, "commit");
  m->inputs = inputs_of(document);
  json_t *bases = json_object_get(document, "bases");
  m->bases = json_is_array(bases) ? json_incref(bases) : json_array();
  strbuf experiment = {0};
  const char *path = json_string_value(json_object_get(document, "experiment"));
  strbuf_format(&experiment, "%s%s", version == 1 ? "files/" : "", path ? path : "");
  m->experiment = strbuf_take(&experiment);
  err error = copy_names(document, "set", &m->set);
  if (!error) error = copy_names(document, "set_cell", &m->set_cell);
  if (error) return error;
  if (!m->name || !m->experiment || !m->profile || !m->start || !m->created || !m->commit ||
      !m->inputs || !m->bases)
    return mem_error(0, "a bundle");
  if (!place_is_below(m->experiment) || (*m->start && !place_is_below(m->start)))
    return err_new(ERR_INPUT, "%s: does not contain its experiment file '%s'", archive,
                   m->experiment);
  return NULL;
}

static err make_folders(const json_t *document, const char *inside, const char *start) {
  size_t i;
  json_t *item;
  strbuf path = {0};
  strbuf_format(&path, "%s/files/%s", inside, start);
  err error = fs_make_folders(strbuf_string(&path));
  json_array_foreach(json_object_get(document, "folders"), i, item) {
    const char *name = json_string_value(item);
    if (error || !name || !place_is_below(name)) continue;
    strbuf_clear(&path);
    strbuf_format(&path, "%s/%s", inside, name);
    error = fs_make_folders(strbuf_string(&path));
  }
  strbuf_free(&path);
  return error;
}

err bundle_extract(const char *archive, const char *folder, bundle_manifest *m) {
  char *name = NULL, *inside = NULL;
  json_t *document = NULL, *names = NULL;
  strbuf text = {0};
  err error = NULL;
  locale_t before = pack_enter_utf8();
  *m = (bundle_manifest){0};
  TRY(find_manifest(archive, &name, &text));
  document = json_loads(strbuf_string(&text), 0, NULL);
  TRY(read_manifest(document, archive, m));
  if (strcmp(m->name, name) != 0) FAIL(ERR_INPUT, "%s: inconsistent names", archive);
  inside = fs_join(folder, name);
  if (!inside) FAIL(ERR_MEMORY, "out of memory: a bundle");
  TRY(check_folder(inside, &text));
  TRY(fs_make_folders(folder));
  remove_links(inside);
  TRY(write_manifest(inside, &text));
  names = names_of(document);
  TRY(unpack(archive, folder, name, names));
  TRY(check_files(json_object_get(document, "files"), inside));
  TRY(make_folders(document, inside, m->start));
cleanup:
  pack_leave_utf8(before);
  json_decref(document);
  json_decref(names);
  strbuf_free(&text);
  free(inside);
  free(name);
  if (error) bundle_free(m);
  return error;
}
