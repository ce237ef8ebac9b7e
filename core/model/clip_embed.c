/* Evaluation: images and texts to embeddings. On a device two batches are under way, each in a set
 * of inputs of its own: while one is computed, the next is copied there and launched, and the host
 * prepares a third. A forward pass that is repeated is recorded, as a training step is. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/clip_inside.h"

static_assert((int)EVAL_SETS <= (int)OPS_DOWNLOADS, "a place for the download of each batch");

/* Before a forward pass is recorded: each shape was seen, its algorithms chosen. */
enum { RUNS_BEFORE_RECORDING = 2 };

void clip_widen(const ops *o, const void *from, int64_t count, float *to) {
  for (int64_t i = 0; i < count; i++) {
    if (o->compute == OPS_F32)
      to[i] = ((const float *)from)[i];
    else if (o->compute == OPS_F64)
      to[i] = (float)((const double *)from)[i];
    else {
      uint32_t wide = (uint32_t)((const uint16_t *)from)[i] << 16;
      memcpy(&to[i], &wide, 4);
    }
  }
}

int64_t clip_eval_batch(const clip_model *m) {
  return m->limits.eval_batch;
}

int64_t clip_text_batch(const clip_model *m) {
  const clip_types types = {m->o->compute, m->o->master, m->o->chunk_bytes, m->o->is_narrow};
  return clip_plan_texts(&m->config, &m->limits, &types);
}

int clip_queue_depth(const clip_model *m) {
  return m->o->call->follow && m->o->chunk_bytes == 0 ? EVAL_SETS : 0;
}

static size_t host_bytes(const clip_model *m) {
  const tower_shape *image = &m->config.image;
  const int64_t widest = image->embed > image->width ? image->embed : image->width;
  const int64_t images = clip_eval_batch(m) * widest, texts = clip_text_batch(m) * image->embed;
  return (size_t)(images > texts ? images : texts) * ops_size_of(m->o->compute);
}

static err allocate_queue(clip_model *m) {
  embed_queue *q = &m->embedding;
  const size_t bytes = host_bytes(m);
  const int64_t patches = m->limits.eval_patches, indices = m->limits.eval_batch * patches;
  if (!q->whole) {
    q->whole = mem_zeroed((size_t)indices, sizeof *q->whole);
    if (!q->whole) return mem_error((size_t)indices * sizeof *q->whole, "patch lists");
    for (int64_t i = 0; i < indices; i++) q->whole[i] = (int32_t)(i % patches);
  }
  for (int i = 0; i < (clip_queue_depth(m) ? EVAL_SETS : 1); i++) {
    embed_place *p = &q->places[i];
    if (p->host) continue;
    p->host = mem_aligned(bytes);
    if (!p->host) return mem_error(bytes, "embeddings");
    err error = m->o->call->pin ? m->o->call->pin(m->o, p->host, bytes) : NULL;
    if (error) return error;
  }
  return NULL;
}

static void forget(clip_model *m, int which) {
  for (int i = 0; i < EVAL_SETS; i++) {
    void **recording = &m->embedding.places[i].recordings[which];
    if (*recording) m->o->call->forget(m->o, *recording);
    *recording = NULL;
  }
  m->embedding.runs[which] = 0;
}

void clip_take_encoder_output(clip_model *m, bool is_wanted) {
  if (m->embedding.takes_output == is_wanted) return;
  forget(m, QUEUED_IMAGES);
  m->embedding.takes_output = is_wanted;
}

bool clip_takes_encoder_output(const clip_model *m) {
  return m->embedding.takes_output;
}

int64_t clip_image_features(const clip_model *m) {
  return m->embedding.takes_output ? m->config.image.width : m->config.image.embed;
}

void embed_queue_free(clip_model *m) {
  embed_queue *q = &m->embedding;
  for (int which = 0; which < QUEUED_TOWERS; which++) forget(m, which);
  for (int i = 0; i < EVAL_SETS; i++) {
    embed_place *p = &q->places[i];
    if (p->host && m->o->call->unpin) m->o->call->unpin(m->o, p->host);
    free(p->host);
  }
  free(q->whole);
  *q = (embed_queue){0};
}

