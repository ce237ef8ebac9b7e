#include "train/checkpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "model/patch_resize.h"
#include "model/positions.h"
#include "train/safetensors.h"

static const char *const groups[] = {"", "adamw.m/", "adamw.v/"};
static const char scales_name[] = "fp8.scales"; /* of delayed scaling (clip_scale_state) */
static const char average_group[] = "average/"; /* of the image tower; mask mode attentive */
enum { GROUPS = 3 };
static const char suffix[] = ".safetensors";
static const char *const state_suffixes[] = {STATE_FILE_SUFFIX,
                                             ".times.yaml"}; /* current, and of
                                                              * earlier versions */

char *checkpoint_path(const char *folder, int64_t step) {
  char name[64];
  snprintf(name, sizeof name, "step-%09" PRId64 ".safetensors", step);
  return fs_join(folder, name);
}

static void describe(const param *p, const char *group, safetensor *t) {
  *t = (safetensor){.rank = p->rows ? 2 : 1, .bytes = (size_t)param_elements(p) * sizeof(float)};
  snprintf(t->name, sizeof t->name, "%s%s", group, p->name);
  snprintf(t->type, sizeof t->type, "F32");
  t->shape[0] = p->rows ? p->rows : p->columns;
  t->shape[1] = p->columns;
}

static void describe_scales(int64_t operands, int64_t columns, safetensor *t) {
  *t = (safetensor){.rank = 2, .bytes = (size_t)(operands * columns) * sizeof(float)};
  snprintf(t->name, sizeof t->name, "%s", scales_name);
  snprintf(t->type, sizeof t->type, "F32");
  t->shape[0] = operands;
  t->shape[1] = columns;
}

struct checkpoint_image {
  float *host;    /* [GROUPS][total], then the average, then the scales */
  size_t weights; /* tensors that are parameters, the first ones */
  safetensor *tensors;
  size_t tensor_count;
  char numbers[3][32], fingerprint[HASH_SIZE], words[HASH_SIZE], order[STREAM_POSITION_SIZE];
  int precision;
  bool has_order;
  strbuf yaml;
};

void checkpoint_image_free(checkpoint_image *image) {
  if (!image) return;
  strbuf_free(&image->yaml);
  free(image->tensors);
  free(image->host);
  free(image);
}

static err describe_run(checkpoint_image *image, const settings *s, const checkpoint_state *state) {
  snprintf(image->numbers[0], 32, "%" PRId64, state->step);
  snprintf(image->numbers[1], 32, "%" PRId64, state->samples);
  snprintf(image->numbers[2], 32, "%" PRId64, state->vocabulary_size);
  memcpy(image->words, state->words.tokens, HASH_SIZE);
  stream_position_write(&state->order, image->order);
  image->precision = state->precision;
  image->has_order = state->has_order;
  settings_write_yaml(s, &image->yaml);
  err error = settings_fingerprint(s, image->fingerprint);
  return error || !image->yaml.is_broken ? error : mem_error(0, "a checkpoint");
}

static err make_image(const clip_model *model, const settings *s, const checkpoint_state *state,
                      checkpoint_image **out) {
  const param_table *table = clip_params(model);
  const param_table *average = clip_average_params(model);
  int64_t operands, columns;
  const bool has_scales = clip_scale_state(model, &operands, &columns).data;
  const size_t before_scales =
      GROUPS * (size_t)table->total + (average ? (size_t)average->total : 0);
  const size_t floats = before_scales + (has_scales ? (size_t)(operands * columns) : 0);
  checkpoint_image *image = mem_zeroed(1, sizeof *image);
  if (!image) return mem_error(sizeof *image, "a checkpoint");
  const size_t named = GROUPS * table->count + (average ? average->count : 0);
  image->weights = table->count;
  image->tensor_count = named + has_scales;
  image->tensors = mem_zeroed(image->tensor_count, sizeof *image->tensors);
  image->host = mem_zeroed(floats, sizeof *image->host);
  err error = image->tensors && image->host
                  ? describe_run(image, s, state)
                  : mem_error(floats * sizeof *image->host, "a checkpoint");
  for (size_t i = 0; i < named && !error; i++) {
    size_t group = i / table->count < GROUPS ? i / table->count : GROUPS;
    const param *p = group < GROUPS ? &table->items[i % table->count]
                                    : &average->items[i - GROUPS * table->count];
    describe(p, group < GROUPS ? groups[group] : average_group, &image->tensors[i]);
    image->tensors[i].data = image->host + group * (size_t)table->total + p->offset;
  }
  if (has_scales && !error) {
    describe_scales(operands, columns, &image->tensors[named]);
    image->tensors[named].data = image->host + before_scales;
  }
  if (error)
    checkpoint_image_free(image);
  else
    *out = image;
  return error;
}

