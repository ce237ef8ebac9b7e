#include "exchange/pack.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "base/fs.h"
#include "base/mem.h"
#include "exchange/place.h"

static void free_file(const pack_file *f) {
  free(f->path);
  free(f->text);
  free(f->place);
  free(f->name);
}

void pack_free(pack *p) {
  for (size_t i = 0; i < p->count; i++) free_file(&p->files[i]);
  for (size_t i = 0; i < p->folder_count; i++) free(p->folders[i]);
  free(p->files);
  free(p->folders);
  *p = (pack){0};
}

/* Takes over what the file owns, also after an error. */
static err push(pack *p, err error, const pack_file *f) {
  pack_file *grown = error ? NULL : mem_resize(p->files, p->count + 1, sizeof *grown);
  if (grown) {
    p->files = grown;
    grown[p->count++] = *f;
    return NULL;
  }
  free_file(f);
  return error ? error : mem_error((p->count + 1) * sizeof *grown, "a bundle");
}

static err add(pack *p, const char *path, char *place, char *name) {
  struct stat status = {0};
  pack_file f = {.path = mem_copy_string(path), .place = place, .name = name};
  err error = f.path && (place || name) ? hash_file(path, f.digest) : mem_error(0, "a bundle");
  if (!error && stat(path, &status) != 0) error = err_new(ERR_IO, "%s: cannot be read", path);
  f.bytes = (uint64_t)status.st_size;
  return push(p, error, &f);
}

err pack_add(pack *p, const char *path, const char *name) {
  return add(p, path, NULL, mem_copy_string(name));
}

err pack_add_text(pack *p, const char *text, const char *name) {
  pack_file f = {.path = mem_copy_string(name),
                 .text = mem_copy_string(text),
                 .name = mem_copy_string(name),
                 .bytes = strlen(text)};
  hash_bytes(text, strlen(text), f.digest);
  return push(p, f.path && f.text && f.name ? NULL : mem_error(strlen(text), "a bundle"), &f);
}

/* "sets/../x.yaml" can only be opened if sets/ exists. */
static err add_folders(pack *p, const char *written) {
  for (const char *at = written; (at = strstr(at, "..")); at += 2) {
    bool is_part = (at == written || at[-1] == '/') && (at[2] == '/' || !at[2]);
    if (!is_part || at == written) continue;
    strbuf before = {0}, normal = {0};
    strbuf_append_bytes(&before, written, (size_t)(at - written));
    place_normalise(strbuf_string(&before), &normal);
    char **grown = mem_resize(p->folders, p->folder_count + 1, sizeof *grown);
    if (grown) p->folders = grown;
    pack_reach(p, strbuf_string(&normal));
    char *folder = grown ? strbuf_take(&normal) : NULL;
    strbuf_free(&before);
    strbuf_free(&normal);
    if (!folder) return mem_error(0, "a bundle");
    grown[p->folder_count++] = folder;
  }
  return NULL;
}

/* Is the place already taken? An error if by different contents. */
static err find_place(const pack *p, const char *path, const char *place, bool *is_known) {
  char digest[HASH_SIZE];
  *is_known = false;
  for (size_t i = 0; i < p->count && !*is_known; i++) {
    const pack_file *f = &p->files[i];
    if (!f->place || strcmp(f->place, place) != 0) continue;
    *is_known = true;
    if (strcmp(f->path, path) == 0) return NULL;
    err error = hash_file(path, digest);
    if (!error && strcmp(digest, f->digest) != 0)
      error = err_new(ERR_INPUT,
                      "%s and %s differ but would both be '%s' in the bundle; rename one of "
                      "them",
                      f->path, path, place);
    return error;
  }
  return NULL;
}

err pack_add_place(pack *p, const char *path, const char *written, char **place) {
  strbuf normal = {0};
  bool is_known;
  pack_reach(p, written);
  if (place) *place = NULL;
  place_normalise(written, &normal);
  char *own = strbuf_take(&normal);
  if (!own) return mem_error(0, "a bundle");
  err error = find_place(p, path, own, &is_known);
  if (!error) error = add_folders(p, written);
  if (!error && place && !(*place = mem_copy_string(own))) error = mem_error(0, "a bundle");
  if (error || is_known) {
    free(own);
    return error;
  }
  return add(p, path, own, NULL);
}

void pack_reach(pack *p, const char *written) {
  strbuf normal = {0};
  place_normalise(written, &normal);
  int ups = place_ups(strbuf_string(&normal));
  if (ups > p->ups) p->ups = ups;
  strbuf_free(&normal);
}

char *pack_name(const char *start, const char *place) {
  strbuf name = {0}, normal = {0};
  strbuf_append(&name, *place == '/' ? "absolute" : "files");
  if (*place != '/') strbuf_format(&name, "/%s/", start);
  strbuf_append(&name, place);
  place_normalise(strbuf_string(&name), &normal);
  strbuf_free(&name);
  return strbuf_take(&normal);
}

