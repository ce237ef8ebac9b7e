/* `flip bench loader`: the rate of training data, uncached and cached, compared with the rate of
 * the training step. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/options.h"
#include "cli/bench.h"
#include "read/loader.h"

/* Of a data set that takes longer (LAION-400M, scenes without end) as much as is read in this time
 * is measured. */
static const double most_seconds = 5;

typedef struct {
  const char *name;
  int64_t images; /* 0: not measured */
  double seconds;
  double kept; /* share of the images that was in the cache */
} loader_row;

/* Reads `most` batches, or as many as there is time for, at least one. */
static err drain(loader *l, int64_t most, int64_t batch_size, double time_limit, loader_row *row) {
  loader_batch batch;
  double waited, start = clock_seconds();
  for (int64_t i = 0; i < most; i++) {
    err error = loader_next(l, &batch, &waited);
    if (error) return error;
    row->images += batch_size;
    row->seconds = clock_seconds() - start;
    if (time_limit > 0 && row->seconds > time_limit) break;
  }
  return NULL;
}

static loader_config config_of(const settings *s, const dataset *data, const tokenizer *words) {
  return (loader_config){.data = data,
                         .words = words,
                         .batch_size = s->batch_size,
                         .image_size = s->image_size,
                         .text_length = s->text_length,
                         .text_mask_mode = s->text_mask_mode,
                         .text_mask_lexicon = s->text_mask_lexicon,
                         .text_mask_is_in_place = settings_masks_in_place(s),
                         .text_tokens = settings_text_tokens(s),
                         .seed = (uint64_t)s->seed,
                         .crop_min = s->data_crop_min,
                         .crop_max = s->data_crop_max,
                         .ratio_min = s->data_ratio_min,
                         .ratio_max = s->data_ratio_max,
                         .flip = s->data_flip,
                         .shuffle = s->data_shuffle,
                         .resample = s->data_resample,
                         .buffer = s->data_buffer,
                         .workers = (int)s->data_workers,
                         .prefetch = (int)s->data_prefetch};
}

/* Reads the `count` images twice, or reads once what there is time for: the rows that have no
 * images were not measured. */
static err measure_uncached(const loader_config *base, int64_t count, loader_row *first,
                            loader_row *second) {
  static const stream_position beginning = {0};
  loader_config c = *base;
  loader *l = NULL;
  int64_t batches = (count + c.batch_size - 1) / c.batch_size; /* every image is decoded */
  c.total_samples = 2 * batches * c.batch_size;
  err error = loader_open(&c, 0, &beginning, &l);
  if (error) return error;
  TRY(drain(l, batches, c.batch_size, most_seconds, first));
  if (first->images == batches * c.batch_size)
    TRY(drain(l, batches, c.batch_size, most_seconds, second));
cleanup:
  loader_close(l);
  return error;
}

/* `images`, a multiple of the batch, of the first rows: once to fill the cache, then from it. */
static err measure_cached(const loader_config *base, int64_t count, int64_t images,
                          size_t cache_bytes, loader_row *row) {
  static const stream_position beginning = {0};
  loader_config c = *base;
  loader *l = NULL;
  loader_row filling = {0};
  int64_t *rows = NULL;
  err error = NULL;
  c.row_count = images < count ? images : count;
  rows = mem_zeroed((size_t)c.row_count, sizeof *rows);
  if (!rows) return mem_error((size_t)c.row_count * sizeof *rows, "rows of the data set");
  for (int64_t i = 0; i < c.row_count; i++) rows[i] = i;
  c.rows = rows;
  c.total_samples = 2 * images;
  c.cache_bytes = cache_bytes;
  TRY(loader_open(&c, 0, &beginning, &l));
  TRY(drain(l, images / c.batch_size, c.batch_size, 0, &filling));
  loader_stats before = loader_get_stats(l);
  TRY(drain(l, images / c.batch_size, c.batch_size, most_seconds, row));
  loader_stats after = loader_get_stats(l);
  int64_t hits = after.cache_hits - before.cache_hits, decoded = after.decoded - before.decoded;
  row->kept = hits + decoded ? (double)hits / (double)(hits + decoded) : 0;
cleanup:
  loader_close(l);
  free(rows);
  return error;
}

static err print_row(const loader_row *row, int workers, double eaten, bool as_json) {
  if (!row->images) return NULL;
  double rate = (double)row->images / row->seconds;
  if (!as_json) {
    printf("%-24s %7d  %9.0f  %10.1f\n", row->name, workers, rate, rate / eaten);
    return NULL;
  }
  strbuf out = {0};
  json_writer w = jsonw_start(&out);
  jsonw_object(&w, NULL);
  jsonw_string(&w, "what", row->name);
  jsonw_integer(&w, "workers", workers);
  jsonw_integer(&w, "images", row->images);
  jsonw_number(&w, "images_per_second", rate);
  jsonw_number(&w, "step_samples_per_second", eaten);
  if (!isnan(row->kept)) jsonw_number(&w, "cached_share", row->kept);
  jsonw_end(&w);
  strbuf_append_char(&out, '\n');
  return options_print(&out);
}

err bench_loader(const bench_request *request) {
  const settings *s = &request->s;
  tokenizer *words = NULL;
  dataset *data = NULL, *streamed = NULL;
  bool is_stream = s->data_order == DATA_ORDER_STREAM;
  loader_row cold = {.name = "decode, crop, tokenize", .kept = NAN},
             second = {.name = "the second time", .kept = NAN},
             cached = {.name = "from the cache", .kept = NAN};
  double eaten = 0;
  err error = settings_check(s);
  if (error) return error;
  if (s->data_resample)
    return err_new(ERR_UNSUPPORTED, "data.resample: the benchmark reads every image once, then all "
                                    "of them from the cache; set it to false");
  TRY(tokenizer_open_for(s, &words));
  TRY(dataset_open_with(s->data_train.items, s->data_train.count, s->data_allow_pipes, &data));
  if (dataset_count(data) == 0) FAIL(ERR_INPUT, "data.train: no samples in the shards");
  int64_t count = dataset_count(data); /* of the stream too, which does not know it */
  if (is_stream)
    TRY(dataset_open_stream(s->data_train.items, s->data_train.count, s->data_allow_pipes,
                            &streamed));
  TRY(bench_step_rate(request, &eaten));
  loader_config c = config_of(s, is_stream ? streamed : data, words);
  TRY(measure_uncached(&c, count, &cold, &second));
  if (!is_stream && loader_keeps_images(count))
    TRY(measure_cached(&c, count, cold.images, (size_t)s->data_cache_mib << 20, &cached));
  if (!request->as_json)
    printf("%ld of %ld images; the training step at mask ratio %g consumes %.0f samples/s\n\n"
           "%-24s %7s  %9s  %10s\n",
           (long)(cold.images < count ? cold.images : count), (long)count, s->mask_ratio, eaten, "",
           "workers", "images/s", "times step");
  TRY(print_row(&cold, (int)s->data_workers, eaten, request->as_json));
  if (is_stream) TRY(print_row(&second, (int)s->data_workers, eaten, request->as_json));
  TRY(print_row(&cached, (int)s->data_workers, eaten, request->as_json));
  if (cached.kept < 1)
    log_warning(
        "data.cache_mib: %ld MiB had %.0f %% of these images; the others were decoded again",
        (long)s->data_cache_mib, 100 * cached.kept);
cleanup:
  if (data) dataset_close(data);
  dataset_close(streamed);
  if (words) tokenizer_close(words);
  return error;
}