/* Collective: even the ranks that keep nothing take part. */
static err copy_group(const clip_model *model, const optimizer *moments, int group,
                      checkpoint_image *image) {
  ops *o = clip_weights(model)->o;
  size_t total = (size_t)clip_params(model)->total;
  ops_buffer whole = clip_weights(model)->master;
  err error = NULL;
  if (group) error = optimizer_collect(moments, group == 1 ? OPTIMIZER_M : OPTIMIZER_V, &whole);
  if (error || !image) return error;
  return o->call->download(o, image->host + (size_t)group * total, whole.data,
                           total * sizeof *image->host);
}

static err copy_average(const clip_model *model, checkpoint_image *image) {
  const param_table *average = clip_average_params(model);
  ops *o = clip_weights(model)->o;
  if (!average || !image) return NULL;
  return o->call->download(o, image->host + GROUPS * (size_t)clip_params(model)->total,
                           clip_average(model).data, (size_t)average->total * sizeof(float));
}

static err copy_scales(const clip_model *model, checkpoint_image *image) {
  int64_t operands, columns;
  const ops_buffer state = clip_scale_state(model, &operands, &columns);
  if (!state.data || !image) return NULL;
  const safetensor *t = &image->tensors[image->tensor_count - 1];
  ops *o = clip_weights(model)->o;
  return o->call->download(o, (void *)t->data, state.data, t->bytes);
}

err checkpoint_capture(const clip_model *model, optimizer *moments, const settings *s,
                       const checkpoint_state *state, bool is_kept, checkpoint_image **out) {
  checkpoint_image *image = NULL;
  *out = NULL;
  err error = is_kept ? make_image(model, s, state, &image) : NULL;
  if (!error) error = optimizer_settle(moments);
  for (int group = 0; group < GROUPS && !error; group++)
    error = copy_group(model, moments, group, image);
  if (!error) error = copy_average(model, image);
  if (!error) error = copy_scales(model, image);
  if (error)
    checkpoint_image_free(image);
  else
    *out = image;
  return error;
}

static int64_t count_not_finite(const float *numbers, size_t count) {
  int64_t wrong = 0;
#pragma omp parallel for schedule(static) reduction(+ : wrong)
  for (size_t i = 0; i < count; i++) wrong += !isfinite(numbers[i]);
  return wrong;
}

/* What lies between tensors, to align them, need not be a number. */
err checkpoint_check(const checkpoint_image *image, const settings *s) {
  int64_t wrong = 0, all = 0;
  for (size_t i = 0; i < image->weights; i++) {
    const safetensor *t = &image->tensors[i];
    wrong += count_not_finite(t->data, t->bytes / sizeof(float));
    all += (int64_t)(t->bytes / sizeof(float));
  }
  if (!wrong) return NULL;
  return err_new(ERR_NUMERIC,
                 "step %s: %" PRId64 " of %" PRId64
                 " weights are not finite; the last good checkpoint is kept (try %s)",
                 image->numbers[0], wrong, all, optimizer_remedy(s));
}

err checkpoint_write(const char *path, const checkpoint_image *image, const strbuf *times,
                     size_t *bytes) {
  enum { ALWAYS = 7, MOST = ALWAYS + 2 };
  safetensors_pair pairs[MOST] = {{"format", "flip"},
                                  {"flip.step", image->numbers[0]},
                                  {"flip.samples", image->numbers[1]},
                                  {"flip.vocabulary_size", image->numbers[2]},
                                  {"flip.precision", precision_name(image->precision)},
                                  {"flip.fingerprint", image->fingerprint},
                                  {"flip.settings", strbuf_string(&image->yaml)}};
  size_t count = ALWAYS;
  if (*image->words)
    pairs[count++] = (safetensors_pair){"flip.vocabulary_fingerprint", image->words};
  if (image->has_order) pairs[count++] = (safetensors_pair){"flip.order", image->order};
  err error = state_file_write(path, times);
  if (error) return error;
  error = safetensors_write(path, image->tensors, image->tensor_count, pairs, count, true, bytes);
  if (error && !fs_exists(path)) state_file_remove(path);
  return error;
}

