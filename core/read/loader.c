#include "read/loader.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "config/settings.h"
#include "image/image.h"
#include "read/permute.h"
#include "read/shard_list.h"
#include "read/text_mask.h"

/* With more rows than this, neither decoded images are cached nor damaged rows remembered. */
static const int64_t most_kept_rows = (int64_t)1 << 29;

enum {
  RUN_LENGTH = 8,            /* samples that a worker claims at a time */
  UNDRAWN_TRIES = 2,         /* the sample's own place, and the next */
  MOST_OPENERS = 4,          /* threads that open a stream's shards ahead of time */
  RESAMPLED_EPOCHS = 1 << 20 /* range of the random draws with replacement */
};

/* Memory of one batch in the ring. */
typedef struct {
  uint8_t *images;
  int32_t *tokens, *token_places, *token_counts; /* token_places may be NULL */
  int64_t *rows, *numbers;
  int64_t unfinished;               /* protected by the lock */
  atomic_llong replaced, fell_back; /* samples; reset when the slot is given out */
  stream_position after;
  bool is_pinned;
} slot;

struct loader {
  loader_config c;
  int64_t count; /* rows of the data set */
  int64_t epoch; /* samples of an epoch */
  text_mask mask;
  lexicon *classes; /* for the mask, or NULL */
  double *weights;  /* of tokens, for the mask; NULL without */
  slot *slots;      /* [prefetch + 1]: one is in use by the trainer */
  int64_t slot_count;
  pthread_t *threads;
  int started;

  stream *order;        /* NULL: the exact order */
  pthread_mutex_t feed; /* held while waiting for a free slot and taking its samples, so that claims
                         * are in order. Acquired before `lock` */

  pthread_mutex_t lock;             /* protects everything down to `failure` */
  pthread_cond_t work, done;        /* a slot became free; a batch was completed */
  int64_t next_sample, last_sample; /* of this rank: next to claim; end of the run */
  int64_t taken;                    /* batches that the trainer has finished, plus the one in use */
  bool is_closing;
  strbuf warnings;
  size_t warning_count;
  err failure;

  _Atomic(image *) *cache; /* [count] or NULL; set once, freed at the end */
  atomic_size_t cached_bytes;
  atomic_bool *is_bad; /* [count] or NULL */
  atomic_llong decoded, cache_hits, skipped;
  int64_t replaced, fell_back; /* samples of the batches that were given out; used by loader_next */
};

/* The global index of this rank's sample `own`. */
static int64_t number_in_run(const loader *l, int64_t own) {
  int64_t batch = l->c.batch_size, place = own % batch, half = batch / 2;
  int64_t first = own / batch * batch * l->c.ranks;
  if (!l->c.mirrored) return first + l->c.rank * batch + place;
  bool is_upper = place >= half;
  int64_t pair = l->c.rank * half + (is_upper ? batch - 1 - place : place);
  int64_t pairs = l->c.mirrored / 2, group = pair / pairs, low = pair % pairs;
  return first + group * l->c.mirrored + (is_upper ? l->c.mirrored - 1 - low : low);
}

/* The row for sample g at its `skip`-th try: its own, the next of the permutation, then drawn
 * ones, each of the epoch once. */
static int64_t row_of(const loader *l, int64_t sample, int64_t skip) {
  const loader_config *c = &l->c;
  int64_t epoch = sample / l->epoch, place = (sample % l->epoch + skip) % l->epoch;
  if (skip >= UNDRAWN_TRIES) {
    place = permute_spare(c->seed, (uint64_t)sample, l->epoch, skip - UNDRAWN_TRIES);
  } else if (c->resample) { /* a place of any epoch */
    rng r = rng_at(c->seed, RNG_SHUFFLE, (uint64_t)skip, (uint64_t)sample);
    place = (int64_t)(rng_u64(&r) % (uint64_t)l->epoch);
    epoch = rng_below(&r, RESAMPLED_EPOCHS);
  } else if (c->shuffle) {
    place = permute(c->seed, epoch, l->epoch, place);
  }
  bool is_shuffled = c->shuffle || c->resample;
  return c->rows ? c->rows[place] : dataset_row(c->data, c->seed, is_shuffled, epoch, place);
}

