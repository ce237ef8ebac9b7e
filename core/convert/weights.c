/* Reading weights of any format. */
#include "convert/weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/weights_of.h"
#include "convert/names.h"
#include "convert/source.h"
#include "model/positions.h"

static float from_half(uint16_t bits) {
  int exponent = bits >> 10 & 31;
  float mantissa = (float)(bits & 1023), sign = bits & 0x8000 ? -1.0f : 1.0f;
  if (exponent == 31) return mantissa > 0 ? NAN : sign * INFINITY;
  if (exponent == 0) return sign * ldexpf(mantissa, -24);
  return sign * ldexpf(1024.0f + mantissa, exponent - 25);
}

/* Element i of a tensor whose type was checked. The data may be unaligned. */
static float element(const safetensor *t, int64_t i) {
  const char *at = t->data;
  float value;
  uint16_t narrow;
  if (t->type[0] == 'F' && t->type[1] == '3') {
    memcpy(&value, at + i * 4, 4);
    return value;
  }
  memcpy(&narrow, at + i * 2, 2);
  if (t->type[0] == 'F') return from_half(narrow);
  uint32_t wide = (uint32_t)narrow << 16;
  memcpy(&value, &wide, 4);
  return value;
}

static err check_type(const safetensor *t) {
  if (strcmp(t->type, "F32") == 0 || strcmp(t->type, "F16") == 0 || strcmp(t->type, "BF16") == 0)
    return NULL;
  return err_new(ERR_INPUT, "tensor '%s' has type %s; supported: F32, F16, BF16", t->name, t->type);
}

/* May a tensor of rows x columns (rows 0: a vector) have this foreign shape? Leading dimensions of
 * 1 are ignored. more_rows: the foreign one may be longer. */
static bool has_shape(const safetensor *t, int64_t rows, int64_t columns, tensor_layout layout) {
  int64_t sides[SAFETENSORS_RANK], wanted[4];
  int rank = 0, wanted_rank = 0;
  for (int i = 0; i < t->rank; i++)
    if (rank || t->shape[i] != 1) sides[rank++] = t->shape[i];
  if (rows && (rows != 1 || wanted_rank)) wanted[wanted_rank++] = rows;
  if (layout == LAYOUT_PATCHES) {
    int64_t patch = (int64_t)(sqrt((double)columns / 3) + 0.5);
    wanted[wanted_rank++] = 3;
    wanted[wanted_rank++] = patch;
    wanted[wanted_rank++] = patch;
  } else if (columns != 1 || wanted_rank) {
    wanted[wanted_rank++] = columns;
  }
  if (rank != wanted_rank) return false;
  for (int i = 0; i < rank; i++)
    if (sides[i] != wanted[i] && !(layout == LAYOUT_POSITIONS && i == 0 && sides[0] > wanted[0]))
      return false;
  return true;
}

static err wrong_shape(const safetensor *t, int64_t rows, int64_t columns) {
  strbuf text = {0};
  for (int i = 0; i < t->rank; i++) strbuf_format(&text, "%s%ld", i ? "x" : "", (long)t->shape[i]);
  err error =
      err_new(ERR_INPUT, "tensor '%s' is %s, its configuration requires %ldx%ld", t->name,
              t->rank ? strbuf_string(&text) : "a scalar", (long)(rows ? rows : 1), (long)columns);
  strbuf_free(&text);
  return error;
}

/* One part of one of our tensors: rows x columns values at `to`. */
static err read_part(const safetensor *t, const tensor_name *row, weights_format format,
                     int64_t rows, int64_t columns, float *to) {
  bool is_turned = row->layout == LAYOUT_PROJECTION && format == WEIGHTS_OPEN_CLIP;
  err error = check_type(t);
  if (error) return error;
  if (!has_shape(t, is_turned ? columns : rows, is_turned ? rows : columns, row->layout))
    return wrong_shape(t, is_turned ? columns : rows, is_turned ? rows : columns);
  int64_t high = rows ? rows : 1;
  for (int64_t i = 0; i < high; i++)
    for (int64_t j = 0; j < columns; j++)
      to[i * columns + j] = element(t, is_turned ? j * high + i : i * columns + j);
  return NULL;
}

