/* The events of a run: see docs/events.md. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <gnu/libc-version.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/version.h"
#include "image/libraries.h"
#include "ops/device.h"
#include "train/run.h"

static void write_cpu_name(json_writer *w, const char *key) {
  char name[256];
  machine_processor("", name, sizeof name);
  jsonw_string(w, key, name);
}

static void write_driver(const run *r, json_writer *w) {
  char version[64];
  if (!*r->o->device) return; /* the CPU */
  machine_gpu_driver("", version, sizeof version);
  if (*version) jsonw_string(w, "driver", version);
}

static void write_machine(run *r, json_writer *w) {
  struct utsname name;
  char host[256] = "unknown";
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
  write_driver(r, w);
  jsonw_string(w, "precision", precision_name(r->at.precision));
  jsonw_integer(w, "threads", r->o->threads);
  jsonw_integer(w, "ranks", comm_size(r->ranks));
  jsonw_object(w, "libraries");
  ops_library list[OPS_LIBRARIES];
  int count = ops_libraries(r->o, list);
  for (int i = 0; i < count; i++) jsonw_string(w, list[i].name, list[i].version);
  if (*r->o->kernels) jsonw_string(w, "cpu_kernels", r->o->kernels);
  if (r->ranks) jsonw_string(w, "ranks", r->ranks->library);
  jsonw_string(w, "libc", gnu_get_libc_version());
  data_write_libraries(w);
  jsonw_end(w);
}

/* The exact command line of this process, from the kernel. */
static void write_command(json_writer *w) {
  strbuf words = {0};
  char part[4096];
  FILE *file = fopen("/proc/self/cmdline", "re");
  for (size_t length = 1; file && length > 0;) {
    length = fread(part, 1, sizeof part, file);
    strbuf_append_bytes(&words, part, length);
  }
  if (file) fclose(file);
  const char *text = strbuf_string(&words);
  jsonw_array(w, "command");
  for (size_t at = 0; at < words.length; at += strlen(text + at) + 1)
    jsonw_string(w, NULL, text + at);
  jsonw_end(w);
  strbuf_free(&words);
}

err run_report_conditions(run *r) {
  strbuf doubts = {0};
  size_t length;
  const char *diff = version_dirty_text(&length);
  char *path = length ? fs_join(r->options->out, "code.diff") : NULL;
  err error = path ? fs_write_atomic(path, diff, length) : NULL;
  free(path);
  machine_doubts(&r->machine, r->o->threads, &doubts);
  if (!error) error = events_warn_lines(&r->events, "timing", &doubts);
  if (!error) error = events_warn_lines(&r->events, "resumed", &r->remarks);
  strbuf_free(&doubts);
  return error;
}

static void warn_lines(const strbuf *lines) {
  if (lines->length) log_warning("%.*s", (int)lines->length - 1, strbuf_string(lines));
}

static void note_few_samples(const run *r, strbuf *lines) {
  int64_t samples = run_data_samples(r), batch = r->s->batch_size;
  if (samples <= 0 || batch <= samples) return;
  strbuf_format(lines,
                "batch_size: %" PRId64 " is more than the %" PRId64
                " training samples: a batch has copies of them%s; the whole run has %" PRId64
                " %s; choose a smaller batch_size\n",
                batch, samples, run_is_classifier(r) ? "" : ", each a negative of the other",
                r->total_steps, text_plural(r->total_steps, "update", "updates"));
}

err run_report_limits(run *r) {
  strbuf few = {0}, metrics = {0};
  note_few_samples(r, &few);
  for (size_t i = 0; i < r->set_count; i++)
    if (run_is_classifier(r) || (r->probe_set && i == 0))
      eval_set_explain_metric(r->sets[i], &metrics);
  warn_lines(&few);
  warn_lines(&metrics);
  err error = events_warn_lines(&r->events, "data", &few);
  if (!error) error = events_warn_lines(&r->events, "evaluation", &metrics);
  strbuf_free(&few);
  strbuf_free(&metrics);
  return error;
}

static void write_start_seconds(const run *r, json_writer *w) {
  static const char *const names[STARTS] = {"program", "data",    "device",
                                            "model",   "weights", "loader"};
  double total = 0;
  jsonw_object(w, "start_seconds");
  for (int i = 0; i < STARTS; i++) {
    jsonw_number(w, names[i], r->start_seconds[i]);
    total += r->start_seconds[i];
  }
  jsonw_number(w, "total", total);
  jsonw_end(w);
}