/* A candidate sample: a row of the data set, or a sample of an open shard. */
typedef struct {
  int64_t row;
  const stream_shard *shard; /* NULL: identified by the row */
  int64_t index;             /* of the shard */
  atomic_bool *is_bad;       /* NULL: damaged samples are not remembered */
} candidate;

static err read_candidate(const loader *l, const candidate *from, dataset_sample *sample) {
  if (!from->shard) return dataset_read(l->c.data, from->row, sample);
  return shard_sample_read(&from->shard->tar, (size_t)from->index, from->shard->reading, true,
                           sample);
}

static void mark_bad(loader *l, const candidate *from, const dataset_sample *sample, err error) {
  if (from->is_bad && atomic_exchange(from->is_bad, true)) return;
  atomic_fetch_add(&l->skipped, 1);
  pthread_mutex_lock(&l->lock);
  strbuf_format(&l->warnings, "%s%s: %s: %s", l->warnings.length ? "\n" : "", sample->shard,
                sample->key, err_message(error));
  l->warning_count++;
  pthread_mutex_unlock(&l->lock);
}

/* Caches a decoded image if there is room; `own` is set if the caller still has to free it. */
static const image *keep(loader *l, int64_t row, image *picture, bool *own) {
  size_t bytes = (size_t)picture->width * (size_t)picture->height * 3;
  *own = true;
  if (!l->cache) return picture;
  if (atomic_fetch_add(&l->cached_bytes, bytes) + bytes > l->c.cache_bytes) {
    atomic_fetch_sub(&l->cached_bytes, bytes);
    return picture;
  }
  image *kept = mem_zeroed(1, sizeof *kept), *expected = NULL;
  if (!kept) return picture;
  *kept = *picture;
  if (atomic_compare_exchange_strong(&l->cache[row], &expected, kept)) {
    *own = false;
    return kept;
  }
  free(kept); /* another worker was faster */
  atomic_fetch_sub(&l->cached_bytes, bytes);
  return picture;
}

/* The shortest side of any crop, so that a JPEG may be decoded at a smaller scale. */
static int32_t least_side(const loader_config *c) {
  double share =
      fmin(sqrt(c->crop_min * fmin(c->ratio_min, 1.0 / c->ratio_max)), IMAGE_FALLBACK_SHARE);
  return (int32_t)ceil((double)c->image_size / share);
}

/* The caption's tokens, or those that the text mask keeps, in position i of a slot. */
static err fill_tokens(const loader *l, const char *caption, int64_t sample, slot *s, int64_t i) {
  const loader_config *c = &l->c;
  int32_t whole[TEXT_MASK_LONGEST], places[TEXT_MASK_LONGEST];
  int32_t *tokens = s->tokens + i * c->text_tokens, *count = &s->token_counts[i];
  int32_t *kept = s->token_places ? s->token_places + i * c->text_tokens : places;
  if (!c->words) return NULL;
  if (!text_mask_is_drawn(&l->mask))
    return tokenizer_encode(c->words, caption, c->text_tokens, tokens, count);
  err error = tokenizer_encode(c->words, caption, c->text_length, whole, count);
  if (!error) text_mask_draw(&l->mask, c->seed, sample, whole, *count, tokens, kept, count);
  return error;
}

/* Prepares image and caption of a candidate in position i of a slot. An undecodable image is an
 * ERR_INPUT. */
