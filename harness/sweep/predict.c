/* Predictions for a run before it starts: FLOPs and memory from the model's counts, time from the
 * rate of the most similar finished runs and what they took beside training. The only code that
 * uses those counts. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/mem.h"
#include "model/count.h"
#include "read/source.h"
#include "sweep/memory.h"
#include "sweep/run.h"
#include "sweep/vocabulary.h"
#include "store/runs.h"

enum { MOST_PAST_RUNS = 300 };
/* How much more distant than the nearest a past run may be to be included. */
static const double alike = 0.05;
/* The distance of a run on another machine. */
static const double elsewhere = 3;
/* Up to this distance, on whatever machine, its memory beside the plan is the new run's too:
 * another device or precision is farther. */
static const double near_for_memory = 1;
/* Of a rank on the CPU beside its plan and its images: 25 to 150 MiB were measured (mini and small
 * models, fp32, bf16 and fp8, with evaluation and without). */
static const double process_bytes = 192 * 1048576.0;

/* A finished run, as the numbers that determine similarity. */
typedef struct {
  int64_t run_id;
  bool is_here;                   /* ran on this machine */
  int device, precision, threads; /* threads: of all ranks */
  int64_t batch_size, image_width, ranks;
  double flops;         /* of one sample, counted as for the new run */
  double rate;          /* training FLOP/s */
  bool is_probed;       /* a linear probe is fitted at the end */
  double rounds;        /* evaluations, and one for starting */
  double beside;        /* seconds outside of training: starting, evaluation */
  double peak, planned; /* bytes of a rank */
  double images;        /* image_bytes */
  double known;         /* known_beside */
} past_run;

struct run_predictor {
  vocabulary_read vocabulary;
  past_run past[MOST_PAST_RUNS];
  size_t count;
};

/* False when the settings cannot be counted. planned_bytes: of each of that many ranks. */
static bool count_model(run_predictor *p, const settings *s, int64_t ranks, model_counts *counts) {
  int64_t vocabulary;
  bool is_published;
  err error = vocabulary_count_of(&p->vocabulary, s, &vocabulary, &is_published);
  settings own = *s; /* shallow: only numbers are read */
  own.batch_size = s->batch_size / ranks;
  clip_limits limits = model_limits(&own);
  limits.ranks = (int)ranks;
  if (!error)
    error = model_count_of(s, vocabulary, &limits, model_compute_type(s, memory_is_of_host(s)),
                           memory_is_of_host(s) ? OPS_CPU_CHUNK_BYTES : 0, counts);
  bool is_counted = !error;
  err_free(error);
  return is_counted;
}

/* ---- memory beside the plan ---- */

/* Scenes without a number of them: none is seen twice, and none is kept. */
static bool is_endless(const char *source) {
  source_request r = {0};
  const source_format *format;
  char *copy = NULL;
  err error = source_take_apart(source, &r, &format, &copy);
  bool is_one = !error && format->open == source_open_scenes && !source_option(&r, "count");
  err_free(error);
  free(copy);
  return is_one;
}

/* At most: the decoded images that a rank keeps. A sample's is taken to have twice the side that
 * the model sees, since its file is not read. */
static double image_bytes(const settings *s, int64_t ranks) {
  double most = (double)s->data_cache_mib * 1048576, side = 2 * (double)s->image_size;
  double samples = (double)run_predict_samples(s) / (double)ranks;
  if (s->data_order == DATA_ORDER_STREAM) return 0; /* keeps none */
  for (size_t i = 0; i < s->data_train.count; i++)
    if (is_endless(s->data_train.items[i])) return 0;
  return samples > 0 ? fmin(most, 3 * side * side * samples) : most;
}

/* What a rank takes of the host's memory beside its plan by its settings. */
static double known_beside(const settings *s, int64_t ranks, const model_counts *counts) {
  settings own = *s; /* shallow: only numbers are read */
  own.batch_size = s->batch_size / ranks;
  const model_host_bytes beside = model_beside_plan(&own, counts);
  return memory_is_of_host(s) ? (double)(beside.batches + beside.checkpoint) : 0;
}

/* And what is assumed of the rest: the program with its libraries and mapped files, evaluation
 * sets, images. None of this is in a GPU's memory. */
static double assumed_beside(const settings *s, int64_t ranks) {
  return memory_is_of_host(s) ? process_bytes + image_bytes(s, ranks) : 0;
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
    p->past[p->count++] = (past_run){.run_id = run->run_id,
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
                                     .peak = run->peak_bytes,
                                     .planned = (double)counts.planned_bytes,
                                     .images = image_bytes(&s, ranks),
                                     .known = known_beside(&s, ranks, &counts)};
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
  vocabulary_free(&p->vocabulary);
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
  if (!past->is_here) distance += elsewhere;
  if (past->device != s->device) distance += 3;
  if (past->precision != s->precision) distance += 1;
  if (past->is_probed != (*s->eval_probe_train != 0)) distance += 0.5;
  return distance;
}

/* The peak of a rank, by those of the runs up to that distance: of those that kept as many images,
 * if there are any. NaN: none is near enough. */
static double peak_like(const run_predictor *p, const settings *s, int64_t ranks, int threads,
                        const model_counts *counts, double farthest) {
  const double planned = (double)counts->planned_bytes, images = image_bytes(s, ranks);
  const double known = known_beside(s, ranks, counts);
  double sum[2] = {0}, weight[2] = {0};
  for (size_t i = 0; i < p->count; i++) {
    const past_run *past = &p->past[i];
    double distance = distance_to(past, s, ranks, threads, counts->train_sample);
    double beside = past->peak - past->planned - past->known, more = images - past->images;
    if (isnan(beside) || distance > farthest) continue;
    if (distance - (past->is_here ? 0 : elsewhere) >= near_for_memory) continue;
    const int has_fewer = more > 0 && memory_is_of_host(s);
    if (beside < 0) beside *= (planned + known) / (past->planned + past->known);
    sum[has_fewer] += planned + known + beside + (has_fewer ? more : 0);
    weight[has_fewer]++;
  }
  const int which = weight[0] == 0;
  return sum[which] / weight[which];
}

void run_predict(run_predictor *p, const settings *s, int64_t ranks, int cores,
                 run_prediction *made) {
  model_counts counts;
  double nearest = INFINITY, rate = 0, beside = 0, weight = 0;
  int threads = threads_of(s, cores) * (int)ranks;
  *made = (run_prediction){NAN, NAN, NAN, 0};
  if (!count_model(p, s, ranks, &counts)) return;
  made->flops_per_sample = counts.train_sample;
  const double planned = (double)counts.planned_bytes;
  made->bytes =
      (planned + known_beside(s, ranks, &counts) + assumed_beside(s, ranks)) * (double)ranks;
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
    weight++;
  }
  if (weight == 0) return;
  double samples = (double)run_predict_samples(s);
  if (samples > 0)
    made->seconds = counts.train_sample * samples / (rate / weight) + beside / weight;
  double peak = peak_like(p, s, ranks, threads, &counts, nearest + alike);
  if (peak > 0) made->bytes = peak * (double)ranks;
}

int64_t run_predict_samples(const settings *s) {
  return s->samples > 0 ? s->samples : settings_length_of(s, 0).updates * s->batch_size;
}
