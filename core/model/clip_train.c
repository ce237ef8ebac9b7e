/* A training step: stages inputs, runs the towers forward and backward, and the loss in between. */
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "model/clip_inside.h"

static image_source image_source_of(const clip_model *m, const clip_activations *a,
                                    const input_set *in) {
  return (image_source){&m->image_in, &m->config, &a->front,
                        in->images,   in->index,  m->fixed_positions};
}

static tower_pass image_pass(const clip_model *m, const clip_activations *a) {
  return (tower_pass){.t = &m->image, .w = &m->weights, .a = &a->image};
}

static tower_pass text_pass(const clip_model *m, const clip_activations *a, const input_set *in) {
  return (tower_pass){.t = &m->text,
                      .w = &m->weights,
                      .a = &a->text,
                      .pool_index = input_set_pool_index(in, &m->config)};
}

err clip_run_images(clip_model *m, const clip_activations *a, const input_set *in) {
  const image_source source = image_source_of(m, a, in);
  tower_pass pass = image_pass(m, a);
  err error = NULL;
  while (!error && tower_next(&pass, in->count)) {
    error = image_front_forward(&source, &pass);
    if (!error) error = tower_forward(&pass);
  }
  return error;
}

static text_words words_of(const input_set *in) {
  return (text_words){in->ids, input_set_token_places(in)};
}

err clip_run_texts(clip_model *m, const clip_activations *a, const input_set *in) {
  tower_pass pass = text_pass(m, a, in);
  err error = NULL;
  while (!error && tower_next(&pass, in->count)) {
    error = text_front_forward(&m->text_in, &m->config, words_of(in), &pass);
    if (!error) error = tower_forward(&pass);
  }
  return error;
}

/* The contribution of the images' dropped patches to the gradient of the chunk's tokens. */
static err reconstruct(const clip_model *m, const input_set *in, int64_t first, tower_pass *pass) {
  const reconstruction_extent *e = &m->decoding.extent;
  const reconstruction_pass p = {.config = &m->config,
                                 .head = &m->reconstruction,
                                 .b = &m->decoding,
                                 .lists = &m->lists[m->current],
                                 .images = in->images,
                                 .image = pass,
                                 .batch = m->loss_batch,
                                 .first_part = e->tokens ? first / e->samples * e->parts : 0};
  if (!e->tokens) return NULL;
  pass->dlast = m->decoding.dlast;
  return reconstruction_run(&p);
}

/* The same, timed separately from the image tower's backward pass, which contains it. */
static err reconstruct_measured(clip_model *m, const input_set *in, int64_t first,
                                tower_pass *pass) {
  if (!m->profile || !m->decoding.extent.tokens) return reconstruct(m, in, first, pass);
  err error = m->o->call->synchronize(m->o);
  double start = clock_seconds();
  if (!error) error = reconstruct(m, in, first, pass);
  if (!error) error = m->o->call->synchronize(m->o);
  m->profile->reconstruction += clock_seconds() - start;
  return error;
}

/* The model's watch for this branch, copied to *own; NULL except in the chunk that completes
 * gradients. */
static const param_watch *watch_of(const clip_model *m, const tower_pass *pass, int64_t count,
                                   int branch, param_watch *own) {
  if (!m->watch || pass->first + pass->count < count) return NULL;
  *own = *m->watch;
  own->branch = branch;
  return own;
}

/* The front's tensors precede the tower's. */
static err front_complete(const tower_pass *pass, size_t first) {
  return param_complete(pass->watch, first, pass->t->first_param - first);
}

err clip_images_backward(clip_model *m, const clip_activations *a, const input_set *in,
                         int64_t first, int64_t count, ops_buffer dfeatures) {
  const image_source source = image_source_of(m, a, in);
  const tower *decoder = &m->reconstruction.decoder;
  param_watch watch;
  tower_pass pass = image_pass(m, a);
  err error = NULL;
  pass.writes = m->writes;
  while (!error && tower_next(&pass, count)) {
    pass.watch = watch_of(m, &pass, count, 0, &watch);
    error = reconstruct_measured(m, in, first, &pass);
    if (!error && decoder->blocks)
      error = param_complete(pass.watch, m->scale_param + 1, m->params.count - m->scale_param - 1);
    if (!error) error = tower_backward(&pass, dfeatures);
    if (!error) error = image_front_backward(&source, &pass);
    if (!error) error = front_complete(&pass, 0);
  }
  return error;
}