static err fill_place(loader *l, slot *s, int64_t i, const candidate *from, int64_t sample_number) {
  const loader_config *c = &l->c;
  dataset_sample sample = {0};
  image fresh = {0};
  bool own = false;
  err error = read_candidate(l, from, &sample);
  if (error) {
    if (err_kind_of(error) == ERR_INPUT) mark_bad(l, from, &sample, error);
    goto cleanup;
  }
  const image *picture = l->cache ? atomic_load(&l->cache[from->row]) : NULL;
  if (picture) {
    atomic_fetch_add(&l->cache_hits, 1);
  } else {
    error = image_decode(sample.image, sample.image_bytes, least_side(c), &fresh);
    if (error) {
      if (err_kind_of(error) == ERR_INPUT) mark_bad(l, from, &sample, error);
      goto cleanup;
    }
    atomic_fetch_add(&l->decoded, 1);
    picture = keep(l, from->row, &fresh, &own);
  }
  rng random = rng_at(c->seed, RNG_CROP, 0, (uint64_t)sample_number);
  const image_augmentation a = {c->crop_min, c->crop_max, c->ratio_min, c->ratio_max, c->flip};
  uint8_t *pixels = s->images + i * c->image_size * c->image_size * 3;
  TRY(image_train_transform(picture, &a, &random, c->image_size, pixels));
  random = rng_at(c->seed, RNG_AUGMENT, 0, (uint64_t)sample_number);
  TRY(rand_augment_image(&c->augment, &random, (int32_t)c->image_size, pixels));
  TRY(fill_tokens(l, sample.caption, sample_number, s, i));
  s->rows[i] = from->row;
  if (sample.has_fallen_back) atomic_fetch_add(&s->fell_back, 1);
cleanup:
  if (own) image_free(&fresh);
  dataset_sample_free(&sample);
  return error;
}

static void note_replacement(slot *s, bool is_replaced) {
  if (is_replaced) atomic_fetch_add(&s->replaced, 1);
}

static err fill_sample(loader *l, slot *s, int64_t own) {
  int64_t sample = number_in_run(l, own);
  for (int64_t skip = 0; skip < l->epoch + UNDRAWN_TRIES; skip++) {
    int64_t row = row_of(l, sample, skip);
    if (l->is_bad && atomic_load(&l->is_bad[row])) continue;
    const candidate from = {.row = row, .is_bad = l->is_bad ? &l->is_bad[row] : NULL};
    err error = fill_place(l, s, own % l->c.batch_size, &from, sample);
    if (!error) note_replacement(s, skip > 0);
    if (!error || err_kind_of(error) != ERR_INPUT) return error;
    err_free(error);
  }
  return err_new(ERR_INPUT, "no sample of the data set can be decoded");
}

/* The same for a stream; place: of the run that it was taken for. */
static err fill_streamed(loader *l, slot *s, int64_t own, const stream_run *run, int64_t place) {
  int64_t sample = number_in_run(l, own);
  stream_walk walk = stream_walk_start(l->order, run, place);
  bool is_there, is_filled = false;
  err error = NULL;
  while (!is_filled && !(error = stream_walk_next(&walk, &is_there)) && is_there) {
    const stream_shard *one = walk.shard;
    const candidate from = {.row = one->number << 32 | walk.index,
                            .shard = one,
                            .index = walk.index,
                            .is_bad = &one->is_bad[walk.index]};
    error = fill_place(l, s, own % l->c.batch_size, &from, sample);
    is_filled = !error;
    note_replacement(s, is_filled && stream_walk_has_moved(&walk));
    if (error && err_kind_of(error) != ERR_INPUT) break;
    err_free(error);
    error = NULL;
  }
  stream_walk_end(&walk);
  if (error || is_filled) return error;
  return err_new(ERR_INPUT, "no sample of the data set can be decoded");
}

/* Samples that a worker prepares. */
typedef struct {
  int64_t first, end;
  stream_run run; /* of a stream */
} claimed;

static err fill_claimed(loader *l, slot *s, const claimed *work) {
  err error = NULL;
  for (int64_t sample = work->first; sample < work->end && !error; sample++)
    error = l->order
                ? fill_streamed(l, s, sample, &work->run, work->run.first + sample - work->first)
                : fill_sample(l, s, sample);
  return error;
}

