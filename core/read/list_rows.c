#include "read/list_rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/plain_text.h"

/* The base folder of relative image paths: the option, or the list's own folder. */
static err find_folder(const source_request *r, char **folder) {
  const char *images = source_option(r, "images"), *slash = strrchr(r->location, '/');
  *folder = mem_copy_string(images ? images : slash ? r->location : ".");
  if (!*folder) return mem_error(strlen(r->location), "a path");
  if (!images && slash) (*folder)[slash - r->location] = '\0';
  return NULL;
}

err list_rows_begin(const source_request *r, list_rows *out) {
  *out = (list_rows){.r = r};
  err error = file_rows_create(r->whole, &out->rows);
  return error ? error : find_folder(r, &out->folder);
}

void list_rows_free(list_rows *l) {
  free(l->folder);
  strbuf_free(&l->path);
}

err list_rows_add(list_rows *l, const char *image, const char *extension, const char *caption,
                  const char *json) {
  strbuf_clear(&l->path);
  if (*image != '/') strbuf_format(&l->path, "%s/", l->folder);
  strbuf_format(&l->path, "%s%s", image, extension);
  if (l->path.is_broken) return mem_error(strlen(image), "a path");
  return file_rows_add(l->rows, l->path.data, caption, json);
}

err list_rows_leave_out(list_rows *l, const char *place, const char *what) {
  strbuf whole = {0};
  strbuf_format(&whole, "%s%s", l->r->location, place);
  err error = whole.is_broken ? mem_error(0, "a place in a list") : NULL;
  if (!error)
    left_out_add(&((data_source *)l->rows)->left_out, strbuf_string(&whole), NULL, "%s", what);
  strbuf_free(&whole);
  return error;
}

err list_rows_take(list_rows *l, const char *place, const char *image, const char *extension,
                   const char *caption, const char *json) {
  char *text = NULL;
  if (!*image) return list_rows_leave_out(l, place, "has no image");
  if (!*caption)
    return source_needs_caption(l->r) ? list_rows_leave_out(l, place, "has no caption")
                                      : list_rows_add(l, image, extension, "", json);
  err error = plain_text(caption, strlen(caption), "its caption", &text);
  if (error && err_kind_of(error) == ERR_INPUT) {
    err left_out = source_needs_caption(l->r) ? list_rows_leave_out(l, place, err_message(error))
                                              : list_rows_add(l, image, extension, "", json);
    err_free(error);
    return left_out;
  }
  free(text);
  return error ? error : list_rows_add(l, image, extension, caption, json);
}