/* Resizes learned positions of another image size to the configured one. */
static bool is_other_grid(const safetensor *t, const param *p) {
  return strcmp(p->name, "image.positions") == 0 && t->rank >= 2 &&
         t->shape[t->rank - 1] == p->columns && t->shape[t->rank - 2] != p->rows;
}

static err read_positions(const safetensor *t, const param *p, bool has_class, float *to) {
  int64_t rows = t->shape[t->rank - 2];
  float *old = mem_zeroed((size_t)(rows * p->columns), sizeof *old);
  const tensor_name plain = {p->name, LAYOUT_PLAIN, {0}};
  err error = old ? read_part(t, &plain, WEIGHTS_FLIP, rows, p->columns, old)
                  : mem_error((size_t)(rows * p->columns) * sizeof *old, p->name);
  if (!error) error = positions_resize(old, rows, has_class, p->columns, p->rows, to);
  free(old);
  return error;
}

/* BERT's norms as TensorFlow called them, in the oldest files: gamma and beta. False: another name.
 */
static bool older_name(const char *name, char older[SAFETENSORS_NAME]) {
  const char *norm = strstr(name, "LayerNorm.");
  if (!norm) return false;
  bool is_weight = strcmp(norm, "LayerNorm.weight") == 0;
  snprintf(older, SAFETENSORS_NAME, "%.*sLayerNorm.%s", (int)(norm - name), name,
           is_weight ? "gamma" : "beta");
  return true;
}

/* The name in the file: transformers prepends the tower's class when it saved a larger model around
 * it. */
static const safetensor *find(const tensor_set *f, weights_format format, const char *name) {
  const safetensor *t = tensor_set_find(f, name);
  if (t || (format != WEIGHTS_BERT && format != WEIGHTS_VIT)) return t;
  char longer[SAFETENSORS_NAME], older[SAFETENSORS_NAME];
  snprintf(longer, sizeof longer, "%s.%s", format == WEIGHTS_BERT ? "bert" : "vit", name);
  t = tensor_set_find(f, longer);
  for (int i = 0; i < 2 && !t && format == WEIGHTS_BERT; i++)
    if (older_name(i ? longer : name, older)) t = tensor_set_find(f, older);
  return t;
}

/* Captions are BERT's first segment: its type's embedding is the same at every position. */
static err add_token_type(const tensor_set *f, const param *p, float *values) {
  const safetensor *t = find(f, WEIGHTS_BERT, "embeddings.token_type_embeddings.weight");
  if (!t) return err_new(ERR_INPUT, "tensor 'embeddings.token_type_embeddings.weight' is missing");
  err error = check_type(t);
  if (error) return error;
  if (t->rank != 2 || t->shape[0] < 1 || t->shape[1] != p->columns)
    return wrong_shape(t, 2, p->columns);
  for (int64_t i = 0; i < p->rows; i++)
    for (int64_t j = 0; j < p->columns; j++) values[i * p->columns + j] += element(t, j);
  return NULL;
}

/* Reads our tensor from theirs; *parts: 0 when the format has no such tensor. */
static err read_tensor(const tensor_set *f, weights_format format, const param *p, bool has_class,
                       float *values, size_t *parts) {
  int64_t block;
  char names[NAME_PARTS][FOREIGN_NAME];
  const tensor_name *row = names_find(p->name, &block);
  *parts = row ? names_foreign(row, block, format, names) : 0;
  for (size_t i = 0; i < *parts; i++) {
    const safetensor *t = find(f, format, names[i]);
    if (!t) return err_new(ERR_INPUT, "tensor '%s' is missing", names[i]);
    if (is_other_grid(t, p)) return read_positions(t, p, has_class, values);
    int64_t count = (int64_t)*parts;
    int64_t rows = p->rows / count, columns = p->rows ? p->columns : p->columns / count;
    err error =
        read_part(t, row, format, rows, columns, values + (int64_t)i * (rows ? rows : 1) * columns);
    if (error) return error;
  }
  if (format == WEIGHTS_BERT && *parts && row->layout == LAYOUT_POSITIONS)
    return add_token_type(f, p, values);
  return NULL;
}

