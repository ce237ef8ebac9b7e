#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/options.h"
#include "cli/commands.h"
#include "cli/trained.h"
#include "eval/eval.h"

static void print_zeroshot(const char *name, const eval_zeroshot *z) {
  printf("%-16s zero-shot  top-1 %5.2f %%  top-5 %5.2f %%  mean per class %5.2f %%  "
         "(majority %.2f %%, chance %.2f %%, %ld classes, %ld images)\n",
         name, 100 * z->top1, 100 * z->top5, 100 * z->mean_per_class, 100 * z->majority,
         100 * z->chance, (long)z->classes, (long)z->images);
}

static void print_retrieval(const char *name, const eval_retrieval *r) {
  printf("%-16s retrieval  image→text R@1 %5.2f %%  R@5 %5.2f %%  R@10 %5.2f %%  text→image "
         "R@1 %5.2f %%  R@5 %5.2f %%  R@10 %5.2f %%  (chance %.3f %%, %ld pairs)\n",
         name, 100 * r->image_to_text[0], 100 * r->image_to_text[1], 100 * r->image_to_text[2],
         100 * r->text_to_image[0], 100 * r->text_to_image[1], 100 * r->text_to_image[2],
         100 * r->chance_r1, (long)r->images);
}

static err eval_one(const char *path, trained *t, const char *task, bool as_json) {
  eval_set *set = NULL;
  eval_result result;
  err error = eval_set_open(path, &t->s, t->words, &set);
  if (error) return error;
  TRY(eval_run(set, t->model, t->s.eval_mask_ratio, (uint64_t)t->s.seed, &result));
  bool has_zeroshot = result.has_zeroshot && (!task || strcmp(task, "zeroshot") == 0);
  bool has_retrieval = result.has_retrieval && (!task || strcmp(task, "retrieval") == 0);
  if (!has_zeroshot && !has_retrieval) FAIL(ERR_INPUT, "%s: has no task %s", path, task);
  if (*eval_set_warnings(set)) log_warning("skipped: %s", eval_set_warnings(set));
  if (as_json) {
    strbuf line = {0};
    json_writer w = jsonw_start(&line);
    jsonw_object(&w, NULL);
    jsonw_string(&w, "set", eval_set_name(set));
    if (has_zeroshot) eval_write_zeroshot(&w, "zeroshot", &result.zeroshot);
    if (has_retrieval) eval_write_retrieval(&w, "retrieval", &result.retrieval);
    jsonw_end(&w);
    puts(strbuf_string(&line));
    strbuf_free(&line);
  } else {
    if (has_zeroshot) print_zeroshot(eval_set_name(set), &result.zeroshot);
    if (has_retrieval) print_retrieval(eval_set_name(set), &result.retrieval);
  }
cleanup:
  eval_set_close(set);
  return error;
}

int cmd_eval(int argc, char **argv) {
  const char *model = NULL, *task = NULL;
  bool as_json = false, is_help = false;
  option_list sets = {0}, settings_changed = {0}, rest = {0};
  option options[] = {
      {"model", 'm', OPTION_STRING, &model, "PATH",
       "checkpoint, run folder (its newest), or a model that flip convert reads", true},
      {"set-file", 'f', OPTION_LIST, &sets, "FILE",
       "evaluation set (YAML); default: those of the run's settings", false},
      {"set", 's', OPTION_LIST, &settings_changed, "KEY=VALUE",
       "change a setting: eval.mask_ratio=0.5 evaluates on half of the patches", false},
      {"json", 0, OPTION_FLAG, &as_json, NULL, "one JSON object a set", false},
      {0}};
  const command c = {
      "flip eval", "measure a checkpoint",
      "[zeroshot|retrieval] --model PATH [--set-file FILE]… [OPTIONS]", options,
      "Without a task, all tasks that the set names are run.\n\n"
      "examples:\n"
      "  flip eval zeroshot -m results/quickstart/RUN -f experiments/evals/emoji.yaml\n"
      "  flip eval -m RUN/checkpoints/step-000000200.safetensors --json"};
  trained t = {0};
  err error = options_parse(&c, argc, argv, &rest, &is_help);
  if (error || is_help) goto cleanup;
  if (rest.count > 1) FAIL(ERR_INPUT, "unexpected word '%s'", rest.items[1]);
  if (rest.count) task = rest.items[0];
  if (task && strcmp(task, "zeroshot") != 0 && strcmp(task, "retrieval") != 0)
    FAIL(ERR_INPUT, "unknown task '%s': zeroshot or retrieval", task);
  TRY(trained_open(model, &settings_changed, true, &t));
  if (!sets.count && !t.s.eval_sets.count)
    FAIL(ERR_INPUT, "the run names no evaluation set: give one with --set-file");
  for (size_t i = 0; i < sets.count; i++) TRY(eval_one(sets.items[i], &t, task, as_json));
  for (size_t i = 0; !sets.count && i < t.s.eval_sets.count; i++)
    TRY(eval_one(t.s.eval_sets.items[i], &t, task, as_json));
cleanup:
  trained_close(&t);
  options_free(options);
  options_free_list(&rest);
  return options_exit_status(error);
}