static bool takes_output(const clip_model *m, int which) {
  return which == QUEUED_IMAGES && m->embedding.takes_output;
}

/* One batch, from its inputs to features in the backend's memory: of unit length, unless the model
 * compares them unnormalised or the encoder's output is wanted. */
static err encode(clip_model *m, int which, const clip_activations *a, const input_set *in) {
  const tower_activations *own = which == QUEUED_IMAGES ? &a->image : &a->text;
  /* the pooled tokens are free once the tower has finished */
  ops_normalize n = {.rows = in->count,
                     .width = m->config.image.embed,
                     .eps = 1e-8,
                     .x = own->features,
                     .y = own->features,
                     .norms = {own->pooled.data, m->o->master}};
  err error = which == QUEUED_IMAGES ? clip_run_images(m, a, in) : clip_run_texts(m, a, in);
  if (error || !m->config.normalizes || takes_output(m, which)) return error;
  return m->o->call->normalize(m->o, &n);
}

static err record(clip_model *m, int which, const clip_activations *a, const input_set *in,
                  embed_place *p) {
  ops *o = m->o;
  err error = o->call->record(o);
  if (error) return error;
  error = encode(m, which, a, in);
  err ending = o->call->record_end(o, &p->recordings[which]);
  p->recorded[which] = in->count;
  if (!error) return ending;
  err_free(ending);
  if (p->recordings[which]) o->call->forget(o, p->recordings[which]);
  p->recordings[which] = NULL;
  return error;
}

/* The same by a recording, if as many rows were encoded before. */
static err encode_again(clip_model *m, int which, const clip_activations *a, const input_set *in,
                        embed_place *p) {
  embed_queue *q = &m->embedding;
  bool can_record = m->o->call->record && clip_queue_depth(m);
  bool is_known = q->runs[which] >= RUNS_BEFORE_RECORDING && q->rows[which] == in->count;
  if (can_record && !p->recordings[which] && is_known) {
    err error = record(m, which, a, in, p);
    if (error) return error;
  }
  if (p->recordings[which] && p->recorded[which] == in->count)
    return m->o->call->replay(m->o, p->recordings[which]);
  q->runs[which] = q->rows[which] == in->count ? q->runs[which] + 1 : 1;
  q->rows[which] = in->count;
  return encode(m, which, a, in);
}

/* Rounding to 16 bits left rows up to 0.3 % longer or shorter than 1, a score of a class or an
 * image as much larger or smaller than others'. */
static void make_unit(int64_t rows, int64_t width, float *embeddings) {
  for (int64_t r = 0; r < rows; r++) {
    float *x = embeddings + r * width;
    double square = 0;
    for (int64_t i = 0; i < width; i++) square += (double)x[i] * (double)x[i];
    if (!(square > 0)) continue;
    const double scale = 1 / sqrt(square);
    for (int64_t i = 0; i < width; i++) x[i] = (float)((double)x[i] * scale);
  }
}

/* What was downloaded to the host's part of a place. */
static void take_embeddings(const clip_model *m, const embed_place *p) {
  clip_widen(m->o, p->host, p->rows * p->width, p->embeddings);
  if (p->is_unit) make_unit(p->rows, p->width, p->embeddings);
}

/* Waits for the batch of a place, and converts its embeddings. */
static err settle(clip_model *m, int place) {
  embed_place *p = &m->embedding.places[place];
  if (!p->rows) return NULL;
  err error = m->o->call->await_download(m->o, place);
  if (!error) take_embeddings(m, p);
  p->rows = 0;
  return error;
}

