/* Sets up a run: data, model, weights. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "comm/open.h"
#include "comm/watch.h"
#include "ops/device.h"
#include "read/shard_list.h"
#include "train/ranks.h"
#include "train/fit.h"
#include "train/run.h"

/* Of a set that is opened after the r->set_count of eval.sets. key: the setting that names it. */
static err check_name(const run *r, const char *key, const char *path, const eval_set *set) {
  for (size_t i = 0; i < r->set_count; i++)
    if (strcmp(eval_set_name(r->sets[i]), eval_set_name(set)) == 0)
      return err_new(ERR_INPUT,
                     "%s: %s and %s have the same name, '%s', under which results are recorded: "
                     "give one of them another `name:`",
                     key, r->s->eval_sets.items[i], path, eval_set_name(set));
  return NULL;
}

err run_open_set(run *r, const char *use, const tokenizer *words) {
  const char *path = r->s->eval_sets.items[r->set_count];
  eval_set *set;
  err error = eval_set_open(path, use, r->s, words, &set);
  if (error) return error;
  error = check_name(r, "eval.sets", path, set);
  if (error) {
    eval_set_close(set);
    return error;
  }
  r->sets[r->set_count++] = set;
  /* what it left out is the same on every rank, and rank 0 gives it */
  if (comm_rank(r->ranks)) eval_set_new_warnings(set);
  return NULL;
}

/* With the first of what was found at opening, which mostly is the reason. */
static err has_no_samples(const run *r) {
  const char *found = dataset_warnings(r->data, NULL);
  int length = (int)strcspn(found, "\n");
  const settings_list *from = &r->s->data_train;
  return err_new(ERR_INPUT, "data.train: no samples in %s%s%s%.*s", from->items[0],
                 from->count > 1 ? " and the others" : "", length ? ": " : "", length, found);
}

static err open_pairs(run *r) {
  const settings *s = r->s;
  err error = tokenizer_open_for(s, &r->words);
  bool is_stream = s->data_order == DATA_ORDER_STREAM;
  if (!error)
    error = (is_stream ? dataset_open_stream : dataset_open_with)(
        s->data_train.items, s->data_train.count, s->data_allow_pipes, &r->data);
  if (error) return error;
  if (!is_stream && dataset_count(r->data) == 0) return has_no_samples(r);
  for (size_t i = 0; i < s->eval_sets.count && !error; i++) error = run_open_set(r, NULL, r->words);
  if (!error && *s->eval_probe_train)
    error = eval_set_open(s->eval_probe_train, "probe", s, r->words, &r->probe_set);
  if (!error && r->probe_set)
    error = check_name(r, "eval.probe_train", s->eval_probe_train, r->probe_set);
  if (!error && r->probe_set) /* now, not after the training */
    error = err_context(eval_check_probe(r->probe_set, r->sets[0]),
                        "eval.probe_train, which is evaluated on the first of eval.sets");
  if (!error && r->probe_set && comm_rank(r->ranks)) eval_set_new_warnings(r->probe_set);
  return error;
}

static err open_data(run *r) {
  r->sets = mem_zeroed(r->s->eval_sets.count, sizeof(eval_set *));
  if (!r->sets) return mem_error(sizeof(eval_set *), "evaluation sets");
  return run_is_classifier(r) ? run_open_classes(r) : open_pairs(r);
}

/* Epochs are counted in samples, which the streaming order knows only from files next to the
 * shards. */
static err check_epoch(const run *r) {
  const settings *s = r->s;
  const char *uncounted = NULL;
  if (run_is_classifier(r)) return NULL;
  bool counts_epochs = s->epochs > 0 || s->warmup_epochs > 0;
  if (s->epoch_samples || !counts_epochs || s->data_order != DATA_ORDER_STREAM) return NULL;
  if (shard_list_samples(dataset_shards(r->data), &uncounted) > 0) return NULL;
  return err_new(
      ERR_INPUT,
      "%s: %g needs the length of an epoch, which data.order: stream does not know before one "
      "ends: %s has no count, neither in its _stats.json (img2dataset) nor in the sizes.json "
      "(webdataset) next to it. Give samples: (and warmup_samples:), or "
      "epoch_samples: for epochs of that many",
      s->epochs > 0 ? "epochs" : "warmup_epochs", s->epochs > 0 ? s->epochs : s->warmup_epochs,
      uncounted ? uncounted : s->data_train.items[0]);
}

