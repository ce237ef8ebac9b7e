#include "eval/set.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/shipped.h"
#include "image/image.h"
#include "read/in_order.h"
#include "read/record.h"
#include "text/template.h"
#include "text/utf8.h"
#include "eval/classes.h"
#include "eval/copies.h"
#include "eval/description.h"
#include "eval/multilabel.h"

enum { AT_ONCE = 256 }; /* rows */

/* Do all classes have the same tokens under a template, so that the name is not part of them? */
static bool is_same_for_all(const eval_set *set, size_t template) {
  size_t length = (size_t)set->text_length, stride = set->template_count * length;
  const int32_t *first = set->prompt_ids + template * length;
  for (int64_t c = 1; c < set->class_count; c++)
    if (memcmp(first, first + (size_t)c * stride, length * sizeof *first) != 0) return false;
  return true;
}

/* Checks for templates whose prompts do not distinguish the classes although the names do: the name
 * is truncated away. An error if that holds for all templates, or if the vocabulary knows no
 * name. */
static err check_prompts(eval_set *set, const set_description *d) {
  size_t cut = 0, same = 0;
  if (classes_have_one_name(set)) return NULL;
  for (size_t t = 0; t < set->template_count; t++) {
    if (!is_same_for_all(set, t)) continue;
    bool is_cut = set->prompt_id_counts[t] == set->text_length;
    cut += is_cut;
    same++;
    eval_set_warn(set, "%s: template '%s' gives all classes the same tokens: %s", set->name,
                  d->templates.items[t],
                  is_cut ? "the name is beyond text.length"
                         : "the vocabulary contains none of the names");
  }
  if (same < set->template_count) return NULL;
  if (!cut)
    return err_new(ERR_INPUT,
                   "no template tells the classes apart: the vocabulary contains none of their "
                   "names ('%s', …); use one that does",
                   set->classes[0]);
  return err_new(ERR_INPUT, "template '%s': the class name is beyond text.length %ld",
                 d->templates.items[0], (long)set->text_length);
}

/* The prompts of one class as tokens. */
static err make_prompts_of(eval_set *set, const set_description *d, int64_t class, strbuf *prompt) {
  err error = NULL;
  for (size_t t = 0; t < d->templates.count && !error; t++) {
    int64_t at = class * (int64_t)set->template_count + (int64_t)t;
    strbuf_clear(prompt);
    template_fill(d->templates.items[t], set->classes[class], prompt);
    error = tokenizer_encode(set->words, strbuf_string(prompt), set->text_length,
                             set->prompt_ids + at * set->text_length, &set->prompt_id_counts[at]);
  }
  return error;
}

static err make_prompts(eval_set *set, const set_description *d) {
  size_t count = (size_t)set->class_count * d->templates.count;
  err_first failed = {0};
  set->template_count = d->templates.count;
  set->prompt_ids = mem_zeroed(count * (size_t)set->text_length, sizeof *set->prompt_ids);
  set->prompt_id_counts = mem_zeroed(count, sizeof *set->prompt_id_counts);
  if (!set->prompt_ids || !set->prompt_id_counts)
    return err_new(ERR_MEMORY, "out of memory: prompts");
#pragma omp parallel
  {
    strbuf prompt = {0};
#pragma omp for schedule(static)
    for (int64_t c = 0; c < set->class_count; c++) {
      err fault = make_prompts_of(set, d, c, &prompt);
      if (!fault) continue;
#pragma omp critical
      err_keep_first(&failed, (size_t)c, fault);
    }
    strbuf_free(&prompt);
  }
  return failed.error ? failed.error : check_prompts(set, d);
}

/* A row being read, by any thread; then added to the set, in order. */
typedef struct {
  dataset_sample sample;
  err error;                /* in reading it or its captions */
  char *label;              /* NULL: it has none */
  err label_error;          /* in its label */
  int64_t text_count;       /* its captions */
  int32_t *ids, *id_counts; /* [text_count, text_length] */
  strbuf texts;             /* the captions, each with its NUL */
} row_place;

