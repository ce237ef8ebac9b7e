#include "eval/classes.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { MOST_NAMED = 5 }; /* per warning */

/* A label, its number of rows, and the class it belongs to (-1: none). */
typedef struct {
  const char *label;
  int64_t count, class;
} tally;

static int by_label(const void *a, const void *b) {
  return strcmp(((const tally *)a)->label, ((const tally *)b)->label);
}

void classes_trim(char *label) {
  static const char blanks[] = " \t\r\n";
  size_t first = strspn(label, blanks), length = strlen(label + first);
  while (length && strchr(blanks, label[first + length - 1])) length--;
  memmove(label, label + first, length);
  label[length] = '\0';
}

/* Cuts a line at its first tab; *name: what is after it, NULL without a tab. Blanks at the ends of
 * both are no part of them. */
static char *cut_at_tab(char *line, char **name) {
  char *label = line + strspn(line, " \t"), *tab = strchr(label, '\t');
  if (tab) *tab = '\0';
  classes_trim(label);
  *name = tab ? tab + 1 : NULL;
  if (tab) classes_trim(*name);
  return label;
}

err classes_read_file(const char *path, text_lines *lines, settings_list *labels,
                      settings_list *names) {
  err error = text_lines_read(path, true, lines); /* a tab at the end tells of a missing name */
  if (error) return error;
  labels->items = mem_zeroed(lines->count, sizeof(char *));
  names->items = mem_zeroed(lines->count, sizeof(char *));
  if (!labels->items || !names->items) return mem_error(lines->count * sizeof(char *), path);
  for (size_t i = 0; i < lines->count; i++) {
    char *name, *label = cut_at_tab(lines->items[i], &name);
    if (!*label) continue;
    if (name && !*name)
      return err_new(ERR_INPUT,
                     "%s:%ld: '%s' has a tab but no name; a line is LABEL<tab>NAME, or LABEL alone",
                     path, lines->numbers[i], label);
    if (name && strchr(name, '\t'))
      return err_new(ERR_INPUT, "%s:%ld: more than two columns; a line is LABEL<tab>NAME", path,
                     lines->numbers[i]);
    lines->numbers[labels->count] = lines->numbers[i]; /* without the blank lines */
    labels->items[labels->count++] = label;
    names->items[names->count++] = name ? name : label;
  }
  return labels->count ? NULL : err_new(ERR_INPUT, "%s: contains no class", path);
}

err classes_check(const settings_list *labels, const char *file, const text_lines *lines) {
  err error = NULL;
  tally *all = mem_zeroed(labels->count, sizeof *all);
  if (!all) return mem_error(labels->count * sizeof *all, "classes");
  for (size_t i = 0; i < labels->count; i++) all[i] = (tally){labels->items[i], 0, (int64_t)i};
  qsort(all, labels->count, sizeof *all, by_label);
  for (size_t i = 1; i < labels->count && !error; i++) {
    if (strcmp(all[i - 1].label, all[i].label) != 0) continue;
    size_t last = (size_t)(all[i].class > all[i - 1].class ? all[i].class : all[i - 1].class);
    error = file ? err_new(ERR_INPUT, "%s:%ld: duplicate label '%s'", file, lines->numbers[last],
                           all[i].label)
                 : err_new(ERR_INPUT, "classes: duplicate label '%s'", all[i].label);
  }
  free(all);
  return error;
}

/* Every label that occurs in the rows, sorted, with its count. */
static err tally_labels(char **labels, int64_t rows, tally **out, size_t *count) {
  tally *all = mem_zeroed((size_t)rows, sizeof *all);
  size_t used = 0, distinct = 0;
  if (!all) return mem_error((size_t)rows * sizeof *all, "labels");
  for (int64_t i = 0; i < rows; i++)
    if (labels[i]) all[used++] = (tally){labels[i], 1, -1};
  qsort(all, used, sizeof *all, by_label);
  for (size_t i = 0; i < used; i++) {
    if (distinct && strcmp(all[distinct - 1].label, all[i].label) == 0)
      all[distinct - 1].count++;
    else
      all[distinct++] = all[i];
  }
  *out = all;
  *count = distinct;
  return NULL;
}

static tally *find(tally *all, size_t count, const char *label) {
  const tally wanted = {.label = label};
  return bsearch(&wanted, all, count, sizeof *all, by_label);
}

static char *spoken(const char *label) {
  char *name = mem_copy_string(label);
  for (char *at = name; at && *at; at++)
    if (*at == '_') *at = ' ';
  return name;
}

/* name: NULL, or the label itself: none was given. */
static err add_class(eval_set *set, const char *label, const char *name) {
  char *own_label = mem_copy_string(label);
  char *own_name = name && name != label ? mem_copy_string(name) : spoken(label);
  if (own_label && own_name && !own_name[strspn(own_name, " \t")]) {
    free(own_label);
    free(own_name);
    return err_new(ERR_INPUT, "class '%s' has a blank name", label);
  }
  if (!own_label || !own_name) {
    free(own_label);
    free(own_name);
    return mem_error(strlen(label), "classes");
  }
  set->class_labels[set->class_count] = own_label;
  set->classes[set->class_count++] = own_name;
  return NULL;
}

err classes_take_given(eval_set *set, const settings_list *labels, const settings_list *names) {
  set->classes = mem_zeroed(labels->count, sizeof *set->classes);
  set->class_labels = mem_zeroed(labels->count, sizeof *set->class_labels);
  err error = set->classes && set->class_labels
                  ? NULL
                  : mem_error(labels->count * sizeof(char *), "classes");
  for (size_t i = 0; i < labels->count && !error; i++)
    error = add_class(set, labels->items[i], names->count ? names->items[i] : NULL);
  return error;
}

