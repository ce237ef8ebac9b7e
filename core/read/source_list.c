/* CSV and TSV lists (Parquet: source_parquet.c): image paths and captions; and Open Images' labels,
 * one label per row. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/mem.h"
#include "parquet/parquet.h"
#include "read/csv_rows.h"
#include "read/list_rows.h"
#include "read/name_set.h"

typedef struct {
  list_rows list;
  char separator;
  size_t columns, image, caption, confidence;
  bool has_caption, has_confidence;
  int64_t unnamed; /* labels missing from the list of names */
  /* Open Images: the image whose labels are being collected, and names of labels */
  json_t *names;
  char *current;
  long current_line; /* its first */
  strbuf labels;     /* each with its NUL */
  name_set images;   /* all so far, to notice one whose rows are not together */
} list_reading;

static err take_header(list_reading *l, char *const *fields, size_t count) {
  const char *image = source_option(l->list.r, "image"),
             *caption = source_option(l->list.r, "caption");
  l->columns = count;
  err error = csv_find(fields, count, image ? image : LIST_IMAGE_NAMES, &l->image);
  if (error) return error;
  error = csv_find(fields, count, caption ? caption : LIST_CAPTION_NAMES, &l->caption);
  l->has_caption = !error;
  if (!error || source_needs_caption(l->list.r)) return error;
  err_free(error);
  return NULL;
}

/* True for a multi-line field one of whose lines looks like a row: as many fields as the header,
 * including an image name. A quote that closes too late has swallowed it. */
static bool has_row_inside(const list_reading *l, const char *field, char separator) {
  for (const char *line = field + strcspn(field, "\n"); *line; line += strcspn(line, "\n")) {
    char image[512] = "";
    size_t fields = 1;
    const char *at = ++line;
    for (size_t used = 0; *at && *at != '\n' && *at != '\r'; at++) {
      fields += *at == separator;
      if (fields - 1 != l->image || *at == separator || used + 1 == sizeof image) continue;
      image[used++] = *at;
      image[used] = '\0';
    }
    size_t length = strlen(image);
    if (length && image[length - 1] == '"') image[length - 1] = '\0';
    if (fields == l->columns && file_rows_is_image(image)) return true;
  }
  return false;
}

static err check_fields(const list_reading *l, char *const *fields, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (has_row_inside(l, fields[i], l->separator))
      return err_new(ERR_INPUT, "a quoted field of this row spans several lines, one of which "
                                "looks like a row: is a quote unclosed?");
  return NULL;
}

/* Non-empty fields beyond the header's: an unquoted separator in a caption. */
static bool has_too_many(const list_reading *l, char *const *fields, size_t count) {
  for (size_t i = l->columns; i < count; i++)
    if (*fields[i]) return true;
  return false;
}

static err take_row(void *context, const csv_place *at, char *const *fields, size_t count) {
  list_reading *l = context;
  char what[96], place[32];
  snprintf(place, sizeof place, ":%ld", at->line);
  if (at->row == 1) return take_header(l, fields, count);
  err error = check_fields(l, fields, count);
  if (error) return error;
  if (has_too_many(l, fields, count)) {
    snprintf(what, sizeof what, "has %zu fields, the header %zu", count, l->columns);
    return list_rows_leave_out(&l->list, place, what);
  }
  const char *image = l->image < count ? fields[l->image] : "";
  const char *caption = l->has_caption && l->caption < count ? fields[l->caption] : "";
  return list_rows_take(&l->list, place, image, "", caption, "{}");
}

static void free_reading(list_reading *l) {
  list_rows_free(&l->list);
  free(l->current);
  json_decref(l->names);
  strbuf_free(&l->labels);
  name_set_free(&l->images);
}

err source_open_list(const source_request *r, data_source **out) {
  list_reading l = {0};
  if (parquet_is_file(r->location)) return source_open_parquet(r, out);
  const char *separator = source_option(r, "separator");
  char c = 0;
  if (separator) {
    c = strcmp(separator, "tab") == 0         ? '\t'
        : strcmp(separator, "semicolon") == 0 ? ';'
        : strcmp(separator, "comma") == 0     ? ','
                                              : 0;
    if (!c)
      return err_new(ERR_INPUT, "%s: unknown separator '%s': expected tab, comma or semicolon",
                     r->whole, separator);
  }
  l.separator = csv_separator(r->location, c);
  err error = list_rows_begin(r, &l.list);
  if (!error) error = csv_read(r->location, c, take_row, &l);
  free_reading(&l);
  return file_rows_finish(l.list.rows, error, out);
}