static err texts_backward(clip_model *m, const clip_activations *a, const input_set *in,
                          int64_t count, ops_buffer dfeatures) {
  const size_t front = m->image.first_param + tower_tensors(&m->image);
  param_watch watch;
  tower_pass pass = text_pass(m, a, in);
  err error = NULL;
  pass.writes = m->writes;
  while (!error && tower_next(&pass, count)) {
    pass.watch = watch_of(m, &pass, count, 1, &watch);
    error = param_complete(pass.watch, m->scale_param, 1); /* the loss's */
    if (!error) error = tower_backward(&pass, dfeatures);
    if (!error) error = text_front_backward(&m->text_in, &m->config, words_of(in), &pass);
    if (!error) error = front_complete(&pass, front);
  }
  return error;
}

void clip_set_profile(clip_model *m, clip_profile *profile) {
  m->profile = profile;
}

/* Ends a measured part: adds the time since *start to *sum and starts the next part. */
static err clock_part(clip_model *m, double *sum, double *start) {
  if (!m->profile) return NULL;
  err error = m->o->call->synchronize(m->o);
  double now = clock_seconds();
  *sum += now - *start;
  *start = now;
  return error;
}

err clip_stage(clip_model *m, const clip_inputs *in) {
  m->staged = 1 - m->current;
  input_set *set = &m->sets[m->staged];
  err error = input_set_images(set, m->o, &m->config, in->images, in->index, in->count,
                               m->limits.train_patches);
  if (!error)
    error = input_set_numbers(set, m->o, &m->config, in->first_sample, in->numbers, in->count);
  if (!error)
    error = reconstruction_lists_copy(&m->lists[m->staged], m->o, &m->decoding.extent,
                                      m->config.has_class_token, in->index, in->count);
  if (error || m->config.classes) return error;
  error = input_set_texts(set, m->o, &m->config, in->ids, in->id_counts, in->count,
                          m->limits.train_words);
  return error ? error : input_set_places(set, m->o, in->places, m->limits.train_words);
}

err clip_take_staged(clip_model *m) {
  m->current = m->staged;
  return m->o->call->join(m->o);
}

int clip_current_set(const clip_model *m) {
  return m->current;
}

/* The text tower in parallel with the image tower, unless they are being timed. */
static err branch_to(const clip_model *m, int which) {
  return m->profile || m->config.classes || !m->o->call->branch ? NULL
                                                                : m->o->call->branch(m->o, which);
}

static err merge_branches(const clip_model *m) {
  return m->profile || m->config.classes || !m->o->call->merge ? NULL : m->o->call->merge(m->o);
}

err clip_encode(clip_model *m, int64_t first, bool is_kept) {
  err error = NULL;
  double start = clock_seconds();
  clip_profile unused, *profile = m->profile ? m->profile : &unused;
  clip_activations passing, *a = &m->kept;
  const input_set *in = &m->sets[m->current];
  if (!is_kept) {
    clip_cut_training(m, false, &passing);
    a = &passing;
  }
  /* the towers write straight into the batch's features */
  a->image.features = ops_at(m->loss.image, first * m->config.image.embed);
  a->text.features = ops_at(m->loss.text, first * m->config.text.embed);
  a->text.key_counts = input_set_key_counts(in, &m->config);
  a->image.noise = (tower_noise){m->config.image_dropout, m->config.drop_path, m->config.seed,
                                 IMAGE_SITE, in->numbers};
  a->image.is_delayed = a->text.is_delayed = m->decoding.decoder.is_delayed = clip_is_delayed(m);
  a->text.noise = (tower_noise){m->config.text_dropout, 0, m->config.seed, TEXT_SITE, in->numbers};
  TRY(branch_to(m, 1));
  if (!m->config.classes) TRY(clip_run_texts(m, a, in));
  TRY(clock_part(m, &profile->text_forward, &start));
  TRY(branch_to(m, 0));
  TRY(clip_run_images(m, a, in));
  TRY(clock_part(m, &profile->image_forward, &start));
  TRY(merge_branches(m));
cleanup:
  return error;
}

