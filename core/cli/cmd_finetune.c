/* flip finetune: trains a classifier from a trained image tower. The trainer does the training;
 * this file combines its settings from the model's, the recipe's and the command line's. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/shipped.h"
#include "cli/commands.h"
#include "cli/stop.h"
#include "eval/eval.h"
#include "train/checkpoint.h"
#include "train/trainer.h"

static const char default_recipe[] = "experiments/presets/finetune.yaml";

typedef struct {
  const char *model, *recipe, *train, *device;
  bool as_json;
  option_list tests, sets;
} request;

/* The last evaluation on each set. */
enum { MOST_SHOWN = 64 };
typedef struct {
  size_t count;
  char *names[MOST_SHOWN];
  eval_zeroshot results[MOST_SHOWN];
  int64_t step;
} outcome;

static void take_evaluation(void *context, const char *set, int64_t step,
                            const eval_result *result) {
  outcome *o = context;
  size_t at = 0;
  while (at < o->count && strcmp(o->names[at], set) != 0) at++;
  if (at == MOST_SHOWN) return;
  if (at == o->count) {
    o->names[at] = mem_copy_string(set);
    if (!o->names[at]) return;
    o->count++;
  }
  o->results[at] = result->zeroshot;
  o->step = step;
}

static err print_json(const settings *s, const trainer_options *how, const outcome *o) {
  strbuf line = {0};
  json_writer w = jsonw_start(&line);
  jsonw_object(&w, NULL);
  jsonw_string(&w, "model", s->init_from); /* --set may have changed both */
  jsonw_string(&w, "train", s->classification_train);
  jsonw_string(&w, "out", how->out);
  jsonw_number(&w, "step", o->count ? (double)o->step : (double)NAN); /* null: no evaluation */
  jsonw_array(&w, "sets");
  for (size_t i = 0; i < o->count; i++) {
    jsonw_object(&w, NULL);
    jsonw_string(&w, "set", o->names[i]);
    eval_write_zeroshot(&w, "classification", &o->results[i]);
    jsonw_end(&w);
  }
  jsonw_end(&w);
  jsonw_end(&w);
  strbuf_append_char(&line, '\n');
  return options_print(&line);
}

static err print_outcome(const request *r, const settings *s, const trainer_options *how,
                         const outcome *o) {
  if (r->as_json) return print_json(s, how, o);
  if (!o->count && !r->tests.count)
    puts("nothing was evaluated: give a set of labelled images with --test FILE");
  else if (!o->count && !s->eval_points)
    puts("nothing was evaluated: eval.points is 0");
  else if (!o->count)
    printf("nothing was evaluated in this process; earlier evaluations are in %s/events.jsonl\n",
           how->out);
  for (size_t i = 0; i < o->count; i++) {
    const eval_zeroshot *z = &o->results[i];
    printf("%-16s classification  top-1 %5.2f %%  top-5 %5.2f %%  mean per class %5.2f %%  "
           "(majority %.2f %%, chance %.2f %%, %ld classes, %ld images)\n",
           o->names[i], 100 * z->top1, 100 * z->top5, 100 * z->mean_per_class, 100 * z->majority,
           100 * z->chance, (long)z->classes, (long)z->images);
  }
  return NULL;
}

/* The checkpoint of a run folder, of its checkpoints folder, or a file. */
static err find_checkpoint(const char *model, char **path) {
  if (!fs_is_folder(model)) {
    *path = mem_copy_string(model);
    return *path ? NULL : mem_error(0, "a path");
  }
  err error = checkpoint_newest_of_run(model, path);
  if (!error && !*path)
    error = err_new(ERR_INPUT,
                    "%s has no checkpoint: name a run of flip train or one of its "
                    "checkpoints",
                    model);
  return error;
}

static bool are_neighbours(const char *a, const char *b) {
  const char *end_a = strrchr(a, '/'), *end_b = strrchr(b, '/');
  return end_a && end_b && end_a - a == end_b - b && strncmp(a, b, (size_t)(end_a - a)) == 0;
}

/* The model may have been trained further since the interrupted run in `out` began: the run goes on
 * from the checkpoint that it started from, if that was in the same folder. */
static err find_started_from(const char *out, char **path) {
  char *newest = NULL;
  settings before;
  checkpoint_state at;
  err error = checkpoint_newest_of_run(out, &newest);
  if (error || !newest) return error;
  error = checkpoint_read_settings(newest, &before, &at);
  free(newest);
  if (error) return error;
  if (are_neighbours(before.init_from, *path)) {
    free(*path);
    *path = mem_copy_string(before.init_from);
    if (!*path) error = mem_error(0, "a path");
  }
  settings_free(&before);
  return error;
}

static err apply_recipe(const char *name, settings *s) {
  char *path = shipped_or_given(name);
  yml_document *document = NULL;
  yml_problems problems = {0};
  err error = path ? yml_load(path, &document) : mem_error(0, "a path");
  if (!error) {
    settings_apply(s, yml_root(document), path, &problems);
    error = yml_problems_take(&problems);
  }
  yml_free(document);
  free(path);
  return error;
}

/* The training set's number of classes, unless set explicitly. */
static err count_classes(settings *s) {
  eval_set *set = NULL;
  if (s->classification_classes > 0) return NULL;
  err error = eval_set_open(s->classification_train, "probe", s, NULL, &set);
  if (error) return error;
  s->classification_classes = eval_set_classes(set);
  eval_set_close(set);
  return NULL;
}

