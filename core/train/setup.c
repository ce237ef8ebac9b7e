/* A run's beginning: data, model, weights. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "ops/device.h"
#include "train/fit.h"
#include "train/run.h"

static err open_data(run *r) {
  const settings *s = r->s;
  err error = tokenizer_open(s->text_tokenizer, s->text_vocabulary, &r->words);
  if (!error)
    error =
        dataset_open_with(s->data_train.items, s->data_train.count, s->data_allow_pipes, &r->data);
  if (error) return error;
  if (dataset_count(r->data) == 0)
    return err_new(ERR_INPUT, "data.train: no samples in the shards");
  r->sets = mem_zeroed(s->eval_sets.count, sizeof(eval_set *));
  if (!r->sets) return mem_error(sizeof(eval_set *), "evaluation sets");
  for (size_t i = 0; i < s->eval_sets.count && !error; i++) {
    error = eval_set_open(s->eval_sets.items[i], NULL, s, r->words, &r->sets[i]);
    if (!error) r->set_count++;
  }
  return error;
}

static void plan_length(run *r) {
  const settings *s = r->s;
  double samples = s->samples > 0 ? (double)s->samples : s->epochs * (double)dataset_epoch(r->data);
  r->total_steps = (int64_t)(samples / (double)s->batch_size + 0.5);
  if (r->total_steps < 1) r->total_steps = 1;
  r->total_samples = r->total_steps * s->batch_size;
  r->warmup_steps = s->warmup_samples / s->batch_size;
  if (r->warmup_steps > r->total_steps) r->warmup_steps = r->total_steps;
}

/* precision: PRECISION_AUTO, or what a resumed run had. */
static err open_device(run *r, int precision) {
  settings wanted = *r->s; /* shallow: only numbers are read */
  ops_opened opened;
  wanted.precision = precision;
  err error = ops_open(&wanted, &opened);
  if (error) return error;
  r->o = opened.o;
  r->gemm_rate = opened.gemm_flops_per_second;
  r->at.precision = opened.precision;
  if (*opened.note) log_info("%s", opened.note);
  return NULL;
}

static err make_model(run *r) {
  const settings *s = r->s;
  int64_t vocabulary = tokenizer_vocabulary_size(r->words);
  clip_config config;
  clip_limits limits = model_limits(s);
  clip_config_from(s, vocabulary, &config);
  err error = model_count(s, vocabulary, r->o->compute, r->o->chunk_bytes, &r->counts);
  if (!error) error = fit_check(s, vocabulary, r->o, r->counts.planned_bytes);
  if (!error) error = clip_create(r->o, &config, &limits, true, &r->model);
  if (!error) error = optimizer_create(r->model, &r->moments);
  if (!error) step_open(&r->step, s, r->model, &r->moments, r->counts.encoded_patches);
  return error;
}

/* The checkpoint must be of this run: everything that makes its identity must agree. */
static err check_same_run(const run *r, const char *path, const settings *before) {
  char ours[HASH_SIZE], theirs[HASH_SIZE];
  settings_fingerprint(r->s, ours);
  settings_fingerprint(before, theirs);
  if (strcmp(ours, theirs) == 0) return NULL;
  size_t count;
  const setting *table = settings_table(&count);
  for (size_t i = 0; i < count; i++) {
    strbuf a = {0}, b = {0};
    setting_format(&table[i], r->s, &a);
    setting_format(&table[i], before, &b);
    err error = NULL;
    if (table[i].is_identity && strcmp(strbuf_string(&a), strbuf_string(&b)) != 0)
      error = err_new(ERR_INPUT,
                      "%s was made with %s: %s, this run has %s; resume with the same "
                      "settings, or name it in init_from to start from its weights",
                      path, table[i].key, strbuf_string(&b), strbuf_string(&a));
    strbuf_free(&a);
    strbuf_free(&b);
    if (error) return error;
  }
  return NULL;
}

