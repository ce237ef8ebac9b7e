#include "experiment/columns.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/text.h"

#define MIB (1.0 / 1048576.0)
#define PERCENT 100.0

/* COLUMN(name, heading, unit, digits, scale, better, kind, argument, help) */
#define COLUMNS_TABLE(COLUMN)                                                                      \
  COLUMN("samples_per_second", "speed", "samples/s", 0, 1, HIGHER, SUMMARY, "samples_per_second",  \
         "training samples per second at the steady pace")                                         \
  COLUMN("samples_per_second_run", "run speed", "samples/s", 0, 1, HIGHER, SUMMARY,                \
         "samples_per_second_run",                                                                 \
         "training samples per second of elapsed time over the whole run")                         \
  COLUMN("speedup", "speed-up", "×", 2, 1, HIGHER, RATIO, "samples_per_second",                    \
         "samples per second over the baseline's")                                                 \
  COLUMN("steady_seconds", "time", "s", 0, 1, LOWER, SUMMARY, "steady_seconds",                    \
         "training time at the steady pace: median undisturbed step × steps")                      \
  COLUMN("time_ratio", "time", "ratio", 2, 1, LOWER, RATIO, "steady_seconds",                      \
         "training time at the steady pace over the baseline's")                                   \
  COLUMN("train_seconds", "wall time", "s", 0, 1, LOWER, SUMMARY, "train_seconds",                 \
         "elapsed training time, without evaluation and checkpoints")                              \
  COLUMN("wall_time_ratio", "wall time", "ratio", 2, 1, LOWER, RATIO, "train_seconds",             \
         "elapsed training time over the baseline's")                                              \
  COLUMN("start_seconds", "start", "s", 2, 1, LOWER, SUMMARY, "start_seconds_total",               \
         "from the trainer's start to its first step (of the run's newest process)")               \
  COLUMN("lost_share", "time lost", "%", 0, PERCENT, LOWER, SUMMARY, "lost_share",                 \
         "share of training time lost to other load on the machine")                               \
  COLUMN("flops_per_sample", "FLOPs", "MFLOP/sample", 0, 1e-6, LOWER, SUMMARY,                     \
         "flops_per_sample_total", "model FLOPs of one sample, forward and backward")              \
  COLUMN("flops_ratio", "FLOPs", "ratio", 2, 1, LOWER, RATIO, "flops_per_sample",                  \
         "FLOPs of a sample over the baseline's")                                                  \
  COLUMN("flops_per_second", "FLOP/s", "GFLOP/s", 0, 1e-9, HIGHER, SUMMARY, "flops_per_second",    \
         "achieved model FLOP/s at the steady pace")                                               \
  COLUMN("mfu", "MFU", "%", 1, PERCENT, HIGHER, SUMMARY, "mfu",                                    \
         "achieved FLOP/s over this machine's measured matrix-product rate")                       \
  COLUMN("peak_memory", "memory", "MiB", 0, MIB, LOWER, SUMMARY, "peak_bytes", "peak memory")      \
  COLUMN("memory_ratio", "memory", "ratio", 2, 1, LOWER, RATIO, "peak_memory",                     \
         "peak memory over the baseline's")                                                        \
  COLUMN("planned_memory", "planned", "MiB", 0, MIB, LOWER, SUMMARY, "planned_bytes",              \
         "memory planned before the first step")                                                   \
  COLUMN("energy_per_sample", "energy", "J/sample", 3, 1, LOWER, SUMMARY, "energy_per_sample",     \
         "energy per training sample, as reported by the device (runs on one rank)")               \
  COLUMN("device_utilisation", "utilisation", "%", 0, PERCENT, HIGHER, SUMMARY, "utilisation",     \
         "device utilisation, mean of the readings at evaluations")                                \
  COLUMN("device_power", "power", "W", 0, 1, LOWER, SUMMARY, "power_watts",                        \
         "power drawn by the device, mean of the readings at evaluations")                         \
  COLUMN("data_wait_share", "data wait", "%", 1, PERCENT, LOWER, SUMMARY, "data_wait_share",       \
         "share of training time that rank 0 spent waiting for data")                              \
  COLUMN("final_loss", "loss", "", 3, 1, LOWER, SUMMARY, "final_loss",                             \
         "training loss, mean of those recorded (log_every) in the last twentieth of the steps")   \
  COLUMN("final_reconstruction_loss", "reconstruction loss", "", 3, 1, LOWER, SUMMARY,             \
         "final_reconstruction_loss",                                                              \
         "squared error of dropped patches' pixels, mean of those recorded (log_every) in the "    \
         "last twentieth of the steps")                                                            \
  COLUMN("values_saturated_per_step", "saturated", "values/step", 0, 1, LOWER, SUMMARY,            \
         "values_saturated_per_step",                                                              \
         "values beyond the largest of their 8-bit format (fp8_scaling: delayed), mean per step")  \
  COLUMN("ranks", "ranks", "", 0, 1, NONE, SUMMARY, "ranks",                                       \
         "processes that trained the run together")                                                \
  COLUMN("nodes", "nodes", "", 0, 1, NONE, SUMMARY, "nodes", "machines that the ranks ran on")     \
  COLUMN("samples_per_second_per_rank", "speed of a rank", "samples/s", 0, 1, HIGHER, SUMMARY,     \
         "samples_per_second_per_rank",                                                            \
         "samples per second at the steady pace, divided by the ranks")                            \
  COLUMN("comm_share", "communication", "%", 1, PERCENT, LOWER, SUMMARY, "comm_share",             \
         "share of training time that rank 0 spent in communication, including waiting")           \
  COLUMN("comm_bytes_per_step", "bytes moved", "MiB/step", 1, MIB, LOWER, SUMMARY,                 \
         "comm_bytes_per_step", "bytes that rank 0 sent to the others per step")                   \
  COLUMN("slowest_rank", "slowest rank", "", 0, 1, NONE, SUMMARY, "slowest_rank",                  \
         "the rank that was slowest in most steps")                                                \
  COLUMN("rank_spread", "spread of ranks", "×", 2, 1, LOWER, SUMMARY, "rank_spread",               \
         "computing time of the slowest rank over that of the fastest, mean over the steps")       \
  COLUMN("peak_rank", "rank of the peak", "", 0, 1, NONE, SUMMARY, "peak_rank",                    \
         "the rank with the peak memory")                                                          \
  COLUMN("cpu_seconds", "CPU time", "s", 0, 1, LOWER, SUMMARY, "cpu_seconds",                      \
         "CPU time of all processes and ranks of the run")                                         \
  COLUMN("samples", "samples", "", 0, 1, NONE, SUMMARY, "samples", "samples seen")                 \
  COLUMN("parameters", "parameters", "M", 2, 1e-6, NONE, SUMMARY, "parameters_total",              \
         "trained parameters")                                                                     \
  COLUMN("zero_shot_top1", "zero-shot top-1", "%", 1, PERCENT, HIGHER, EVAL, "zeroshot.top1",      \
         "zero-shot classification, top-1 accuracy")                                               \
  COLUMN("zero_shot_top5", "zero-shot top-5", "%", 1, PERCENT, HIGHER, EVAL, "zeroshot.top5",      \
         "zero-shot classification, top-5 accuracy")                                               \
  COLUMN("zero_shot_mean_per_class", "zero-shot per class", "%", 1, PERCENT, HIGHER, EVAL,         \
         "zeroshot.mean_per_class", "zero-shot top-1, mean over classes")                          \
  COLUMN("zero_shot_mean_top1_top5", "mean of top-1, top-5", "%", 1, PERCENT, HIGHER, EVAL,        \
         "zeroshot.mean_top1_top5", "zero-shot, mean of top-1 and top-5 (sets with that metric)")  \
  COLUMN("zero_shot_roc_auc", "ROC AUC", "%", 1, PERCENT, HIGHER, EVAL, "zeroshot.roc_auc",        \
         "zero-shot, area under the ROC curve (sets with that metric)")                            \
  COLUMN("zero_shot_map_11point", "11-point mAP", "%", 1, PERCENT, HIGHER, EVAL,                   \
         "zeroshot.map_11point", "zero-shot, 11-point mAP (multilabel sets)")                      \
  COLUMN("zero_shot_x_chance", "zero-shot", "× chance", 1, 1, HIGHER, CHANCE,                      \
         "zeroshot.mean_per_class/zeroshot.chance", "zero-shot mean per class over 1 / classes")   \
  COLUMN("retrieval_i2t_r1", "image→text R@1", "%", 1, PERCENT, HIGHER, EVAL,                      \
         "retrieval.image_to_text_r1", "the right caption comes first")                            \
  COLUMN("retrieval_i2t_r5", "image→text R@5", "%", 1, PERCENT, HIGHER, EVAL,                      \
         "retrieval.image_to_text_r5", "the right caption is among the first 5")                   \
  COLUMN("retrieval_i2t_r10", "image→text R@10", "%", 1, PERCENT, HIGHER, EVAL,                    \
         "retrieval.image_to_text_r10", "the right caption is among the first 10")                 \
  COLUMN("retrieval_t2i_r1", "text→image R@1", "%", 1, PERCENT, HIGHER, EVAL,                      \
         "retrieval.text_to_image_r1", "the right image comes first")                              \
  COLUMN("retrieval_t2i_r5", "text→image R@5", "%", 1, PERCENT, HIGHER, EVAL,                      \
         "retrieval.text_to_image_r5", "the right image is among the first 5")                     \
  COLUMN("retrieval_t2i_r10", "text→image R@10", "%", 1, PERCENT, HIGHER, EVAL,                    \
         "retrieval.text_to_image_r10", "the right image is among the first 10")                   \
  COLUMN("retrieval_x_chance", "image→text R@1", "× chance", 0, 1, HIGHER, CHANCE,                 \
         "retrieval.image_to_text_r1/retrieval.chance_r1", "image→text R@1 over chance")           \
  COLUMN("shifted_zero_shot_top1", "shifted top-1", "%", 1, PERCENT, HIGHER, SHIFTED,              \
         "zeroshot.top1", "zero-shot top-1 on the shifted set")                                    \
  COLUMN("shifted_zero_shot_mean_per_class", "shifted per class", "%", 1, PERCENT, HIGHER,         \
         SHIFTED, "zeroshot.mean_per_class", "zero-shot mean per class on the shifted set")        \
  COLUMN("shifted_retrieval_i2t_r1", "shifted image→text R@1", "%", 1, PERCENT, HIGHER, SHIFTED,   \
         "retrieval.image_to_text_r1", "image→text R@1 on the shifted set")                        \
  COLUMN("tuned_zero_shot_top1", "tuned top-1", "%", 1, PERCENT, HIGHER, TUNED, "zeroshot.top1",   \
         "zero-shot top-1 after unmasked tuning")                                                  \
  COLUMN("tuned_zero_shot_mean_per_class", "tuned per class", "%", 1, PERCENT, HIGHER, TUNED,      \
         "zeroshot.mean_per_class", "zero-shot mean per class after unmasked tuning")              \
  COLUMN("tuned_retrieval_i2t_r1", "tuned image→text R@1", "%", 1, PERCENT, HIGHER, TUNED,         \
         "retrieval.image_to_text_r1", "image→text R@1 after unmasked tuning")                     \
  COLUMN("linear_probe_top1", "linear probe", "%", 1, PERCENT, HIGHER, EVAL, "probe.top1",         \
         "linear probe (eval.probe_train), top-1")                                                 \
  COLUMN("tuned_linear_probe_top1", "tuned linear probe", "%", 1, PERCENT, HIGHER, TUNED,          \
         "probe.top1", "linear probe after unmasked tuning")                                       \
  COLUMN("linear_probe_mean_per_class", "linear probe per class", "%", 1, PERCENT, HIGHER, EVAL,   \
         "probe.mean_per_class", "linear probe, mean over classes")                                \
  COLUMN("tuned_linear_probe_mean_per_class", "tuned linear probe per class", "%", 1, PERCENT,     \
         HIGHER, TUNED, "probe.mean_per_class",                                                    \
         "linear probe after unmasked tuning, mean over classes")                                  \
  COLUMN("fine_tuned_top1", "fine-tuned top-1", "%", 1, PERCENT, HIGHER, FINE_TUNED,               \
         "classification.top1",                                                                    \
         "classifier fine-tuned end to end (classification.classes), top-1")                       \
  COLUMN("fine_tuned_top5", "fine-tuned top-5", "%", 1, PERCENT, HIGHER, FINE_TUNED,               \
         "classification.top5", "classifier fine-tuned end to end, top-5")                         \
  COLUMN("iso_speedup", "iso-accuracy", "×", 2, 1, HIGHER, ISO, "",                                \
         "baseline's training time over this row's, to the same accuracy, at the steady pace")

