/* The YAML file of an evaluation set: its keys and their consistency. */
#include "eval/description.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/mem_library.h"
#include "eval/classes.h"
#include "text/template.h"

static const char *const task_names[] = {"zeroshot", "retrieval", "probe"};
enum { TASKS = sizeof task_names / sizeof *task_names };

static void read_strings(const yml_node *node, settings_list *list, yml_problems *problems) {
  size_t count = node->kind == YML_SEQUENCE ? node->count : 1;
  list->items = mem_zeroed(count, sizeof *list->items);
  if (!list->items) {
    mem_note_lack();
    yml_problem(problems, node, NULL, 0, "out of memory");
  }
  for (size_t i = 0; i < count && list->items; i++) {
    const yml_node *item = node->kind == YML_SEQUENCE ? node->items[i] : node;
    if (item->kind != YML_SCALAR || yml_is_null(item))
      yml_problem(problems, item, NULL, 0, "expected a plain word or a list of them");
    else
      list->items[list->count++] = (char *)item->scalar;
  }
}

static void read_tasks(const yml_node *node, set_description *d, yml_problems *problems) {
  settings_list tasks = {0};
  read_strings(node, &tasks, problems);
  for (size_t i = 0; i < tasks.count; i++) {
    if (strcmp(tasks.items[i], task_names[0]) == 0)
      d->has_zeroshot = true;
    else if (strcmp(tasks.items[i], task_names[1]) == 0)
      d->has_retrieval = true;
    else if (strcmp(tasks.items[i], task_names[2]) == 0)
      d->has_probe = true;
    else
      yml_problem(problems, node->kind == YML_SEQUENCE ? node->items[i] : node, task_names, TASKS,
                  "unknown task '%s'", tasks.items[i]);
  }
  free(tasks.items);
}

static void read_whole(const yml_node *node, int64_t least, int64_t *value,
                       yml_problems *problems) {
  if (node->kind != YML_SCALAR || !yml_as_int(node->scalar, value) || *value < least)
    yml_problem(problems, node, NULL, 0, "expected a whole number of at least %ld", (long)least);
}

/* The keys of a set's file, except tasks. */
typedef enum { KEY_TEXT, KEY_STRINGS, KEY_COUNT, KEY_BOOL, KEY_METRIC, KEY_CORRUPTION } key_kind;
static const struct {
  const char *key;
  key_kind kind;
  size_t offset; /* in set_description */
} fields[] = {{"name", KEY_TEXT, offsetof(set_description, name)},
              {"label", KEY_TEXT, offsetof(set_description, label)},
              {"captions", KEY_TEXT, offsetof(set_description, captions)},
              {"class_file", KEY_TEXT, offsetof(set_description, class_file)},
              {"template_file", KEY_TEXT, offsetof(set_description, template_file)},
              {"ignore_label", KEY_TEXT, offsetof(set_description, ignore_label)},
              {"label_files", KEY_TEXT, offsetof(set_description, label_files)},
              {"multilabel", KEY_BOOL, offsetof(set_description, is_multilabel)},
              {"corruption", KEY_CORRUPTION, offsetof(set_description, corruption)},
              {"metric", KEY_METRIC, offsetof(set_description, metric)},
              {"images", KEY_STRINGS, offsetof(set_description, images)},
              {"templates", KEY_STRINGS, offsetof(set_description, templates)},
              {"classes", KEY_STRINGS, offsetof(set_description, classes)},
              {"class_names", KEY_STRINGS, offsetof(set_description, class_names)},
              {"min_images", KEY_COUNT, offsetof(set_description, min_images)},
              {"captions_per_image", KEY_COUNT, offsetof(set_description, captions_per_image)},
              {"limit", KEY_COUNT, offsetof(set_description, limit)}};
enum { FIELDS = sizeof fields / sizeof *fields };

static void read_metric(const yml_node *value, eval_metric *metric, yml_problems *problems) {
  const char *names[EVAL_METRICS];
  for (eval_metric m = 0; m < EVAL_METRICS; m++) {
    names[m] = eval_metric_name(m);
    if (value->kind != YML_SCALAR || strcmp(value->scalar, names[m]) != 0) continue;
    *metric = m;
    return;
  }
  yml_problem(problems, value, names, EVAL_METRICS, "unknown metric '%s'",
              value->kind == YML_SCALAR ? value->scalar : "");
}

static void read_kind(const yml_node *node, corrupt_kind *kind, yml_problems *problems) {
  const char *names[CORRUPT_ALL];
  const char *given = node->kind == YML_SCALAR ? node->scalar : "";
  for (int k = 1; k <= CORRUPT_ALL; k++) {
    names[k - 1] = corrupt_name((corrupt_kind)k);
    if (strcmp(given, names[k - 1]) != 0) continue;
    *kind = (corrupt_kind)k;
    return;
  }
  yml_problem(problems, node, names, CORRUPT_ALL, "unknown corruption '%s'", given);
}