/* An integer in [0, most]; 0 when the file has none. */
static err read_count(const safetensors_file *f, const char *path, const char *key, int64_t most,
                      int64_t *count) {
  const char *value = safetensors_metadata(f, key);
  int64_t whole = 0;
  *count = 0;
  if (!value) return NULL;
  const char *end = text_read_whole(value, &whole);
  if (!end || *end || whole < 0 || whole > most)
    return err_new(ERR_INPUT, "%s: %s '%.40s' is not a whole number in [0, %" PRId64 "]", path, key,
                   value, most);
  *count = whole;
  return NULL;
}

err checkpoint_read_settings(const char *path, settings *s, checkpoint_state *state) {
  safetensors_file *f = NULL;
  yml_document *document = NULL;
  yml_problems problems = {0};
  err error = safetensors_open(path, &f);
  if (error) return error;
  const char *yaml = safetensors_metadata(f, "flip.settings");
  const char *precision = safetensors_metadata(f, "flip.precision");
  *state = (checkpoint_state){.precision = precision_from_name(precision)};
  if (!yaml) FAIL(ERR_INPUT, "%s: is not a flip checkpoint (it has no flip.settings)", path);
  TRY(read_count(f, path, "flip.step", INT64_MAX, &state->step));
  TRY(read_count(f, path, "flip.samples", INT64_MAX, &state->samples));
  TRY(read_count(f, path, "flip.vocabulary_size", INT32_MAX, &state->vocabulary_size));
  TRY(words_read(path, safetensors_metadata(f, "flip.vocabulary_fingerprint"), &state->words));
  const char *order = safetensors_metadata(f, "flip.order");
  state->has_order = order;
  if (order)
    error = err_context(stream_position_read(order, &state->order), "%s: flip.order", path);
  if (error) goto cleanup;
  TRY(yml_parse(path, yaml, strlen(yaml), &document));
  TRY(settings_init_recorded(s));
  settings_apply(s, yml_root(document), NULL, &problems);
  error = yml_problems_take(&problems);
  if (error) settings_free(s);
cleanup:
  yml_free(document);
  safetensors_close(f);
  return error;
}

/* Resizes learned positions of another image size to the model's. */
static err load_positions(const safetensor *t, const param *p, const clip_model *model,
                          ops_buffer run) {
  ops *o = clip_weights(model)->o;
  size_t bytes = (size_t)param_elements(p) * sizeof(float);
  float *resized = mem_zeroed(1, bytes);
  if (!resized) return mem_error(bytes, p->name);
  err error = positions_resize(t->data, t->shape[0], clip_get_config(model)->has_class_token,
                               p->columns, p->rows, resized);
  if (!error) error = o->call->upload(o, ops_at(run, p->offset).data, resized, bytes);
  if (!error) error = o->call->synchronize(o);
  free(resized);
  return err_context(error, "%s", p->name);
}

/* The patch embedding's kernels of another patch size, brought to the model's. */
static err load_kernels(const safetensor *t, const param *p, const clip_model *model,
                        ops_buffer run) {
  ops *o = clip_weights(model)->o;
  size_t bytes = (size_t)param_elements(p) * sizeof(float);
  float *resized = mem_zeroed(1, bytes);
  if (!resized) return mem_error(bytes, p->name);
  err error = patch_resize(t->data, p->rows, t->shape[1], p->columns, resized);
  if (!error) error = o->call->upload(o, ops_at(run, p->offset).data, resized, bytes);
  if (!error) error = o->call->synchronize(o);
  free(resized);
  return err_context(error, "%s", p->name);
}

/* "32 x 128" */
static const char *shape_text(const safetensor *t, char text[64]) {
  int length = snprintf(text, 64, "%" PRId64, t->rank ? t->shape[0] : INT64_C(1));
  for (int i = 1; i < t->rank && length < 48; i++)
    length += snprintf(text + length, 64 - (size_t)length, " x %" PRId64, t->shape[i]);
  return text;
}

static err refuse_shape(const char *path, const safetensor *t, const safetensor *wanted) {
  char had[64], has[64];
  return err_new(ERR_INPUT,
                 "%s: tensor '%s' is %s of %s, and the model's is %s of %s: was it made with "
                 "another architecture or vocabulary?",
                 path, wanted->name, shape_text(t, had), t->type, shape_text(wanted, has),
                 wanted->type);
}

/* Copies a tensor of exactly the parameter's shape to its place in a flat run. */
static err load_exactly(const char *path, const safetensor *t, const safetensor *wanted,
                        const param *p, ops *o, ops_buffer run) {
  if (strcmp(t->type, "F32") != 0 || t->rank != wanted->rank || t->shape[0] != wanted->shape[0] ||
      (t->rank == 2 && t->shape[1] != wanted->shape[1]))
    return refuse_shape(path, t, wanted);
  err error = o->call->upload(o, ops_at(run, p->offset).data, t->data, t->bytes);
  return error ? error : o->call->synchronize(o);
}