#define ROW(name, heading, unit, digits, scale, better, kind, argument, help)                      \
  {name, heading, unit, digits, scale, BETTER_##better, COLUMN_##kind, argument, help, NULL},
static const column table[] = {COLUMNS_TABLE(ROW)};
enum { COLUMN_COUNT = sizeof table / sizeof *table };

#define NAME_ONLY(name, ...) name,
static const char *const names[] = {COLUMNS_TABLE(NAME_ONLY)};

const column *columns_table(size_t *count) {
  *count = COLUMN_COUNT;
  return table;
}

const char *const *columns_names(size_t *count) {
  *count = COLUMN_COUNT;
  return names;
}

static const column *find(const char *name, size_t length) {
  for (size_t i = 0; i < COLUMN_COUNT; i++)
    if (strncmp(table[i].name, name, length) == 0 && !table[i].name[length]) return &table[i];
  return NULL;
}

/* What an accuracy's name may begin with. */
static const struct {
  const char *name, *heading, *help;
  column_kind kind;
} prefixes[] = {
    {"tuned_", "tuned ", ", after unmasked tuning", COLUMN_TUNED},
    {"final_", "final ", ", after unmasked tuning if the row has one", COLUMN_FINAL},
};
enum { PREFIX_COUNT = sizeof prefixes / sizeof *prefixes };

/* The parts of a derived column's name. */
typedef struct {
  const column *of;
  size_t prefix;   /* PREFIX_COUNT: none */
  const char *set; /* NULL: none */
} derivation;

static bool derive(const char *name, derivation *d) {
  const char *at = strchr(name, '@');
  size_t length = at ? (size_t)(at - name) : strlen(name);
  *d = (derivation){find(name, length), PREFIX_COUNT, at ? at + 1 : NULL};
  for (size_t i = 0; i < PREFIX_COUNT && !d->of; i++) {
    size_t start = strlen(prefixes[i].name);
    if (length <= start || strncmp(name, prefixes[i].name, start) != 0) continue;
    d->of = find(name + start, length - start);
    d->prefix = i;
    if (d->of && d->of->kind != COLUMN_EVAL) d->of = NULL;
  }
  if (!d->of || !at) return d->of != NULL;
  return at[1] && !strpbrk(at, " \t,") &&
         (d->of->kind == COLUMN_EVAL || d->of->kind == COLUMN_CHANCE ||
          d->of->kind == COLUMN_TUNED);
}

/* Derived columns, made when they are first named and kept: there are as many as the experiment
 * files that are read name. */
typedef struct derived derived;
struct derived {
  column column;
  derived *next;
};
static derived *all_derived;

static bool describe(const derivation *d, const char *name, column *c) {
  const bool has_prefix = d->prefix < PREFIX_COUNT;
  strbuf heading = {0}, help = {0}, own = {0};
  strbuf_format(&heading, "%s%s%s%s", has_prefix ? prefixes[d->prefix].heading : "", d->of->heading,
                d->set ? ", " : "", d->set ? d->set : "");
  strbuf_format(&help, "%s%s%s%s", d->of->help, has_prefix ? prefixes[d->prefix].help : "",
                d->set ? ", on the set " : "", d->set ? d->set : "");
  strbuf_append(&own, name);
  *c = *d->of;
  if (has_prefix) c->kind = prefixes[d->prefix].kind;
  c->name = strbuf_take(&own);
  c->heading = strbuf_take(&heading);
  c->help = strbuf_take(&help);
  if (d->set && c->name) c->set = strchr(c->name, '@') + 1;
  return c->name && c->heading && c->help;
}

const column *columns_find(const char *name) {
  derivation d;
  if (!derive(name, &d)) return NULL;
  if (!d.set && d.prefix == PREFIX_COUNT) return d.of;
  for (const derived *known = all_derived; known; known = known->next)
    if (strcmp(known->column.name, name) == 0) return &known->column;
  derived *made = mem_zeroed(1, sizeof *made);
  if (!made || !describe(&d, name, &made->column)) return NULL; /* out of memory */
  made->next = all_derived;
  all_derived = made;
  return &made->column;
}

static bool is_one_of(const char *const *words, size_t count, const char *start, size_t length) {
  for (size_t i = 0; i < count; i++)
    if (strlen(words[i]) == length && strncasecmp(start, words[i], length) == 0) return true;
  return false;
}

/* The last word of the part of a name that ends at `end`. */
static const char *last_word(const char *name, const char *end) {
  while (end > name && end[-1] != '_') end--;
  return end;
}

static bool is_of_cost(const char *name, const char *end) {
  static const char *const words[] = {
      "nanoseconds", "microseconds", "milliseconds", "seconds", "minutes", "hours",   "days",
      "ns",          "us",           "ms",           "s",       "time",    "latency", "duration",
      "bytes",       "kb",           "mb",           "gb",      "tb",      "kib",     "mib",
      "gib",         "tib",          "memory",       "joules",  "wh",      "kwh",     "energy",
      "loss",        "error",        "perplexity"};
  const char *start = last_word(name, end);
  return is_one_of(words, sizeof words / sizeof *words, start, (size_t)(end - start));
}

static bool is_of_gain(const char *name, const char *end) {
  static const char *const words[] = {
      "throughput", "bandwidth", "speed", "speedup", "mfu", "gflops", "tflops", "fps",
      "accuracy",   "top1",      "top5",  "r1",      "r5",  "r10",    "recall", "auc"};
  const char *start = last_word(name, end);
  return is_one_of(words, sizeof words / sizeof *words, start, (size_t)(end - start));
}

/* What its name says: less of a time, a size, an energy or a loss is better, also of one by
 * something ("bytes_per_sample", "seconds_of_50000_images"); more of a rate is, which is anything
 * by a time or another cost ("bytes_per_second", "samples_per_joule"). */
static column_better better_by_name(const char *name) {
  static const char *const rates[] = {"_per_s", "_per_second", "_per_minute", "_per_hour"};
  const char *end = name + strlen(name), *per = strstr(name, "_per_"), *of = strstr(name, "_of_");
  for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
    if (text_ends_with(name, rates[i])) return BETTER_HIGHER;
  const char *first = per && (!of || per < of) ? per : of ? of : end;
  if (is_of_cost(name, first)) return BETTER_LOWER;
  if (is_of_gain(name, first)) return BETTER_HIGHER;
  static const char *const unit_costs[] = {"joule", "wh", "kwh"};
  if (per && is_one_of(unit_costs, sizeof unit_costs / sizeof *unit_costs, per + 5,
                       (size_t)(end - per) - 5))
    return BETTER_HIGHER;
  return BETTER_NONE;
}

column_better columns_better(const char *metric) {
  const column *known = columns_find(metric);
  for (size_t i = 0; i < COLUMN_COUNT && !known; i++)
    if (table[i].kind == COLUMN_SUMMARY && strcmp(table[i].argument, metric) == 0)
      known = &table[i];
  return known && known->better != BETTER_NONE ? known->better : better_by_name(metric);
}
