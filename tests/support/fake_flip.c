/* A trainer that trains nothing: it keeps to the contract of docs/events.md, with made-up numbers
 * that look like a real run's, so that flipbench can be tested in seconds. When it saves, evaluates
 * and stops is decided by the trainer's own core/train/course.c. What it does wrong is asked for in
 * the environment, each for the cells where a setting has a value:
 *
 *   FAKE_CRASH=mask_ratio=0.5     dies by SIGSEGV half way, without an end event
 *   FAKE_KILL=…                   dies by SIGKILL half way, in the middle of a line
 *   FAKE_NAN=…                    ends as failed (nan) half way
 *   FAKE_REFUSE=…                 ends with status 2 and a message, before its first event
 *   FAKE_HANG=…                   stops making progress half way, until a signal comes
 *   FAKE_DEAF=…                   the same, and no signal but SIGKILL helps
 *   FAKE_HOG=…                    takes memory half way, until none is given or 2 GiB are taken
 *   FAKE_DISTURB=…                from half way on each step takes twice as long, and says why
 *   FAKE_ONCE=DIR                 misbehaves once a cell and way, remembered in DIR
 *   FAKE_STEP_MS=5                wall time of a step; 0 when not given
 *   FAKE_CHECKPOINT_MS=300        wall time of a checkpoint after SIGTERM */
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/pace.h"
#include "base/rng.h"
#include "config/settings.h"
#include "train/course.h"

static volatile sig_atomic_t stop_wanted;

static void want_stop(int number) {
  (void)number;
  stop_wanted = 1;
}

static void sleep_ms(const char *variable) {
  const char *text = getenv(variable);
  long ms = text ? atol(text) : 0;
  struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
  if (ms > 0) nanosleep(&pause, NULL);
}

enum { ITEMS = 790, CLASSES = 60 };

typedef struct {
  settings s;
  const char *out;
  int events;
  int64_t step, total_steps;
  double train_seconds, step_seconds, past_samples;
  bool is_disturbed, has_told_labels[2];
  course_place place;
  pace_row row; /* of the steps since the last row */
} fake;

/* With FAKE_ONCE, each way to misbehave is taken once by each cell. */
static bool was_done_before(const fake *f, const char *variable) {
  const char *folder = getenv("FAKE_ONCE");
  char path[4096], id[HASH_SIZE];
  if (!folder) return false;
  if (settings_fingerprint(&f->s, id)) return false;
  snprintf(path, sizeof path, "%s/%s-%s", folder, variable, id);
  return open(path, O_CREAT | O_EXCL | O_WRONLY, 0666) < 0;
}

/* Is this cell asked to misbehave in this way? */
static bool is_asked(const fake *f, const char *variable) {
  const char *condition = getenv(variable), *equals = condition ? strchr(condition, '=') : NULL;
  if (!equals) return false;
  char key[64];
  strbuf value = {0};
  snprintf(key, sizeof key, "%.*s", (int)(equals - condition), condition);
  const setting *row = settings_find(key);
  if (row) setting_format(row, &f->s, &value);
  bool is_equal = row && strcmp(strbuf_string(&value), equals + 1) == 0;
  strbuf_free(&value);
  /* the cell itself, not the one that is tuned from it */
  return is_equal && !*f->s.init_from && !was_done_before(f, variable);
}

static void die(err error) {
  fprintf(stderr, "fake_flip: %s\n", err_message(error));
  exit(1);
}

static json_writer begin(strbuf *line, const char *name) {
  char now[CLOCK_STAMP_SIZE];
  json_writer w = jsonw_start(line);
  jsonw_object(&w, NULL);
  jsonw_string(&w, "event", name);
  jsonw_string(&w, "time", clock_stamp(now));
  return w;
}

static void emit(fake *f, json_writer *w, strbuf *line) {
  jsonw_end(w);
  strbuf_append_char(line, '\n');
  err error = fs_write_all(f->events, line->data, line->length, "the event stream");
  if (error) die(error);
  strbuf_free(line);
}