static void plan_length(run *r) {
  settings_length length = settings_length_of(r->s, run_data_samples(r));
  r->total_steps = length.updates;
  r->total_samples = length.updates * r->s->batch_size;
  r->warmup_steps = length.warmup;
  if (comm_rank(r->ranks) > 0) return;
  if (r->s->samples > 0 && r->s->samples != r->total_samples)
    log_info("samples: %" PRId64 " are %" PRId64 " updates of batch_size %" PRId64 ": %" PRId64
             " samples",
             r->s->samples, r->total_steps, r->s->batch_size, r->total_samples);
  if (r->s->warmup_samples > 0 && r->warmup_steps < 1)
    log_warning("warmup_samples: %" PRId64 " are less than one update of batch_size %" PRId64
                ": there is no warm-up",
                r->s->warmup_samples, r->s->batch_size);
  if (r->warmup_steps > 1 && r->warmup_steps >= r->total_steps)
    log_warning("the warm-up is the whole run, %" PRId64
                " updates: the learning rate rises to its end (warmup_samples, warmup_epochs)",
                r->total_steps);
}

static err share_out(run *r) {
  int size = comm_size(r->ranks);
  r->own = *r->s;
  r->own.batch_size = r->s->batch_size / size;
  if (r->s->batch_size % size)
    return err_new(ERR_INPUT,
                   "batch_size: %" PRId64 " is not divisible by %d ranks; choose a "
                   "multiple of %d, or another number of ranks",
                   r->s->batch_size, size, size);
  if (!settings_suit_ranks(r->s, size)) /* the only other reason */
    return err_new(ERR_INPUT,
                   "batch_size: %" PRId64 " is not divisible by %d; mixup and CutMix mix pairs of "
                   "images, and each of the %d ranks has whole pairs: choose a multiple of %d, "
                   "another number of ranks, or set both to 0",
                   r->s->batch_size, 2 * size, size, 2 * size);
  return NULL;
}

/* precision: PRECISION_AUTO, or the precision of a resumed run. */
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

static err make_step(run *r) {
  const settings *s = r->s;
  bool is_shared = comm_size(r->ranks) > 1 || (r->ranks && r->ranks->host); /* FLIP_COMM=nccl */
  buckets *shared = is_shared ? &r->shared : NULL;
  const buckets *spread = comm_size(r->ranks) > 1 ? shared : NULL;
  ops_type wire = s->comm_reduce == COMM_REDUCE_BF16 ? OPS_BF16 : r->o->master;
  err error = NULL;
  clip_set_ranks(r->model, r->ranks);
  if (shared)
    error =
        buckets_open(shared, r->model, r->ranks, s->comm_bucket_bytes, wire, s->optimizer_shard);
  if (!error) error = optimizer_create_for(r->model, s, spread, &r->moments);
  if (!error) step_open(&r->step, s, r->model, &r->moments, r->counts.encoded_patches, shared);
  return error;
}

static err make_model(run *r) {
  const settings *s = r->s;
  int64_t vocabulary = r->at.vocabulary_size;
  clip_config config;
  err error = run_is_classifier(r) ? NULL : settings_check_vocabulary(s, vocabulary);
  if (error) return error;
  clip_limits limits = model_limits(&r->own);
  limits.ranks = comm_size(r->ranks);
  clip_config_from(s, vocabulary, &config);
  error = ops_check_training(r->o, s, vocabulary);
  if (!error)
    error = model_count_of(s, vocabulary, &limits, r->o->compute, r->o->chunk_bytes, &r->counts);
  if (!error) error = fit_check(&r->own, vocabulary, limits.ranks, r->o, r->host);
  if (!error) error = clip_create(r->o, &config, &limits, true, &r->model);
  if (error) return error;
  return make_step(r);
}