err pack_finish(pack *p, char **start) {
  strbuf text = {0};
  *start = NULL;
  for (int i = 0; i < p->ups; i++) strbuf_append(&text, i ? "/start" : "start");
  *start = text.length ? strbuf_take(&text) : mem_copy_string("");
  if (!*start) return mem_error(0, "a bundle");
  for (size_t i = 0; i < p->count; i++) {
    pack_file *f = &p->files[i];
    if (!f->name && !(f->name = pack_name(*start, f->place))) return mem_error(0, "a bundle");
    json_t *probe = json_string(f->name);
    if (!probe) return err_new(ERR_INPUT, "%s: file names in a bundle must be UTF-8", f->path);
    json_decref(probe);
  }
  return NULL;
}

json_t *pack_files_json(const pack *p) {
  json_t *list = json_array();
  for (size_t i = 0; i < p->count; i++)
    json_array_append_new(list,
                          json_pack("{ss sI ss}", "name", p->files[i].name, "bytes",
                                    (json_int_t)p->files[i].bytes, "xxh3", p->files[i].digest));
  return list;
}

/* ---- the archive ---- */

locale_t pack_enter_utf8(void) {
  locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
  return utf8 ? uselocale(utf8) : (locale_t)0;
}

void pack_leave_utf8(locale_t before) {
  locale_t own = before ? uselocale(before) : (locale_t)0;
  if (own && own != LC_GLOBAL_LOCALE) freelocale(own);
}

/* libarchive's text is what it was doing ("Write error"), the number why, such as a full disk; -1:
 * the text says all. */
err pack_archive_error(struct archive *a, const char *path, const char *otherwise) {
  const char *text = archive_error_string(a);
  const int why = archive_errno(a);
  if (text && why > 0 && !strstr(text, strerror(why))) return err_errno(why, "%s: %s", path, text);
  return err_new(ERR_IO, "%s: %s", path, text ? text : otherwise);
}

static err archive_error(struct archive *a, const char *path) {
  return pack_archive_error(a, path, "cannot be written");
}

static bool write_head(struct archive *a, const char *root, const char *name, uint64_t bytes) {
  strbuf full = {0};
  strbuf_format(&full, "%s/%s", root, name);
  struct archive_entry *entry = archive_entry_new();
  archive_entry_set_pathname(entry, strbuf_string(&full));
  archive_entry_set_size(entry, (la_int64_t)bytes);
  archive_entry_set_filetype(entry, AE_IFREG);
  archive_entry_set_perm(entry, 0644);
  bool is_fine = archive_write_header(a, entry) == ARCHIVE_OK;
  archive_entry_free(entry);
  strbuf_free(&full);
  return is_fine;
}

static err write_file(struct archive *a, const pack_file *f, const char *out) {
  enum { BLOCK = 1 << 20 };
  char digest[HASH_SIZE], *block = mem_zeroed(BLOCK, 1);
  hash_state *state = block ? hash_begin() : NULL;
  uint64_t left = f->bytes;
  err error = NULL;
  int fd = open(f->path, O_RDONLY | O_CLOEXEC);
  if (!state) FAIL(ERR_MEMORY, "out of memory: a bundle");
  if (fd < 0) FAIL(ERR_IO, "%s: cannot be read", f->path);
  while (left) {
    ssize_t got = read(fd, block, left < BLOCK ? (size_t)left : BLOCK);
    if (got <= 0) FAIL(ERR_IO, "%s: was truncated while it was being packed; try again", f->path);
    hash_add(state, block, (size_t)got);
    if (archive_write_data(a, block, (size_t)got) != got) TRY(archive_error(a, out));
    left -= (uint64_t)got;
  }
  hash_finish(state, digest);
  state = NULL;
  if (strcmp(digest, f->digest) != 0)
    FAIL(ERR_IO, "%s: changed while it was being packed; try again", f->path);
cleanup:
  if (state) hash_finish(state, digest);
  if (fd >= 0) close(fd);
  free(block);
  return error;
}

static err write_contents(struct archive *a, const pack_file *f, const char *out) {
  if (!f->text) return write_file(a, f, out);
  bool is_fine = archive_write_data(a, f->text, f->bytes) == (la_ssize_t)f->bytes;
  return is_fine ? NULL : archive_error(a, out);
}

err pack_write(const pack *p, const char *root, const char *out, const pack_text *texts,
               size_t text_count) {
  struct archive *a = archive_write_new();
  if (!a) return mem_error(0, out);
  locale_t before = pack_enter_utf8();
  fs_writer w = {0};
  err error = fs_writer_open(&w, out);
  archive_write_add_filter_gzip(a);
  archive_write_set_format_pax_restricted(a);
  if (!error && archive_write_open_fd(a, w.fd) != ARCHIVE_OK) error = archive_error(a, out);
  for (size_t i = 0; i < text_count && !error; i++)
    if (!write_head(a, root, texts[i].name, texts[i].length) ||
        archive_write_data(a, texts[i].text, texts[i].length) != (la_ssize_t)texts[i].length)
      error = archive_error(a, out);
  for (size_t i = 0; i < p->count && !error; i++)
    error = write_head(a, root, p->files[i].name, p->files[i].bytes)
                ? write_contents(a, &p->files[i], out)
                : archive_error(a, out);
  if (archive_write_close(a) != ARCHIVE_OK && !error) error = archive_error(a, out);
  archive_write_free(a);
  pack_leave_utf8(before);
  if (!error) error = fs_writer_commit(&w);
  fs_writer_close(&w);
  return error;
}