/* Finds a tensor by its name and compares it with its checksum. */
static err find_named(const char *path, const safetensors_file *f, const char *name,
                      const safetensor **found) {
  *found = safetensors_find(f, name);
  if (*found) return err_context(safetensors_check(f, *found), "%s", path);
  return err_new(
      ERR_INPUT, "%s: tensor '%s' is missing%s", path, name,
      strstr(name, "reconstruction.")
          ? ": it was trained without a decoder; set reconstruction.weight to 0, or name "
            "a run that had one"
          : "");
}

static err find_tensor(const char *path, const safetensors_file *f, const param *p,
                       const char *group, safetensor *wanted, const safetensor **found) {
  describe(p, group, wanted);
  return find_named(path, f, wanted->name, found);
}

static err load_average(const char *path, const safetensors_file *f, clip_model *model) {
  const param_table *table = clip_average_params(model);
  err error = NULL;
  if (!table) return NULL;
  for (size_t i = 0; i < table->count && !error; i++) {
    const param *p = &table->items[i];
    safetensor wanted;
    const safetensor *t;
    error = find_tensor(path, f, p, average_group, &wanted, &t);
    if (!error)
      error = load_exactly(path, t, &wanted, p, clip_weights(model)->o, clip_average(model));
  }
  return error ? error : clip_average_refresh(model);
}

static err load_scales(const char *path, const safetensors_file *f, clip_model *model) {
  int64_t operands, columns;
  const ops_buffer state = clip_scale_state(model, &operands, &columns);
  safetensor wanted;
  if (!state.data) return NULL;
  describe_scales(operands, columns, &wanted);
  const safetensor *t;
  const param whole = {.rows = operands, .columns = columns};
  err error = find_named(path, f, scales_name, &t);
  if (!error) error = load_exactly(path, t, &wanted, &whole, clip_weights(model)->o, state);
  if (!error) clip_take_scales(model);
  return error;
}

/* Loads one group of tensors, those whose names begin with `prefix`, into the flat array of all
 * parameters. may_resize: positions of another image size and kernels of another patch size are
 * accepted and resized. */
static err load_group(const char *path, const safetensors_file *f, const clip_model *model,
                      const char *group, const char *prefix, bool may_resize, ops_buffer run) {
  const param_table *table = clip_params(model);
  ops *o = clip_weights(model)->o;
  for (size_t i = 0; i < table->count; i++) {
    const param *p = &table->items[i];
    safetensor wanted;
    const safetensor *t;
    if (strncmp(p->name, prefix, strlen(prefix)) != 0) continue;
    err lacks = find_tensor(path, f, p, group, &wanted, &t);
    if (lacks) return lacks;
    bool is_resizable = may_resize && strcmp(p->name, "image.positions") == 0 && t->rank == 2 &&
                        t->shape[1] == p->columns && t->shape[0] != p->rows;
    if (is_resizable && strcmp(t->type, "F32") == 0) {
      err error = load_positions(t, p, model, run);
      if (error) return err_context(error, "%s", path);
      continue;
    }
    bool has_other_kernels = may_resize && strcmp(p->name, "image.patch.weight") == 0 &&
                             t->rank == 2 && t->shape[0] == p->rows && t->shape[1] != p->columns;
    if (has_other_kernels && strcmp(t->type, "F32") == 0) {
      err error = load_kernels(t, p, model, run);
      if (error) return err_context(error, "%s", path);
      continue;
    }
    err error = load_exactly(path, t, &wanted, p, o, run);
    if (error) return error;
  }
  return NULL;
}

/* Weights that the model lacks must not be lost without a word. prefix: as in load_group; replaced:
 * a tensor that it has another for, or NULL. */
static err refuse_others(const char *path, const safetensors_file *f, const clip_model *model,
                         const char *prefix, const char *replaced) {
  err error = NULL;
  for (size_t i = 0; i < safetensors_count(f) && !error; i++) {
    const char *name = safetensors_at(f, i)->name;
    bool is_replaced = replaced && strcmp(name, replaced) == 0;
    if (strncmp(name, prefix, strlen(prefix)) == 0 && !is_replaced)
      error = param_table_check_name(clip_params(model), name);
  }
  return err_context(error, "%s", path);
}

