#include "model/forecast.h"

#include <inttypes.h>
#include <math.h>

ops_type forecast_compute_type(const settings *s, const device_rates *rates) {
  int precision = s->precision == PRECISION_AUTO ? rates->rows[0].precision : s->precision;
  return precision == PRECISION_FP32 ? OPS_F32 : OPS_BF16;
}

static double exchange_seconds(const forecast_machine *m, int64_t bytes, int calls, int ranks) {
  return (double)bytes / m->link_bytes_per_second + calls * (ranks - 1) * m->latency_seconds;
}

static void add_exchange(const forecast_machine *m, const traffic_shape *shape, double backward,
                         forecast *f) {
  f->moved = traffic_of(shape, 0);
  if (f->ranks == 1) return;
  int64_t before = f->moved.features + f->moved.statistics;
  double start = exchange_seconds(m, before, traffic_calls_before(shape), shape->ranks);
  double end = exchange_seconds(m, traffic_total(&f->moved) - before, traffic_calls_after(shape),
                                shape->ranks);
  double hidden = fmin(end, m->overlap * backward);
  f->exchange = start + end;
  f->exposed = start + end - hidden;
}

static void add_cost(const settings *s, const forecast_machine *m, forecast *f) {
  const device_rates *rates = m->rates;
  settings_length length = settings_length_of(s, m->data_samples);
  f->device_hours =
      length.updates > 0 ? (double)length.updates * f->step * (double)f->ranks / 3600 : NAN;
  f->watts = f->row->watts > 0 ? f->row->watts : rates->watts > 0 ? rates->watts : NAN;
  f->kwh = f->device_hours * f->watts / 1000;
}

static err count(const settings *s, int64_t vocabulary, int64_t chunk_bytes, ops_type compute,
                 const forecast *f, model_counts *counts) {
  settings own = *s; /* shallow: only numbers differ */
  own.batch_size = f->own;
  own.micro_batch_size = f->micro;
  clip_limits limits = model_limits(&own);
  limits.ranks = (int)f->ranks;
  return model_count_of(s, vocabulary, &limits, compute, chunk_bytes, counts);
}

static ops_type wire_of(const forecast_machine *m, const settings *s) {
  if (m->has_wire) return m->wire;
  return s->comm_reduce == COMM_REDUCE_BF16 ? OPS_BF16 : OPS_F32;
}

static err lacks_precision(const settings *s, const device_rates *rates) {
  const char *wanted = precision_name(s->precision),
             *has = precision_name(rates->rows[0].precision);
  return err_new(ERR_INPUT,
                 "precision: %s, and no row of the rates was measured in it (the first is in %s): "
                 "give the output of 'flip bench step --json --set precision=%s', or set "
                 "'precision: %s'",
                 wanted, has, wanted, has);
}

err forecast_make(const settings *s, int64_t vocabulary, int64_t chunk_bytes,
                  const forecast_machine *m, int ranks, forecast *f) {
  model_counts c;
  ops_type compute = forecast_compute_type(s, m->rates);
  if (ranks < 1 || s->batch_size % ranks)
    return err_new(ERR_INPUT, "batch_size: %" PRId64 " is not divisible by %d ranks", s->batch_size,
                   ranks);
  if (!settings_suit_ranks(s, ranks)) /* the only other reason */
    return err_new(ERR_INPUT,
                   "batch_size: %" PRId64 " is not divisible by %d; mixup and CutMix mix pairs of "
                   "images, and each of the %d ranks has whole pairs",
                   s->batch_size, 2 * ranks, ranks);
  *f = (forecast){.ranks = ranks, .own = s->batch_size / ranks};
  f->micro = s->micro_batch_size;
  if (m->most_micro_batch && (!f->micro || f->micro > m->most_micro_batch))
    f->micro = m->most_micro_batch;
  if (!f->micro || f->micro > f->own) f->micro = f->own;
  err error = count(s, vocabulary, chunk_bytes, compute, f, &c);
  if (error) return error;
  const rate_row *row = f->row =
      rates_nearest(m->rates, s->precision, c.train_sample, s->mask_ratio);
  if (!row) return lacks_precision(s, m->rates);
  double pace = row->flop_seconds, sample = c.train_sample * pace, again = c.recomputed * pace;
  f->is_far = fabs(log(c.train_sample / row->flops_per_sample)) > log(3);
  int64_t classes = s->classification_classes; /* a classifier's loss needs no other sample */
  bool is_cached = f->micro < f->own && !classes;
  /* the cache's first pass ends with the towers: neither decoder nor scoring */
  double first = is_cached ? (c.forward_image + c.forward_text) * pace : 0;
  f->encode = (double)f->own * (sample + first + again);
  f->loss = forecast_loss_flops(classes, s->batch_size, f->own, s->embed_dim, ranks) * pace;
  f->update = row->update_seconds;
  if (row->parameters > 0) f->update *= (double)c.parameters_total / row->parameters;
  traffic_shape shape = traffic_shape_of(&c, s, ranks, compute, wire_of(m, s));
  add_exchange(m, &shape, (double)f->micro * (sample * 2 / 3 + again), f);
  f->step = f->encode + f->loss + f->update + f->exposed;
  f->samples_per_second = (double)s->batch_size / f->step;
  double flops = row->flops_per_sample + row->encoded_twice + row->recomputed;
  double measured = row->samples_per_second * flops / (c.train_sample + c.recomputed);
  f->efficiency = f->samples_per_second / (ranks * measured);
  f->rank_bytes = c.planned_bytes;
  add_cost(s, m, f);
  return NULL;
}