err run_report_start(run *r) {
  char fingerprint[HASH_SIZE];
  const run_inputs *g = &r->state_file.inputs;
  strbuf settings_json = {0};
  err error = settings_fingerprint(r->s, fingerprint);
  if (error) return error;
  json_writer *w = events_begin(&r->events, "start");
  jsonw_integer(w, "version", 2);
  settings_write_json(r->s, &settings_json);
  if (settings_json.is_broken) return mem_error(0, "the settings");
  jsonw_raw(w, "settings", strbuf_string(&settings_json));
  strbuf_free(&settings_json);
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
  jsonw_integer(w, "data_samples", g->data_samples);
  jsonw_string(w, "data_fingerprint", g->data);
  jsonw_string(w, "vocabulary_fingerprint", g->vocabulary);
  if (*g->lexicon) jsonw_string(w, "lexicon_fingerprint", g->lexicon);
  run_inputs_write_sets(w, "evaluation_fingerprints", g);
  jsonw_string(w, "init_fingerprint", g->init);
  jsonw_object(w, "parameters");
  jsonw_integer(w, "image", r->counts.parameters_image);
  jsonw_integer(w, "text", r->counts.parameters_text);
  jsonw_integer(w, "head", r->counts.parameters_head);
  if (r->s->reconstruction_weight > 0)
    jsonw_integer(w, "reconstruction", r->counts.parameters_reconstruction);
  jsonw_integer(w, "total", r->counts.parameters_total);
  jsonw_end(w);
  jsonw_object(w, "flops_per_sample");
  jsonw_number(w, "image", 3 * r->counts.forward_image);
  jsonw_number(w, "text", 3 * r->counts.forward_text);
  if (r->s->reconstruction_weight > 0)
    jsonw_number(w, "reconstruction", 3 * r->counts.forward_reconstruction);
  if (r->counts.forward_scoring > 0) jsonw_number(w, "scoring", r->counts.forward_scoring);
  jsonw_number(w, "total", r->counts.train_sample);
  jsonw_end(w);
  if (r->counts.recomputed > 0)
    jsonw_number(w, "recomputed_flops_per_sample", r->counts.recomputed);
  jsonw_integer(w, "total_steps", r->total_steps);
  jsonw_integer(w, "total_samples", r->total_samples);
  jsonw_integer(w, "first_step", r->first_step);
  jsonw_integer(w, "planned_bytes", (int64_t)r->counts.planned_bytes);
  jsonw_number(w, "gemm_flops_per_second", r->gemm_rate * comm_size(r->ranks));
  write_start_seconds(r, w);
  return events_end(&r->events);
}

/* Starts an `eval` event; the caller adds `metrics`. */
static json_writer *begin_eval(run *r, const char *set, const char *task, double seconds) {
  json_writer *w = events_begin(&r->events, "eval");
  jsonw_integer(w, "step", r->at.step);
  jsonw_integer(w, "samples", r->at.samples);
  jsonw_number(w, "train_seconds", r->state_file.train_seconds);
  jsonw_number(w, "seconds", seconds);
  jsonw_string(w, "set", set);
  jsonw_string(w, "task", task);
  return w;
}

err run_report_eval(run *r, size_t set, const eval_result *result, const eval_outcomes *outcomes,
                    double seconds) {
  err error = NULL;
  const char *name = eval_set_name(r->sets[set]);
  if (result->has_zeroshot) {
    json_writer *w = begin_eval(r, name, "zeroshot", seconds);
    eval_write_zeroshot(w, "metrics", &result->zeroshot);
    eval_write_zeroshot_hits(w, "hits", outcomes);
    eval_write_resampled(w, "resampled", &result->zeroshot, outcomes);
    if (!r->has_told_labels[set]) eval_write_labels(w, "labels", outcomes);
    r->has_told_labels[set] = true;
    error = events_end(&r->events);
  }
  if (result->has_classes) {
    json_writer *w = begin_eval(r, name, "classification", seconds);
    eval_write_zeroshot(w, "metrics", &result->zeroshot);
    eval_write_zeroshot_hits(w, "hits", outcomes);
    if (!r->has_told_labels[set]) eval_write_labels(w, "labels", outcomes);
    r->has_told_labels[set] = true;
    error = events_end(&r->events);
  }
  if (!error && result->has_retrieval) {
    json_writer *w = begin_eval(r, name, "retrieval", seconds);
    eval_write_retrieval(w, "metrics", &result->retrieval);
    eval_write_retrieval_hits(w, "hits", outcomes);
    error = events_end(&r->events);
  }
  return error;
}