/* Tokenizes a caption of the row. */
static err add_text(const eval_set *set, row_place *p, const char *text) {
  size_t most = (size_t)p->text_count + 1, length = (size_t)set->text_length;
  int32_t *counts = mem_resize(p->id_counts, most, sizeof *counts);
  if (counts) p->id_counts = counts;
  int32_t *ids = mem_resize(p->ids, most * length, sizeof *ids);
  if (ids) p->ids = ids;
  if (!counts || !ids) return mem_error(most * length * sizeof *ids, "captions");
  int64_t at = p->text_count++;
  strbuf_append_bytes(&p->texts, text, strlen(text) + 1);
  if (p->texts.is_broken) return mem_error(p->texts.length, "captions");
  return tokenizer_encode(set->words, text, set->text_length, p->ids + at * set->text_length,
                          &p->id_counts[at]);
}

static bool is_blank(const char *text) {
  return utf8_count_words(text) == 0;
}

/* The lines of a caption that are not blank, at most `most`; they end in LF, CR LF or CR. */
static err add_lines(const eval_set *set, row_place *p, char *caption, int64_t most) {
  err error = NULL;
  for (char *rest = caption, *line; (line = strsep(&rest, "\r\n")) && !error;)
    if (!is_blank(line) && most-- > 0) error = add_text(set, p, line);
  return error;
}

static err add_list(const eval_set *set, row_place *p, const set_description *d) {
  char **list = NULL;
  size_t count = 0;
  if (!p->sample.json) return NULL;
  int64_t most = d->captions_per_image;
  err error = sample_strings(p->sample.json, d->captions, &list, &count);
  for (size_t i = 0; i < count; i++) { /* a blank caption is no text, as in add_lines */
    if (!error && !is_blank(list[i]) && most-- > 0) error = add_text(set, p, list[i]);
    free(list[i]);
  }
  free(list);
  return error;
}

/* Are the captions a list in the JSON, not the sample's text? */
static bool is_json_list(const set_description *d) {
  return strcmp(d->captions, "text") != 0 && strcmp(d->captions, "lines") != 0;
}

/* Sources give a row without a caption an empty one where none is required: it is no text, nor is
 * white space, whose embedding all such rows would share. */
static err add_captions(const eval_set *set, const set_description *d, row_place *p) {
  bool is_list = is_json_list(d);
  bool is_empty = !p->sample.caption || is_blank(p->sample.caption);
  if (!set->has_retrieval || (!is_list && is_empty)) return NULL;
  if (strcmp(d->captions, "text") == 0) return add_text(set, p, p->sample.caption);
  if (strcmp(d->captions, "lines") == 0)
    return add_lines(set, p, p->sample.caption, d->captions_per_image);
  return add_list(set, p, d);
}

/* Appends the row's captions to the set's. */
static err keep_texts(eval_set *set, int64_t row, const row_place *p) {
  const size_t length = (size_t)set->text_length, added = (size_t)p->text_count;
  if (!added) return NULL;
  if (set->text_count + p->text_count > set->text_capacity) {
    int64_t capacity = set->text_capacity ? 2 * set->text_capacity : set->rows;
    while (capacity < set->text_count + p->text_count) capacity *= 2;
    size_t most = (size_t)capacity;
    int32_t *owners = mem_resize(set->owners, most, sizeof *owners);
    if (owners) set->owners = owners;
    int32_t *counts = mem_resize(set->id_counts, most, sizeof *counts);
    if (counts) set->id_counts = counts;
    int32_t *ids = mem_resize(set->ids, most * length, sizeof *ids);
    if (ids) set->ids = ids;
    if (!owners || !counts || !ids) return mem_error(most * length * sizeof *ids, "captions");
    set->text_capacity = capacity;
  }
  const size_t at = (size_t)set->text_count;
  for (size_t t = 0; t < added; t++) set->owners[at + t] = (int32_t)row;
  memcpy(set->id_counts + at, p->id_counts, added * sizeof *p->id_counts);
  memcpy(set->ids + at * length, p->ids, added * length * sizeof *p->ids);
  set->text_count += p->text_count;
  return NULL;
}