/* An unused tensor would change what the model computes: an error. */
static err check_all_known(const safetensors_file *f, weights_format format,
                           const param_table *table) {
  for (size_t i = 0; i < safetensors_count(f); i++) {
    const char *name = safetensors_at(f, i)->name;
    const char *prefix = format == WEIGHTS_BERT ? "bert." : format == WEIGHTS_VIT ? "vit." : "";
    if (strncmp(name, prefix, strlen(prefix)) == 0) name += strlen(prefix);
    bool is_known = names_is_ignored(name, format);
    for (size_t j = 0; j < table->count && !is_known; j++) {
      int64_t block;
      char names[NAME_PARTS][FOREIGN_NAME];
      const tensor_name *row = names_find(table->items[j].name, &block);
      size_t parts = row ? names_foreign(row, block, format, names) : 0;
      for (size_t part = 0; part < parts; part++) {
        char older[SAFETENSORS_NAME];
        is_known |= strcmp(names[part], name) == 0;
        is_known |=
            format == WEIGHTS_BERT && older_name(names[part], older) && !strcmp(older, name);
      }
    }
    if (!is_known)
      return err_new(ERR_UNSUPPORTED,
                     "tensor '%s' does not belong to the model that the configuration describes",
                     name);
  }
  return NULL;
}

static err read_tensors(const tensor_set *f, weights_format format, const param_table *table,
                        float *values, bool *is_found) {
  bool has_class = param_table_find(table, "image.class_token") != NULL;
  for (size_t i = 0; i < table->count; i++) {
    size_t parts;
    err error = read_tensor(f, format, &table->items[i], has_class, values + table->items[i].offset,
                            &parts);
    if (error) return error;
    if (parts) is_found[i] = true;
  }
  err error = NULL;
  for (size_t i = 0; i < f->count && !error; i++)
    error = check_all_known(f->files[i], format, table);
  return error;
}

err weights_read_tensors(const safetensors_file *f, weights_format format, const param_table *table,
                         float *values, bool *is_found) {
  const tensor_set one = {&f, 1};
  return read_tensors(&one, format, table, values, is_found);
}

/* Our own checkpoints: names and shapes as in the table. */
static err read_own(const tensor_set *f, const param_table *table, float *values, bool *is_found) {
  for (size_t file = 0; file < f->count; file++)
    for (size_t i = 0; i < safetensors_count(f->files[file]); i++) {
      const safetensor *t = safetensors_at(f->files[file], i);
      err error = param_table_check_name(table, t->name);
      if (!error && param_table_find(table, t->name)) error = safetensors_check(f->files[file], t);
      if (error) return error;
    }
  for (size_t i = 0; i < table->count; i++) {
    const param *p = &table->items[i];
    const safetensor *t = tensor_set_find(f, p->name);
    if (!t) return err_new(ERR_INPUT, "tensor '%s' is missing", p->name);
    bool is_positions = strcmp(p->name, "text.positions") == 0; /* of a longer text.length */
    const tensor_name own = {p->name, is_positions ? LAYOUT_POSITIONS : LAYOUT_PLAIN, {0}};
    bool has_class = param_table_find(table, "image.class_token") != NULL;
    err error = is_other_grid(t, p)
                    ? read_positions(t, p, has_class, values + p->offset)
                    : read_part(t, &own, WEIGHTS_FLIP, p->rows, p->columns, values + p->offset);
    if (error) return error;
    is_found[i] = true;
  }
  return NULL;
}

static weights_part part_of(const char *name) {
  bool is_projection = strstr(name, ".projection.") != NULL;
  if (strncmp(name, "image.", 6) == 0)
    return is_projection ? WEIGHTS_IMAGE_PROJECTION : WEIGHTS_IMAGE_TOWER;
  if (strncmp(name, "text.", 5) == 0)
    return is_projection ? WEIGHTS_TEXT_PROJECTION : WEIGHTS_TEXT_TOWER;
  return WEIGHTS_TEMPERATURE;
}

void weights_name_parts(unsigned drawn, strbuf *out) {
  static const char *const names[] = {"image tower", "image projection", "text tower",
                                      "text projection", "temperature"};
  for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
    if (drawn & 1u << i) strbuf_format(out, "%s%s", out->length ? ", " : "", names[i]);
}

static err initialise_rest(weights *w, const bool *is_found) {
  for (size_t i = 0; i < w->table.count; i++) {
    const param *p = &w->table.items[i];
    if (is_found[i]) continue;
    w->drawn |= part_of(p->name);
    size_t count = (size_t)param_elements(p);
    double *wide = mem_zeroed(count, sizeof *wide);
    if (!wide) return mem_error(count * sizeof *wide, p->name);
    param_initial(p, i, (uint64_t)w->s.seed, wide);
    for (size_t j = 0; j < count; j++) w->values[p->offset + (int64_t)j] = (float)wide[j];
    free(wide);
  }
  return NULL;
}

