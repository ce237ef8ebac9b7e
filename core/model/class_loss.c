/* A classifier's loss. The logits (one per class and sample) are few compared with the activations,
 * so they are copied to the host, where one double-precision loop serves every backend. */
#include <math.h>
#include <stdlib.h>

#include "base/bf16.h"
#include "base/mem.h"
#include "model/clip_inside.h"

static void store_value(ops_type type, void *to, int64_t at, double value) {
  if (type == OPS_F64) {
    ((double *)to)[at] = value;
  } else if (type == OPS_F32) {
    ((float *)to)[at] = (float)value;
  } else {
    ((uint16_t *)to)[at] = bf16_of_float((float)value);
  }
}

static double load_value(ops_type type, const void *from, int64_t at) {
  if (type == OPS_F64) return ((const double *)from)[at];
  if (type == OPS_F32) return (double)((const float *)from)[at];
  return (double)bf16_to_float(((const uint16_t *)from)[at]);
}

/* The target distribution of sample i of the batch over the classes. */
static void fill_target(const clip_targets *t, int64_t i, int64_t classes, double *target) {
  double rest = t->smoothing / (double)classes;
  for (int64_t c = 0; c < classes; c++) target[c] = rest;
  target[t->labels[i]] += (1 - t->smoothing) * t->shares[i];
  target[t->labels[t->count - 1 - i]] += (1 - t->smoothing) * (1 - t->shares[i]);
}

/* The cross-entropy of one row; its logits are replaced by the gradient times `weight`. target
 * [classes] is filled; values [classes] is working memory. */
static double row_loss(ops_type type, void *logits, int64_t row, int64_t classes, double weight,
                       const double *target, double *values) {
  double most = -INFINITY, sum = 0, loss = 0;
  for (int64_t c = 0; c < classes; c++) {
    values[c] = load_value(type, logits, row * classes + c);
    if (!(values[c] <= most)) most = values[c];
  }
  for (int64_t c = 0; c < classes; c++) sum += exp(values[c] - most);
  double lse = most + log(sum);
  for (int64_t c = 0; c < classes; c++) {
    loss += target[c] * (lse - values[c]);
    store_value(type, logits, row * classes + c, weight * (exp(values[c] - lse) - target[c]));
  }
  return loss;
}

err clip_class_loss(clip_model *m, int64_t first, int64_t count, const clip_targets *targets) {
  int64_t classes = m->config.classes;
  size_t bytes = (size_t)(count * classes) * ops_size_of(m->o->compute);
  ops_buffer logits = ops_at(m->loss.image, first * classes);
  ops_buffer gradients = ops_at(m->loss.dimage, first * classes);
  double batch = (double)targets->count * comm_size(m->loss.shared.ranks);
  double weight = 1 / batch, sum = 0;
  void *host = mem_zeroed(1, bytes);
  double *target = mem_zeroed((size_t)classes, sizeof *target);
  double *values = mem_zeroed((size_t)classes, sizeof *values);
  err error = NULL;
  if (!host || !target || !values) FAIL(ERR_MEMORY, "out of memory: %zu bytes of logits", bytes);
  TRY(m->o->call->download(m->o, host, logits.data, bytes));
  for (int64_t i = 0; i < count; i++) {
    fill_target(targets, first + i, classes, target);
    sum += row_loss(m->o->compute, host, i, classes, weight, target, values);
  }
  m->class_loss = (first ? m->class_loss : 0) + weight * sum;
  TRY(m->o->call->upload(m->o, gradients.data, host, bytes));
cleanup:
  free(host);
  free(target);
  free(values);
  return error;
}

err clip_share_class_loss(clip_model *m) {
  comm *ranks = m->loss.shared.ranks;
  if (!ranks) return NULL;
  double *all = mem_zeroed((size_t)ranks->size, sizeof *all);
  if (!all) return mem_error((size_t)ranks->size * sizeof *all, "the ranks' losses");
  err error = ranks->call->gather_bytes(ranks, &m->class_loss, sizeof *all, all);
  m->class_loss = 0;
  for (int r = 0; r < ranks->size; r++) m->class_loss += all[r];
  free(all);
  return error;
}
