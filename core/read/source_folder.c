/* Images in a folder tree, and folders with one class each (ImageNet). */
#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "read/file_rows.h"
#include "text/plain_text.h"
#include "text/template.h"

enum { DEEPEST = 32 };

typedef struct {
  file_rows *rows;
  const char *template; /* NULL: captions are the .txt next to the image */
  json_t *names;        /* {folder: name}, imagenet with a list of names */
  bool is_imagenet, needs_caption;
  int64_t tars, strangers; /* .tar files found; other files that are not images */
  json_t *unnamed;         /* {folder: true}: those missing from the list of names */
  strbuf caption;
} walk;

static bool has_beside(const char *path, const char *extension) {
  strbuf beside = {0};
  strbuf_append_bytes(&beside, path, (size_t)(strrchr(path, '.') - path));
  strbuf_append(&beside, extension);
  bool exists = !beside.is_broken && fs_exists(beside.data);
  strbuf_free(&beside);
  return exists;
}

/* A folder's name as words. */
static void append_spoken(strbuf *out, const char *folder) {
  strbuf_clear(out);
  for (; *folder; folder++) strbuf_append_char(out, *folder == '_' ? ' ' : *folder);
}

static void leave_out(walk *w, const char *path, const char *what) {
  data_source *base = (data_source *)w->rows;
  left_out_add(&base->left_out, path, NULL, "%s", what);
}

static bool is_text(const char *name) {
  char *copy;
  err error = plain_text(name, strlen(name), "a name", &copy);
  free(copy);
  err_free(error);
  return !error;
}

/* class: the first folder below the root on the image's path, NULL for images in the root. */
static err add_image(walk *w, const char *path, const char *class) {
  if (w->is_imagenet && !class) {
    leave_out(w, path, "is in no class's folder");
    return NULL;
  }
  const char *name = class ? json_string_value(json_object_get(w->names, class)) : NULL;
  if (class && w->names && !name && json_object_set_new(w->unnamed, class, json_true()) != 0)
    return mem_error(strlen(class), "a list of folders");
  strbuf spoken = {0};
  if (class) append_spoken(&spoken, name ? name : class);
  const char *const pairs[] = {"class", strbuf_string(&spoken), "folder", class, NULL};
  bool has_text = !w->is_imagenet && has_beside(path, ".txt");
  char *json =
      class && (w->is_imagenet || !has_beside(path, ".json")) ? file_rows_labels(pairs) : NULL;
  err error = NULL;
  if (!has_text && class && w->template && !is_text(spoken.data)) {
    leave_out(w, path, "its folder's name, which is its caption, is not UTF-8");
  } else if (!has_text && class && w->template) {
    file_rows_fill(w->template, spoken.data, &w->caption);
    error = file_rows_add(w->rows, path, strbuf_string(&w->caption), json);
  } else if (has_text || !w->needs_caption) {
    error = file_rows_add(w->rows, path, NULL, json);
  } else {
    leave_out(w, path, "has no caption (.txt)");
  }
  free(json);
  strbuf_free(&spoken);
  return error;
}

static void pass_over(walk *w, const char *name) {
  size_t length = strlen(name);
  bool is_tar = length > 4 && strcmp(name + length - 4, ".tar") == 0;
  w->tars += is_tar;
  w->strangers += !is_tar && file_rows_is_stranger(name);
}

static err walk_folder(walk *w, const char *folder, const char *class, int depth) {
  char **names = NULL, *path = NULL;
  size_t count = 0;
  if (depth > DEEPEST) return err_new(ERR_INPUT, "%s: folders too deep (a loop of links?)", folder);
  err error = fs_list(folder, &names, &count);
  if (error) return error;
  for (size_t i = 0; i < count && !error; i++) {
    path = fs_join(folder, names[i]);
    if (!path)
      error = mem_error(strlen(folder), "a path");
    else if (file_rows_is_image(names[i]) && !fs_is_folder(path))
      error = add_image(w, path, class);
    else if (fs_is_folder(path))
      error = walk_folder(w, path, class ? class : names[i], depth + 1);
    else
      pass_over(w, names[i]);
    free(path);
  }
  fs_free_names(names, count);
  return error;
}