static double noise(const fake *f, uint64_t what) {
  rng r = rng_at((uint64_t)f->s.seed, RNG_TEST, (uint64_t)f->step, what);
  return rng_normal(&r);
}

static double samples_seen(const fake *f) {
  return (double)(f->step * f->s.batch_size);
}

/* Saturating in samples; masking costs a little, and tuning gives some of it back. */
static double accuracy(const fake *f, double ceiling, uint64_t what) {
  double reach = 1 - exp(-(samples_seen(f) + f->past_samples) / 30000.0);
  double handicap = *f->s.init_from ? 0.985 : 1 - 0.16 * pow(f->s.mask_ratio, 2);
  return fmax(0.001, ceiling * reach * handicap * (1 + 0.015 * noise(f, what)));
}

/* Of the file that the run starts from, "" for none. */
static const char *init_digest(const fake *f, char digest[HASH_SIZE]) {
  digest[0] = '\0';
  if (*f->s.init_from && !fs_is_folder(f->s.init_from)) {
    err error = hash_file(f->s.init_from, digest);
    if (error) die(error);
  }
  return digest;
}

static void emit_start(fake *f) {
  strbuf line = {0}, own = {0};
  char digest[HASH_SIZE];
  json_writer w = begin(&line, "start");
  settings_write_json(&f->s, &own);
  err_free(settings_fingerprint(&f->s, digest));
  double image = 1.0e8 * (0.06 + 0.94 * (1 - f->s.mask_ratio)), text = 4.6e7;
  jsonw_integer(&w, "version", 2);
  jsonw_raw(&w, "settings", strbuf_string(&own));
  jsonw_string(&w, "fingerprint", digest);
  jsonw_string(&w, "commit", "0123456789abcdef0123456789abcdef01234567");
  jsonw_string(&w, "dirty", "");
  jsonw_string(&w, "compiler", "gcc 12.2.0");
  jsonw_string(&w, "program_version", "0.1.0");
  jsonw_string(&w, "host", "fake");
  jsonw_string(&w, "os", "Debian GNU/Linux 12");
  jsonw_string(&w, "cpu", "Imaginary CPU @ 2.00GHz");
  jsonw_string(&w, "device", "cpu");
  jsonw_string(&w, "device_name", "Imaginary CPU @ 2.00GHz");
  jsonw_string(&w, "precision", "bf16");
  jsonw_integer(&w, "threads", 2);
  jsonw_raw(&w, "libraries", "{\"onednn\":\"2.6.3\"}");
  jsonw_integer(&w, "data_samples", 5800);
  jsonw_string(&w, "data_fingerprint", "feedfacefeedface");
  jsonw_string(&w, "vocabulary_fingerprint", "0ddba11c0ffee");
  jsonw_raw(&w, "evaluation_fingerprints",
            "{\"openclipart\":\"c1a551f1ca710n\",\"emoji\":\"5ca1ab1e5ca1ab1e\"}");
  jsonw_string(&w, "init_fingerprint", init_digest(f, digest));
  jsonw_raw(&w, "parameters",
            "{\"image\":820000,\"text\":1210000,\"head\":32769,\"total\":2062769}");
  jsonw_object(&w, "flops_per_sample");
  jsonw_number(&w, "image", image);
  jsonw_number(&w, "text", text);
  jsonw_number(&w, "total", image + text);
  jsonw_end(&w);
  jsonw_integer(&w, "total_steps", f->total_steps);
  jsonw_integer(&w, "total_samples", f->total_steps * f->s.batch_size);
  jsonw_integer(&w, "first_step", f->step);
  jsonw_integer(&w, "planned_bytes", (int64_t)(4.2e8 * (0.4 + 0.6 * (1 - f->s.mask_ratio))));
  jsonw_number(&w, "gemm_flops_per_second", 4.1e11);
  emit(f, &w, &line);
  strbuf_free(&own);
}

