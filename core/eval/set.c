#include "eval/set.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/shipped.h"
#include "data/image.h"
#include "data/record.h"

static const char *const task_names[] = {"zeroshot", "retrieval", "probe"};
enum { TASKS = sizeof task_names / sizeof *task_names };

/* What the YAML says, before anything is read. */
typedef struct {
  const char *name, *label, *captions, *class_file, *template_file;
  settings_list images, templates, classes, class_names; /* items point into the document */
  char *template_text, *class_text; /* of the files, whose lines the lists point into */
  int64_t min_images, limit, captions_per_image;
  bool has_zeroshot, has_retrieval, has_probe;
} description;

static void read_strings(const yml_node *node, settings_list *list, yml_problems *problems) {
  size_t count = node->kind == YML_SEQUENCE ? node->count : 1;
  list->items = mem_zeroed(count, sizeof *list->items);
  for (size_t i = 0; i < count && list->items; i++) {
    const yml_node *item = node->kind == YML_SEQUENCE ? node->items[i] : node;
    if (item->kind != YML_SCALAR)
      yml_problem(problems, item, NULL, 0, "a plain word or a list of them is wanted here");
    else
      list->items[list->count++] = (char *)item->scalar;
  }
}

static void read_tasks(const yml_node *node, description *d, yml_problems *problems) {
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
    yml_problem(problems, node, NULL, 0, "a whole number of at least %ld is wanted here",
                (long)least);
}

/* The keys of a set's file; tasks apart. */
typedef enum { KEY_TEXT, KEY_STRINGS, KEY_COUNT } key_kind;
static const struct {
  const char *key;
  key_kind kind;
  size_t offset; /* in description */
} fields[] = {{"name", KEY_TEXT, offsetof(description, name)},
              {"label", KEY_TEXT, offsetof(description, label)},
              {"captions", KEY_TEXT, offsetof(description, captions)},
              {"class_file", KEY_TEXT, offsetof(description, class_file)},
              {"template_file", KEY_TEXT, offsetof(description, template_file)},
              {"images", KEY_STRINGS, offsetof(description, images)},
              {"templates", KEY_STRINGS, offsetof(description, templates)},
              {"classes", KEY_STRINGS, offsetof(description, classes)},
              {"class_names", KEY_STRINGS, offsetof(description, class_names)},
              {"min_images", KEY_COUNT, offsetof(description, min_images)},
              {"captions_per_image", KEY_COUNT, offsetof(description, captions_per_image)},
              {"limit", KEY_COUNT, offsetof(description, limit)}};
enum { FIELDS = sizeof fields / sizeof *fields };

static void read_pair(const yml_node *key, const yml_node *value, description *d,
                      yml_problems *problems) {
  const char *candidates[FIELDS + 1] = {"tasks"};
  if (strcmp(key->scalar, "tasks") == 0) {
    read_tasks(value, d, problems);
    return;
  }
  for (size_t i = 0; i < FIELDS; i++) {
    candidates[i + 1] = fields[i].key;
    if (strcmp(key->scalar, fields[i].key) != 0) continue;
    void *field = (char *)d + fields[i].offset;
    if (fields[i].kind == KEY_STRINGS)
      read_strings(value, field, problems);
    else if (fields[i].kind == KEY_COUNT)
      read_whole(value, 1, field, problems);
    else if (value->kind == YML_SCALAR)
      *(const char **)field = value->scalar;
    else
      yml_problem(problems, value, NULL, 0, "%s takes one value", key->scalar);
    return;
  }
  yml_problem(problems, key, candidates, FIELDS + 1, "unknown key '%s'", key->scalar);
}

/* What no single key can say. */
static void check_description(const yml_node *root, const description *d, yml_problems *problems) {
  if (!d->images.count) yml_problem(problems, root, NULL, 0, "images: names no shards");
  if (!d->has_zeroshot && !d->has_retrieval && !d->has_probe)
    yml_problem(problems, root, NULL, 0, "tasks: name zeroshot, retrieval, probe or more of them");
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
                "templates: zero-shot needs one at least, like 'a photo of {}'");
}

