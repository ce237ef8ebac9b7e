#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/options.h"
#include "cli/commands.h"
#include "cli/stop.h"
#include "config/settings.h"
#include "train/trainer.h"

static void list_settings(void) {
  size_t count;
  const setting *table = settings_table(&count);
  settings defaults;
  err error = settings_init(&defaults);
  if (error) {
    err_free(error);
    return;
  }
  for (size_t i = 0; i < count; i++) {
    strbuf value = {0};
    setting_format(&table[i], &defaults, &value);
    printf("%-26s %-22s %s%s%s%s\n", table[i].key, strbuf_string(&value), table[i].help,
           table[i].choices ? " (" : "", table[i].choices ? table[i].choices : "",
           table[i].choices ? ")" : "");
    strbuf_free(&value);
  }
  settings_free(&defaults);
}

/* Run files share such settings with those of classifiers; on the command line they are a mistake.
 */
static err refuse_idle(const option_list *sets, const settings *s) {
  settings defaults;
  if (s->classification_classes) return NULL;
  err error = settings_init(&defaults);
  if (error) return error;
  for (size_t i = 0; i < sets->count && !error; i++) {
    const char *equals = strchr(sets->items[i], '=');
    strbuf key = {0}, own = {0}, initial = {0};
    if (!equals || strncmp(sets->items[i], "classification.", 15) != 0) continue;
    strbuf_format(&key, "%.*s", (int)(equals - sets->items[i]), sets->items[i]);
    const setting *row = settings_find(strbuf_string(&key));
    if (row) setting_format(row, s, &own);
    if (row) setting_format(row, &defaults, &initial);
    if (strcmp(strbuf_string(&own), strbuf_string(&initial)) != 0)
      error = err_new(ERR_INPUT,
                      "--set %s: has no effect in contrastive training; leave it out, or set "
                      "classification.classes (flip finetune)",
                      sets->items[i]);
    strbuf_free(&key);
    strbuf_free(&own);
    strbuf_free(&initial);
  }
  settings_free(&defaults);
  return error;
}

static err run(const char *config, const char *device, const option_list *sets,
               const trainer_options *options) {
  settings s;
  err error = settings_load(config, &s);
  if (error) return error;
  if (device) error = settings_set_text(&s, "device", device);
  for (size_t i = 0; i < sets->count && !error; i++) error = settings_set(&s, sets->items[i]);
  if (!error) error = refuse_idle(sets, &s);
  if (!error) error = trainer_run(&s, options);
  settings_free(&s);
  return error;
}

int cmd_train(int argc, char **argv) {
  const double began = clock_seconds();
  const char *config = NULL, *out = NULL, *events = NULL, *device = NULL;
  bool is_resuming = false, has_progress = true, wants_list = false, is_help = false;
  option_list sets = {0}, rest = {0};
  option options[] = {
      {"config", 'c', OPTION_STRING, &config, "FILE",
       "run file (YAML); its base files are merged in", false},
      {"set", 's', OPTION_LIST, &sets, "KEY=VALUE", "change one setting; may be repeated", false},
      {"out", 'o', OPTION_STRING, &out, "DIR", "run folder: config.yaml, events, checkpoints",
       false},
      {"device", 'd', OPTION_STRING, &device, "auto|cpu|cuda",
       "device to train on; short for --set device=…", false},
      {"resume", 'r', OPTION_FLAG, &is_resuming, NULL, "continue from the newest checkpoint in DIR",
       false},
      {"events", 'e', OPTION_STRING, &events, "FD|FILE",
       "file for events (default DIR/events.jsonl; docs/events.md)", false},
      {"progress", 0, OPTION_FLAG, &has_progress, NULL, "--no-progress: no progress line", false},
      {"list-settings", 0, OPTION_FLAG, &wants_list, NULL,
       "print every setting, its default and meaning", false},
      {0}};
  const command c = {
      "flip train", "train a model from a run file", "--config FILE --out DIR [OPTIONS]", options,
      "SIGINT, SIGTERM or SIGUSR1 finishes the step, writes a checkpoint and exits 130. A run\n"
      "continued with --resume ends with the same bits as an uninterrupted one.\n\n"
      "examples:\n"
      "  flip train -c experiments/presets/mini.yaml -s samples=10k -s mask_ratio=0.5 -o /tmp/run\n"
      "  flip train -c run.yaml -o /tmp/run --device cuda\n"
      "  flip train -c run.yaml -o /tmp/run --resume"};
  err error = options_parse(&c, argc, argv, &rest, &is_help);
  if (!error && !is_help && wants_list) {
    list_settings();
  } else if (!error && !is_help) {
    error = options_refuse_words(&rest, false);
    if (!error && (!config || !out))
      error =
          err_new(ERR_INPUT, "--config FILE and --out DIR are required (see 'flip train --help')");
    const trainer_options how = {.out = out,
                                 .events = events,
                                 .is_resuming = is_resuming,
                                 .has_progress = has_progress,
                                 .began = began,
                                 .stop = stop_on_signals()};
    if (!error) error = run(config, device, &sets, &how);
  }
  options_free(options);
  options_free_list(&rest);
  return options_exit_status(error);
}