/* Waits for a free slot; false when there is no more work. */
static bool wait_for_slot(loader *l, int64_t *first, int64_t *end) {
  pthread_mutex_lock(&l->lock);
  while (!l->is_closing && !l->failure && l->next_sample < l->last_sample &&
         l->next_sample / l->c.batch_size >= l->taken + l->slot_count - 1)
    pthread_cond_wait(&l->work, &l->lock);
  bool has_work = !l->is_closing && !l->failure && l->next_sample < l->last_sample;
  if (has_work) {
    int64_t batch_end = (l->next_sample / l->c.batch_size + 1) * l->c.batch_size;
    *first = l->next_sample;
    *end = *first + RUN_LENGTH < batch_end ? *first + RUN_LENGTH : batch_end;
  }
  pthread_mutex_unlock(&l->lock);
  return has_work;
}

/* Places of a stream that are other ranks'. after: the position behind them. */
static err skip_places(loader *l, int64_t count, stream_position *after) {
  while (count > 0) {
    stream_run run;
    err error = stream_take(l->order, count, &run);
    if (error) return error;
    count -= run.count;
    *after = run.after;
    stream_release(l->order, &run);
  }
  return NULL;
}

/* This rank's next places of a stream. */
static err take_places(loader *l, claimed *out) {
  int64_t batch = l->c.batch_size;
  stream_position unused;
  err error = NULL;
  if (out->first % batch == 0) error = skip_places(l, l->c.rank * batch, &unused);
  if (!error) error = stream_take(l->order, out->end - out->first, &out->run);
  if (error) return error;
  out->end = out->first + out->run.count;
  if (out->end % batch == 0)
    error = skip_places(l, (l->c.ranks - 1 - l->c.rank) * batch, &out->run.after);
  if (error) stream_release(l->order, &out->run);
  return error;
}

/* Waits for samples to prepare; false when there is no more work, or on error. */
static bool claim(loader *l, claimed *out, err *error) {
  pthread_mutex_lock(&l->feed);
  bool has_work = wait_for_slot(l, &out->first, &out->end);
  if (has_work && l->order) {
    *error = take_places(l, out);
    has_work = !*error;
  }
  if (has_work) {
    pthread_mutex_lock(&l->lock);
    l->next_sample = out->end;
    l->slots[out->first / l->c.batch_size % l->slot_count].after = out->run.after;
    pthread_mutex_unlock(&l->lock);
  }
  pthread_mutex_unlock(&l->feed);
  return has_work;
}

/* loader_next reports the first failure. Call with the lock held. */
static void fail(loader *l, err error) {
  if (error && !l->failure)
    l->failure = error;
  else
    err_free(error);
  if (!l->failure) return;
  pthread_cond_broadcast(&l->work);
  pthread_cond_broadcast(&l->done);
}

static void *work(void *argument) {
  loader *l = argument;
  claimed mine = {0};
  err unclaimed = NULL;
  while (claim(l, &mine, &unclaimed)) {
    slot *s = &l->slots[mine.first / l->c.batch_size % l->slot_count];
    err error = fill_claimed(l, s, &mine);
    if (l->order) stream_release(l->order, &mine.run);
    pthread_mutex_lock(&l->lock);
    s->unfinished -= mine.end - mine.first;
    if (s->unfinished == 0) pthread_cond_broadcast(&l->done);
    fail(l, error);
    pthread_mutex_unlock(&l->lock);
  }
  pthread_mutex_lock(&l->lock);
  fail(l, unclaimed);
  pthread_mutex_unlock(&l->lock);
  return NULL;
}

static err make_slots(loader *l) {
  const loader_config *c = &l->c;
  size_t batch = (size_t)c->batch_size;
  l->slot_count = c->prefetch + 1;
  l->slots = mem_zeroed((size_t)l->slot_count, sizeof *l->slots);
  if (!l->slots) return mem_error(sizeof *l->slots, "the loader");
  for (int64_t i = 0; i < l->slot_count; i++) {
    slot *s = &l->slots[i];
    size_t pixels = batch * (size_t)(c->image_size * c->image_size) * 3;
    s->images = mem_aligned(pixels);
    s->tokens = mem_zeroed(batch * (size_t)c->text_tokens + 1, sizeof *s->tokens);
    s->token_counts = mem_zeroed(batch, sizeof *s->token_counts);
    s->rows = mem_zeroed(batch, sizeof *s->rows);
    s->numbers = mem_zeroed(batch, sizeof *s->numbers);
    s->unfinished = c->batch_size;
    if (text_mask_is_drawn(&l->mask) && c->text_mask_is_in_place) {
      s->token_places = mem_zeroed(batch * (size_t)c->text_tokens + 1, sizeof *s->token_places);
      if (!s->token_places) return mem_error(batch, "the loader's batches");
    }
    if (!s->images || !s->tokens || !s->token_counts || !s->rows || !s->numbers)
      return mem_error(pixels, "a batch read ahead, of data.prefetch + 1 of them (batch_size)");
    if (c->pins && c->pins->call->pin) {
      err error = c->pins->call->pin(c->pins, s->images, pixels);
      if (error) return error;
      s->is_pinned = true;
    }
  }
  return NULL;
}