/* The model's own settings may have a probe, which a classifier does not read; one that is asked
 * for would be missing. */
static err refuse_probe(const char *assignment) {
  if (strncmp(assignment, "eval.probe_", 11) != 0) return NULL;
  return err_new(ERR_INPUT,
                 "--set %s: flip finetune fits no probe; leave it out, or use flip eval probe",
                 assignment);
}

/* The model's settings, the recipe, the options, --set; later ones override earlier ones. */
static err make_settings(const request *r, const trainer_options *how, settings *s) {
  checkpoint_state at;
  char *path = NULL;
  err error = find_checkpoint(r->model, &path);
  if (!error) error = checkpoint_read_settings(path, s, &at);
  if (error) {
    free(path);
    return error;
  }
  s->recipe = SETTINGS_RECIPE; /* of the new run, not the model's */
  s->classification_classes = 0;
  TRY(apply_recipe(r->recipe, s));
  if (how->is_resuming) TRY(find_started_from(how->out, &path));
  TRY(settings_set_text(s, "init_from", path));
  TRY(settings_set_text(s, "classification.train", r->train));
  TRY(settings_set_texts(s, "eval.sets", r->tests.items, r->tests.count));
  if (r->device) TRY(settings_set_text(s, "device", r->device));
  for (size_t i = 0; i < r->sets.count; i++) {
    TRY(refuse_probe(r->sets.items[i]));
    TRY(settings_set(s, r->sets.items[i]));
  }
  TRY(count_classes(s));
cleanup:
  free(path);
  if (error) settings_free(s);
  return error;
}

static err run(const request *r, trainer_options *how) {
  settings s;
  outcome o = {0};
  bool is_first_rank = true;
  how->is_first_rank = &is_first_rank;
  how->evaluated = take_evaluation;
  how->context = &o;
  err error = make_settings(r, how, &s);
  if (error) return error;
  error = trainer_run(&s, how);
  if (!error && is_first_rank) error = print_outcome(r, &s, how, &o);
  for (size_t i = 0; i < o.count; i++) free(o.names[i]);
  settings_free(&s);
  return error;
}

int cmd_finetune(int argc, char **argv) {
  request r = {.recipe = default_recipe};
  trainer_options how = {.has_progress = true, .began = clock_seconds()};
  bool is_help = false;
  option_list rest = {0};
  option options[] = {
      {"model", 'm', OPTION_STRING, &r.model, "PATH",
       "run folder (its newest checkpoint) or checkpoint whose image tower is fine-tuned", true},
      {"train", 't', OPTION_STRING, &r.train, "FILE",
       "set of labelled images to train on (YAML, as for flip eval probe)", true},
      {"test", 0, OPTION_LIST, &r.tests, "FILE",
       "set of labelled images to evaluate on; may be repeated", false},
      {"out", 'o', OPTION_STRING, &how.out, "DIR", "run folder: config.yaml, events, checkpoints",
       true},
      {"recipe", 0, OPTION_STRING, &r.recipe, "FILE",
       "settings of the fine-tuning (default experiments/presets/finetune.yaml: FLIP, Table 12)",
       false},
      {"set", 's', OPTION_LIST, &r.sets, "KEY=VALUE", "change one setting; may be repeated", false},
      {"device", 'd', OPTION_STRING, &r.device, "auto|cpu|cuda", "device to train on", false},
      {"resume", 'r', OPTION_FLAG, &how.is_resuming, NULL,
       "continue from the newest checkpoint in DIR", false},
      {"events", 'e', OPTION_STRING, &how.events, "FD|FILE",
       "file for events (default DIR/events.jsonl; docs/events.md)", false},
      {"progress", 0, OPTION_FLAG, &how.has_progress, NULL, "--no-progress: no progress line",
       false},
      {"json", 0, OPTION_FLAG, &r.as_json, NULL, "print the last accuracies as JSON", false},
      {0}};
  const command c = {
      "flip finetune", "train a classifier from a model's image tower, end to end",
      "--model PATH --train FILE --out DIR [--test FILE]… [OPTIONS]", options,
      "The projection is replaced by a new linear layer on the pooled tokens, and all weights are\n"
      "trained on whole images. The model's own settings apply, then the recipe's, then --set.\n"
      "An epoch is one pass over the labelled images. SIGINT or SIGTERM finishes the step, writes\n"
      "a checkpoint and exits 130; the same command with --resume continues with the same bits\n"
      "(docs/models.md). mpirun and torchrun start it on several ranks, as flip train\n"
      "(docs/clusters.md).\n\n"
      "examples:\n"
      "  flip finetune -m RUN --train train.yaml --test test.yaml -o /tmp/classifier\n"
      "  flip finetune -m RUN --train train.yaml --test test.yaml -o /tmp/classifier \\\n"
      "    -s epochs=10 -s warmup_epochs=1 -s batch_size=256"};
  err error = options_parse(&c, argc, argv, &rest, &is_help);
  if (!error && !is_help) error = options_refuse_words(&rest, false);
  how.stop = stop_on_signals();
  if (!error && !is_help) error = run(&r, &how);
  options_free(options);
  options_free_list(&rest);
  return options_exit_status(error);
}
