/* `flip bench loader`: the rate of training data, uncached and cached, compared with the rate of
 * the training step. */
#include <stdio.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/options.h"
#include "cli/bench.h"
#include "read/loader.h"

typedef struct {
  const char *name;
  int64_t images;
  double seconds;
} loader_row;

static err drain(loader *l, int64_t batches) {
  loader_batch batch;
  double waited;
  err error = NULL;
  for (int64_t i = 0; i < batches && !error; i++) error = loader_next(l, &batch, &waited);
  return error;
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

/* Two epochs of `count`: the first decodes every image, the second finds them in the cache (if
 * there is one; a stream has none). */
static err measure(const settings *s, const dataset *data, int64_t count, const tokenizer *words,
                   bool is_cached, loader_row *cold, loader_row *warm) {
  static const stream_position beginning = {0};
  loader_config c = config_of(s, data, words);
  loader *l = NULL;
  int64_t batches = (count + s->batch_size - 1) / s->batch_size; /* every image is decoded */
  c.total_samples = 2 * batches * s->batch_size;
  c.cache_bytes = is_cached ? (size_t)s->data_cache_mib << 20 : 0;
  double start = clock_seconds();
  err error = loader_open(&c, 0, &beginning, &l);
  if (error) return error;
  TRY(drain(l, batches));
  *cold = (loader_row){"decode, crop, tokenize", batches * s->batch_size, clock_seconds() - start};
  start = clock_seconds();
  TRY(drain(l, batches));
  *warm = (loader_row){"from the cache", batches * s->batch_size, clock_seconds() - start};
cleanup:
  loader_close(l);
  return error;
}

static err print_row(const loader_row *row, int workers, double eaten, bool as_json) {
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
  jsonw_number(&w, "images_per_second", rate);
  jsonw_number(&w, "step_samples_per_second", eaten);
  jsonw_end(&w);
  strbuf_append_char(&out, '\n');
  return options_print(&out);
}

err bench_loader(const bench_request *request) {
  const settings *s = &request->s;
  tokenizer *words = NULL;
  dataset *data = NULL, *streamed = NULL;
  bool is_stream = s->data_order == DATA_ORDER_STREAM;
  loader_row cold, warm, unused;
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
  TRY(measure(s, is_stream ? streamed : data, count, words, false, &cold, &warm));
  if (!is_stream) TRY(measure(s, data, count, words, true, &unused, &warm));
  if (is_stream) warm.name = "the second time";
  TRY(bench_step_rate(request, &eaten));
  if (!request->as_json)
    printf("%ld images; the training step at mask ratio %g consumes %.0f samples/s\n\n"
           "%-24s %7s  %9s  %10s\n",
           (long)count, s->mask_ratio, eaten, "", "workers", "images/s", "times step");
  TRY(print_row(&cold, (int)s->data_workers, eaten, request->as_json));
  TRY(print_row(&warm, (int)s->data_workers, eaten, request->as_json));
cleanup:
  if (data) dataset_close(data);
  dataset_close(streamed);
  if (words) tokenizer_close(words);
  return error;
}