/* With 1, the default, all given classes are used, also one that no image has. */
static bool has_enough(const class_request *r, const tally *own) {
  bool is_given = r->classes->count > 0;
  return (own ? own->count : 0) >= (is_given && r->min_images == 1 ? 0 : r->min_images);
}

/* The given classes, or every label in alphabetical order, with enough images; tallies get their
 * class. */
static err make_classes(eval_set *set, const class_request *r, tally *all, size_t distinct) {
  size_t given = r->classes->count, most = given ? given : distinct;
  set->classes = mem_zeroed(most, sizeof *set->classes);
  set->class_labels = mem_zeroed(most, sizeof *set->class_labels);
  if (!set->classes || !set->class_labels) return mem_error(most * sizeof(char *), "classes");
  for (size_t i = 0; i < most; i++) {
    tally *own = given ? find(all, distinct, r->classes->items[i]) : &all[i];
    if (!has_enough(r, own)) continue;
    if (own) own->class = set->class_count;
    err error = add_class(set, given ? r->classes->items[i] : own->label,
                          r->names->count ? r->names->items[i] : NULL);
    if (error) return error;
  }
  return NULL;
}

static void append_name(strbuf *list, size_t number, const char *name, int64_t count) {
  if (number >= MOST_NAMED) return;
  strbuf_format(list, "%s'%s'", number ? ", " : "", name);
  if (count) strbuf_format(list, " (%ld)", (long)count);
}

static const char *end_list(strbuf *list, size_t count) {
  if (count > MOST_NAMED) strbuf_append(list, ", …");
  return strbuf_string(list);
}

/* Classes of a given list without images. */
static void warn_of_empty_classes(eval_set *set, const class_request *r, tally *all,
                                  size_t distinct) {
  strbuf list = {0};
  size_t count = 0;
  for (size_t i = 0; i < r->classes->count; i++)
    if (!find(all, distinct, r->classes->items[i]))
      append_name(&list, count++, r->classes->items[i], 0);
  if (count)
    eval_set_warn(set, "%s: %zu of %zu classes %s no image: %s", set->name, count,
                  r->classes->count, text_plural((int64_t)count, "has", "have"),
                  end_list(&list, count));
  strbuf_free(&list);
}

/* Images whose label is not in a given list, and images without a label. */
static void warn_of_other_images(eval_set *set, const class_request *r, char **labels,
                                 const tally *all, size_t distinct) {
  strbuf list = {0};
  int64_t others = 0, unlabelled = 0;
  size_t count = 0;
  for (size_t i = 0; r->classes->count && i < distinct; i++) {
    if (all[i].class >= 0) continue;
    others += all[i].count;
    append_name(&list, count++, all[i].label, all[i].count);
  }
  for (int64_t row = 0; row < set->rows; row++)
    unlabelled += !labels[row] && !set->is_bad[row] && set->labels[row] != LABEL_UNREADABLE;
  if (others)
    eval_set_warn(set, "%s: %ld %s a label that is not a class: %s", set->name, (long)others,
                  text_plural(others, "image has", "images have"), end_list(&list, count));
  if (unlabelled)
    eval_set_warn(set, "%s: %ld %s no label '%s'", set->name, (long)unlabelled,
                  text_plural(unlabelled, "image has", "images have"), r->label);
  strbuf_free(&list);
}

/* No image has a class: shows the existing labels and the classes. */
static err refuse_strangers(const eval_set *set, const class_request *r, const tally *all,
                            size_t distinct) {
  strbuf seen = {0}, wanted = {0};
  for (size_t i = 0; i < distinct; i++) append_name(&seen, i, all[i].label, 0);
  for (int64_t c = 0; c < set->class_count; c++)
    append_name(&wanted, (size_t)c, set->class_labels[c], 0);
  err error =
      distinct ? err_new(ERR_INPUT,
                         "no image belongs to a class: label '%s' of the data is %s, the classes "
                         "are %s (in a class file, a tab separates label and name)",
                         r->label, end_list(&seen, distinct),
                         end_list(&wanted, (size_t)set->class_count))
               : err_new(ERR_INPUT, "no image has a label '%s'", r->label);
  strbuf_free(&seen);
  strbuf_free(&wanted);
  return error;
}

bool classes_have_one_name(const eval_set *set) {
  for (int64_t c = 1; c < set->class_count; c++)
    if (strcmp(set->classes[c], set->classes[0]) != 0) return false;
  return true;
}

err classes_choose(eval_set *set, const class_request *r, char **labels) {
  tally *all = NULL;
  size_t distinct = 0;
  int64_t used = 0;
  err error = tally_labels(labels, set->rows, &all, &distinct);
  if (error) return error;
  TRY(make_classes(set, r, all, distinct));
  if (!distinct) TRY(refuse_strangers(set, r, all, distinct));
  if (set->class_count < 2)
    FAIL(ERR_INPUT, "label '%s' has %ld classes with %ld images or more; two are needed", r->label,
         (long)set->class_count, (long)r->min_images);
  for (int64_t row = 0; row < set->rows; row++) {
    const tally *own = labels[row] ? find(all, distinct, labels[row]) : NULL;
    if (own || set->labels[row] != LABEL_UNREADABLE)
      set->labels[row] = own ? (int32_t)own->class : -1;
    used += set->labels[row] >= 0;
  }
  if (!used) TRY(refuse_strangers(set, r, all, distinct));
  if (set->has_zeroshot && classes_have_one_name(set))
    eval_set_warn(set, "%s: all %ld classes are named '%s', so no prompt distinguishes them",
                  set->name, (long)set->class_count, set->classes[0]);
  warn_of_empty_classes(set, r, all, distinct);
  warn_of_other_images(set, r, labels, all, distinct);
cleanup:
  free(all);
  return error;
}