err run_report_probe(run *r, const eval_probe *probe, const eval_outcomes *outcomes,
                     double seconds) {
  json_writer *w = begin_eval(r, eval_set_name(r->sets[0]), "probe", seconds);
  eval_write_probe(w, "metrics", probe);
  eval_write_zeroshot_hits(w, "hits", outcomes);
  eval_write_labels(w, "labels", outcomes);
  return events_end(&r->events);
}

static const char *failure_kind(err_kind kind) {
  switch (kind) {
  case ERR_NUMERIC:
    return "nan";
  case ERR_MEMORY:
    return "memory";
  case ERR_IO:
  case ERR_LOST:
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

/* Readings that a device does not provide are omitted. */
static void write_reading(json_writer *w, const char *name, double value) {
  if (value >= 0) jsonw_number(w, name, value);
}

err run_report_memory(run *r) {
  ops_usage usage = ops_read_usage(r->o);
  json_writer *w = events_begin(&r->events, "memory");
  jsonw_integer(w, "step", r->at.step);
  jsonw_integer(w, "peak_bytes", (int64_t)run_peak_bytes(r));
  jsonw_integer(w, "planned_bytes", (int64_t)r->counts.planned_bytes);
  jsonw_integer(w, "host_peak_bytes", (int64_t)mem_peak_bytes());
  write_reading(w, "device_used_bytes", usage.used_bytes);
  write_reading(w, "utilisation", usage.utilisation);
  write_reading(w, "power_watts", usage.power_watts);
  return events_end(&r->events);
}

err run_pace(const run *r, pace *out) {
  *out = (pace){0};
  if (!r->rows) return NULL;
  return rows_pace(r->rows, r->o->threads, r->machine.cpus, out);
}

/* Records what disturbed the run's timing. */
static err report_disturbance(run *r, const pace *p) {
  strbuf doubts = {0};
  if (r->machine.wall_seconds > 0) {
    machine_state now = machine_look("");
    machine_span span = machine_between(&r->machine, &now);
    span.other_cpus = rows_other_cpus(r->rows); /* without this run's other ranks */
    machine_span_doubts(&span, now.cpus, &doubts);
  }
  if (p->is_disturbed)
    strbuf_format(&doubts,
                  "disturbed: about %.0f %% of the training time was lost to other work (%.0f %% "
                  "of the rows show it)\n",
                  100 * p->lost_share, 100 * p->disturbed_share);
  if (p->steps && !p->is_measured)
    strbuf_append(&doubts, "disturbance was not measured: /proc tells neither how long threads "
                           "waited for a CPU nor what other processes computed\n");
  err error = events_warn_lines(&r->events, "timing", &doubts);
  strbuf_free(&doubts);
  return error;
}

/* How the work was shared, in the steps of this process. */
static void write_ranks(const run *r, json_writer *w) {
  jsonw_integer(w, "ranks", r->ranks->size);
  if (!isnan(r->comm_seconds)) jsonw_number(w, "comm_seconds", r->comm_seconds);
  jsonw_integer(w, "comm_bytes", r->comm_bytes);
  if (!r->load.now) return;
  ranks_spread spread = ranks_spread_of_all(r->ranks, &r->load);
  if (isnan(spread.spread)) return;
  jsonw_integer(w, "slowest_rank", spread.slowest);
  jsonw_number(w, "rank_spread", spread.spread);
}

err run_report_end(run *r, err failure) {
  bool is_interrupted = failure && err_kind_of(failure) == ERR_INTERRUPTED;
  pace p;
  err error = r->rows ? rows_end_row(r->rows, NULL, true) : NULL;
  if (!error) error = run_pace(r, &p);
  if (!error) error = report_disturbance(r, &p);
  if (error) return error;
  json_writer *w = events_begin(&r->events, "end");
  jsonw_string(w, "status", !failure ? "finished" : is_interrupted ? "interrupted" : "failed");
  if (failure && !is_interrupted) jsonw_string(w, "kind", failure_kind(err_kind_of(failure)));
  jsonw_string(w, "message", failure ? err_message(failure) : "");
  jsonw_integer(w, "step", r->at.step);
  jsonw_integer(w, "samples", r->at.samples);
  jsonw_integer(w, "replaced_samples", r->replaced);
  if (r->fell_back) jsonw_integer(w, "captions_from_txt", r->fell_back);
  jsonw_number(w, "train_seconds", r->state_file.train_seconds);
  if (r->ranks) write_ranks(r, w);
  jsonw_number(w, "samples_per_second",
               p.steps ? (double)r->s->batch_size / p.steady_step_seconds : 0);
  return events_end(&r->events);
}