static err open_loader(run *r) {
  const settings *s = r->s;
  loader_config c = {.data = run_data(r),
                     .words = r->words,
                     .batch_size = r->own.batch_size,
                     .rank = comm_rank(r->ranks),
                     .ranks = comm_size(r->ranks),
                     .mirrored = settings_mirrored(s, comm_size(r->ranks)),
                     .image_size = s->image_size,
                     .text_length = s->text_length,
                     .text_mask_mode = s->text_mask_mode,
                     .text_mask_lexicon = s->text_mask_lexicon,
                     .text_mask_is_in_place = settings_masks_in_place(s),
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
                     .buffer = s->data_buffer,
                     .pins = r->o};
  if (run_is_classifier(r)) {
    const clip_config *config = clip_get_config(r->model);
    c.rows = r->rows_used;
    c.row_count = r->row_count;
    c.text_tokens = 0;
    c.text_mask_mode = TEXT_MASK_NONE;
    c.augment = (rand_augment){.magnitude = s->classification_augment_magnitude,
                               .deviation = s->classification_augment_deviation,
                               .operations = (int)s->classification_augment_operations};
    for (int i = 0; i < 3; i++) c.augment.fill[i] = (uint8_t)lrint(255 * (double)config->mean[i]);
  }
  return loader_open(&c, r->at.samples, &r->at.order, &r->batches);
}

static err load_weights(run *r, const char *resume_path) {
  if (resume_path) return checkpoint_load(resume_path, r->model, &r->moments);
  err error = run_start_weights(r);
  return error || !clip_is_attentive(r->model) ? error : clip_average_begin(r->model);
}

/* Sets up the loop: its order, its position, its rows. */
static err begin_course(run *r, bool is_resumed) {
  const settings *s = r->s;
  r->first_step = r->at.step;
  r->rules = (course_rules){.total_steps = r->total_steps,
                            .batch_size = s->batch_size,
                            .points = r->set_count ? s->eval_points : 0,
                            .checkpoint_every = s->checkpoint_every,
                            .checkpoint_seconds = s->checkpoint_seconds,
                            .log_every = s->log_every};
  r->place = (course_place){.step = r->at.step,
                            .is_saved = is_resumed,
                            .is_evaluated = is_resumed && r->state_file.is_evaluated};
  err error = rows_create(r->o, &r->events, r->state_file.train_seconds, &r->rows);
  if (!error && is_resumed && comm_rank(r->ranks) == 0)
    error = rows_read_earlier(r->rows, r->events.name, r->at.step);
  if (error) return error;
  r->has_told_labels = mem_zeroed(r->set_count + 1, sizeof *r->has_told_labels);
  size_t lists = (size_t)(r->own.batch_size * r->counts.encoded_patches);
  r->index = mem_zeroed(lists, sizeof *r->index);
  if (clip_is_attentive(r->model))
    error = attentive_make(&r->chooser, s, r->model, r->own.batch_size);
  if (error) return error;
  return r->index && r->has_told_labels ? NULL : mem_error(lists * sizeof *r->index, "keep-lists");
}

/* The part is done: its time is from the end of the one before. */
static void note_start(run *r, start_part part) {
  const double now = clock_seconds();
  r->start_seconds[part] = now - r->part_began;
  r->part_began = now;
}

static err open_inputs(run *r, char **resume_path, int *precision) {
  err error = NULL;
  note_start(r, START_PROGRAM);
  TRY(share_out(r));
  TRY(fs_make_folders(r->checkpoints));
  TRY(run_find_checkpoint(r, resume_path, precision));
  TRY(open_data(r));
  TRY(run_take_given(r, *resume_path));
  TRY(check_epoch(r));
  plan_length(r);
  TRY(run_check_length(r, *resume_path));
  note_start(r, START_DATA);
cleanup:
  return error;
}