/* Of a run that is resumed: it would go on as it ended. */
static err refuse_not_finite(const char *path, const safetensors_file *f, const clip_model *model) {
  const param_table *table = clip_params(model);
  for (size_t i = 0; i < table->count; i++) {
    const safetensor *t = safetensors_find(f, table->items[i].name);
    if (!t || strcmp(t->type, "F32") != 0) continue;
    int64_t wrong = count_not_finite(t->data, t->bytes / sizeof(float));
    if (wrong)
      return err_new(ERR_INPUT,
                     "%s: %" PRId64 " %s not finite (NaN or infinity) in tensor '%s': training had "
                     "diverged; remove this file to resume from the checkpoint before it, or to "
                     "start again if there is none",
                     path, wrong, text_plural(wrong, "weight is", "weights are"), t->name);
  }
  return NULL;
}

err checkpoint_load(const char *path, clip_model *model, optimizer *moments) {
  safetensors_file *f = NULL;
  err error = safetensors_open(path, &f);
  if (error) return error;
  error = refuse_others(path, f, model, "", NULL);
  if (!error)
    error = load_group(path, f, model, groups[0], "", !moments, clip_weights(model)->master);
  if (!error && moments) error = refuse_not_finite(path, f, model);
  for (int group = 1; group < GROUPS && !error && moments; group++) {
    optimizer_moment which = group == 1 ? OPTIMIZER_M : OPTIMIZER_V;
    error = load_group(path, f, model, groups[group], "", false, optimizer_place(moments, which));
    if (!error) error = optimizer_take(moments, which);
  }
  if (!error && moments) error = load_average(path, f, model);
  if (!error && moments) error = load_scales(path, f, model);
  safetensors_close(f);
  return error ? error : clip_refresh(model);
}

err checkpoint_load_image(const char *path, clip_model *model) {
  safetensors_file *f = NULL;
  err error = safetensors_open(path, &f);
  if (error) return error;
  error = refuse_others(path, f, model, "image.", "image.projection.weight");
  if (!error)
    error = load_group(path, f, model, groups[0], "image.", true, clip_weights(model)->master);
  safetensors_close(f);
  return error ? error : clip_refresh(model);
}

/* Is the name "step-DIGITS" and `end`? Copies that a user keeps beside have other names. */
static bool is_of_step(const char *name, const char *end) {
  if (strncmp(name, "step-", 5) != 0) return false;
  size_t digits = strspn(name + 5, "0123456789");
  return digits > 0 && strcmp(name + 5 + digits, end) == 0;
}

static bool is_checkpoint(const char *name) {
  return is_of_step(name, suffix);
}

static bool is_state_file(const char *name) {
  bool is_one = false;
  for (size_t i = 0; i < sizeof state_suffixes / sizeof *state_suffixes; i++)
    is_one = is_one || is_of_step(name, state_suffixes[i]);
  return is_one;
}

err checkpoint_newest(const char *folder, char **path) {
  char **names;
  size_t count;
  *path = NULL;
  if (!fs_is_folder(folder)) return NULL;
  err error = fs_list(folder, &names, &count);
  if (error) return error;
  for (size_t i = count; i-- > 0 && !*path && !error;) /* zero-padded names: the last is the
                                                        * newest */
    if (is_checkpoint(names[i])) {
      *path = fs_join(folder, names[i]);
      if (!*path) error = mem_error(strlen(folder), "a path");
    }
  fs_free_names(names, count);
  return error;
}

err checkpoint_newest_of_run(const char *folder, char **path) {
  char *inner = fs_join(folder, "checkpoints");
  *path = NULL;
  if (!inner) return mem_error(strlen(folder), "a path");
  err error = checkpoint_newest(fs_is_folder(inner) ? inner : folder, path);
  free(inner);
  return error;
}

static err remove_file(const char *folder, const char *name) {
  char *path = fs_join(folder, name);
  err error = path ? NULL : mem_error(strlen(folder), "a path");
  if (path && unlink(path) != 0 && errno != ENOENT)
    error = err_errno(errno, "%s: cannot remove", path);
  free(path);
  return error;
}

err checkpoint_prune(const char *folder, int64_t keep) {
  char **names;
  size_t count;
  err error = fs_list(folder, &names, &count);
  if (error) return error;
  int64_t seen = 0;
  /* in reverse order: the newest come first, and a checkpoint's state file before it */
  for (size_t i = count; i-- > 0 && !error;) {
    bool is_old = is_state_file(names[i]) && seen >= keep;
    if (is_checkpoint(names[i])) is_old = ++seen > keep;
    if (is_old || fs_is_temporary(names[i])) error = remove_file(folder, names[i]);
  }
  fs_free_names(names, count);
  return error;
}
