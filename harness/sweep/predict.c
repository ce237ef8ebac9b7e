/* Predictions for a run before it starts: FLOPs and memory from the model's counts, time from the
 * rate of the most similar finished runs and what they took beside training. The only code that
 * uses those counts. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/shipped.h"
#include "model/count.h"
#include "sweep/run.h"
#include "store/runs.h"

enum { MOST_PAST_RUNS = 300 };
/* How much more distant than the nearest a past run may be to be included. */
static const double alike = 0.05;

/* A finished run, as the numbers that determine similarity. */
typedef struct {
  int64_t run_id;
  bool is_here;                   /* ran on this machine */
  int device, precision, threads; /* threads: of all ranks */
  int64_t batch_size, image_width, ranks;
  double flops;        /* of one sample, counted as for the new run */
  double rate;         /* training FLOP/s */
  bool is_probed;      /* a linear probe is fitted at the end */
  double rounds;       /* evaluations, and one for starting */
  double beside;       /* seconds outside of training: starting, evaluation */
  double memory_share; /* peak divided by plan */
} past_run;

struct run_predictor {
  char *vocabulary_path; /* the one counted last */
  int64_t vocabulary;
  past_run past[MOST_PAST_RUNS];
  size_t count;
};

static int64_t count_vocabulary(const char *path) {
  char *text = NULL;
  size_t length = 0;
  int64_t lines = 0;
  char *found = shipped_or_given(path);
  err error = found ? fs_read(found, &text, &length) : mem_error(0, "a path");
  free(found);
  if (error) {
    err_free(error);
    return BERT_VOCABULARY;
  }
  for (size_t i = 0; i < length; i++) lines += text[i] == '\n';
  free(text);
  return lines;
}

/* False when the settings cannot be counted. planned_bytes: of each of that many ranks. */
static bool count_model(run_predictor *p, const settings *s, int64_t ranks, model_counts *counts) {
  if (!p->vocabulary_path || strcmp(p->vocabulary_path, s->text_vocabulary) != 0) {
    free(p->vocabulary_path);
    p->vocabulary_path = mem_copy_string(s->text_vocabulary);
    p->vocabulary = count_vocabulary(s->text_vocabulary);
  }
  ops_type compute = s->precision == PRECISION_BF16 ? OPS_BF16 : OPS_F32;
  settings own = *s; /* shallow: only numbers are read */
  own.batch_size = s->batch_size / ranks;
  err error = model_count(&own, p->vocabulary, compute, 0, counts);
  bool is_counted = !error;
  err_free(error);
  return is_counted;
}

/* ---- past runs ---- */

/* A cell's settings as stored; settings that no longer exist are skipped. */
static err read_settings(const char *json, settings *s) {
  const char *key;
  json_t *value, *object = json_loads(json, 0, NULL);
  err error = settings_init(s);
  json_object_foreach(object, key, value) {
    const setting *row = settings_find(key);
    if (error || !row || json_is_array(value)) continue;
    char *text = json_is_string(value) ? mem_copy_string(json_string_value(value))
                                       : json_dumps(value, JSON_ENCODE_ANY);
    if (text) err_free(setting_assign(row, s, text));
    free(text);
  }
  json_decref(object);
  return error;
}

/* Evaluations; starting counts as one. */
static double rounds_of(const settings *s) {
  return 1 + (double)s->eval_points;
}

static err add_past(run_predictor *p, const store_past_run *run, const char *host) {
  settings s;
  model_counts counts;
  double samples = run->samples, train = run->steady_seconds, wall = run->wall_seconds;
  int64_t ranks = run->ranks > 0 ? run->ranks : 1;
  err error = read_settings(run->settings, &s);
  if (error) return error;
  if (samples > 0 && train > 0 && run->threads > 0 && p->count < MOST_PAST_RUNS &&
      count_model(p, &s, ranks, &counts))
    p->past[p->count++] =
        (past_run){.run_id = run->run_id,
                   .is_here = strcmp(run->host, host) == 0,
                   .device = s.device,
                   .precision = s.precision,
                   .threads = (int)(run->threads * ranks),
                   .ranks = ranks,
                   .batch_size = s.batch_size,
                   .image_width = s.image_width,
                   .flops = counts.train_sample,
                   .rate = counts.train_sample * samples / train,
                   .is_probed = *s.eval_probe_train != 0,
                   .rounds = rounds_of(&s),
                   .beside = fmax(wall - train, 0),
                   .memory_share = run->peak_bytes / (double)counts.planned_bytes};
  settings_free(&s);
  return NULL;
}

