/* What a run says of itself: the events of docs/events.md. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <gnu/libc-version.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <oneapi/dnnl/dnnl.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/version.h"
#include "data/libraries.h"
#include "train/run.h"

static void write_cpu_name(json_writer *w, const char *key) {
  char line[256], *colon = NULL;
  FILE *file = fopen("/proc/cpuinfo", "re");
  while (file && !colon && fgets(line, sizeof line, file))
    if (strncmp(line, "model name", 10) == 0) colon = strchr(line, ':');
  if (file) fclose(file);
  if (colon) colon[strcspn(colon, "\n")] = '\0';
  jsonw_string(w, key, colon ? colon + 2 : "unknown");
}

static void write_machine(run *r, json_writer *w) {
  struct utsname name;
  char host[256] = "unknown", version[32];
  strbuf os = {0};
  gethostname(host, sizeof host - 1);
  if (uname(&name) == 0) strbuf_format(&os, "%s %s %s", name.sysname, name.release, name.machine);
  jsonw_string(w, "host", host);
  jsonw_string(w, "os", strbuf_string(&os));
  strbuf_free(&os);
  write_cpu_name(w, "cpu");
  jsonw_string(w, "device", r->o->call->name);
  if (*r->o->device)
    jsonw_string(w, "device_name", r->o->device);
  else
    write_cpu_name(w, "device_name");
  jsonw_string(w, "precision", precision_name(r->at.precision));
  jsonw_integer(w, "threads", r->o->threads);
  const dnnl_version_t *dnnl = dnnl_version();
  snprintf(version, sizeof version, "%d.%d.%d", dnnl->major, dnnl->minor, dnnl->patch);
  jsonw_object(w, "libraries");
  jsonw_string(w, "onednn", version);
  if (*r->o->kernels) jsonw_string(w, "cpu_kernels", r->o->kernels);
  if (*r->o->libraries) jsonw_string(w, "gpu", r->o->libraries);
  jsonw_string(w, "libc", gnu_get_libc_version());
  data_write_libraries(w);
  jsonw_end(w);
}

/* The exact words of this process, as the kernel has them. */
static void write_command(json_writer *w) {
  char words[8192];
  FILE *file = fopen("/proc/self/cmdline", "re");
  size_t length = file ? fread(words, 1, sizeof words - 1, file) : 0;
  if (file) fclose(file);
  words[length] = '\0';
  jsonw_array(w, "command");
  for (size_t at = 0; at < length; at += strlen(words + at) + 1) jsonw_string(w, NULL, words + at);
  jsonw_end(w);
}

/* One warning for each line. */
static err warn_of_doubts(run *r, strbuf *lines) {
  err error = NULL;
  char *rest = lines->data, *line;
  while (!error && (line = strsep(&rest, "\n")))
    if (*line) error = events_warn(&r->events, "timing", line);
  strbuf_free(lines);
  return error;
}

err run_report_conditions(run *r) {
  strbuf doubts = {0};
  size_t length;
  const char *diff = version_dirty_text(&length);
  char *path = length ? fs_join(r->options->out, "code.diff") : NULL;
  err error = path ? fs_write_atomic(path, diff, length) : NULL;
  free(path);
  machine_doubts(&r->machine, r->o->threads, &doubts);
  err told = warn_of_doubts(r, &doubts);
  if (!error) return told;
  err_free(told);
  return error;
}

err run_report_start(run *r) {
  char fingerprint[HASH_SIZE];
  strbuf settings_json = {0};
  json_writer *w = events_begin(&r->events, "start");
  jsonw_integer(w, "version", 1);
  settings_write_json(r->s, &settings_json);
  jsonw_raw(w, "settings", strbuf_string(&settings_json));
  strbuf_free(&settings_json);
  settings_fingerprint(r->s, fingerprint);
  jsonw_string(w, "fingerprint", fingerprint);
  jsonw_string(w, "commit", version_commit);
  jsonw_string(w, "dirty", version_dirty_digest);
  jsonw_string(w, "compiler", version_compiler);
  jsonw_string(w, "flags", version_flags);
  jsonw_string(w, "program_version", version_string);
  write_machine(r, w);
  write_command(w);
  r->machine = machine_look("");
  machine_write_json(w, "conditions", &r->machine);
  jsonw_integer(w, "data_samples", dataset_count(r->data));
  jsonw_string(w, "data_fingerprint", dataset_fingerprint(r->data));
  jsonw_object(w, "parameters");
  jsonw_integer(w, "image", r->counts.parameters_image);
  jsonw_integer(w, "text", r->counts.parameters_text);
  jsonw_integer(w, "head", r->counts.parameters_head);
  jsonw_integer(w, "total", r->counts.parameters_total);
  jsonw_end(w);
  jsonw_object(w, "flops_per_sample");
  jsonw_number(w, "image", 3 * r->counts.forward_image);
  jsonw_number(w, "text", 3 * r->counts.forward_text);
  jsonw_number(w, "total", r->counts.train_sample);
  jsonw_end(w);
  jsonw_integer(w, "total_steps", r->total_steps);
  jsonw_integer(w, "total_samples", r->total_samples);
  jsonw_integer(w, "first_step", r->first_step);
  jsonw_integer(w, "planned_bytes", (int64_t)r->counts.planned_bytes);
  jsonw_number(w, "gemm_flops_per_second", r->gemm_rate);
  return events_end(&r->events);
}