void description_read_corruption(const yml_node *node, image_corruption *corruption,
                                 yml_problems *problems) {
  static const char *const keys[] = {"kind", "strength"};
  int64_t strength = 0;
  const yml_node *kind = node->kind == YML_MAP ? yml_get(node, keys[0]) : NULL;
  const yml_node *given = node->kind == YML_MAP ? yml_get(node, keys[1]) : NULL;
  if (!kind || !given) {
    yml_problem(problems, node, NULL, 0, "corruption takes {kind: NAME, strength: 1 to %d or all}",
                CORRUPT_STRENGTHS);
    return;
  }
  for (size_t i = 0; i < node->count; i++)
    if (strcmp(node->keys[i]->scalar, keys[0]) != 0 && strcmp(node->keys[i]->scalar, keys[1]) != 0)
      yml_problem(problems, node->keys[i], keys, 2, "unknown key '%s'", node->keys[i]->scalar);
  read_kind(kind, &corruption->kind, problems);
  bool is_all = given->kind == YML_SCALAR && strcmp(given->scalar, "all") == 0;
  bool is_known = given->kind == YML_SCALAR && yml_as_int(given->scalar, &strength) &&
                  strength >= 1 && strength <= CORRUPT_STRENGTHS;
  if (!is_all && !is_known)
    yml_problem(problems, given, NULL, 0, "strength is a whole number in [1, %d] or all",
                CORRUPT_STRENGTHS);
  corruption->strength = is_known ? (int)strength : 0;
}

static void read_field(key_kind kind, const char *key, const yml_node *value, void *field,
                       yml_problems *problems) {
  if (kind == KEY_STRINGS)
    read_strings(value, field, problems);
  else if (kind == KEY_COUNT)
    read_whole(value, 1, field, problems);
  else if (kind == KEY_METRIC)
    read_metric(value, field, problems);
  else if (kind == KEY_CORRUPTION)
    description_read_corruption(value, field, problems);
  else if (kind == KEY_BOOL && (value->kind != YML_SCALAR || !yml_as_bool(value->scalar, field)))
    yml_problem(problems, value, NULL, 0, "%s takes true or false", key);
  else if (kind == KEY_TEXT && value->kind != YML_SCALAR)
    yml_problem(problems, value, NULL, 0, "%s takes one value", key);
  else if (kind == KEY_TEXT)
    *(const char **)field = value->scalar;
}

static void read_pair(const yml_node *key, const yml_node *value, set_description *d,
                      yml_problems *problems) {
  const char *candidates[FIELDS + 1] = {"tasks"};
  bool is_null = yml_is_null(value); /* a key without a value is treated as absent */
  if (strcmp(key->scalar, "tasks") == 0) {
    if (!is_null) read_tasks(value, d, problems);
    return;
  }
  for (size_t i = 0; i < FIELDS; i++) {
    candidates[i + 1] = fields[i].key;
    if (strcmp(key->scalar, fields[i].key) != 0) continue;
    if (is_null) return;
    read_field(fields[i].kind, key->scalar, value, (char *)d + fields[i].offset, problems);
    return;
  }
  yml_problem(problems, key, candidates, FIELDS + 1, "unknown key '%s'", key->scalar);
}

/* Each template must contain a placeholder for the name. */
static void check_templates(const yml_node *node, const set_description *d,
                            yml_problems *problems) {
  for (size_t i = 0; i < d->templates.count; i++) {
    err error = template_check(d->templates.items[i]);
    if (error)
      yml_problem(problems, node->kind == YML_SEQUENCE ? node->items[i] : node, NULL, 0, "%s",
                  err_message(error));
    err_free(error);
  }
}

/* Sets with several labels per image, and metrics that need a certain kind of set. */
static void check_metric(const yml_node *root, const set_description *d, yml_problems *problems) {
  const yml_node *metric = yml_get_key(root, "metric");
  const char *name = eval_metric_name(d->metric);
  if (d->is_multilabel && !d->classes.count && !d->class_file)
    yml_problem(problems, root, NULL, 0,
                "multilabel: list the classes with 'classes' or 'class_file'");
  if (d->is_multilabel && d->has_probe)
    yml_problem(problems, root, NULL, 0, "multilabel: the probe requires one label per image");
  if (d->is_multilabel && d->min_images > 1)
    yml_problem(problems, yml_get(root, "min_images"), NULL, 0,
                "multilabel: min_images leaves out no class: list those that count");
  if (!d->is_multilabel && (d->label_files || d->ignore_label))
    yml_problem(problems, root, NULL, 0, "%s requires multilabel: true",
                d->label_files ? "label_files" : "ignore_label");
  if (d->label_files && d->ignore_label)
    yml_problem(problems, root, NULL, 0,
                "ignore_label: label_files mark ignored images themselves, with 0");
  if (d->label_files && !strstr(d->label_files, "{}"))
    yml_problem(problems, yml_get(root, "label_files"), NULL, 0,
                "label_files: write {} where the class's label is in the file names");
  if (!metric || !d->has_zeroshot) return;
  if (d->is_multilabel != (d->metric == EVAL_MAP_11POINT))
    yml_problem(problems, metric, NULL, 0,
                d->is_multilabel ? "metric %s: a multilabel set is measured by map_11point"
                                 : "metric %s: needs a set with multilabel: true",
                name);
}