/* Encodes the inputs that were copied last to the set of a place. */
static err launch(clip_model *m, int which, const clip_activations *a, int place,
                  float *embeddings) {
  ops *o = m->o;
  embed_queue *q = &m->embedding;
  embed_place *p = &q->places[place];
  const input_set *in = &m->sets[EVAL_SET + place];
  const tower_activations *own = which == QUEUED_IMAGES ? &a->image : &a->text;
  const void *features = (takes_output(m, which) ? own->pooled : own->features).data;
  const int64_t width = which == QUEUED_IMAGES ? clip_image_features(m) : m->config.text.embed;
  const size_t bytes = (size_t)(in->count * width) * ops_size_of(o->compute);
  bool is_queued = clip_queue_depth(m) > 0;
  err error = NULL;
  TRY(is_queued ? o->call->follow(o) : o->call->join(o));
  TRY(encode_again(m, which, a, in, p));
  TRY(is_queued ? o->call->download_behind(o, place, p->host, features, bytes)
                : o->call->download(o, p->host, features, bytes));
  p->rows = in->count;
  p->width = width;
  p->embeddings = embeddings;
  p->is_unit = o->compute == OPS_BF16 && m->config.normalizes && !takes_output(m, which);
  if (is_queued) {
    q->next = (place + 1) % EVAL_SETS;
  } else {
    take_embeddings(m, p);
    p->rows = 0;
  }
cleanup:
  return error;
}

err clip_queue_finish(clip_model *m, err error) {
  embed_queue *q = &m->embedding;
  for (int i = 0; i < EVAL_SETS; i++) { /* in the order in which they were queued */
    err fault = settle(m, (q->next + i) % EVAL_SETS);
    if (error)
      err_free(fault);
    else
      error = fault;
  }
  /* after a failure a batch may have been copied or launched of which there is no download */
  if (error && clip_queue_depth(m)) {
    err_free(m->o->call->join(m->o));
    err_free(m->o->call->synchronize(m->o));
  }
  return error;
}

err clip_queue_images(clip_model *m, int64_t count, const uint8_t *images, const int32_t *index,
                      float *embeddings) {
  clip_activations a;
  embed_queue *q = &m->embedding;
  int64_t batch = m->limits.eval_batch, patches = m->limits.eval_patches;
  int64_t pixels = m->config.image_size * m->config.image_size * 3;
  err error = allocate_queue(m);
  clip_cut_evaluation(m, &a);
  for (int64_t at = 0; at < count && !error; at += batch) {
    const int place = q->next;
    const int64_t n = count - at < batch ? count - at : batch;
    input_set *in = &m->sets[EVAL_SET + place];
    error = settle(m, place);
    const int32_t *own = index ? index + at * patches : in->is_whole ? NULL : q->whole;
    /* all of it, so that it need not be copied again */
    if (!error && own == q->whole)
      error = m->o->call->upload_ahead(m->o, in->index.data, own,
                                       (size_t)(batch * patches) * sizeof *own);
    if (!error)
      error = input_set_images(in, m->o, &m->config, images + at * pixels, index ? own : NULL, n,
                               patches);
    if (!error && !index) in->is_whole = true;
    if (!error)
      error = launch(m, QUEUED_IMAGES, &a, place, embeddings + at * clip_image_features(m));
  }
  return error;
}

err clip_queue_texts(clip_model *m, int64_t count, const int32_t *ids, const int32_t *id_counts,
                     float *embeddings) {
  clip_activations a;
  embed_queue *q = &m->embedding;
  int64_t batch = clip_text_batch(m), length = m->config.text_length;
  err error = allocate_queue(m);
  clip_cut_evaluation(m, &a);
  for (int64_t at = 0; at < count && !error; at += batch) {
    const int place = q->next;
    const int64_t n = count - at < batch ? count - at : batch;
    input_set *in = &m->sets[EVAL_SET + place];
    error = settle(m, place);
    a.text.key_counts = input_set_key_counts(in, &m->config);
    if (!error)
      error = input_set_texts(in, m->o, &m->config, ids + at * length, id_counts + at, n, length);
    if (!error) error = launch(m, QUEUED_TEXTS, &a, place, embeddings + at * m->config.text.embed);
  }
  return error;
}

err clip_embed_images(clip_model *m, int64_t count, const uint8_t *images, const int32_t *index,
                      float *embeddings) {
  return clip_queue_finish(m, clip_queue_images(m, count, images, index, embeddings));
}

err clip_embed_texts(clip_model *m, int64_t count, const int32_t *ids, const int32_t *id_counts,
                     float *embeddings) {
  return clip_queue_finish(m, clip_queue_texts(m, count, ids, id_counts, embeddings));
}
