/* A trainer that trains nothing: it keeps to the contract of docs/events.md, with made-up numbers
 * that look like a real run's, so that flipbench can be tested in seconds. What it does wrong is
 * asked for in the environment, each for the cells where a setting has a value:
 *
 *   FAKE_CRASH=mask_ratio=0.5     dies by SIGSEGV half way, without an end event
 *   FAKE_KILL=…                   dies by SIGKILL half way, in the middle of a line
 *   FAKE_NAN=…                    ends as failed (nan) half way
 *   FAKE_REFUSE=…                 ends with status 2 and a message, before its first event
 *   FAKE_HANG=…                   stops making progress half way, until a signal comes
 *   FAKE_DEAF=…                   the same, and no signal but SIGKILL helps
 *   FAKE_HOG=…                    takes memory half way, until none is given or 2 GiB are taken
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

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/rng.h"
#include "config/settings.h"

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

typedef struct {
  settings s;
  const char *out;
  int events;
  int64_t step, total_steps;
  double train_seconds, step_seconds, start_accuracy, past_samples;
} fake;

/* With FAKE_ONCE, each way to misbehave is taken once by each cell. */
static bool was_done_before(const fake *f, const char *variable) {
  const char *folder = getenv("FAKE_ONCE");
  char path[4096], id[HASH_SIZE];
  if (!folder) return false;
  settings_fingerprint(&f->s, id);
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

static void emit_start(fake *f) {
  strbuf line = {0}, own = {0};
  char digest[HASH_SIZE];
  json_writer w = begin(&line, "start");
  settings_write_json(&f->s, &own);
  settings_fingerprint(&f->s, digest);
  double image = 1.0e8 * (0.06 + 0.94 * (1 - f->s.mask_ratio)), text = 4.6e7;
  jsonw_integer(&w, "version", 1);
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

static void emit_step(fake *f) {
  strbuf line = {0};
  json_writer w = begin(&line, "step");
  double reach = exp(-(samples_seen(f) + f->past_samples) / 24000.0);
  double seconds = f->step_seconds * (1 + 0.03 * fabs(noise(f, 1)));
  f->train_seconds += seconds;
  jsonw_integer(&w, "step", f->step);
  jsonw_integer(&w, "samples", f->step * f->s.batch_size);
  jsonw_number(&w, "loss", 2.2 + 3.3 * reach + 0.25 * f->s.mask_ratio + 0.05 * noise(f, 2));
  jsonw_number(&w, "learning_rate", f->s.learning_rate);
  jsonw_number(&w, "logit_scale", 14.3 + 10 * (1 - reach));
  jsonw_number(&w, "grad_norm", 1 + 0.1 * noise(f, 3));
  jsonw_number(&w, "seconds", seconds);
  jsonw_number(&w, "data_wait_seconds", seconds * 0.01);
  jsonw_number(&w, "train_seconds", f->train_seconds);
  emit(f, &w, &line);
}

static void emit_zeroshot(fake *f, const char *set, double ceiling) {
  strbuf line = {0};
  json_writer w = begin(&line, "eval");
  double top1 = accuracy(f, ceiling, 11);
  jsonw_integer(&w, "step", f->step);
  jsonw_integer(&w, "samples", f->step * f->s.batch_size);
  jsonw_number(&w, "train_seconds", f->train_seconds);
  jsonw_number(&w, "seconds", 0.8);
  jsonw_string(&w, "set", set);
  jsonw_string(&w, "task", "zeroshot");
  jsonw_object(&w, "metrics");
  jsonw_number(&w, "top1", top1);
  jsonw_number(&w, "top5", fmin(1, top1 * 2.3));
  jsonw_number(&w, "mean_per_class", top1 * 0.82);
  jsonw_number(&w, "majority", 0.12);
  jsonw_number(&w, "chance", 1.0 / 60);
  jsonw_integer(&w, "classes", 60);
  jsonw_integer(&w, "images", 790);
  jsonw_end(&w);
  emit(f, &w, &line);
}

static void emit_retrieval(fake *f, const char *set, double ceiling) {
  strbuf line = {0};
  json_writer w = begin(&line, "eval");
  double r1 = accuracy(f, ceiling, 12);
  jsonw_integer(&w, "step", f->step);
  jsonw_integer(&w, "samples", f->step * f->s.batch_size);
  jsonw_number(&w, "train_seconds", f->train_seconds);
  jsonw_number(&w, "seconds", 0.5);
  jsonw_string(&w, "set", set);
  jsonw_string(&w, "task", "retrieval");
  jsonw_object(&w, "metrics");
  jsonw_number(&w, "image_to_text_r1", r1);
  jsonw_number(&w, "image_to_text_r5", fmin(1, r1 * 2.9));
  jsonw_number(&w, "image_to_text_r10", fmin(1, r1 * 4.1));
  jsonw_number(&w, "text_to_image_r1", r1 * 0.93);
  jsonw_number(&w, "text_to_image_r5", fmin(1, r1 * 2.7));
  jsonw_number(&w, "text_to_image_r10", fmin(1, r1 * 3.9));
  jsonw_number(&w, "chance_r1", 1.0 / 790);
  jsonw_integer(&w, "images", 790);
  jsonw_integer(&w, "texts", 790);
  jsonw_end(&w);
  emit(f, &w, &line);
}

static void save_checkpoint(fake *f) {
  char path[4096], text[128];
  int length = snprintf(text, sizeof text, "%lld %.17g\n", (long long)f->step, f->train_seconds);
  snprintf(path, sizeof path, "%s/checkpoints/step-%09lld.safetensors", f->out, (long long)f->step);
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
}

static bool is_checkpoint(const char *name) {
  size_t length = strlen(name), ending = strlen(".safetensors");
  return length > ending && strcmp(name + length - ending, ".safetensors") == 0;
}

static void load_checkpoint(fake *f) {
  char path[4096], **names, *text;
  size_t count, length;
  snprintf(path, sizeof path, "%s/checkpoints", f->out);
  err error = fs_list(path, &names, &count);
  if (error) die(error);
  while (count && !is_checkpoint(names[count - 1])) free(names[--count]); /* half written */
  if (count) {
    char *rest;
    snprintf(path, sizeof path, "%s/checkpoints/%s", f->out, names[count - 1]);
    error = fs_read(path, &text, &length);
    if (error) die(error);
    f->step = strtoll(text, &rest, 10);
    f->train_seconds = strtod(rest, NULL);
    free(text);
  }
  fs_free_names(names, count);
}

static int emit_end(fake *f, const char *status, const char *kind, const char *message, int code) {
  strbuf line = {0};
  json_writer w = begin(&line, "memory");
  double peak = 4.4e8 * (0.4 + 0.6 * (1 - f->s.mask_ratio));
  jsonw_integer(&w, "peak_bytes", (int64_t)peak);
  jsonw_integer(&w, "planned_bytes", (int64_t)(peak / 1.05));
  emit(f, &w, &line);
  w = begin(&line, "end");
  jsonw_string(&w, "status", status);
  if (kind) jsonw_string(&w, "kind", kind);
  jsonw_string(&w, "message", message);
  jsonw_integer(&w, "step", f->step);
  jsonw_number(&w, "samples", samples_seen(f));
  jsonw_number(&w, "train_seconds", f->train_seconds);
  jsonw_number(&w, "wall_seconds", f->train_seconds * 1.1);
  jsonw_number(&w, "samples_per_second", samples_seen(f) / f->train_seconds);
  jsonw_number(&w, "samples_per_second_median", (double)f->s.batch_size / f->step_seconds);
  jsonw_number(&w, "data_wait_share", 0.01);
  jsonw_number(&w, "peak_bytes", peak);
  jsonw_number(&w, "flops_per_second",
               (1.0e8 * (0.06 + 0.94 * (1 - f->s.mask_ratio)) + 4.6e7) * (double)f->s.batch_size /
                   f->step_seconds);
  emit(f, &w, &line);
  return code;
}

static void evaluate(fake *f) {
  emit_zeroshot(f, "openclipart", 0.16);
  emit_retrieval(f, "openclipart", 0.075);
  emit_zeroshot(f, "emoji", 0.09);
  emit_retrieval(f, "emoji", 0.012);
  save_checkpoint(f);
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

static int train(fake *f) {
  emit_start(f);
  for (int64_t points = f->s.eval_points; f->step < f->total_steps;) {
    if (stop_wanted) {
      sleep_ms("FAKE_CHECKPOINT_MS");
      save_checkpoint(f);
      return emit_end(f, "interrupted", NULL, "stopped after a checkpoint", 130);
    }
    bool is_half = f->step == f->total_steps / 2;
    if (is_half && is_asked(f, "FAKE_CRASH")) raise(SIGSEGV);
    if (is_half && is_asked(f, "FAKE_KILL")) {
      if (write(f->events, "{\"event\":\"step\",\"st", 19) == 19) raise(SIGKILL);
    }
    if (is_half && is_asked(f, "FAKE_NAN"))
      return emit_end(f, "failed", "nan", "loss is not a number at step 12", 1);
    if (is_half && is_asked(f, "FAKE_HANG"))
      while (!stop_wanted) usleep(10000);
    if (is_half && is_asked(f, "FAKE_DEAF"))
      for (;;) usleep(10000);
    if (is_half && is_asked(f, "FAKE_HOG") && !take_memory())
      return emit_end(f, "failed", "memory", "out of memory: the activations", 1);
    f->step++;
    emit_step(f);
    sleep_ms("FAKE_STEP_MS");
    if (points && f->step * points / f->total_steps > (f->step - 1) * points / f->total_steps)
      evaluate(f);
  }
  return emit_end(f, "finished", NULL, "", 0);
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
  f.events = open(events, O_WRONLY | O_CREAT | O_APPEND | (resumes ? 0 : O_TRUNC), 0666);
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
