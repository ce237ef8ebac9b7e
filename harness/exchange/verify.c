#include "exchange/verify.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "base/command.h"
#include "base/fs.h"
#include "base/interrupt.h"
#include "base/json_read.h"
#include "base/mem.h"
#include "config/yaml.h"
#include "sweep/directory.h"
#include "sweep/ranks.h"
#include "exchange/weights.h"
#include "store/environments.h"
#include "store/inputs.h"
#include "store/runs.h"

/* The recorded values of the run. */
typedef struct {
  store_run run;
  store_environment environment;
  char *checkpoint;
  int64_t ranks; /* bits are those of this number of ranks */
} recorded;

static const char *const fact_names[] = {"commit", "dirty", "compiler", "cpu", "device_name"};

static const char *recorded_fact(const recorded *r, int i) {
  const store_environment *e = &r->environment;
  const char *const facts[] = {e->commit, e->dirty, e->compiler, e->cpu, e->device_name};
  return facts[i];
}

static void free_recorded(recorded *r) {
  store_free_run(&r->run);
  store_free_environment(&r->environment);
  free(r->checkpoint);
}

void verify_free(verify_result *result) {
  strbuf_free(&result->notes);
  free(result->folder);
  *result = (verify_result){0};
}

/* A run that was trained on two numbers of ranks has bits that no number gives again. */
static err read_ranks(store *s, int64_t run_id, recorded *r) {
  store_inputs given = {0};
  err error = store_load_inputs(s, run_id, &given);
  if (error) return error;
  const char *ranks = given.got[INPUT_RANKS];
  r->ranks = *ranks ? strtoll(ranks, NULL, 10) : 1;
  if (strchr(ranks, ','))
    error = err_new(ERR_INPUT,
                    "run %lld was trained on %s ranks: bits depend on their number, so it cannot "
                    "be compared with a run on one number",
                    (long long)run_id, ranks);
  store_free_inputs(&given);
  return error;
}

/* Before the second training, which takes as long as the first: other bits would be blamed on it.
 */
static err check_checkpoint(int64_t run_id, const char *path) {
  err damage = weights_check(path);
  if (!damage || err_kind_of(damage) != ERR_INPUT) return damage;
  err error = err_new(ERR_INPUT,
                      "run %lld cannot be verified: its checkpoint %s was damaged, or changed by "
                      "another program: %s",
                      (long long)run_id, path, err_message(damage));
  err_free(damage);
  return error;
}

static err read_record(store *s, const char *results, int64_t run_id, recorded *r) {
  err error = store_load_run(s, run_id, &r->run);
  if (error) return error;
  if (strcmp(r->run.status, "finished") != 0)
    return err_new(ERR_INPUT, "run %lld is %s: only a finished run can be verified",
                   (long long)run_id, r->run.status);
  error = read_ranks(s, run_id, r);
  if (!error) error = store_load_environment(s, run_id, &r->environment);
  if (!error) error = store_last_checkpoint(s, results, run_id, &r->checkpoint);
  if (!error && !r->checkpoint)
    error = err_new(ERR_INPUT, "%s/%s: its checkpoints are gone; nothing to compare with", results,
                    r->run.directory);
  return error ? error : check_checkpoint(run_id, r->checkpoint);
}

static bool is_stopped(const void *nothing) {
  (void)nothing;
  return interrupt_is_requested();
}

/* With the last line that it printed: on a full disk there is none. */
static err describe_failure(const char *results, const char *folder, const char *log, int status) {
  char *tail = directory_tail(results, fs_name(folder), fs_name(log));
  size_t length = tail ? strlen(tail) : 0;
  while (length && tail[length - 1] == '\n') tail[--length] = '\0';
  const char *break_at = length ? strrchr(tail, '\n') : NULL;
  err error = length
                  ? err_new(ERR_INPUT,
                            "the second training exited with status %d: %s (its output is in %s)",
                            status, break_at ? break_at + 1 : tail, log)
                  : err_new(ERR_INPUT,
                            "the second training exited with status %d and its output, %s, is "
                            "empty; the disk may be full",
                            status, log);
  free(tail);
  return error;
}