void eval_set_warn(eval_set *set, const char *format, ...) {
  va_list arguments;
  if (set->warnings.length) strbuf_append_char(&set->warnings, '\n');
  va_start(arguments, format);
  strbuf_format_list(&set->warnings, format, arguments);
  va_end(arguments);
}

static void warn_of_sample(eval_set *set, const dataset_sample *sample, err fault) {
  eval_set_warn(set, "%s: %s: %s", sample->shard ? sample->shard : set->name,
                sample->key ? sample->key : "?", err_message(fault));
}

/* A label that cannot be read leaves the row without a class; retrieval does not need one. */
static err tolerate_label(eval_set *set, int64_t row, const row_place *p, err error) {
  if (!error || err_kind_of(error) != ERR_INPUT) return error;
  warn_of_sample(set, &p->sample, error);
  set->labels[row] = LABEL_UNREADABLE;
  err_free(error);
  return NULL;
}

static err take_label(eval_set *set, int64_t row, row_place *p, char **label) {
  err error = p->label_error;
  p->label_error = NULL;
  *label = p->label;
  p->label = NULL;
  if (!error && *label) classes_trim(*label);
  if (!error && *label && !**label) { /* blank: no label */
    free(*label);
    *label = NULL;
  }
  return tolerate_label(set, row, p, error);
}

typedef struct {
  eval_set *set;
  const set_description *d;
  char **labels;     /* [rows] */
  char **files;      /* [rows] the file of each row that is one, for retrieval */
  hash_state *texts; /* NULL: the data's fingerprint covers the captions */
} reading;

static void read_row(void *context, int64_t row, void *place) {
  const reading *r = context;
  const eval_set *set = r->set;
  row_place *p = place;
  p->error = dataset_read_text(set->data, row, &p->sample);
  if (!p->error) p->error = add_captions(set, r->d, p);
  if (!p->error && set->has_labels && !set->is_multilabel && p->sample.json)
    p->label_error = sample_label(p->sample.json, r->d->label, &p->label);
}

/* Captions and label of one row; a read error affects only this row. */
static err keep_row(void *context, int64_t row, void *place) {
  const reading *r = context;
  eval_set *set = r->set;
  row_place *p = place;
  int64_t texts = set->text_count;
  err error = p->error;
  p->error = NULL;
  if (!error) error = keep_texts(set, row, p);
  if (!error && set->is_multilabel)
    error = tolerate_label(set, row, p, multilabel_take(set, r->d, row, &p->sample));
  if (!error && set->has_labels && !set->is_multilabel && p->sample.json)
    error = take_label(set, row, p, &r->labels[row]);
  if (error && err_kind_of(error) == ERR_INPUT) {
    warn_of_sample(set, &p->sample, error);
    set->is_bad[row] = true;
    set->text_count = texts; /* none of its captions count */
    err_free(error);
    error = NULL;
  }
  if (!error && !set->is_bad[row] && r->texts && p->texts.length)
    hash_add(r->texts, p->texts.data, p->texts.length);
  if (set->has_retrieval) set->lacks_text[row] = set->text_count == texts;
  if (!error && set->has_retrieval && !set->is_bad[row] && p->sample.key_is_path) {
    r->files[row] = mem_copy_string(p->sample.key);
    if (!r->files[row]) error = mem_error(strlen(p->sample.key), "image names");
  }
  return error;
}

static void release_row(void *place) {
  row_place *p = place;
  err_free(p->error);
  err_free(p->label_error);
  free(p->label);
  free(p->ids);
  free(p->id_counts);
  strbuf_free(&p->texts);
  dataset_sample_free(&p->sample);
}