/* Rows "/m/011k07,Tortoise"; a header is harmless. */
static err take_name(void *context, const csv_place *at, char *const *fields, size_t count) {
  json_t *names = context;
  (void)at;
  if (count < 2) return NULL;
  return json_object_set_new(names, fields[0], json_string(fields[1])) == 0
             ? NULL
             : err_new(ERR_INPUT, "'%.40s' is not UTF-8", fields[1]);
}

/* The current image, its labels joined by commas. */
static err add_labelled(list_reading *l) {
  strbuf caption = {0};
  const char *at = strbuf_string(&l->labels), *end = at + l->labels.length;
  for (; at < end; at += strlen(at) + 1)
    strbuf_format(&caption, "%s%s", caption.length ? ", " : "", at);
  err error = caption.is_broken || l->labels.is_broken
                  ? mem_error(caption.length, "labels")
                  : list_rows_add(&l->list, l->current, ".jpg", strbuf_string(&caption), "{}");
  strbuf_free(&caption);
  return error;
}

/* An image of which every label is verified as absent has none. */
static err end_image(list_reading *l) {
  char place[32];
  err error = NULL;
  snprintf(place, sizeof place, ":%ld", l->current_line);
  if (l->current && !l->labels.length && source_needs_caption(l->list.r))
    error = list_rows_leave_out(&l->list, place, "the image has no label");
  else if (l->current)
    error = add_labelled(l);
  free(l->current);
  l->current = NULL;
  strbuf_clear(&l->labels);
  return error;
}

/* An image that was ended would become a second sample, with a part of its labels in each. */
static err begin_image(list_reading *l, const char *image, long line) {
  bool is_new = false;
  err error = end_image(l);
  if (!error) error = name_set_add(&l->images, image, &is_new);
  if (error) return error;
  if (!is_new)
    return err_new(ERR_INPUT,
                   "image '%.40s' has rows further up, and those of other images are between them: "
                   "sort the list by ImageID",
                   image);
  l->current_line = line;
  l->current = mem_copy_string(image);
  return l->current ? NULL : mem_error(strlen(image), "an image's name");
}

/* Several annotators may have verified one label of an image. */
static bool has_label(const list_reading *l, const char *label) {
  const char *at = strbuf_string(&l->labels), *end = at + l->labels.length;
  for (; at < end; at += strlen(at) + 1)
    if (strcmp(at, label) == 0) return true;
  return false;
}

static err find_columns(list_reading *l, char *const *fields, size_t count) {
  err error = csv_find(fields, count, "ImageID", &l->image);
  if (!error) error = csv_find(fields, count, "LabelName", &l->caption);
  if (error) return error;
  err missing = csv_find(fields, count, "Confidence", &l->confidence);
  l->has_confidence = !missing;
  err_free(missing);
  return NULL;
}

static err take_label(void *context, const csv_place *at, char *const *fields, size_t count) {
  list_reading *l = context;
  char place[32];
  if (at->row == 1) return find_columns(l, fields, count);
  if (l->image >= count || l->caption >= count || !*fields[l->image]) {
    snprintf(place, sizeof place, ":%ld", at->line);
    return list_rows_leave_out(&l->list, place, "has no image or label");
  }
  if (!l->current || strcmp(l->current, fields[l->image]) != 0) {
    err error = begin_image(l, fields[l->image], at->line);
    if (error) return error;
  }
  /* confidence 0: verified as absent */
  if (l->has_confidence && l->confidence < count && strtod(fields[l->confidence], NULL) <= 0.5)
    return NULL;
  const char *name = json_string_value(json_object_get(l->names, fields[l->caption]));
  const char *label = name ? name : fields[l->caption];
  if (!*label || has_label(l, label)) return NULL;
  l->unnamed += !name && json_object_size(l->names);
  strbuf_append_bytes(&l->labels, label, strlen(label) + 1);
  return NULL;
}

err source_open_openimages(const source_request *r, data_source **out) {
  list_reading l = {.names = json_object()};
  const char *names = source_option(r, "names");
  err error = list_rows_begin(r, &l.list);
  if (!error && names) error = csv_read(names, 0, take_name, l.names);
  if (!error) error = csv_read(r->location, 0, take_label, &l);
  if (!error) error = end_image(&l);
  if (!error && l.unnamed)
    strbuf_format(&((data_source *)l.list.rows)->notes, "%s: %ld %s no name in %s\n", r->location,
                  (long)l.unnamed, text_plural(l.unnamed, "label has", "labels have"), names);
  free_reading(&l);
  return file_rows_finish(l.list.rows, error, out);
}