/* One step: both threads compute all the time, unless others take half of it. */
static void take_step(fake *f) {
  double seconds = f->step_seconds * (1 + 0.03 * fabs(noise(f, 1)));
  f->step++;
  f->row.steps++;
  f->row.cpu_seconds += 2 * seconds;
  if (f->is_disturbed) {
    f->row.delay_seconds += 2 * seconds;
    f->row.other_cpu_seconds += 2 * seconds;
    seconds *= 2;
  }
  f->row.seconds += seconds;
  f->train_seconds += seconds;
}

static void emit_row(fake *f) {
  strbuf line = {0};
  if (!f->row.steps) return;
  json_writer w = begin(&line, "step");
  double reach = exp(-(samples_seen(f) + f->past_samples) / 24000.0);
  jsonw_integer(&w, "step", f->step);
  jsonw_integer(&w, "samples", f->step * f->s.batch_size);
  jsonw_number(&w, "loss", 2.2 + 3.3 * reach + 0.25 * f->s.mask_ratio + 0.05 * noise(f, 2));
  jsonw_number(&w, "learning_rate", f->s.learning_rate);
  jsonw_number(&w, "logit_scale", 14.3 + 10 * (1 - reach));
  jsonw_number(&w, "grad_norm", 1 + 0.1 * noise(f, 3));
  jsonw_integer(&w, "steps", f->row.steps);
  jsonw_number(&w, "seconds", f->row.seconds);
  jsonw_number(&w, "data_wait_seconds", f->row.seconds * 0.01);
  jsonw_number(&w, "train_seconds", f->train_seconds);
  jsonw_number(&w, "cpu_seconds", f->row.cpu_seconds);
  jsonw_number(&w, "delay_seconds", f->row.delay_seconds);
  jsonw_integer(&w, "switches", f->is_disturbed ? 20 : 0);
  jsonw_number(&w, "other_cpu_seconds", f->row.other_cpu_seconds);
  jsonw_number(&w, "stolen_seconds", 0);
  jsonw_number(&w, "pressure_seconds", f->row.delay_seconds / 2);
  emit(f, &w, &line);
  f->row = (pace_row){0};
}

typedef struct {
  double difficulty;
  int item;
} graded;

static int by_difficulty(const void *a, const void *b) {
  double x = ((const graded *)a)->difficulty, y = ((const graded *)b)->difficulty;
  return (x > y) - (x < y);
}

/* The items from easy to hard: much the same for every cell, as real images are, and a little
 * different in each evaluation. */
static void grade_items(const fake *f, uint64_t what, graded items[ITEMS]) {
  for (int i = 0; i < ITEMS; i++) {
    rng own = rng_at(what, RNG_TEST, 0, (uint64_t)i);
    rng here =
        rng_at((uint64_t)f->s.seed + 77, RNG_TEST, (uint64_t)f->step, what * ITEMS + (uint64_t)i);
    items[i] = (graded){rng_normal(&own) + 0.5 * rng_normal(&here), i};
  }
  qsort(items, ITEMS, sizeof *items, by_difficulty);
}

static int hits_of(double rate) {
  return (int)lround(fmin(fmax(rate, 0), 1) * ITEMS);
}

/* The easiest items are the hits. */
static void write_hits(json_writer *w, const char *metric, const graded items[ITEMS], double rate) {
  uint8_t bits[(ITEMS + 7) / 8] = {0};
  strbuf text = {0};
  for (int i = 0; i < hits_of(rate); i++)
    bits[items[i].item / 8] |= (uint8_t)(1u << items[i].item % 8);
  base64_encode(bits, sizeof bits, &text);
  jsonw_string(w, metric, strbuf_string(&text));
  strbuf_free(&text);
}

typedef struct {
  const char *metric;
  double rate;
} measured;