/* Rows that retrieval skips although they can be read. */
static void warn_of_missing_texts(eval_set *set, const set_description *d) {
  int64_t count = 0;
  for (int64_t row = 0; set->has_retrieval && row < set->rows; row++)
    count += set->lacks_text[row] && !set->is_bad[row];
  if (count)
    eval_set_warn(set, "%s: %ld %s no readable caption (captions: %s) and %s skipped in retrieval",
                  set->name, (long)count, text_plural(count, "sample has", "samples have"),
                  d->captions, text_plural(count, "is", "are"));
}

/* The area under a curve is of two classes that both have images. */
static err check_curve(const eval_set *set) {
  bool has_image[2] = {false, false};
  if (set->class_count != 2)
    return err_new(ERR_INPUT, "metric roc_auc: needs two classes, the set has %ld",
                   (long)set->class_count);
  for (int64_t row = 0; row < set->rows; row++)
    if (!set->is_bad[row] && set->labels[row] >= 0) has_image[set->labels[row]] = true;
  if (has_image[0] && has_image[1]) return NULL;
  return err_new(ERR_INPUT, "metric roc_auc: needs images of both classes; none is of '%s'",
                 set->class_labels[has_image[0]]);
}

/* Captions and labels of every row. */
static err read_rows(eval_set *set, const set_description *d) {
  err error = NULL;
  size_t rows = (size_t)set->rows;
  char **labels = mem_zeroed(rows, sizeof *labels), **files = mem_zeroed(rows, sizeof *files);
  const class_request request = {d->label, d->min_images, &d->classes, &d->class_names};
  set->is_bad = mem_zeroed(rows, sizeof *set->is_bad);
  set->lacks_text = mem_zeroed(rows, sizeof *set->lacks_text);
  set->labels = mem_zeroed(rows, sizeof *set->labels);
  bool has_texts = set->has_retrieval && dataset_may_have_other_texts(set->data, is_json_list(d));
  reading r = {set, d, labels, files, has_texts ? hash_begin() : NULL};
  if (!labels || !files || !set->labels || !set->is_bad || !set->lacks_text ||
      (has_texts && !r.texts))
    FAIL(ERR_MEMORY, "out of memory: an evaluation set");
  const in_order_work work = {&r,       set->rows, AT_ONCE,    sizeof(row_place),
                              read_row, keep_row,  release_row};
  TRY(in_order(&work));
  warn_of_missing_texts(set, d);
  if (set->has_retrieval) TRY(copies_join(set, files, is_json_list(d), d->captions_per_image));
  if (set->has_retrieval && !set->text_count)
    FAIL(ERR_INPUT, "captions: %s: no sample has a caption", d->captions);
  if (set->is_multilabel)
    TRY(multilabel_finish(set, d));
  else if (set->has_labels)
    TRY(classes_choose(set, &request, labels));
  if (set->has_zeroshot && d->metric == EVAL_ROC_AUC) TRY(check_curve(set));
  if (set->has_zeroshot) TRY(make_prompts(set, d));
cleanup:
  if (r.texts) hash_finish(r.texts, set->texts_hash);
  for (int64_t row = 0; labels && files && row < set->rows; row++) {
    free(labels[row]);
    free(files[row]);
  }
  free(labels);
  free(files);
  return error;
}

static void hash_strings(hash_state *state, char *const *items, size_t count) {
  hash_add(state, &count, sizeof count);
  for (size_t i = 0; i < count; i++) hash_add(state, items[i], strlen(items[i]) + 1);
}

/* Hash of what is measured, independent of the model: not of tokens and pixels. */
static err take_fingerprint(eval_set *set, const set_description *d) {
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
  if (set->truths)
    hash_add(state, set->truths, (size_t)(set->rows * set->class_count) * sizeof *set->truths);
  if (set->owners) hash_add(state, set->owners, (size_t)set->text_count * sizeof *set->owners);
  hash_add(state, set->texts_hash, strlen(set->texts_hash));
  hash_finish(state, set->fingerprint);
  return NULL;
}