static err open_order(loader *l, const stream_position *from) {
  const loader_config *c = &l->c;
  const shard_list *shards = dataset_shards(c->data);
  if (!shards) return NULL;
  const stream_config order = {.shards = shard_list_shards(shards),
                               .seed = c->seed,
                               .is_shuffled = c->shuffle,
                               .buffer = c->buffer,
                               .openers = c->workers < MOST_OPENERS ? c->workers : MOST_OPENERS};
  return stream_open(&order, from, &l->order);
}

/* What is cached about each row, in the exact order. */
bool loader_keeps_images(int64_t count) {
  return count <= most_kept_rows;
}

static err make_rows(loader *l) {
  if (l->order || !loader_keeps_images(l->count)) return NULL;
  l->cache = mem_zeroed((size_t)l->count, sizeof *l->cache);
  l->is_bad = mem_zeroed((size_t)l->count, sizeof *l->is_bad);
  return l->cache && l->is_bad ? NULL : mem_error((size_t)l->count, "the loader");
}

static err start_workers(loader *l) {
  l->threads = mem_zeroed((size_t)l->c.workers, sizeof *l->threads);
  if (!l->threads) return mem_error((size_t)l->c.workers, "the loader");
  for (int i = 0; i < l->c.workers; i++) {
    int code = pthread_create(&l->threads[i], NULL, work, l);
    if (code) return err_errno(code, "starting loader thread %d", i + 1);
    l->started++;
  }
  return NULL;
}

err loader_open(const loader_config *config, int64_t first_sample, const stream_position *from,
                loader **out) {
  loader *l = mem_zeroed(1, sizeof *l);
  if (!l) return mem_error(sizeof *l, "the loader");
  l->c = *config;
  l->count = dataset_count(config->data);
  l->epoch = config->rows ? config->row_count : dataset_epoch(config->data);
  if (l->c.ranks < 1) l->c.ranks = 1;
  l->next_sample = first_sample / l->c.ranks;
  l->last_sample = config->total_samples / l->c.ranks;
  l->taken = l->next_sample / config->batch_size;
  pthread_mutex_init(&l->lock, NULL);
  pthread_mutex_init(&l->feed, NULL);
  pthread_cond_init(&l->work, NULL);
  pthread_cond_init(&l->done, NULL);
  l->mask = (text_mask){.mode = config->text_mask_mode,
                        .length = config->text_length,
                        .kept = config->text_tokens,
                        .ends = config->words ? tokenizer_ends(config->words) : 0,
                        .padding = config->words ? tokenizer_padding(config->words) : 0};
  err error = make_slots(l);
  if (error) goto cleanup;
  if (config->text_mask_mode == TEXT_MASK_FREQUENCY)
    TRY(text_mask_weigh(config->data, config->words, &l->weights));
  l->mask.weights = l->weights;
  if (config->text_mask_mode == TEXT_MASK_SYNTAX)
    TRY(lexicon_open(config->text_mask_lexicon, &l->classes));
  l->mask.words = config->words;
  l->mask.classes = l->classes;
  TRY(open_order(l, from));
  TRY(make_rows(l));
  TRY(start_workers(l));
cleanup:
  if (error)
    loader_close(l);
  else
    *out = l;
  return error;
}