static json_writer begin_eval(fake *f, strbuf *line, const char *set, const char *task,
                              const measured *metrics, size_t count) {
  json_writer w = begin(line, "eval");
  jsonw_integer(&w, "step", f->step);
  jsonw_integer(&w, "samples", f->step * f->s.batch_size);
  jsonw_number(&w, "train_seconds", f->train_seconds);
  jsonw_number(&w, "seconds", 0.8);
  jsonw_string(&w, "set", set);
  jsonw_string(&w, "task", task);
  jsonw_object(&w, "metrics");
  for (size_t i = 0; i < count; i++)
    jsonw_number(&w, metrics[i].metric, (double)hits_of(metrics[i].rate) / ITEMS);
  return w;
}

/* Ends the metrics; the hits stand behind them, as the trainer writes them. */
static void end_metrics(fake *f, json_writer *w, const measured *metrics, size_t count,
                        uint64_t what) {
  graded items[ITEMS];
  grade_items(f, what, items);
  jsonw_end(w);
  jsonw_object(w, "hits");
  for (size_t i = 0; i < count; i++) write_hits(w, metrics[i].metric, items, metrics[i].rate);
  jsonw_end(w);
}

static void write_labels(json_writer *w) {
  uint8_t bytes[2 * ITEMS] = {0};
  strbuf text = {0};
  for (int i = 0; i < ITEMS; i++) bytes[2 * i] = (uint8_t)(i % CLASSES);
  base64_encode(bytes, sizeof bytes, &text);
  jsonw_string(w, "labels", strbuf_string(&text));
  strbuf_free(&text);
}

static void emit_zeroshot(fake *f, int which, const char *set, double ceiling) {
  strbuf line = {0};
  double top1 = accuracy(f, ceiling, 11);
  const measured metrics[] = {{"top1", top1}, {"top5", top1 * 2.3}};
  json_writer w = begin_eval(f, &line, set, "zeroshot", metrics, 2);
  jsonw_number(&w, "mean_per_class", top1 * 0.82);
  jsonw_number(&w, "majority", 0.12);
  jsonw_number(&w, "chance", 1.0 / CLASSES);
  jsonw_integer(&w, "classes", CLASSES);
  jsonw_integer(&w, "images", ITEMS);
  end_metrics(f, &w, metrics, 2, 11 + (uint64_t)which);
  if (!f->has_told_labels[which]) write_labels(&w);
  f->has_told_labels[which] = true;
  emit(f, &w, &line);
}

static void emit_retrieval(fake *f, int which, const char *set, double ceiling) {
  strbuf line = {0};
  double r1 = accuracy(f, ceiling, 12);
  const measured metrics[] = {{"image_to_text_r1", r1},        {"image_to_text_r5", r1 * 2.9},
                              {"image_to_text_r10", r1 * 4.1}, {"text_to_image_r1", r1 * 0.93},
                              {"text_to_image_r5", r1 * 2.7},  {"text_to_image_r10", r1 * 3.9}};
  json_writer w = begin_eval(f, &line, set, "retrieval", metrics, 6);
  jsonw_number(&w, "chance_r1", 1.0 / ITEMS);
  jsonw_integer(&w, "images", ITEMS);
  jsonw_integer(&w, "texts", ITEMS);
  end_metrics(f, &w, metrics, 6, 21 + (uint64_t)which);
  emit(f, &w, &line);
}

/* step-N.safetensors and its state file, which is written first. */
static char *checkpoint_file(const fake *f, const char *suffix) {
  strbuf path = {0};
  strbuf_format(&path, "%s/checkpoints/step-%09lld%s", f->out, (long long)f->step, suffix);
  return strbuf_take(&path);
}

static void write_beside(const fake *f) {
  char text[128], *path = checkpoint_file(f, ".state.json");
  int length = snprintf(text, sizeof text, "%.17g %d\n", f->train_seconds, f->place.is_evaluated);
  err error = fs_write_atomic(path, text, (size_t)length);
  if (error) die(error);
  free(path);
}