/* Reports names and folders that do not match, in the source's notes. */
static void compare_names(const source_request *r, const walk *w) {
  strbuf *notes = &((data_source *)w->rows)->notes;
  const char *folder;
  json_t *value;
  size_t missing = 0;
  strbuf list = {0};
  json_object_foreach(w->unnamed, folder, value) if (list.length < 80)
      strbuf_format(&list, "%s%s", list.length ? ", " : "", folder);
  if (list.length)
    strbuf_format(notes, "%s: %zu %s no name in the list: %s\n", r->location,
                  json_object_size(w->unnamed),
                  text_plural((int64_t)json_object_size(w->unnamed), "folder has", "folders have"),
                  strbuf_string(&list));
  strbuf_clear(&list);
  json_object_foreach(w->names, folder, value) {
    char *path = fs_join(r->location, folder);
    bool is_there = path && fs_is_folder(path);
    free(path);
    if (is_there) continue;
    if (missing++ < 5) strbuf_format(&list, "%s%s", list.length ? ", " : "", folder);
  }
  if (missing)
    strbuf_format(notes, "%s: %zu %s of the list without a folder: %s%s\n", r->location, missing,
                  text_plural((int64_t)missing, "name", "names"), strbuf_string(&list),
                  missing > 5 ? ", …" : "");
  strbuf_free(&list);
}

static err open_tree(const source_request *r, walk *w, data_source **out) {
  if (!fs_is_folder(r->location)) return err_new(ERR_INPUT, "%s: is not a folder", r->location);
  err error = file_rows_create(r->whole, &w->rows);
  if (!error && w->template) error = err_context(template_check(w->template), "%s", r->whole);
  w->needs_caption = source_needs_caption(r);
  if (!error) error = walk_folder(w, r->location, NULL, 0);
  if (!error && w->tars)
    strbuf_format(&((data_source *)w->rows)->notes,
                  "%s: %ld .tar %s not read: give shards as a pattern, %s/*.tar\n", r->location,
                  (long)w->tars, text_plural(w->tars, "file", "files"), r->location);
  if (!error && w->strangers)
    strbuf_format(&((data_source *)w->rows)->notes,
                  "%s: %ld %s skipped: not .jpg, .jpeg, .png or .webp\n", r->location,
                  (long)w->strangers, text_plural(w->strangers, "file", "files"));
  if (!error && w->names) compare_names(r, w);
  strbuf_free(&w->caption);
  return file_rows_finish(w->rows, error, out);
}

err source_open_folder(const source_request *r, data_source **out) {
  walk w = {.template = source_option(r, "template")};
  return open_tree(r, &w, out);
}

/* Lines "n01440764 tench, Tinca tinca", with a blank or a tab after the folder: the first name is
 * used. */
static err read_names(const char *path, json_t **names) {
  text_lines lines;
  err error = text_lines_read(path, false, &lines);
  *names = json_object();
  if (!error && !*names) error = mem_error(lines.count, path);
  for (size_t i = 0; i < lines.count && !error; i++) {
    char *line = lines.items[i];
    size_t folder = strcspn(line, " \t");
    char *name = line + folder + strspn(line + folder, " \t");
    if (!*name) {
      error = err_new(ERR_INPUT, "%s:%ld: '%.60s' is not a folder and its name", path,
                      lines.numbers[i], line);
      break;
    }
    line[folder] = '\0';
    name[strcspn(name, ",")] = '\0';
    if (json_object_get(*names, line))
      error = err_new(ERR_INPUT, "%s:%ld: duplicate folder '%s'", path, lines.numbers[i], line);
    else if (json_object_set_new(*names, line, json_string(name)) != 0)
      error = mem_error(strlen(name), path);
  }
  text_lines_free(&lines);
  return error;
}

err source_open_imagenet(const source_request *r, data_source **out) {
  const char *names = source_option(r, "names"), *template = source_option(r, "template");
  walk w = {.template = template ? template : "a photo of a {}", .is_imagenet = true};
  err error = names ? read_names(names, &w.names) : NULL;
  w.unnamed = json_object();
  if (!error && !w.unnamed) error = mem_error(0, "a list of folders");
  if (!error) error = open_tree(r, &w, out);
  json_decref(w.names);
  json_decref(w.unnamed);
  return error;
}