void loader_close(loader *l) {
  if (!l) return;
  pthread_mutex_lock(&l->lock);
  l->is_closing = true;
  pthread_cond_broadcast(&l->work);
  pthread_mutex_unlock(&l->lock);
  if (l->order) stream_stop(l->order);
  for (int i = 0; i < l->started; i++) pthread_join(l->threads[i], NULL);
  stream_close(l->order);
  for (int64_t i = 0; l->cache && i < l->count; i++) {
    image *kept = atomic_load(&l->cache[i]);
    if (kept) image_free(kept);
    free(kept);
  }
  for (int64_t i = 0; l->slots && i < l->slot_count; i++) {
    if (l->slots[i].is_pinned) l->c.pins->call->unpin(l->c.pins, l->slots[i].images);
    free(l->slots[i].images);
    free(l->slots[i].tokens);
    free(l->slots[i].token_places);
    free(l->slots[i].token_counts);
    free(l->slots[i].rows);
    free(l->slots[i].numbers);
  }
  free(l->slots);
  free((void *)l->cache);
  free((void *)l->is_bad);
  free(l->threads);
  free(l->weights);
  lexicon_close(l->classes);
  strbuf_free(&l->warnings);
  err_free(l->failure);
  pthread_mutex_destroy(&l->lock);
  pthread_mutex_destroy(&l->feed);
  pthread_cond_destroy(&l->work);
  pthread_cond_destroy(&l->done);
  free(l);
}

err loader_next(loader *l, loader_batch *batch, double *waited) {
  double start = clock_seconds();
  err error = NULL;
  int64_t number = l->taken;
  if (number * l->c.batch_size >= l->last_sample)
    return err_new(ERR_INTERNAL, "more samples were requested from the loader than the run has");
  slot *s = &l->slots[number % l->slot_count];
  pthread_mutex_lock(&l->lock);
  /* the previous batch is no longer in use: its slot is reused */
  l->slots[(number + l->slot_count - 1) % l->slot_count].unfinished = l->c.batch_size;
  l->taken = number + 1;
  pthread_cond_broadcast(&l->work);
  while (s->unfinished > 0 && !l->failure) pthread_cond_wait(&l->done, &l->lock);
  if (l->failure) {
    error = err_new(err_kind_of(l->failure), "%s", err_message(l->failure));
  }
  pthread_mutex_unlock(&l->lock);
  l->replaced += atomic_exchange(&s->replaced, 0);
  l->fell_back += atomic_exchange(&s->fell_back, 0);
  *waited = clock_seconds() - start;
  for (int64_t i = 0; i < l->c.batch_size; i++)
    s->numbers[i] = number_in_run(l, number * l->c.batch_size + i);
  *batch = (loader_batch){.first_sample = s->numbers[0],
                          .count = l->c.batch_size,
                          .images = s->images,
                          .tokens = s->tokens,
                          .token_places = s->token_places,
                          .token_counts = s->token_counts,
                          .rows = s->rows,
                          .after = s->after,
                          .numbers = s->numbers};
  return error;
}

loader_stats loader_get_stats(loader *l) {
  return (loader_stats){atomic_load(&l->decoded), atomic_load(&l->cache_hits),
                        atomic_load(&l->skipped), l->replaced, l->fell_back};
}

/* What is wrong with a stream's shards every rank finds: the first says it. */
static size_t take_stream_lines(loader *l, strbuf *lines, strbuf *remarks) {
  strbuf unused[2] = {{0}, {0}};
  if (!l->order) return 0;
  if (l->c.rank == 0) return stream_take_lines(l->order, lines, remarks);
  stream_take_lines(l->order, &unused[0], &unused[1]);
  strbuf_free(&unused[0]);
  strbuf_free(&unused[1]);
  return 0;
}

size_t loader_take_warnings(loader *l, strbuf *lines, strbuf *remarks) {
  size_t count = take_stream_lines(l, lines, remarks);
  pthread_mutex_lock(&l->lock);
  count += l->warning_count;
  strbuf_append(lines, strbuf_string(&l->warnings));
  strbuf_clear(&l->warnings);
  l->warning_count = 0;
  pthread_mutex_unlock(&l->lock);
  return count;
}