/* Captions are required if they are the texts of retrieval and nothing else is measured. */
static dataset_parts parts_of(const set_description *d) {
  bool needs_captions = d->has_retrieval && !is_json_list(d) && !d->has_zeroshot && !d->has_probe;
  return needs_captions ? DATASET_PAIR : DATASET_IMAGE;
}

static err open_data(eval_set *set, const set_description *d, dataset_parts parts) {
  err error = dataset_open_for(d->images.items, d->images.count, parts, &set->data);
  if (error) return error;
  const char *warnings = dataset_warnings(set->data, NULL);
  size_t length = strlen(warnings);
  if (length) eval_set_warn(set, "%.*s", (int)(length - 1), warnings); /* its final newline */
  set->rows = dataset_count(set->data);
  if (set->rows > d->limit) set->rows = d->limit;
  return set->rows ? NULL
                   : err_new(ERR_INPUT, "%s: contains no samples%s%s", d->images.items[0],
                             length ? ": " : "", warnings);
}

err eval_set_open(const char *path, const char *task, const settings *s, const tokenizer *words,
                  eval_set **out) {
  set_description d = {0};
  yml_document *document = NULL;
  yml_problems problems = {0};
  char *found = NULL;
  err error = NULL;
  eval_set *set = mem_zeroed(1, sizeof *set);
  if (!set) return mem_error(sizeof *set, "an evaluation set");
  set->words = words;
  set->preparation = image_preparation_of(s);
  set->text_length = s->text_length;
  found = shipped_or_given(path);
  if (!found) FAIL(ERR_MEMORY, "out of memory: an evaluation set");
  TRY(yml_load(found, &document));
  description_read(document, &d, &problems);
  TRY(yml_problems_take(&problems));
  dataset_parts parts = parts_of(&d); /* of all its tasks: rows have the same numbers in each */
  TRY(description_narrow(path, task, &d));
  TRY(description_read_files(&d));
  set->name = mem_copy_string(d.name);
  if (!set->name) FAIL(ERR_MEMORY, "out of memory: an evaluation set");
  set->has_zeroshot = d.has_zeroshot;
  set->has_retrieval = d.has_retrieval;
  set->has_labels = d.has_zeroshot || d.has_probe;
  set->is_multilabel = d.is_multilabel && set->has_labels;
  set->metric = d.metric;
  TRY(open_data(set, &d, parts));
  if (set->is_multilabel) TRY(multilabel_begin(set, &d));
  TRY(read_rows(set, &d));
  TRY(take_fingerprint(set, &d));
  if (d.corruption.kind) TRY(eval_set_corrupt(set, &d.corruption));
  if (set->warnings.is_broken) FAIL(ERR_MEMORY, "out of memory: warnings");
cleanup:
  free(found);
  description_free(&d);
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
  for (int64_t i = 0; i < set->class_count; i++) {
    free(set->classes[i]);
    free(set->class_labels[i]);
  }
  free(set->classes);
  free(set->class_labels);
  free(set->name);
  free(set->labels);
  multilabel_close(set);
  free(set->owners);
  free(set->ids);
  free(set->id_counts);
  free(set->prompt_ids);
  free(set->prompt_id_counts);
  free(set->is_bad);
  free(set->lacks_text);
  free(set->pixels);
  strbuf_free(&set->warnings);
  free(set);
}

bool eval_set_is_corrupted(const eval_set *set) {
  return set->corruption.kind != 0;
}

void eval_set_explain_metric(const eval_set *set, strbuf *lines) {
  if (set->metric != EVAL_ROC_AUC) return; /* and 11-point AP: of more labels than one an image */
  strbuf_format(lines,
                "%s: metric: %s is only measured zero-shot; a classifier or a probe is measured by "
                "top-1 and the mean per class\n",
                set->name, eval_metric_name(set->metric));
}

const char *eval_set_name(const eval_set *set) {
  return set->name;
}