/* Trains in `folder`; the trainer's output goes to log.txt there. */
static err train_again(const verify_options *options, const recorded *r, const char *folder) {
  char precision[64], threads[64];
  char *config = directory_path(options->results, r->run.directory, "config.yaml");
  char *log = fs_join(folder, "log.txt");
  char **words = NULL;
  int log_fd = -1, status = 0;
  err error = NULL;
  if (!config || !log) FAIL(ERR_MEMORY, "out of memory: a path");
  if (!fs_exists(config)) FAIL(ERR_INPUT, "%s: the run's settings file is missing", config);
  snprintf(precision, sizeof precision, "precision=%s", r->environment.precision);
  snprintf(threads, sizeof threads, "threads=%lld", (long long)r->environment.threads);
  char *command[] = {(char *)options->flip, "train", "--config", config,  "--out",
                     (char *)folder,        "--set", precision,  "--set", threads,
                     "--no-progress",       NULL};
  TRY(fs_make_folders(folder));
  ranks_start launch = {.ranks = r->ranks, .nodes = 1, .folder = folder, .attempt = 1};
  TRY(ranks_words(&launch, command, &words));
  if (r->ranks > 1) ranks_allow_root();
  log_fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (log_fd < 0) FAIL(ERR_IO, "%s: cannot be written", log);
  command_call call = {.words = words,
                       .out = log_fd,
                       .err = log_fd,
                       .has_no_input = true,
                       .leads_group = true,
                       .dies_with_parent = true};
  TRY(command_run_until(&call, &(command_stop){is_stopped, NULL}, &status));
  if (command_exit_status(status) != 0)
    error = describe_failure(options->results, folder, log, command_exit_status(status));
cleanup:
  if (log_fd >= 0) close(log_fd);
  ranks_free_words(words);
  free(config);
  free(log);
  return error;
}

/* The inputs recorded in a start event. */
static err read_given(const json_t *start, const store_inputs *like, store_inputs *now) {
  static const char *const keys[INPUT_KINDS] = {
      [INPUT_DATA] = "data_fingerprint", [INPUT_INIT] = "init_fingerprint"};
  char words[INPUT_WORDS_SIZE];
  *now = (store_inputs){0};
  store_vocabulary_input(start, words);
  now->data_samples = json_integer_value(json_object_get(start, "data_samples"));
  for (int k = 0; k < INPUT_KINDS; k++) {
    const json_t *value = keys[k] ? json_object_get(start, keys[k]) : NULL;
    const char *text = k == INPUT_VOCABULARY ? words : json_string_value(value);
    now->asked[k] = mem_copy_string(like->asked[k]);
    now->got[k] = mem_copy_string(text ? text : "");
    if (!now->asked[k] || !now->got[k]) return mem_error(0, "a run's inputs");
  }
  const json_t *sets = json_object_get(start, "evaluation_fingerprints");
  if (json_object_size(sets) == 0) return NULL;
  free(now->got[INPUT_EVALUATION]);
  now->got[INPUT_EVALUATION] = json_dumps(sets, JSON_COMPACT | JSON_SORT_KEYS);
  return now->got[INPUT_EVALUATION] ? NULL : mem_error(0, "a run's inputs");
}

/* Data, vocabulary, evaluation sets, initial weights. The evaluation sets do not affect the
 * weights. */
static err compare_given(store *s, int64_t run_id, const json_t *start, verify_result *result) {
  store_inputs then = {0}, now = {0};
  err error = store_load_inputs(s, run_id, &then);
  if (!error) error = read_given(start, &then, &now);
  if (!error) {
    store_describe_differences(&then, &now, &result->notes);
    result->has_other_data = store_inputs_differ(&then, &now, INPUT_DATA) ||
                             store_inputs_differ(&then, &now, INPUT_VOCABULARY) ||
                             store_inputs_differ(&then, &now, INPUT_INIT);
  }
  store_free_inputs(&then);
  store_free_inputs(&now);
  return error;
}

static const char *or_none(const char *text) {
  return *text ? text : "none";
}

/* By name, of all that either has: two builds may link different ones. */
static err compare_libraries(const recorded *r, const json_t *start, verify_result *result) {
  json_t *then = json_loads(r->environment.libraries, 0, NULL), *names = NULL, *value;
  const json_t *now = json_object_get(start, "libraries");
  const char *name;
  err error = NULL;
  if (!json_object_size(then) || !json_object_size(now)) goto cleanup; /* not recorded */
  names = json_deep_copy(now);
  if (!names || json_object_update_missing(names, then) != 0)
    FAIL(ERR_MEMORY, "out of memory: the libraries");
  json_object_foreach(names, name, value) {
    const char *old = json_text_of(then, name), *new = json_text_of(now, name);
    if (strcmp(old, new) == 0) continue;
    result->has_other_libraries = true;
    strbuf_format(&result->notes, "%s: was %s, is %s\n", name, or_none(old), or_none(new));
  }
cleanup:
  json_decref(then);
  json_decref(names);
  return error;
}

static const yml_node *get(const yml_node *map, const char *key) {
  return map ? yml_get(map, key) : NULL;
}

/* The variables that an `environment:` gives to every cell and that this process, whose environment
 * the second training inherited, has not. `above`: takes precedence. */