/* Rank 0 resolves `auto`: all ranks must compute in one type. */
static err open_devices(run *r, int precision) {
  err error = comm_rank(r->ranks) == 0 ? open_device(r, precision) : NULL;
  int chosen = error ? precision : r->at.precision;
  error = ranks_agree(r->ranks, error);
  if (!error) error = ranks_take_number(r->ranks, &chosen);
  if (!error && comm_rank(r->ranks) > 0) error = open_device(r, chosen);
  error = ranks_agree(r->ranks, error);
  if (!error) error = comm_attach(r->o, r->s->deterministic, &r->ranks);
  r->is_alone_with_failure =
      error && (err_kind_of(error) == ERR_IO || err_kind_of(error) == ERR_LOST);
  watch_also(r->lives, r->ranks);
  return error;
}

static err begin(run *r, const char *resume_path) {
  err error = NULL;
  r->at.vocabulary_size = r->words ? tokenizer_vocabulary_size(r->words) : 0;
  r->at.words = (words_record){0};
  if (r->words) TRY(words_describe(r->s, r->words, r->at.words.tokens));
  r->at.has_order = r->s->data_order == DATA_ORDER_STREAM;
  TRY(make_model(r));
  note_start(r, START_MODEL);
  TRY(load_weights(r, resume_path));
  note_start(r, START_WEIGHTS);
  TRY(begin_course(r, resume_path != NULL));
  TRY(open_loader(r));
  note_start(r, START_LOADER);
cleanup:
  return error;
}

err run_open(run *r) {
  char *resume_path = NULL;
  int precision = r->s->precision;
  err error = ranks_agree(r->ranks, ranks_load_open(&r->load, r->ranks));
  if (!error) error = ranks_agree(r->ranks, open_inputs(r, &resume_path, &precision));
  /* before ranks meet: none of them has allocated its model when another one looks */
  r->host.bytes = machine_free_memory("", &r->host.is_group);
  r->host.ranks = watch_here(r->lives);
  if (!error) error = run_compare_ranks(r);
  /* only a state file says so, which a rank may lack */
  int is_evaluated = r->state_file.is_evaluated;
  if (!error) error = ranks_take_number(r->ranks, &is_evaluated);
  r->state_file.is_evaluated = is_evaluated;
  if (!error) error = open_devices(r, precision);
  if (!error) error = run_compare_kernels(r);
  if (!error) error = delays_open(r->ranks, r->o->threads, &r->delays);
  note_start(r, START_DEVICE);
  if (!error) error = ranks_agree(r->ranks, begin(r, resume_path));
  free(resume_path);
  return error;
}

void run_close(run *r) {
  saver_close(&r->saving);
  ranks_load_close(&r->load);
  delays_close(r->delays);
  if (r->batches) loader_close(r->batches);
  for (size_t i = 0; i < r->set_count; i++) eval_set_close(r->sets[i]);
  eval_set_close(r->train_set);
  eval_set_close(r->probe_set);
  free(r->rows_used);
  free(r->mixed);
  free(r->classes);
  free(r->mixes);
  free(r->shares);
  free(r->sets);
  step_close(&r->step);
  optimizer_destroy(&r->moments);
  buckets_close(&r->shared);
  clip_destroy(r->model);
  watch_also(r->lives, NULL);
  comm_detach(&r->ranks);
  ops_destroy(r->o);
  if (r->data) dataset_close(r->data);
  if (r->words) tokenizer_close(r->words);
  free(r->index);
  attentive_free(&r->chooser);
  free(r->has_told_labels);
  rows_destroy(r->rows);
  state_file_free(&r->state_file);
  strbuf_free(&r->remarks);
  strbuf_free(&r->skipped);
  free(r->checkpoints);
}