static void save_checkpoint(fake *f) {
  char text[64], *path = checkpoint_file(f, ".safetensors");
  int length = snprintf(text, sizeof text, "%lld\n", (long long)f->step);
  write_beside(f);
  err error = fs_write_atomic(path, text, (size_t)length);
  if (error) die(error);
  strbuf line = {0};
  json_writer w = begin(&line, "checkpoint");
  jsonw_integer(&w, "step", f->step);
  jsonw_integer(&w, "samples", f->step * f->s.batch_size);
  jsonw_string(&w, "path", path);
  jsonw_integer(&w, "bytes", length);
  jsonw_number(&w, "seconds", 0.01);
  emit(f, &w, &line);
  f->place.is_saved = true;
  free(path);
}

static bool is_checkpoint(const char *name) {
  size_t length = strlen(name), ending = strlen(".safetensors");
  return length > ending && strcmp(name + length - ending, ".safetensors") == 0;
}

/* The newest checkpoint, if there is one. */
static void load_checkpoint(fake *f) {
  char path[4096], **names, *text, *rest;
  size_t count, length;
  snprintf(path, sizeof path, "%s/checkpoints", f->out);
  err error = fs_list(path, &names, &count);
  if (error) die(error);
  size_t newest = count;
  while (newest && !is_checkpoint(names[newest - 1])) newest--;
  if (newest) {
    f->step = strtoll(names[newest - 1] + strlen("step-"), NULL, 10);
    char *beside = checkpoint_file(f, ".state.json");
    error = fs_read(beside, &text, &length);
    if (error) die(error);
    f->train_seconds = strtod(text, &rest);
    f->place = (course_place){f->step, .is_saved = true, .is_evaluated = atoi(rest) != 0};
    free(text);
    free(beside);
  }
  fs_free_names(names, count);
}

static void emit_memory(fake *f) {
  strbuf line = {0};
  json_writer w = begin(&line, "memory");
  double peak = 4.4e8 * (0.4 + 0.6 * (1 - f->s.mask_ratio));
  jsonw_integer(&w, "step", f->step);
  jsonw_integer(&w, "peak_bytes", (int64_t)peak);
  jsonw_integer(&w, "planned_bytes", (int64_t)(peak / 1.05));
  jsonw_integer(&w, "host_peak_bytes", (int64_t)peak);
  emit(f, &w, &line);
}

static int emit_end(fake *f, const char *status, const char *kind, const char *message, int code) {
  strbuf line = {0};
  emit_row(f);
  json_writer w = begin(&line, "end");
  jsonw_string(&w, "status", status);
  if (kind) jsonw_string(&w, "kind", kind);
  jsonw_string(&w, "message", message);
  jsonw_integer(&w, "step", f->step);
  jsonw_number(&w, "samples", samples_seen(f));
  jsonw_number(&w, "train_seconds", f->train_seconds);
  jsonw_number(&w, "samples_per_second", (double)f->s.batch_size / f->step_seconds);
  emit(f, &w, &line);
  return code;
}

static void evaluate(fake *f) {
  emit_zeroshot(f, 0, "openclipart", 0.16);
  emit_retrieval(f, 0, "openclipart", 0.075);
  emit_zeroshot(f, 1, "emoji", 0.09);
  emit_retrieval(f, 1, "emoji", 0.012);
  emit_memory(f);
  f->place.is_evaluated = true;
  if (f->place.is_saved) write_beside(f);
}

/* False when the machine gives no more. */
static bool take_memory(void) {
  enum { PIECE = 64 << 20, PIECES = 32 };
  for (int i = 0; i < PIECES; i++) {
    char *piece = malloc(PIECE);
    if (!piece) return false;
    memset(piece, i + 1, PIECE);
  }
  return true;
}

/* What it does wrong half way; 0: nothing. */
static int misbehave(fake *f) {
  if (is_asked(f, "FAKE_CRASH")) raise(SIGSEGV);
  if (is_asked(f, "FAKE_KILL") && write(f->events, "{\"event\":\"step\",\"st", 19) == 19)
    raise(SIGKILL);
  if (is_asked(f, "FAKE_NAN"))
    return emit_end(f, "failed", "nan", "loss is not a number at step 12", 1);
  if (is_asked(f, "FAKE_HANG"))
    while (!stop_wanted) usleep(10000);
  if (is_asked(f, "FAKE_DEAF"))
    for (;;) usleep(10000);
  if (is_asked(f, "FAKE_HOG") && !take_memory())
    return emit_end(f, "failed", "memory", "out of memory: the activations", 1);
  if (is_asked(f, "FAKE_DISTURB")) f->is_disturbed = true;
  return 0;
}