err eval_set_corrupt(eval_set *set, const image_corruption *corruption) {
  const int64_t facts[] = {corruption->kind, corruption->strength};
  hash_state *state = hash_begin();
  if (!state) return mem_error(0, "a fingerprint");
  set->corruption = *corruption;
  hash_add(state, set->fingerprint, strlen(set->fingerprint));
  hash_add(state, facts, sizeof facts);
  hash_finish(state, set->fingerprint);
  return NULL;
}

const char *eval_set_fingerprint(const eval_set *set) {
  return set->fingerprint;
}

int64_t eval_set_rows(const eval_set *set) {
  return set->rows;
}

const dataset *eval_set_data(const eval_set *set) {
  return set->data;
}

int32_t eval_set_class_of(const eval_set *set, int64_t row) {
  return set->is_bad[row] ? LABEL_UNREADABLE : set->labels[row];
}

int64_t eval_set_classes(const eval_set *set) {
  return set->class_count;
}

const char *eval_set_label(const eval_set *set, int64_t number) {
  return set->class_labels[number];
}

const char *eval_set_new_warnings(eval_set *set) {
  size_t from = set->warnings_told;
  set->warnings_told = set->warnings.length;
  if (from == set->warnings.length) return "";
  return strbuf_string(&set->warnings) + from + (from > 0); /* not the previous line's newline */
}

/* epoch below 0: prepared as in evaluation. */
typedef struct {
  uint64_t seed;
  int64_t epoch;
} draw;

static err decode_row(const eval_set *set, int64_t row, const draw *d, uint8_t *pixels) {
  static const image_augmentation augmentation = {0.08, 1, 3.0 / 4, 4.0 / 3, true};
  int64_t size = set->preparation.size;
  dataset_sample sample = {0};
  image picture = {0};
  err error = dataset_read(set->data, row, &sample);
  if (!error) error = image_decode(sample.image, sample.image_bytes, 0, &picture);
  if (!error && d->epoch < 0) {
    error = image_prepare(&picture, &set->preparation, pixels);
  } else if (!error) {
    rng random = rng_at(d->seed, RNG_CROP, (uint64_t)d->epoch, (uint64_t)row);
    error = image_train_transform(&picture, &augmentation, &random, size, pixels);
  }
  if (!error) error = corrupt_image(&set->corruption, row, (int32_t)size, pixels);
  error = err_context(error, "%s: %s", sample.shard ? sample.shard : set->name,
                      sample.key ? sample.key : "?");
  image_free(&picture);
  dataset_sample_free(&sample);
  return error;
}

static err decode_rows(eval_set *set, int64_t first, int64_t count, const draw *d,
                       uint8_t *pixels) {
  int64_t size = set->preparation.size * set->preparation.size * 3;
  err fatal = NULL; /* not the image's fault */
#pragma omp parallel for schedule(dynamic, 8)
  for (int64_t i = 0; i < count; i++) {
    err error = decode_row(set, first + i, d, pixels + i * size);
    if (!error) continue;
    memset(pixels + i * size, 128, (size_t)size);
#pragma omp critical
    if (err_kind_of(error) != ERR_INPUT) {
      if (!fatal) {
        fatal = error;
        error = NULL;
      }
    } else {
      if (!set->is_bad[first + i]) eval_set_warn(set, "%s", err_message(error));
      set->is_bad[first + i] = true;
    }
    err_free(error);
  }
  if (fatal) return fatal;
  return set->warnings.is_broken ? err_new(ERR_MEMORY, "out of memory: warnings") : NULL;
}

err eval_set_decode(eval_set *set, int64_t first, int64_t count, uint8_t *pixels) {
  return decode_rows(set, first, count, &(draw){.epoch = -1}, pixels);
}

err eval_set_decode_augmented(eval_set *set, int64_t first, int64_t count, uint64_t seed,
                              int64_t epoch, uint8_t *pixels) {
  return decode_rows(set, first, count, &(draw){seed, epoch}, pixels);
}