/* Finds what to resume from; *path stays NULL for a fresh start. Sets the precision it had. */
static err find_resume(run *r, char **path, int *precision) {
  settings before;
  *path = NULL;
  if (!r->options->is_resuming) return NULL;
  err error = checkpoint_newest(r->checkpoints, path);
  if (error || !*path) return error;
  error = checkpoint_read_settings(*path, &before, &r->at);
  if (error) return error;
  error = check_same_run(r, *path, &before);
  settings_free(&before);
  *precision = r->at.precision;
  return error;
}

static err load_weights(run *r, const char *resume_path) {
  if (resume_path) return checkpoint_load(resume_path, r->model, &r->moments);
  if (!*r->s->init_from) return clip_initialise(r->model, (uint64_t)r->s->seed);
  char *newest = NULL;
  err error = NULL;
  if (fs_is_folder(r->s->init_from)) { /* a run's checkpoints folder: its newest */
    error = checkpoint_newest(r->s->init_from, &newest);
    if (!error && !newest)
      error = err_new(ERR_INPUT, "init_from: %s has no checkpoint", r->s->init_from);
  }
  if (!error) error = checkpoint_load(newest ? newest : r->s->init_from, r->model, NULL);
  free(newest);
  return err_context(error, "init_from");
}

static err open_loader(run *r) {
  const settings *s = r->s;
  loader_config c = {.data = r->data,
                     .words = r->words,
                     .batch_size = s->batch_size,
                     .image_size = s->image_size,
                     .text_length = s->text_length,
                     .text_mask_mode = s->text_mask_mode,
                     .text_tokens = settings_text_tokens(s),
                     .total_samples = r->total_samples,
                     .seed = (uint64_t)s->seed,
                     .crop_min = s->data_crop_min,
                     .crop_max = s->data_crop_max,
                     .ratio_min = s->data_ratio_min,
                     .ratio_max = s->data_ratio_max,
                     .flip = s->data_flip,
                     .shuffle = s->data_shuffle,
                     .resample = s->data_resample,
                     .workers = (int)s->data_workers,
                     .prefetch = (int)s->data_prefetch,
                     .cache_bytes = (size_t)s->data_cache_mib << 20,
                     .pins = r->o};
  return loader_open(&c, r->at.samples, &r->batches);
}

err run_open(run *r) {
  err error = NULL;
  char *resume_path = NULL;
  int precision = r->s->precision;
  r->wall_start = clock_seconds();
  r->checkpoints = fs_join(r->options->out, "checkpoints");
  if (!r->checkpoints) return mem_error(0, "a path");
  TRY(fs_make_folders(r->checkpoints));
  TRY(find_resume(r, &resume_path, &precision));
  TRY(open_data(r));
  plan_length(r);
  TRY(open_device(r, precision));
  r->at.vocabulary_size = tokenizer_vocabulary_size(r->words);
  TRY(make_model(r));
  TRY(load_weights(r, resume_path));
  r->first_step = r->at.step;
  size_t lists = (size_t)(r->s->batch_size * r->counts.encoded_patches);
  r->index = mem_zeroed(lists, sizeof *r->index);
  r->step_seconds = mem_zeroed((size_t)(r->total_steps - r->at.step + 1), sizeof(double));
  if (!r->index || !r->step_seconds) {
    error = mem_error(lists * sizeof *r->index, "keep-lists");
    goto cleanup;
  }
  TRY(open_loader(r));
cleanup:
  free(resume_path);
  return error;
}

void run_close(run *r) {
  if (r->batches) loader_close(r->batches);
  for (size_t i = 0; i < r->set_count; i++) eval_set_close(r->sets[i]);
  free(r->sets);
  step_close(&r->step);
  optimizer_destroy(&r->moments);
  clip_destroy(r->model);
  ops_destroy(r->o);
  if (r->data) dataset_close(r->data);
  if (r->words) tokenizer_close(r->words);
  free(r->index);
  free(r->step_seconds);
  free(r->checkpoints);
}
