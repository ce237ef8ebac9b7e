#include "eval/multilabel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "eval/classes.h"
#include "read/record.h"
#include "text/template.h"

/* A class by its label, and an image of the label files by its name. */
typedef struct {
  const char *label;
  int64_t number;
} entry;

struct multilabel_index {
  entry *classes;                 /* [class_count] sorted */
  text_lines first;               /* the first class's file, whose names `images` points to */
  entry *images;                  /* sorted; NULL without label files */
  int8_t *truths;                 /* [image_count, class_count] */
  bool *is_used;                  /* [image_count] found in the data */
  int64_t image_count, strangers; /* labels that are not a class */
  int64_t ignoring;               /* rows with a list of ignored labels */
  char *stranger;                 /* one of them */
};

static int by_label(const void *a, const void *b) {
  return strcmp(((const entry *)a)->label, ((const entry *)b)->label);
}

static entry *find(entry *all, int64_t count, const char *label) {
  const entry wanted = {.label = label};
  return bsearch(&wanted, all, (size_t)count, sizeof *all, by_label);
}

/* "000012 -1": the name, cut off in place, and the value. */
static err read_line(const char *path, const text_lines *lines, size_t i, int8_t *value) {
  char *line = lines->items[i], *end = line + strcspn(line, " \t"),
       *text = end + strspn(end, " \t");
  bool is_known = strcmp(text, "1") == 0 || strcmp(text, "0") == 0 || strcmp(text, "-1") == 0;
  if (!is_known)
    return err_new(ERR_INPUT, "%s:%ld: a line is IMAGE and 1, 0 or -1", path, lines->numbers[i]);
  *value = (int8_t)atoi(text);
  *end = '\0';
  return NULL;
}

/* The first file defines the images. */
static err index_images(struct multilabel_index *x, const char *path, int64_t classes) {
  x->image_count = (int64_t)x->first.count;
  x->images = mem_zeroed(x->first.count, sizeof *x->images);
  x->is_used = mem_zeroed(x->first.count, sizeof *x->is_used);
  x->truths = mem_zeroed(x->first.count * (size_t)classes, sizeof *x->truths);
  if (!x->images || !x->is_used || !x->truths) return mem_error(x->first.count, path);
  for (size_t i = 0; i < x->first.count; i++) {
    err error = read_line(path, &x->first, i, &x->truths[i * (size_t)classes]);
    if (error) return error;
    x->images[i] = (entry){x->first.items[i], (int64_t)i};
  }
  qsort(x->images, x->first.count, sizeof *x->images, by_label);
  for (size_t i = 1; i < x->first.count; i++)
    if (strcmp(x->images[i - 1].label, x->images[i].label) == 0)
      return err_new(ERR_INPUT, "%s: image '%s' is listed twice", path, x->images[i].label);
  return x->first.count ? NULL : err_new(ERR_INPUT, "%s: contains no image", path);
}

/* Later files must list the same images, each once. */
static err add_file(struct multilabel_index *x, const char *path, int64_t class, int64_t classes) {
  text_lines lines = {0};
  bool *is_listed = mem_zeroed((size_t)x->image_count, sizeof *is_listed);
  err error =
      is_listed ? text_lines_read(path, false, &lines) : mem_error((size_t)x->image_count, path);
  if (!error && (int64_t)lines.count != x->image_count)
    error = err_new(ERR_INPUT, "%s: lists %zu images, the first class's file %ld", path,
                    lines.count, (long)x->image_count);
  for (size_t i = 0; i < lines.count && !error; i++) {
    int8_t value = 0;
    error = read_line(path, &lines, i, &value);
    const entry *known = error ? NULL : find(x->images, x->image_count, lines.items[i]);
    if (!error && !known)
      error = err_new(ERR_INPUT, "%s:%ld: image '%s' is not in the first class's file", path,
                      lines.numbers[i], lines.items[i]);
    if (error) break;
    if (is_listed[known->number])
      error = err_new(ERR_INPUT, "%s:%ld: image '%s' is listed twice", path, lines.numbers[i],
                      lines.items[i]);
    is_listed[known->number] = true;
    x->truths[known->number * classes + class] = value;
  }
  free(is_listed);
  text_lines_free(&lines);
  return error;
}

static err read_label_files(eval_set *set, const char *pattern) {
  err error = NULL;
  for (int64_t c = 0; c < set->class_count && !error; c++) {
    strbuf path = {0};
    template_fill(pattern, set->class_labels[c], &path);
    const char *name = strbuf_string(&path);
    if (c) {
      error = add_file(set->index, name, c, set->class_count);
    } else {
      error = text_lines_read(name, false, &set->index->first);
      if (!error) error = index_images(set->index, name, set->class_count);
    }
    strbuf_free(&path);
  }
  return error;
}

err multilabel_begin(eval_set *set, const set_description *d) {
  err error = classes_take_given(set, &d->classes, &d->class_names);
  if (error) return error;
  size_t cells = (size_t)(set->rows * set->class_count);
  struct multilabel_index *x = set->index = mem_zeroed(1, sizeof *x);
  set->truths = mem_zeroed(cells, sizeof *set->truths);
  if (!x || !set->truths) return mem_error(cells, "labels");
  x->classes = mem_zeroed((size_t)set->class_count, sizeof *x->classes);
  if (!x->classes) return mem_error((size_t)set->class_count * sizeof *x->classes, "classes");
  for (int64_t c = 0; c < set->class_count; c++) x->classes[c] = (entry){set->class_labels[c], c};
  qsort(x->classes, (size_t)set->class_count, sizeof *x->classes, by_label);
  return d->label_files ? read_label_files(set, d->label_files) : NULL;
}

