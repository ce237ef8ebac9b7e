/* A bundle on another machine: unpacked, and every file's digest checked. */
#include <stdlib.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>
#include <jansson.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"
#include "run/bundle.h"

void bundle_free(bundle_manifest *m) {
  free(m->name);
  free(m->experiment);
  free(m->profile);
  free(m->created);
  free(m->commit);
  free(m->data);
  *m = (bundle_manifest){0};
}

/* Regular files below `folder` and nothing else. A hard link with contents, which pax archives may
 * hold, would write them to whatever file it names. */
static err extract_entry(struct archive *in, struct archive *disk, struct archive_entry *entry,
                         const char *folder) {
  strbuf path = {0};
  const char *name = archive_entry_pathname(entry);
  if (archive_entry_filetype(entry) == AE_IFDIR) return NULL; /* made with what is in it */
  bool is_file = archive_entry_filetype(entry) == AE_IFREG && !archive_entry_hardlink(entry);
  if (!is_file || !name || *name == '/' || strstr(name, ".."))
    return err_new(ERR_INPUT, "holds '%s', which is no file of a bundle", name ? name : "?");
  strbuf_format(&path, "%s/%s", folder, name);
  archive_entry_set_pathname(entry, strbuf_string(&path));
  err error = NULL;
  const void *block;
  size_t size;
  la_int64_t offset;
  int code = archive_write_header(disk, entry);
  while (code == ARCHIVE_OK) {
    code = archive_read_data_block(in, &block, &size, &offset);
    if (code == ARCHIVE_OK && archive_write_data_block(disk, block, size, offset) != ARCHIVE_OK)
      code = ARCHIVE_FATAL;
  }
  if (code != ARCHIVE_EOF || archive_write_finish_entry(disk) != ARCHIVE_OK) {
    const char *said =
        archive_error_string(disk) ? archive_error_string(disk) : archive_error_string(in);
    error = err_new(ERR_IO, "%s: %s", strbuf_string(&path), said ? said : "cannot be unpacked");
  }
  strbuf_free(&path);
  return error;
}

static err unpack(const char *archive, const char *folder, char **name) {
  struct archive *in = archive_read_new(), *disk = archive_write_disk_new();
  struct archive_entry *entry;
  err error = NULL;
  int code;
  archive_read_support_filter_gzip(in);
  archive_read_support_format_tar(in);
  archive_write_disk_set_options(disk, ARCHIVE_EXTRACT_SECURE_SYMLINKS);
  if (archive_read_open_filename(in, archive, 1 << 16) != ARCHIVE_OK)
    FAIL(ERR_INPUT, "%s", archive_error_string(in));
  while ((code = archive_read_next_header(in, &entry)) == ARCHIVE_OK) {
    const char *path = archive_entry_pathname(entry), *slash = path ? strchr(path, '/') : NULL;
    if (!*name && slash) {
      strbuf first = {0};
      strbuf_append_bytes(&first, path, (size_t)(slash - path));
      *name = strbuf_take(&first);
    }
    TRY(extract_entry(in, disk, entry, folder));
  }
  if (code != ARCHIVE_EOF) FAIL(ERR_INPUT, "%s", archive_error_string(in));
  if (!*name) FAIL(ERR_INPUT, "is empty");
cleanup:
  archive_read_free(in);
  archive_write_free(disk);
  return error;
}

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
    const char *wanted = json_string_value(json_object_get(file, "xxh3"));
    char *path = name ? fs_join(folder, name) : NULL;
    if (!path || !wanted)
      error = err_new(ERR_INPUT, "MANIFEST.json: entry %zu has no name or digest", i);
    else
      error = hash_file(path, digest);
    if (!error && strcmp(digest, wanted) != 0)
      error = err_new(ERR_INPUT, "%s: is not what was packed (digest %s, packed %s)", path, digest,
                      wanted);
    free(path);
    if (error) break;
  }
  return error;
}

err bundle_extract(const char *archive, const char *folder, bundle_manifest *m) {
  char *text = NULL, *path = NULL, *inside = NULL, *name = NULL;
  size_t length, i;
  json_t *document = NULL, *item;
  strbuf data = {0};
  err error = NULL;
  *m = (bundle_manifest){0};
  TRY(fs_make_folders(folder));
  TRY(err_context(unpack(archive, folder, &name), "%s", archive));
  inside = fs_join(folder, name);
  path = inside ? fs_join(inside, "MANIFEST.json") : NULL;
  if (!path) FAIL(ERR_MEMORY, "out of memory: a bundle");
  TRY(fs_read(path, &text, &length));
  document = json_loadb(text, length, 0, NULL);
  if (json_integer_value(json_object_get(document, "version")) != 1)
    FAIL(ERR_INPUT, "%s: not a bundle that this flipbench reads (version 1)", archive);
  m->name = copy_text(document, "name");
  m->experiment = copy_text(document, "experiment");
  m->profile = copy_text(document, "profile");
  m->created = copy_text(document, "created");
  m->commit = copy_text(document, "commit");
  json_array_foreach(json_object_get(document, "data"), i, item) strbuf_format(
      &data, "%s%s", i ? " " : "", json_is_string(item) ? json_string_value(item) : "?");
  m->data = strbuf_take(&data);
  if (!m->name || !m->experiment || !m->profile || !m->created || !m->commit)
    FAIL(ERR_MEMORY, "out of memory: a bundle");
  if (strcmp(m->name, name) != 0) FAIL(ERR_INPUT, "%s: its names contradict one another", archive);
  TRY(check_files(json_object_get(document, "files"), inside));
cleanup:
  json_decref(document);
  free(text);
  free(path);
  free(inside);
  free(name);
  if (error) bundle_free(m);
  return error;
}