typedef struct {
  int64_t text, side; /* as the configuration says: tokens, and patches of an image's side */
} positions;

/* The rows of a tensor of positions; 0: the file has none. */
static int64_t positions_in(const source *from, const char *name, const safetensor **found) {
  int64_t block;
  char names[NAME_PARTS][FOREIGN_NAME];
  const tensor_name *row = names_find(name, &block);
  if (!row || !names_foreign(row, block, from->format, names)) return 0;
  *found = find(&from->file, from->format, names[0]);
  return *found && (*found)->rank >= 2 ? (*found)->shape[(*found)->rank - 2] : 0;
}

/* The configuration and the file must agree in the numbers of positions: other programs stop where
 * they do not, or change them in ways of their own (open_clip resizes the image's as we do). */
static err check_positions(const source *from, const positions *p) {
  const safetensor *t;
  if (from->format == WEIGHTS_FLIP) return NULL;
  int64_t rows = positions_in(from, "text.positions", &t);
  if (rows && rows != p->text) return wrong_shape(t, p->text, t->shape[t->rank - 1]);
  rows = from->format == WEIGHTS_OPEN_CLIP ? 0 : positions_in(from, "image.positions", &t);
  if (rows && rows != p->side * p->side + 1)
    return wrong_shape(t, p->side * p->side + 1, t->shape[t->rank - 1]);
  return NULL;
}

/* Either one whole model, or at most one tower of each kind. */
static err check_combination(const source *sources, size_t count) {
  for (size_t i = 0; i < count; i++) {
    bool is_tower = sources[i].format == WEIGHTS_BERT || sources[i].format == WEIGHTS_VIT;
    for (size_t j = 0; j < count; j++)
      if (j != i && (!is_tower || sources[j].format == sources[i].format))
        return err_new(ERR_INPUT,
                       "%s and %s do not form one model: give a whole model, or one ViTModel and "
                       "one BertModel",
                       sources[i].path, sources[j].path);
  }
  return NULL;
}

/* What a source says of its model. How a tower alone is pooled, it leaves open; and so do files of
 * others without a vocabulary, or with one that is not ours, the tokenizer. */
static unsigned parts_of_source(const source *from, const weights *w) {
  const bool has_words = *w->s.text_vocabulary && !*w->words_fault;
  switch (from->format) {
  case WEIGHTS_VIT:
    return OF_IMAGE;
  case WEIGHTS_BERT:
    return OF_TEXT | (has_words ? OF_TOKENIZER : 0);
  case WEIGHTS_HF:
  case WEIGHTS_OPEN_CLIP:
    return OF_IMAGE | OF_TEXT | OF_POOLING | (has_words ? OF_TOKENIZER : 0);
  case WEIGHTS_FLIP:
    break;
  }
  return OF_WHOLE_MODEL;
}

typedef struct {
  const source *from;
  strbuf *remarks;
} changes;

static err take_change(void *context, const weights_difference *d) {
  const changes *c = context;
  if (!d->is_use)
    return err_new(ERR_INPUT,
                   "--set %s=%s: %s is of a model with %s: %s, and its weights would compute "
                   "something else",
                   d->key, d->now, c->from->path, d->key, d->before);
  strbuf_format(c->remarks, "%s was trained with %s: %s, and is used with %s\n", c->from->path,
                d->key, d->before, d->now);
  return NULL;
}

/* Applies the changes. What the files say of a setting that determines what their weights compute
 * cannot be changed: the numbers would be another model's. */
static err change_settings(const source *sources, size_t count, const char *const *sets,
                           size_t set_count, weights *w) {
  settings before;
  unsigned parts[2] = {0}; /* check_combination allows no more */
  for (size_t i = 0; i < count && i < 2; i++) parts[i] = parts_of_source(&sources[i], w);
  err error = settings_copy(&w->s, &before);
  if (error) return error;
  for (size_t i = 0; i < set_count; i++) {
    TRY(settings_set(&w->s, sets[i]));
    if (strncmp(sets[i], "precision=", 10) == 0 && w->s.precision != PRECISION_AUTO)
      w->precision = w->s.precision;
    if (strncmp(sets[i], "text.vocabulary=", 16) == 0) *w->words_fault = '\0';
  }
  for (size_t i = 0; i < count && i < 2; i++)
    TRY(weights_compare(&before, &w->s, parts[i], take_change,
                        &(changes){&sources[i], &w->remarks}));
  if (w->remarks.is_broken) error = mem_error(0, "remarks");
cleanup:
  settings_free(&before);
  return error;
}