static void read_description(const yml_document *document, description *d, yml_problems *problems) {
  const yml_node *root = yml_root(document);
  *d = (description){.name = yml_name(document),
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
  check_description(root, d, problems);
}

static char *spoken(const char *label) {
  char *name = mem_copy_string(label);
  for (char *at = name; at && *at; at++)
    if (*at == '_') *at = ' ';
  return name;
}

typedef struct {
  char *name;
  int64_t count;
} class_tally;

static int by_name(const void *a, const void *b) {
  return strcmp(((const class_tally *)a)->name, ((const class_tally *)b)->name);
}

static err tally_labels(char **labels, int64_t rows, class_tally **tallies, size_t *count) {
  class_tally *all = mem_zeroed((size_t)rows, sizeof *all);
  if (!all) return mem_error((size_t)rows * sizeof *all, "labels");
  size_t used = 0, distinct = 0;
  for (int64_t i = 0; i < rows; i++)
    if (labels[i]) all[used++] = (class_tally){labels[i], 1};
  qsort(all, used, sizeof *all, by_name);
  for (size_t i = 0; i < used; i++) {
    if (distinct && strcmp(all[distinct - 1].name, all[i].name) == 0)
      all[distinct - 1].count++;
    else
      all[distinct++] = all[i];
  }
  *tallies = all;
  *count = distinct;
  return NULL;
}

/* The classes: those given, or every label with images enough, in alphabetical order. */
static err choose_classes(eval_set *set, const description *d, char **labels) {
  class_tally *tallies = NULL;
  size_t distinct = 0;
  err error = tally_labels(labels, set->rows, &tallies, &distinct);
  if (error) return error;
  size_t most = d->classes.count ? d->classes.count : distinct;
  char **keys = mem_zeroed(most, sizeof *keys); /* labels as in the data */
  set->classes = mem_zeroed(most, sizeof *set->classes);
  if (!keys || !set->classes) FAIL(ERR_MEMORY, "out of memory: classes");
  for (size_t i = 0; i < most; i++) {
    if (!d->classes.count && tallies[i].count < d->min_images) continue;
    keys[set->class_count] = d->classes.count ? d->classes.items[i] : tallies[i].name;
    set->classes[set->class_count] = d->class_names.count ? mem_copy_string(d->class_names.items[i])
                                                          : spoken(keys[set->class_count]);
    if (!set->classes[set->class_count]) FAIL(ERR_MEMORY, "out of memory: classes");
    set->class_count++;
  }
  if (set->class_count < 2)
    FAIL(ERR_INPUT, "label '%s' has %ld classes with %ld images or more; two are needed", d->label,
         (long)set->class_count, (long)d->min_images);
  for (int64_t row = 0; row < set->rows; row++)
    for (int64_t c = 0; c < set->class_count && labels[row]; c++)
      if (strcmp(labels[row], keys[c]) == 0) set->labels[row] = (int32_t)c;
cleanup:
  free(keys);
  free(tallies);
  return error;
}

/* `pattern` with {} or {c} replaced. */
static void fill_template(const char *pattern, const char *name, strbuf *out) {
  strbuf_clear(out);
  while (*pattern) {
    size_t width = strncmp(pattern, "{}", 2) == 0 ? 2 : strncmp(pattern, "{c}", 3) == 0 ? 3 : 0;
    if (width)
      strbuf_append(out, name);
    else
      strbuf_append_char(out, *pattern);
    pattern += width ? width : 1;
  }
}

static err make_prompts(eval_set *set, const description *d) {
  size_t count = (size_t)set->class_count * d->templates.count;
  strbuf prompt = {0};
  err error = NULL;
  set->template_count = d->templates.count;
  set->prompt_ids = mem_zeroed(count * (size_t)set->text_length, sizeof *set->prompt_ids);
  set->prompt_id_counts = mem_zeroed(count, sizeof *set->prompt_id_counts);
  if (!set->prompt_ids || !set->prompt_id_counts) FAIL(ERR_MEMORY, "out of memory: prompts");
  for (int64_t c = 0; c < set->class_count; c++)
    for (size_t t = 0; t < set->template_count; t++) {
      int64_t at = c * (int64_t)set->template_count + (int64_t)t;
      fill_template(d->templates.items[t], set->classes[c], &prompt);
      TRY(tokenizer_encode(set->words, strbuf_string(&prompt), set->text_length,
                           set->prompt_ids + at * set->text_length, &set->prompt_id_counts[at]));
    }
cleanup:
  strbuf_free(&prompt);
  return error;
}

/* One more caption of `row`. */
static err add_text(eval_set *set, int64_t row, const char *text) {
  if (set->text_count == set->text_capacity) {
    int64_t capacity = set->text_capacity ? 2 * set->text_capacity : set->rows;
    size_t most = (size_t)capacity, length = (size_t)set->text_length;
    int32_t *owners = mem_resize(set->owners, most, sizeof *owners);
    if (owners) set->owners = owners;
    int32_t *counts = mem_resize(set->id_counts, most, sizeof *counts);
    if (counts) set->id_counts = counts;
    int32_t *ids = mem_resize(set->ids, most * length, sizeof *ids);
    if (ids) set->ids = ids;
    if (!owners || !counts || !ids) return mem_error(most * length * sizeof *ids, "captions");
    set->text_capacity = capacity;
  }
  int64_t at = set->text_count++;
  set->owners[at] = (int32_t)row;
  return tokenizer_encode(set->words, text, set->text_length, set->ids + at * set->text_length,
                          &set->id_counts[at]);
}

/* The lines of a caption that are not empty, `most` at most. */
static err add_lines(eval_set *set, int64_t row, char *caption, int64_t most) {
  err error = NULL;
  for (char *rest = caption, *line; (line = strsep(&rest, "\n")) && !error;) {
    line[strcspn(line, "\r")] = '\0';
    if (*line && most-- > 0) error = add_text(set, row, line);
  }
  return error;
}

static err add_list(eval_set *set, int64_t row, const char *json, const description *d) {
  char **list = NULL;
  size_t count = 0;
  if (!json) return NULL;
  err error = sample_strings(json, d->captions, &list, &count);
  for (size_t i = 0; i < count; i++) {
    if (!error && (int64_t)i < d->captions_per_image) error = add_text(set, row, list[i]);
    free(list[i]);
  }
  free(list);
  return error;
}

static err add_captions(eval_set *set, const description *d, int64_t row, dataset_sample *sample) {
  if (!set->has_retrieval) return NULL;
  if (strcmp(d->captions, "text") == 0) return add_text(set, row, sample->caption);
  if (strcmp(d->captions, "lines") == 0)
    return add_lines(set, row, sample->caption, d->captions_per_image);
  return add_list(set, row, sample->json, d);
}

/* Captions and labels of every row. */
static err read_rows(eval_set *set, const description *d) {
  err error = NULL;
  size_t rows = (size_t)set->rows;
  char **labels = mem_zeroed(rows, sizeof *labels);
  set->labels = mem_zeroed(rows, sizeof *set->labels);
  set->is_bad = mem_zeroed(rows, sizeof *set->is_bad);
  if (!labels || !set->labels || !set->is_bad) FAIL(ERR_MEMORY, "out of memory: an evaluation set");
  for (int64_t row = 0; row < set->rows; row++) {
    dataset_sample sample = {0};
    set->labels[row] = -1;
    error = dataset_read_text(set->data, row, &sample);
    if (!error) error = add_captions(set, d, row, &sample);
    if (!error && set->has_labels && sample.json)
      error = sample_label(sample.json, d->label, &labels[row]);
    error = err_context(error, "sample %s", sample.key);
    dataset_sample_free(&sample);
    if (error) goto cleanup;
  }
  if (set->has_retrieval && !set->text_count)
    FAIL(ERR_INPUT, "captions: %s: no sample has any", d->captions);
  if (set->has_labels) TRY(choose_classes(set, d, labels));
  if (set->has_zeroshot) TRY(make_prompts(set, d));
cleanup:
  for (int64_t row = 0; labels && row < set->rows; row++) free(labels[row]);
  free(labels);
  return error;
}

/* LABEL<tab>NAME a line; without a tab the line is both. */
static err read_class_file(description *d) {
  size_t length, lines = 1;
  if (!d->class_file) return NULL;
  err error = fs_read(d->class_file, &d->class_text, &length);
  if (error) return error;
  for (size_t i = 0; i < length; i++) lines += d->class_text[i] == '\n';
  d->classes.items = mem_zeroed(lines, sizeof(char *));
  d->class_names.items = mem_zeroed(lines, sizeof(char *));
  if (!d->classes.items || !d->class_names.items) return mem_error(lines * 16, d->class_file);
  for (char *rest = d->class_text, *line; (line = strsep(&rest, "\n"));) {
    line[strcspn(line, "\r")] = '\0';
    if (!*line) continue;
    char *tab = strchr(line, '\t');
    if (tab) *tab = '\0';
    d->classes.items[d->classes.count++] = line;
    d->class_names.items[d->class_names.count++] = tab ? tab + 1 : line;
  }
  if (!d->classes.count) return err_new(ERR_INPUT, "%s: names no class", d->class_file);
  return NULL;
}

static err read_template_file(description *d) {
  size_t length, lines = 1;
  if (!d->template_file) return NULL;
  err error = fs_read(d->template_file, &d->template_text, &length);
  if (error) return error;
  for (size_t i = 0; i < length; i++) lines += d->template_text[i] == '\n';
  d->templates.items = mem_zeroed(lines, sizeof(char *));
  if (!d->templates.items) return mem_error(lines * sizeof(char *), d->template_file);
  for (char *rest = d->template_text, *line; (line = strsep(&rest, "\n"));) {
    line[strcspn(line, "\r")] = '\0';
    if (*line) d->templates.items[d->templates.count++] = line;
  }
  if (!d->templates.count) return err_new(ERR_INPUT, "%s: holds no template", d->template_file);
  return NULL;
}

static void hash_strings(hash_state *state, char *const *items, size_t count) {
  hash_add(state, &count, sizeof count);
  for (size_t i = 0; i < count; i++) hash_add(state, items[i], strlen(items[i]) + 1);
}

/* Of what is measured, however a model reads it: not of tokens and pixels. */
static err take_fingerprint(eval_set *set, const description *d) {
  const int64_t numbers[] = {set->has_zeroshot, set->has_retrieval, set->has_labels, set->rows,
                             set->text_count,   set->class_count,   d->min_images};
  const char *data = dataset_fingerprint(set->data);
  hash_state *state = hash_begin();
  if (!state) return mem_error(0, "a fingerprint");
  hash_add(state, numbers, sizeof numbers);
  hash_add(state, data, strlen(data));
  hash_strings(state, &(char *){(char *)d->captions}, set->has_retrieval);
  hash_strings(state, &(char *){(char *)d->label}, set->has_labels);
  hash_strings(state, set->classes, (size_t)set->class_count);
  hash_strings(state, d->templates.items, set->has_zeroshot ? d->templates.count : 0);
  if (set->labels) hash_add(state, set->labels, (size_t)set->rows * sizeof *set->labels);
  if (set->owners) hash_add(state, set->owners, (size_t)set->text_count * sizeof *set->owners);
  hash_finish(state, set->fingerprint);
  return NULL;
}

err eval_set_open(const char *path, const settings *s, const tokenizer *words, eval_set **out) {
  err error = NULL;
  yml_document *document = NULL;
  yml_problems problems = {0};
  description d = {0};
  char *found = NULL;
  eval_set *set = mem_zeroed(1, sizeof *set);
  if (!set) return mem_error(sizeof *set, "an evaluation set");
  set->words = words;
  set->image_size = s->image_size;
  set->text_length = s->text_length;
  found = shipped_or_given(path);
  if (!found) FAIL(ERR_MEMORY, "out of memory: an evaluation set");
  TRY(yml_load(found, &document));
  read_description(document, &d, &problems);
  TRY(yml_problems_take(&problems));
  TRY(read_class_file(&d));
  TRY(read_template_file(&d));
  set->name = mem_copy_string(d.name);
  set->has_zeroshot = d.has_zeroshot;
  set->has_retrieval = d.has_retrieval;
  set->has_labels = d.has_zeroshot || d.has_probe;
  TRY(dataset_open(d.images.items, d.images.count, &set->data));
  set->rows = dataset_count(set->data);
  if (set->rows > d.limit) set->rows = d.limit;
  if (!set->rows) FAIL(ERR_INPUT, "the shards hold no samples");
  TRY(read_rows(set, &d));
  TRY(take_fingerprint(set, &d));
cleanup:
  free(found);
  free(d.images.items);
  free(d.templates.items);
  free(d.classes.items);
  free(d.class_names.items);
  free(d.class_text);
  free(d.template_text);
  yml_free(document);
  if (error) {
    eval_set_close(set);
    return err_context(error, "evaluation set %s", path);
  }
  *out = set;
  return NULL;
}

void eval_set_close(eval_set *set) {
  if (!set) return;
  if (set->data) dataset_close(set->data);
  for (int64_t i = 0; i < set->class_count; i++) free(set->classes[i]);
  free(set->classes);
  free(set->name);
  free(set->labels);
  free(set->owners);
  free(set->ids);
  free(set->id_counts);
  free(set->prompt_ids);
  free(set->prompt_id_counts);
  free(set->is_bad);
  free(set->pixels);
  strbuf_free(&set->warnings);
  free(set);
}

const char *eval_set_name(const eval_set *set) {
  return set->name;
}

const char *eval_set_fingerprint(const eval_set *set) {
  return set->fingerprint;
}

bool eval_set_has_zeroshot(const eval_set *set) {
  return set->has_zeroshot;
}

bool eval_set_has_retrieval(const eval_set *set) {
  return set->has_retrieval;
}

int64_t eval_set_rows(const eval_set *set) {
  return set->rows;
}

int64_t eval_set_classes(const eval_set *set) {
  return set->class_count;
}

const char *eval_set_class(const eval_set *set, int64_t number) {
  return set->classes[number];
}

const char *eval_set_warnings(const eval_set *set) {
  return strbuf_string(&set->warnings);
}

static err decode_row(const eval_set *set, int64_t row, uint8_t *pixels) {
  dataset_sample sample = {0};
  image picture = {0};
  err error = dataset_read(set->data, row, &sample);
  if (!error) error = image_decode(sample.image, sample.image_bytes, 0, &picture);
  if (!error) error = image_eval_transform(&picture, set->image_size, pixels);
  error = err_context(error, "%s: %s", sample.shard ? sample.shard : set->name,
                      sample.key ? sample.key : "?");
  image_free(&picture);
  dataset_sample_free(&sample);
  return error;
}

err eval_set_decode(eval_set *set, int64_t first, int64_t count, uint8_t *pixels) {
  int64_t size = set->image_size * set->image_size * 3;
#pragma omp parallel for schedule(dynamic, 8)
  for (int64_t i = 0; i < count; i++) {
    err error = decode_row(set, first + i, pixels + i * size);
    if (!error) continue;
    memset(pixels + i * size, 128, (size_t)size);
#pragma omp critical
    {
      if (!set->is_bad[first + i])
        strbuf_format(&set->warnings, "%s%s", set->warnings.length ? "\n" : "", err_message(error));
      set->is_bad[first + i] = true;
    }
    err_free(error);
  }
  return set->warnings.is_broken ? err_new(ERR_MEMORY, "out of memory: warnings") : NULL;
}