static int stop(fake *f) {
  return emit_end(f, "interrupted", NULL, "stopped after a checkpoint", 130);
}

static int train(fake *f) {
  const course_rules rules = {.total_steps = f->total_steps,
                              .batch_size = f->s.batch_size,
                              .points = f->s.eval_points,
                              .checkpoint_every = f->s.checkpoint_every,
                              .checkpoint_seconds = f->s.checkpoint_seconds,
                              .log_every = f->s.log_every};
  course_act act;
  emit_start(f);
  for (;;) {
    f->place.is_stop_wanted = stop_wanted;
    act = course_next(&rules, &f->place);
    if (course_is_row_due(&rules, f->step, act)) emit_row(f);
    if (act == COURSE_FINISH) return emit_end(f, "finished", NULL, "", 0);
    if (act == COURSE_STOP) return stop(f);
    if (act == COURSE_SAVE && stop_wanted) sleep_ms("FAKE_CHECKPOINT_MS");
    if (act == COURSE_SAVE) save_checkpoint(f);
    if (act == COURSE_EVALUATE) evaluate(f);
    if (act != COURSE_STEP) continue;
    int status = f->step == f->total_steps / 2 ? misbehave(f) : 0;
    if (status) return status;
    take_step(f);
    f->place = (course_place){f->step, .is_evaluated = !course_is_evaluation_due(&rules, f->step)};
    sleep_ms("FAKE_STEP_MS");
  }
}

/* As the trainer does: no new run in the folder of another. */
static void refuse_used_folder(fake *f) {
  load_checkpoint(f);
  if (!f->step) return;
  fprintf(stderr, "flip: error: %s already holds a run at step %lld\n", f->out, (long long)f->step);
  exit(2);
}

int main(int argc, char **argv) {
  fake f = {.events = -1};
  const char *config = NULL, *events = NULL;
  bool resumes = false;
  for (int i = 2; i < argc; i++) {
    if (strcmp(argv[i], "--resume") == 0) resumes = true;
    if (i + 1 == argc) break;
    if (strcmp(argv[i], "--config") == 0) config = argv[i + 1];
    if (strcmp(argv[i], "--out") == 0) f.out = argv[i + 1];
    if (strcmp(argv[i], "--events") == 0) events = argv[i + 1];
  }
  if (argc < 2 || strcmp(argv[1], "train") != 0 || !config || !f.out || !events) return 2;
  struct sigaction action = {.sa_handler = want_stop};
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  err error = settings_load(config, &f.s);
  if (error) die(error);
  if (is_asked(&f, "FAKE_REFUSE")) {
    fputs("flip: reading shards: data/none.tar: no such file\n", stderr);
    settings_free(&f.s);
    return 2;
  }
  if (*f.s.init_from && !fs_exists(f.s.init_from))
    die(err_new(ERR_INPUT, "init_from: no file %s", f.s.init_from));
  char folder[4096];
  snprintf(folder, sizeof folder, "%s/checkpoints", f.out);
  error = fs_make_folders(folder);
  if (error) die(error);
  if (!resumes) refuse_used_folder(&f);
  f.events = open(events, O_WRONLY | O_CREAT | O_APPEND, 0666);
  if (f.events < 0) return 1;
  f.total_steps = f.s.samples / f.s.batch_size;
  f.past_samples = *f.s.init_from ? 58000 : 0;
  f.step_seconds = (double)f.s.batch_size / (2600 / (0.32 + 0.68 * (1 - f.s.mask_ratio)));
  if (resumes) load_checkpoint(&f);
  puts("training nothing");
  int status = train(&f);
  settings_free(&f.s);
  close(f.events);
  return status;
}