static err read_all(source *sources, size_t count, weights *w) {
  err error = NULL;
  clip_config config;
  clip_config_from(&w->s, w->vocabulary, &config);
  TRY(clip_declare(&config, &w->table));
  w->values = mem_zeroed((size_t)w->table.total, sizeof *w->values);
  bool *is_found = mem_zeroed(w->table.count, sizeof *is_found);
  if (!w->values || !is_found) {
    free(is_found);
    return mem_error((size_t)w->table.total * sizeof *w->values, "weights");
  }
  for (size_t i = 0; i < count && !error; i++) {
    error = sources[i].format == WEIGHTS_FLIP
                ? read_own(&sources[i].file, &w->table, w->values, is_found)
                : read_tensors(&sources[i].file, sources[i].format, &w->table, w->values, is_found);
    error = err_context(error, "%s", sources[i].path);
  }
  if (!error) error = initialise_rest(w, is_found);
  free(is_found);
cleanup:
  return error;
}

err weights_load(const char *const *paths, size_t count, const char *const *sets, size_t set_count,
                 weights *w) {
  *w = (weights){.precision = PRECISION_FP32,
                 .vocabulary = 30522, /* BERT's default, when no file gives it */
                 .end_of_text = END_IS_ANY};
  source *sources = mem_zeroed(count, sizeof *sources);
  err error = sources ? settings_init(&w->s) : mem_error(count * sizeof *sources, "paths");
  if (error) {
    free(sources);
    return error;
  }
  for (size_t i = 0; i < count; i++) TRY(source_open_model(paths[i], &sources[i], &w->remarks));
  TRY(check_combination(sources, count));
  w->format = sources[0].format;
  for (size_t i = 0; i < count; i++) TRY(source_read_model(&sources[i], w));
  const positions configured = {w->s.text_length,
                                w->s.image_patch > 0 ? w->s.image_size / w->s.image_patch : 0};
  TRY(change_settings(sources, count, sets, set_count, w));
  if (w->s.classification_classes > 0)
    FAIL(ERR_UNSUPPORTED,
         "%s is a classifier of %ld classes (classification.classes): it has no text tower and no "
         "embeddings; its accuracy is in the eval events of its run",
         sources[0].path, (long)w->s.classification_classes);
  error = settings_check_limits(&w->s);
  if (!error) error = settings_check_model(&w->s);
  if (w->format != WEIGHTS_FLIP)
    error = err_context(error, "%s: as its configuration and --set have it", sources[0].path);
  if (error) goto cleanup;
  for (size_t i = 0; i < count; i++) {
    error = err_context(check_positions(&sources[i], &configured), "%s", sources[i].path);
    if (error) goto cleanup;
  }
  TRY(read_all(sources, count, w));
cleanup:
  for (size_t i = 0; i < count; i++) source_close_model(&sources[i]);
  free(sources);
  if (error) weights_free(w);
  return error;
}

bool weights_hold_words(const weights *w, int64_t entries) {
  enum { MOST_PADDING = 1024 };
  int64_t excess = w->vocabulary - entries;
  return excess == 0 || (w->is_padded && excess > 0 && excess <= MOST_PADDING);
}

err weights_check_words(const weights *w) {
  return *w->words_fault ? err_new(ERR_UNSUPPORTED, "%s", w->words_fault) : NULL;
}

void weights_free(weights *w) {
  settings_free(&w->s);
  param_table_free(&w->table);
  free(w->values);
  strbuf_free(&w->remarks);
  *w = (weights){0};
}

err weights_into(const weights *w, clip_model *model) {
  const param_table *table = clip_params(model);
  if (table->total != w->table.total || table->count != w->table.count)
    return err_new(ERR_INTERNAL, "weights for a model of another shape");
  for (size_t i = 0; i < table->count; i++) {
    err error = clip_set(model, &table->items[i], w->values + w->table.items[i].offset);
    if (error) return error;
  }
  return clip_refresh(model);
}
