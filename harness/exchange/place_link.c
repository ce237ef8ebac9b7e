#include "exchange/place_link.h"

#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "exchange/place.h"

bool link_is_own(const char *folder, const char *path) {
  char real[PATH_MAX], root[PATH_MAX];
  if (!realpath(path, real) || !realpath(folder, root)) return false;
  size_t length = strlen(root);
  return strncmp(real, root, length) == 0 && real[length] == '/';
}

/* The matches of `folder`/`pattern`; the folder's own characters are literal. A file of exactly
 * that name takes precedence over a pattern's matches. */
static bool find(const char *folder, const char *pattern, glob_t *found) {
  strbuf text = {0}, soft = {0};
  *found = (glob_t){0};
  for (const char *at = folder; *at; at++) {
    if (strchr("*?[]\\{}", *at)) strbuf_append_char(&text, '\\');
    strbuf_append_char(&text, *at);
  }
  if (*folder) strbuf_append_char(&text, '/');
  char *plain = *folder ? fs_join(folder, pattern) : mem_copy_string(pattern);
  bool is_literal = plain && fs_exists(plain);
  place_soften(pattern, &soft);
  for (const char *at = is_literal ? pattern : strbuf_string(&soft); *at; at++) {
    if (is_literal && strchr("*?[]\\", *at)) strbuf_append_char(&text, '\\');
    strbuf_append_char(&text, *at);
  }
  bool is_found = !text.is_broken && glob(strbuf_string(&text), 0, NULL, found) == 0;
  if (!is_found) globfree(found);
  free(plain);
  strbuf_free(&text);
  strbuf_free(&soft);
  return is_found;
}

bool link_is_there(const char *path) {
  glob_t found;
  bool is_there = find("", path, &found);
  if (is_there) globfree(&found);
  return is_there;
}

static err link_entries(const char *inside, const char *source, const char *target);

/* Links the whole folder if nothing is there yet, else entry by entry; the bundle's own files are
 * kept. A folder in which the bundle was unpacked is not linked into it. */
static err link_one(const char *inside, const char *source, const char *target) {
  struct stat status;
  char real[PATH_MAX];
  if (!realpath(source, real)) return NULL;
  size_t length = strlen(real);
  bool is_around = strncmp(inside, real, length) == 0 && (inside[length] == '/' || !inside[length]);
  if (lstat(target, &status) == 0)
    return S_ISDIR(status.st_mode) && fs_is_folder(real) ? link_entries(inside, real, target)
                                                         : NULL;
  if (is_around) return NULL;
  return symlink(real, target) == 0 ? NULL : err_errno(errno, "%s: cannot create the link", target);
}

static err link_entries(const char *inside, const char *source, const char *target) {
  char **names = NULL;
  size_t count = 0;
  err error = fs_list(source, &names, &count);
  for (size_t i = 0; i < count && !error; i++) {
    char *inner = fs_join(source, names[i]), *made = fs_join(target, names[i]);
    error = inner && made ? link_one(inside, inner, made) : mem_error(0, "a path");
    free(inner);
    free(made);
  }
  fs_free_names(names, count);
  return error;
}

/* The matches of `rest` in `folder`, under `target`. */
static err link_matches(const localise_place *p, const glob_t *found, const char *folder,
                        const char *target) {
  err error = NULL;
  for (size_t i = 0; i < found->gl_pathc && !error; i++) {
    char *made = fs_join(target, found->gl_pathv[i] + strlen(folder) + 1);
    char *slash = made ? strrchr(made, '/') : NULL;
    if (!slash) {
      error = mem_error(0, "a path");
    } else {
      *slash = '\0';
      error = fs_make_folders(made);
      *slash = '/';
    }
    if (!error) error = link_one(p->inside, found->gl_pathv[i], made);
    free(made);
  }
  return error;
}

/* Searches one folder, by the whole path or, with is_by_end, by its last parts. */
static err link_from(const localise_place *p, const char *folder, const char *root,
                     const char *path, bool is_by_end, bool *is_found) {
  const char *rest = path;
  *is_found = false;
  for (int up = is_by_end ? place_ups(path) : 0; up > 0 && rest[2]; up--) rest += 3;
  do {
    glob_t found;
    if (find(folder, rest, &found)) {
      strbuf target = {0};
      strbuf_format(&target, "%s/", root);
      strbuf_append_bytes(&target, path, (size_t)(rest - path));
      if (target.data[target.length - 1] == '/') target.data[--target.length] = '\0';
      err error = link_matches(p, &found, folder, strbuf_string(&target));
      strbuf_free(&target);
      globfree(&found);
      *is_found = true;
      return error;
    }
    rest = strchr(rest, '/');
  } while (is_by_end && rest++);
  return NULL;
}

/* A path that leads above the bundle's folder is not followed: `start` is as deep as the packed
 * paths need. */
static bool leads_out(const localise_place *p, const char *normal) {
  strbuf files = {0};
  strbuf_format(&files, "%s/files", p->inside);
  int depth = 0;
  for (const char *at = p->start + files.length; *at; at++) depth += *at == '/' && at[1];
  strbuf_free(&files);
  return place_ups(normal) > depth;
}

err link_path(const localise_place *p, const char *path) {
  strbuf normal = {0}, root = {0};
  bool is_found = *path == '/' && link_is_there(path);
  err error = NULL;
  place_normalise(path, &normal);
  const char *own = strbuf_string(&normal);
  if (*own == '/') {
    strbuf_format(&root, "%s/absolute", p->inside);
    own++;
  } else {
    strbuf_append(&root, p->start);
    is_found = leads_out(p, own);
  }
  for (size_t i = 0; i < p->folder_count && !is_found && !error; i++)
    error = link_from(p, p->folders[i], strbuf_string(&root), own, true, &is_found);
  if (!is_found && !error && *path != '/')
    error = link_from(p, p->from, strbuf_string(&root), own, false, &is_found);
  strbuf_free(&normal);
  strbuf_free(&root);
  return error;
}