/* Checks that involve several keys. */
static void check_description(const yml_node *root, const set_description *d,
                              yml_problems *problems) {
  if (!d->images.count) yml_problem(problems, root, NULL, 0, "images: no shards given");
  if (!d->has_zeroshot && !d->has_retrieval && !d->has_probe)
    yml_problem(problems, root, NULL, 0,
                "tasks: give one or more of zeroshot, retrieval and probe");
  if (d->class_names.count && d->class_names.count != d->classes.count)
    yml_problem(problems, yml_get(root, "class_names"), NULL, 0,
                "class_names: %zu names for %zu classes", d->class_names.count, d->classes.count);
  if (d->class_file && d->classes.count)
    yml_problem(problems, yml_get(root, "class_file"), NULL, 0,
                "give one of classes and class_file");
  if (d->template_file && d->templates.count)
    yml_problem(problems, yml_get(root, "template_file"), NULL, 0,
                "give one of templates and template_file");
  if (d->has_zeroshot && !d->templates.count && !d->template_file)
    yml_problem(problems, root, NULL, 0,
                "templates: zero-shot needs at least one, such as 'a photo of {}'");
}

void description_read(const yml_document *document, set_description *d, yml_problems *problems) {
  const yml_node *root = yml_root(document);
  *d = (set_description){.name = yml_name(document),
                         .label = "label",
                         .captions = "text",
                         .min_images = 1,
                         .limit = INT64_MAX,
                         .captions_per_image = INT64_MAX};
  if (root->kind != YML_MAP) {
    yml_problem(problems, root, NULL, 0, "an evaluation set is a map of keys to values");
    return;
  }
  for (size_t i = 0; i < root->count; i++) read_pair(root->keys[i], root->items[i], d, problems);
  if (d->is_multilabel && !yml_get(root, "metric")) d->metric = EVAL_MAP_11POINT;
  check_description(root, d, problems);
  if (!problems->count) check_metric(root, d, problems);
  if (!problems->count && d->templates.count)
    check_templates(yml_get(root, "templates"), d, problems);
}

static err read_template_file(set_description *d) {
  if (!d->template_file) return NULL;
  err error = text_lines_read(d->template_file, false, &d->template_lines);
  if (error) return error;
  d->templates.items = mem_zeroed(d->template_lines.count, sizeof(char *));
  if (!d->templates.items) return mem_error(d->template_lines.count, d->template_file);
  for (size_t i = 0; i < d->template_lines.count; i++) {
    error = template_check(d->template_lines.items[i]);
    if (error) return err_context(error, "%s:%ld", d->template_file, d->template_lines.numbers[i]);
    d->templates.items[d->templates.count++] = d->template_lines.items[i];
  }
  return d->templates.count ? NULL
                            : err_new(ERR_INPUT, "%s: contains no template", d->template_file);
}

/* Restricts the set's tasks to the requested one. */
err description_narrow(const char *path, const char *task, set_description *d) {
  bool is_probe = task && strcmp(task, "probe") == 0;
  bool is_retrieval = task && strcmp(task, "retrieval") == 0;
  if (!task) return NULL;
  if (is_probe && !d->has_zeroshot && !d->has_probe)
    return err_new(ERR_INPUT, "%s: has no labels (tasks: zeroshot or probe)", path);
  if (!is_probe && !(is_retrieval ? d->has_retrieval : d->has_zeroshot))
    return err_new(ERR_INPUT, "%s: has no task %s", path, task);
  d->has_probe = is_probe;
  d->has_retrieval = d->has_retrieval && is_retrieval;
  d->has_zeroshot = d->has_zeroshot && !is_probe && !is_retrieval;
  return NULL;
}

err description_read_files(set_description *d) {
  err error = NULL;
  if (d->class_file)
    error = classes_read_file(d->class_file, &d->class_lines, &d->classes, &d->class_names);
  for (size_t i = 0; i < d->classes.count && !error; i++) classes_trim(d->classes.items[i]);
  if (!error) error = classes_check(&d->classes, d->class_file, &d->class_lines);
  return error ? error : read_template_file(d);
}

void description_free(set_description *d) {
  free(d->images.items);
  free(d->templates.items);
  free(d->classes.items);
  free(d->class_names.items);
  text_lines_free(&d->class_lines);
  text_lines_free(&d->template_lines);
}