err run_predictor_open(store *s, run_predictor **made) {
  char host[256] = "";
  store_past_run *past = NULL;
  size_t count = 0;
  run_predictor *p = mem_zeroed(1, sizeof *p);
  if (!p) return mem_error(sizeof *p, "predictions");
  gethostname(host, sizeof host - 1);
  err error = store_list_past_runs(s, MOST_PAST_RUNS, &past, &count);
  for (size_t i = 0; i < count && !error; i++) error = add_past(p, &past[i], host);
  store_free_past_runs(past, count);
  if (error)
    run_predictor_close(p);
  else
    *made = p;
  return error;
}

void run_predictor_close(run_predictor *p) {
  if (!p) return;
  free(p->vocabulary_path);
  free(p);
}

/* ---- a new run ---- */

/* Threads that a run with these settings gets on that many cores. */
static int threads_of(const settings *s, int cores) {
  return s->threads > 0 && s->threads < cores ? (int)s->threads : cores;
}

static double distance_to(const past_run *past, const settings *s, int64_t ranks, int threads,
                          double flops) {
  double distance = fabs(log(past->flops / flops));
  distance += 0.5 * fabs(log((double)past->batch_size / (double)s->batch_size));
  distance += fabs(log((double)past->image_width / (double)s->image_width));
  distance += 0.5 * fabs(log((double)past->threads / threads));
  distance += 0.5 * fabs(log((double)past->ranks / (double)ranks));
  if (!past->is_here) distance += 3;
  if (past->device != s->device) distance += 3;
  if (past->precision != s->precision) distance += 1;
  if (past->is_probed != (*s->eval_probe_train != 0)) distance += 0.5;
  return distance;
}

void run_predict(run_predictor *p, const settings *s, int64_t ranks, int cores,
                 run_prediction *made) {
  model_counts counts;
  double nearest = INFINITY, rate = 0, beside = 0, memory = 0, weight = 0;
  int threads = threads_of(s, cores) * (int)ranks;
  *made = (run_prediction){NAN, NAN, NAN, 0};
  if (!count_model(p, s, ranks, &counts)) return;
  made->flops_per_sample = counts.train_sample;
  made->bytes = (double)counts.planned_bytes * (double)ranks;
  for (size_t i = 0; i < p->count; i++) {
    double distance = distance_to(&p->past[i], s, ranks, threads, counts.train_sample);
    if (distance < nearest) made->like = p->past[i].run_id;
    nearest = fmin(nearest, distance);
  }
  for (size_t i = 0; i < p->count; i++) {
    const past_run *past = &p->past[i];
    if (distance_to(past, s, ranks, threads, counts.train_sample) > nearest + alike) continue;
    /* on the CPU the rate is roughly proportional to the threads */
    rate += past->device == DEVICE_CUDA ? past->rate : past->rate * threads / past->threads;
    beside += past->beside * rounds_of(s) / past->rounds;
    memory += past->memory_share;
    weight++;
  }
  if (weight == 0) return;
  double samples = (double)run_predict_samples(s);
  if (samples > 0)
    made->seconds = counts.train_sample * samples / (rate / weight) + beside / weight;
  if (memory > 0) made->bytes *= memory / weight;
}

int64_t run_predict_samples(const settings *s) {
  return s->samples > 0 ? s->samples : settings_length_of(s, 0).updates * s->batch_size;
}