static void assume_device(const device_rates *r, strbuf *out) {
  if (*r->device) strbuf_format(out, "device: %s\n", r->device);
  if (*r->source) strbuf_format(out, "rate of one device: %s\n", r->source);
  if (*r->assumption) strbuf_format(out, "%s\n", r->assumption);
  strbuf_append(out,
                "a sample takes the time of the measured row nearest in FLOPs per sample and mask "
                "ratio, in proportion to its FLOPs; the optimizer's update, if measured "
                "separately, in proportion to the parameters\n");
  strbuf_append(out,
                "the rate does not depend on the batch size per device; batches smaller than the "
                "measured one are slower\n");
  strbuf_append(
      out,
      "with a micro-batch smaller than a rank's batch every sample is encoded twice: "
      "the towers' forward FLOPs are added; blocks that are recomputed add their forward FLOPs\n");
  if (r->impossible)
    strbuf_format(
        out,
        "energy: %zu measured row%s skipped, with a mean power above the device's limit of %g "
        "W\n",
        r->impossible, r->impossible == 1 ? " is" : "s are", r->watts);
  bool has_power = false, lacks_power = false;
  for (size_t i = 0; i < r->count; i++) {
    has_power = has_power || r->rows[i].watts > 0;
    lacks_power = lacks_power || !(r->rows[i].watts > 0);
  }
  if (has_power)
    strbuf_append(out, "energy: the device at the row's measured mean power for the whole "
                       "time; hosts, network and cooling are not counted\n");
  if (lacks_power && r->watts > 0)
    strbuf_format(out,
                  "energy%s: the device at its power limit of %g W for the whole time; hosts, "
                  "network and cooling are not counted\n",
                  has_power ? " where none was measured" : "", r->watts);
}

void forecast_assumptions(const forecast_machine *m, bool has_ranks, strbuf *out) {
  assume_device(m->rates, out);
  strbuf_append(out, "not counted: loading that is slower than training, evaluation, checkpoints, "
                     "starting, failures\n");
  if (!has_ranks) return;
  strbuf_format(
      out,
      "link of a device: %g GB/s each way, used fully; latency of a message: %g us; a "
      "collective of N ranks sends N - 1 messages one after another; buckets of gradients follow "
      "each other without gaps\n",
      m->link_bytes_per_second / 1e9, m->latency_seconds * 1e6);
  strbuf_format(out, "gradients are sent to be summed in %s; the sums return in fp32\n",
                !m->has_wire          ? "the type of comm.reduce"
                : m->wire == OPS_BF16 ? "bf16"
                                      : "fp32");
  if (m->overlap > 0)
    strbuf_format(out,
                  "%g of the backward pass of a rank's last micro-batch hides the gradients' "
                  "exchange; features and statistics are never hidden\n",
                  m->overlap);
  else
    strbuf_append(out, "no overlap: gradients are exchanged after the backward pass\n");
  strbuf_append(out, "all ranks are equally fast; every rank computes the optimizer's update\n");
}