/* Marks the classes in the JSON list `name`; *listed: its strings, -1 without such a list. */
static err mark(eval_set *set, int64_t row, const char *json, const char *name, int8_t value,
                int64_t *listed) {
  char **list = NULL;
  size_t count = 0;
  struct multilabel_index *x = set->index;
  err error = sample_labels(json, name, &list, &count);
  *listed = list ? (int64_t)count : -1;
  for (size_t i = 0; i < count; i++) {
    classes_trim(list[i]);
    const entry *class = find(x->classes, set->class_count, list[i]);
    if (class) {
      set->truths[row * set->class_count + class->number] = value;
    } else {
      x->strangers++;
      if (!x->stranger) x->stranger = mem_copy_string(list[i]);
    }
    free(list[i]);
  }
  free(list);
  return error;
}

static err take_json(eval_set *set, const set_description *d, int64_t row, const char *json) {
  int64_t listed = -1, ignored = -1;
  int8_t *own = set->truths + row * set->class_count;
  if (!json) return NULL;
  memset(own, -1, (size_t)set->class_count);
  err error = NULL;
  if (d->ignore_label) error = mark(set, row, json, d->ignore_label, 0, &ignored);
  if (!error) error = mark(set, row, json, d->label, 1, &listed);
  set->index->ignoring += ignored >= 0;
  /* an empty list says that the image has none of the classes, as a file of -1 does */
  set->labels[row] = !error && (listed >= 0 || ignored > 0) ? 0 : -1;
  return error;
}

/* The name of a file or a key, without folder and extension. */
static void take_stem(const char *key, strbuf *stem) {
  const char *name = fs_name(key), *dot = strrchr(name, '.');
  strbuf_append_bytes(stem, name, dot && dot > name ? (size_t)(dot - name) : strlen(name));
}

err multilabel_take(eval_set *set, const set_description *d, int64_t row,
                    const dataset_sample *sample) {
  struct multilabel_index *x = set->index;
  set->labels[row] = -1;
  if (!d->label_files) return take_json(set, d, row, sample->json);
  strbuf stem = {0};
  take_stem(sample->key ? sample->key : "", &stem);
  const entry *known = find(x->images, x->image_count, strbuf_string(&stem));
  strbuf_free(&stem);
  if (!known) return NULL;
  if (x->is_used[known->number])
    return err_new(ERR_INPUT, "a second image with the name '%s' of the label files", known->label);
  x->is_used[known->number] = true;
  memcpy(set->truths + row * set->class_count, x->truths + known->number * set->class_count,
         (size_t)set->class_count);
  set->labels[row] = 0;
  return NULL;
}

/* Classes that no image has: the mean is of the others. */
static err check_classes(eval_set *set) {
  int64_t without = 0;
  const char *one = NULL;
  for (int64_t c = 0; c < set->class_count; c++) {
    bool has_image = false;
    for (int64_t row = 0; row < set->rows && !has_image; row++)
      has_image =
          !set->is_bad[row] && set->labels[row] >= 0 && set->truths[row * set->class_count + c] > 0;
    if (has_image) continue;
    without++;
    one = set->class_labels[c];
  }
  if (without == set->class_count && set->index->stranger)
    return err_new(ERR_INPUT, "no image has any of the %ld classes: '%s' is a label, but no class",
                   (long)set->class_count, set->index->stranger);
  if (without == set->class_count)
    return err_new(ERR_INPUT, "no image has any of the %ld classes", (long)set->class_count);
  if (without)
    eval_set_warn(set, "%s: %ld of %ld classes %s left out of the mean: '%s'%s", set->name,
                  (long)without, (long)set->class_count,
                  text_plural(without, "has no image and is", "have no image and are"), one,
                  without > 1 ? ", …" : "");
  return NULL;
}

err multilabel_finish(eval_set *set, const set_description *d) {
  struct multilabel_index *x = set->index;
  int64_t used = 0, unlabelled = 0, missing = 0;
  for (int64_t row = 0; row < set->rows; row++) {
    used += set->labels[row] >= 0 && !set->is_bad[row];
    unlabelled += set->labels[row] < 0 && !set->is_bad[row];
  }
  for (int64_t i = 0; i < x->image_count; i++) missing += !x->is_used[i];
  if (!used)
    return d->label_files ? err_new(ERR_INPUT, "no image is in the label files %s", d->label_files)
                          : err_new(ERR_INPUT, "no image has a list of labels '%s'", d->label);
  if (unlabelled && d->label_files)
    eval_set_warn(set, "%s: %ld %s not in the label files and skipped", set->name, (long)unlabelled,
                  text_plural(unlabelled, "image is", "images are"));
  else if (unlabelled)
    eval_set_warn(set, "%s: %ld %s no label '%s'", set->name, (long)unlabelled,
                  text_plural(unlabelled, "image has", "images have"), d->label);
  if (d->ignore_label && !d->label_files && !x->ignoring)
    eval_set_warn(set, "%s: no image has a list '%s' (ignore_label): no class is ignored",
                  set->name, d->ignore_label);
  if (missing)
    eval_set_warn(set, "%s: %ld of %ld images of the label files not found in the data", set->name,
                  (long)missing, (long)x->image_count);
  if (x->strangers)
    eval_set_warn(set, "%s: %ld %s not a class, such as '%s'", set->name, (long)x->strangers,
                  text_plural(x->strangers, "label is", "labels are"),
                  x->stranger ? x->stranger : "?");
  return check_classes(set);
}

void multilabel_close(eval_set *set) {
  struct multilabel_index *x = set->index;
  free(set->truths);
  if (!x) return;
  free(x->classes);
  free(x->images);
  free(x->is_used);
  free(x->truths);
  free(x->stranger);
  text_lines_free(&x->first);
  free(x);
}