static void compare_variables(const yml_node *map, const yml_node *above, verify_result *result) {
  for (size_t i = 0; map && map->kind == YML_MAP && i < map->count; i++) {
    const char *name = map->keys[i]->scalar, *wanted = map->items[i]->scalar, *got = getenv(name);
    if (!wanted || get(above, name) || (got && strcmp(got, wanted) == 0)) continue;
    result->has_other_environment = true;
    strbuf_format(
        &result->notes,
        "%s: is %s, but the experiment's `environment:` sets %s; set it and verify again\n", name,
        got ? got : "not set", wanted);
  }
}

/* As the experiment's last 'flipbench run' recorded it in experiment.json. */
static err compare_environment(const verify_options *options, const recorded *r,
                               verify_result *result) {
  const char *directory = r->run.directory;
  char *name = strndup(directory, strcspn(directory, "/")), *text = NULL;
  char *path = name ? directory_path(options->results, name, "experiment.json") : NULL;
  yml_document *document = NULL;
  json_t *experiment = NULL;
  size_t length;
  err error = NULL;
  if (!path) FAIL(ERR_MEMORY, "out of memory: a path");
  if (!fs_exists(path)) goto cleanup;
  TRY(fs_read(path, &text, &length));
  experiment = json_loadb(text, length, 0, NULL);
  const char *file = json_text_of(experiment, "text");
  TRY(err_context(yml_parse(path, file, strlen(file), &document), "the experiment's file"));
  const yml_node *root = yml_root(document), *profiles = yml_get(root, "profiles");
  const yml_node *chosen = get(profiles, json_text_of(experiment, "profile"));
  const yml_node *above = get(chosen, "environment");
  compare_variables(above, NULL, result);
  compare_variables(yml_get(root, "environment"), above, result);
cleanup:
  json_decref(experiment);
  yml_free(document);
  free(name);
  free(path);
  free(text);
  return error;
}

/* Code and machine of both runs: a difference may explain different bits. */
static err compare_facts(store *s, int64_t run_id, const recorded *r, const char *folder,
                         verify_result *result) {
  char *path = fs_join(folder, "events.jsonl"), *text = NULL;
  size_t length;
  err error = path ? fs_read(path, &text, &length) : mem_error(0, "a path");
  free(path);
  if (error) return error;
  char *end = strchr(text, '\n');
  if (end) *end = '\0';
  json_t *start = json_loads(text, 0, NULL);
  error = compare_given(s, run_id, start, result);
  strbuf *notes = &result->notes;
  for (int i = 0; i < 5; i++) {
    const char *now = json_string_value(json_object_get(start, fact_names[i]));
    const char *then = recorded_fact(r, i);
    if (!now || strcmp(now, then) == 0) continue;
    result->has_other_program = result->has_other_program || i < 3;
    result->has_other_machine = result->has_other_machine || i >= 3;
    strbuf_format(notes, "%s: was %s, is %s\n", fact_names[i], *then ? then : "clean",
                  *now ? now : "clean");
  }
  if (!error) error = compare_libraries(r, start, result);
  json_decref(start);
  free(text);
  return error;
}

err run_verify(store *s, const verify_options *options, int64_t run_id, verify_result *result) {
  recorded r = {0};
  strbuf folder = {0}, again = {0};
  weights_comparison weights;
  err error = NULL;
  *result = (verify_result){0};
  TRY(read_record(s, options->results, run_id, &r));
  strbuf_format(&folder, "%s/verify-%lld-%ld", options->results, (long long)run_id, (long)getpid());
  TRY(compare_environment(options, &r, result));
  TRY(train_again(options, &r, strbuf_string(&folder)));
  TRY(compare_facts(s, run_id, &r, strbuf_string(&folder), result));
  strbuf_format(&again, "%s/checkpoints/%s", strbuf_string(&folder), fs_name(r.checkpoint));
  if (!fs_exists(strbuf_string(&again)))
    FAIL(ERR_INPUT, "the second training wrote no %s", strbuf_string(&again));
  TRY(weights_compare(r.checkpoint, strbuf_string(&again), &weights));
  result->is_equal = weights.different == 0;
  result->tensors = weights.tensors;
  result->different = weights.different;
  result->greatest = weights.greatest;
  snprintf(result->worst, sizeof result->worst, "%s", weights.worst);
cleanup:
  bool is_wanted = options->keeps_folder || (error && err_kind_of(error) != ERR_INTERRUPTED);
  if (is_wanted && fs_exists(strbuf_string(&folder)))
    result->folder = mem_copy_string(strbuf_string(&folder));
  else if (folder.length)
    directory_remove(strbuf_string(&folder));
  strbuf_free(&folder);
  strbuf_free(&again);
  free_recorded(&r);
  return error;
}