err clip_forward(clip_model *m, const clip_inputs *in, int64_t first, bool is_kept) {
  err error = clip_stage(m, in);
  if (!error) error = clip_take_staged(m);
  return error ? error : clip_encode(m, first, is_kept);
}

void clip_set_ranks(clip_model *m, comm *ranks) {
  m->loss.shared.ranks = comm_size(ranks) > 1 ? ranks : NULL;
}

err clip_loss(clip_model *m, int64_t batch, double *loss) {
  double start = clock_seconds();
  clip_profile unused, *profile = m->profile ? m->profile : &unused;
  m->loss_batch = batch * comm_size(m->loss.shared.ranks);
  if (m->decoding.extent.tokens) { /* a smaller batch leaves parts unused */
    err cleared = m->o->call->fill(m->o, m->decoding.error_count, m->decoding.errors, 0);
    if (cleared) return cleared;
  }
  err error = loss_compute(m->o, &m->loss, batch, ops_at(m->weights.master, m->scale_log),
                           ops_at(m->weights.gradients, m->scale_log));
  if (!error) error = clock_part(m, &profile->loss, &start);
  return error || !loss ? error : clip_read_loss(m, loss);
}

err clip_read_loss(const clip_model *m, double *loss) {
  *loss = m->class_loss;
  if (m->config.classes) return NULL;
  return clip_read_number(m, m->loss.value, loss);
}

err clip_share_reconstruction(clip_model *m) {
  comm *ranks = m->loss.shared.ranks;
  if (!ranks || !m->decoding.extent.tokens) return NULL;
  return comm_sum(ranks, m->decoding.error_count, m->decoding.errors);
}

err clip_read_reconstruction(const clip_model *m, double *loss) {
  const reconstruction_buffers *b = &m->decoding;
  *loss = NAN;
  if (!b->extent.tokens) return NULL;
  double sum = 0;
  size_t size = ops_size_of(m->o->master);
  void *errors = mem_zeroed((size_t)b->error_count, size);
  if (!errors) return mem_error((size_t)b->error_count * size, "the reconstruction's errors");
  err error = m->o->call->download(m->o, errors, b->errors.data, (size_t)b->error_count * size);
  for (int64_t i = 0; i < b->error_count; i++)
    sum += m->o->master == OPS_F64 ? ((double *)errors)[i] : (double)((float *)errors)[i];
  free(errors);
  *loss = sum / ((double)m->loss_batch * (double)b->extent.dropped * (double)b->extent.pixels);
  return error;
}

err clip_backward(clip_model *m, int64_t first, int64_t count) {
  err error = NULL;
  double start = clock_seconds();
  clip_profile unused, *profile = m->profile ? m->profile : &unused;
  const clip_activations *a = &m->kept;
  const input_set *in = &m->sets[m->current];
  ops_buffer dimage = ops_at(m->loss.dimage, first * m->config.image.embed);
  ops_buffer dtext = ops_at(m->loss.dtext, first * m->config.text.embed);
  TRY(branch_to(m, 1));
  if (!m->config.classes) TRY(texts_backward(m, a, in, count, dtext));
  TRY(clock_part(m, &profile->text_backward, &start));
  TRY(branch_to(m, 0));
  double decoded = m->profile ? profile->reconstruction : 0;
  TRY(clip_images_backward(m, a, in, first, count, dimage));
  TRY(clock_part(m, &profile->image_backward, &start));
  if (m->profile) profile->image_backward -= profile->reconstruction - decoded;
  m->writes = false;
  TRY(merge_branches(m));
cleanup:
  return error;
}