err run_report_step(run *r, double seconds, double waited, double rate) {
  json_writer *w = events_begin(&r->events, "step");
  jsonw_integer(w, "step", r->at.step);
  jsonw_integer(w, "samples", r->at.samples);
  jsonw_number(w, "loss", r->result.loss);
  jsonw_number(w, "learning_rate", rate);
  jsonw_number(w, "logit_scale", r->result.logit_scale);
  jsonw_number(w, "grad_norm", r->result.grad_norm);
  jsonw_number(w, "seconds", seconds);
  jsonw_number(w, "data_wait_seconds", waited);
  jsonw_number(w, "train_seconds", r->at.train_seconds);
  return events_end(&r->events);
}

/* The head of an `eval` event; the caller adds `metrics`. */
static json_writer *begin_eval(run *r, const char *set, const char *task, double seconds) {
  json_writer *w = events_begin(&r->events, "eval");
  jsonw_integer(w, "step", r->at.step);
  jsonw_integer(w, "samples", r->at.samples);
  jsonw_number(w, "train_seconds", r->at.train_seconds);
  jsonw_number(w, "seconds", seconds);
  jsonw_string(w, "set", set);
  jsonw_string(w, "task", task);
  return w;
}

err run_report_eval(run *r, const eval_set *set, const eval_result *result, double seconds) {
  err error = NULL;
  if (result->has_zeroshot) {
    json_writer *w = begin_eval(r, eval_set_name(set), "zeroshot", seconds);
    eval_write_zeroshot(w, "metrics", &result->zeroshot);
    error = events_end(&r->events);
  }
  if (!error && result->has_retrieval) {
    json_writer *w = begin_eval(r, eval_set_name(set), "retrieval", seconds);
    eval_write_retrieval(w, "metrics", &result->retrieval);
    error = events_end(&r->events);
  }
  return error;
}

static int compare_doubles(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

double run_median_rate(const run *r) {
  int64_t skipped = r->steps_timed / 10 < 20 ? (r->steps_timed + 9) / 10 : 20;
  int64_t count = r->steps_timed - skipped;
  double *sorted = count > 0 ? mem_zeroed((size_t)count, sizeof *sorted) : NULL;
  if (!sorted) return 0;
  memcpy(sorted, r->step_seconds + skipped, (size_t)count * sizeof *sorted);
  qsort(sorted, (size_t)count, sizeof *sorted, compare_doubles);
  double median = 0.5 * (sorted[(count - 1) / 2] + sorted[count / 2]);
  free(sorted);
  return (double)r->s->batch_size / median;
}

static const char *failure_kind(err_kind kind) {
  switch (kind) {
  case ERR_NUMERIC:
    return "nan";
  case ERR_MEMORY:
    return "memory";
  case ERR_IO:
    return "io";
  case ERR_INPUT:
    return "input";
  default:
    return "other";
  }
}

uint64_t run_peak_bytes(const run *r) {
  ops_memory memory;
  if (!r->o || !r->o->call->memory) return mem_peak_bytes();
  err error = r->o->call->memory(r->o, &memory);
  if (!error) return memory.peak;
  err_free(error);
  return 0;
}

/* Readings that a device does not give are left out. */
static void write_reading(json_writer *w, const char *name, double value) {
  if (value >= 0) jsonw_number(w, name, value);
}

err run_report_memory(run *r) {
  ops_usage usage = ops_read_usage(r->o);
  json_writer *w = events_begin(&r->events, "memory");
  jsonw_integer(w, "peak_bytes", (int64_t)run_peak_bytes(r));
  jsonw_integer(w, "planned_bytes", (int64_t)r->counts.planned_bytes);
  jsonw_integer(w, "host_peak_bytes", (int64_t)mem_peak_bytes());
  write_reading(w, "device_used_bytes", usage.used_bytes);
  write_reading(w, "utilisation", usage.utilisation);
  write_reading(w, "power_watts", usage.power_watts);
  return events_end(&r->events);
}

err run_report_end(run *r, err failure) {
  bool is_interrupted = failure && err_kind_of(failure) == ERR_INTERRUPTED;
  double trained = r->at.train_seconds;
  machine_state now = machine_look("");
  machine_span span = machine_between(&r->machine, &now);
  strbuf doubts = {0};
  bool has_begun = r->machine.wall_seconds > 0;
  if (has_begun) machine_span_doubts(&span, now.cpus, &doubts);
  err error = warn_of_doubts(r, &doubts);
  if (error) return error;
  json_writer *w = events_begin(&r->events, "end");
  if (has_begun) {
    jsonw_number(w, "other_cpus", span.other_cpus);
    jsonw_number(w, "stolen_share", span.stolen_share);
  }
  jsonw_string(w, "status", !failure ? "finished" : is_interrupted ? "interrupted" : "failed");
  if (failure && !is_interrupted) jsonw_string(w, "kind", failure_kind(err_kind_of(failure)));
  jsonw_string(w, "message", failure ? err_message(failure) : "");
  jsonw_integer(w, "step", r->at.step);
  jsonw_integer(w, "samples", r->at.samples);
  jsonw_number(w, "train_seconds", trained);
  jsonw_number(w, "wall_seconds", clock_seconds() - r->wall_start);
  jsonw_number(w, "samples_per_second", trained > 0 ? (double)r->at.samples / trained : 0);
  jsonw_number(w, "samples_per_second_median", run_median_rate(r));
  jsonw_number(w, "data_wait_share", trained > 0 ? r->at.data_wait_seconds / trained : 0);
  jsonw_integer(w, "peak_bytes", (int64_t)run_peak_bytes(r));
  int64_t own = r->at.samples - r->first_step * r->s->batch_size; /* of this process */
  if (r->energy_joules > 0 && own > 0) {
    jsonw_number(w, "energy_joules", r->energy_joules);
    jsonw_number(w, "energy_per_sample", r->energy_joules / (double)own);
  }
  jsonw_number(w, "flops_per_second",
               trained > 0 ? (double)r->at.samples * r->counts.train_sample / trained : 0);
  return events_end(&r->events);
}
