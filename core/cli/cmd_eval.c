#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/options.h"
#include "cli/commands.h"
#include "cli/trained.h"
#include "comm/open.h"
#include "comm/watch.h"
#include "eval/eval.h"
#include "eval/share.h"
#include "eval/suite.h"

static void print_zeroshot(const char *name, const eval_zeroshot *z) {
  if (z->metric == EVAL_MAP_11POINT) {
    printf("%-16s zero-shot  %s %5.2f %%  (share of positives %.2f %%, %ld classes, %ld images)\n",
           name, eval_metric_heading(z->metric), 100 * z->map_11point, 100 * z->chance,
           (long)z->classes, (long)z->images);
    return;
  }
  printf("%-16s zero-shot  top-1 %5.2f %%  top-5 %5.2f %%  mean per class %5.2f %%  "
         "(majority %.2f %%, chance %.2f %%, %ld classes, %ld images)\n",
         name, 100 * z->top1, 100 * z->top5, 100 * z->mean_per_class, 100 * z->majority,
         100 * z->chance, (long)z->classes, (long)z->images);
  if (z->metric != EVAL_TOP1)
    printf("%-16s published as %s: %5.2f %%\n", "", eval_metric_heading(z->metric),
           100 * eval_zeroshot_value(z, z->metric));
}

static void print_retrieval(const char *name, const eval_retrieval *r) {
  printf("%-16s retrieval  image→text R@1 %5.2f %%  R@5 %5.2f %%  R@10 %5.2f %%  text→image "
         "R@1 %5.2f %%  R@5 %5.2f %%  R@10 %5.2f %%  (chance %.3f %%, %ld images, %ld texts)\n",
         name, 100 * r->image_to_text[0], 100 * r->image_to_text[1], 100 * r->image_to_text[2],
         100 * r->text_to_image[0], 100 * r->text_to_image[1], 100 * r->text_to_image[2],
         100 * r->chance_r1, (long)r->images, (long)r->texts);
}

/* What the model computes in: accuracies may differ in the digits shown. */
static const char *precision_of(const trained *t) {
  if (t->o->is_narrow) return precision_name(PRECISION_FP8);
  return t->o->compute == OPS_BF16 ? "bf16" : "fp32";
}

/* Opened by all ranks or by none. */
static err open_set(const char *path, const char *task, const trained *t, comm *ranks,
                    eval_set **set) {
  err error = eval_set_open(path, task, &t->s, t->words, set);
  error =
      share_same(ranks, error, error ? "" : eval_set_fingerprint(*set), "other data of this set");
  if (!error && comm_rank(ranks)) eval_set_new_warnings(*set); /* rank 0 has the same */
  return error;
}

/* Of samples that the set left out, or counts in a way that may surprise, on any rank. */
static err warn_of(eval_set *set, comm *ranks) {
  strbuf lines = {0};
  strbuf_append(&lines, eval_set_new_warnings(set));
  err error = share_lines(ranks, &lines);
  if (!error && lines.length && comm_rank(ranks) == 0)
    log_warning("%s", strbuf_string(&lines));
  strbuf_free(&lines);
  return error;
}

static err eval_one(const char *path, trained *t, const char *task, bool as_json, comm *ranks) {
  eval_set *set = NULL;
  eval_result result;
  err error = NULL;
  TRY(open_set(path, task, t, ranks, &set));
  eval_how how = eval_how_of(&t->s);
  how.ranks = ranks;
  TRY(eval_run(set, t->model, &how, &result));
  bool has_zeroshot = result.has_zeroshot, has_retrieval = result.has_retrieval;
  if (!has_zeroshot && !has_retrieval)
    FAIL(ERR_INPUT, "%s: has neither zeroshot nor retrieval (flip eval probe needs --train)", path);
  TRY(warn_of(set, ranks));
  if (comm_rank(ranks)) goto cleanup;
  if (as_json) {
    strbuf line = {0};
    json_writer w = jsonw_start(&line);
    jsonw_object(&w, NULL);
    jsonw_string(&w, "set", eval_set_name(set));
    jsonw_string(&w, "precision", precision_of(t));
    if (has_zeroshot) jsonw_string(&w, "metric", eval_metric_name(result.zeroshot.metric));
    if (has_zeroshot) eval_write_zeroshot(&w, "zeroshot", &result.zeroshot);
    if (has_retrieval) eval_write_retrieval(&w, "retrieval", &result.retrieval);
    jsonw_end(&w);
    strbuf_append_char(&line, '\n');
    TRY(options_print(&line));
  } else {
    if (has_zeroshot) print_zeroshot(eval_set_name(set), &result.zeroshot);
    if (has_retrieval) print_retrieval(eval_set_name(set), &result.retrieval);
  }
cleanup:
  eval_set_close(set);
  return error;
}

static void print_probe(const char *name, const char *train, const eval_probe *p) {
  printf("%-16s linear probe  top-1 %5.2f %%  mean per class %5.2f %%  (", name, 100 * p->top1,
         100 * p->mean_per_class);
  if (p->epochs)
    printf("LARS, %ld %s, batch %ld, rate %g, loss %.3f", (long)p->epochs,
           text_plural(p->epochs, "epoch", "epochs"), (long)p->batch, p->rate, p->loss);
  else
    printf("C = %.3g, %d tried", p->c, p->tried);
  printf(", %ld classes, %ld images; fitted on %ld of %s)\n", (long)p->classes,
         (long)p->test_images, (long)p->train_images, train);
}

/* Command-line arguments. */
typedef struct {
  const char *task, *suite, *train, *method;
  double c;
  bool as_json, is_lars, augments;
  eval_lars lars;
  option_list sets;
} request;

static void warn_of_metric(const eval_set *test, comm *ranks) {
  strbuf line = {0};
  eval_set_explain_metric(test, &line);
  if (line.length && comm_rank(ranks) == 0)
    log_warning("%.*s", (int)line.length - 1, strbuf_string(&line));
  strbuf_free(&line);
}

static err run_probe(const request *r, const char *test_path, trained *t, comm *ranks) {
  eval_set *train = NULL, *test = NULL;
  eval_probe p;
  err error = NULL;
  TRY(open_set(r->train, "probe", t, ranks, &train));
  TRY(open_set(test_path, "probe", t, ranks, &test));
  warn_of_metric(test, ranks);
  eval_how how = eval_how_of(&t->s);
  how.ranks = ranks;
  error = r->is_lars ? eval_run_lars(train, test, t->model, &how, &r->lars, &p)
                     : eval_run_probe(train, test, t->model, &how, r->c, &p);
  if (error && err_kind_of(error) == ERR_LOST) goto cleanup;
  err unsaid = warn_of(train, ranks);
  if (!unsaid) unsaid = warn_of(test, ranks);
  if (error) err_free(unsaid);
  TRY(error ? error : unsaid);
  if (comm_rank(ranks)) goto cleanup;
  if (r->as_json) {
    strbuf line = {0};
    json_writer w = jsonw_start(&line);
    jsonw_object(&w, NULL);
    jsonw_string(&w, "set", eval_set_name(test));
    jsonw_string(&w, "train", eval_set_name(train));
    jsonw_string(&w, "precision", precision_of(t));
    eval_write_probe(&w, "probe", &p);
    jsonw_end(&w);
    strbuf_append_char(&line, '\n');
    TRY(options_print(&line));
  } else {
    print_probe(eval_set_name(test), eval_set_name(train), &p);
  }
cleanup:
  eval_set_close(train);
  eval_set_close(test);
  return error;
}

static err run_suite(const char *path, trained *t, bool as_json, comm *ranks) {
  suite s = {0};
  strbuf text = {0};
  err error = share_agree(ranks, suite_load(path, &s));
  if (!error) error = suite_run(&s, &t->s, t->words, t->model, ranks);
  if (!error && comm_rank(ranks) == 0) {
    if (as_json)
      suite_write_json(&s, &text);
    else
      suite_write_table(&s, &text);
    printf("%s%s", strbuf_string(&text), as_json ? "\n" : "");
  }
  size_t unmeasured = 0;
  for (size_t i = 0; i < s.row_count; i++) unmeasured += s.rows[i].problem != NULL;
  if (!error && unmeasured && unmeasured == s.row_count)
    error = err_new(ERR_INPUT, "%s: none of its sets could be measured", path);
  strbuf_free(&text);
  suite_free(&s);
  return error;
}

/* Numbers of the probe that were not given. */
static const eval_lars no_recipe = {INT64_MIN, INT64_MIN, NAN, false};

/* Checks a number of the probe; one that was not given becomes 0, the default. */
static err take_number(const char *name, bool is_given, double value) {
  if (!is_given || value > 0) return NULL;
  return err_new(ERR_INPUT, "--%s: %g is not above 0; leave it out for the default", name, value);
}

static err take_numbers(bool has_c, request *r) {
  eval_lars *l = &r->lars;
  bool has_epochs = l->epochs != INT64_MIN, has_batch = l->batch != INT64_MIN;
  err error = take_number("c", has_c, r->c);
  if (!error) error = take_number("epochs", has_epochs, (double)l->epochs);
  if (!error) error = take_number("batch", has_batch, (double)l->batch);
  if (!error) error = take_number("rate", !isnan(l->rate), l->rate);
  if (!has_c) r->c = 0;
  *l = (eval_lars){.epochs = has_epochs ? l->epochs : 0,
                   .batch = has_batch ? l->batch : 0,
                   .rate = isnan(l->rate) ? 0 : l->rate,
                   .is_plain = !r->augments};
  return error;
}

/* Checks the options of the probe, and those of one method against the other. */
static err read_probe(bool is_probe, request *r) {
  bool has_c = !isnan(r->c);
  bool has_lars = r->lars.epochs != INT64_MIN || r->lars.batch != INT64_MIN ||
                  !isnan(r->lars.rate) || !r->augments;
  if (is_probe && !r->train)
    return err_new(ERR_INPUT, "give the set that the probe is fitted on: --train FILE");
  if (!is_probe && (r->train || has_c || r->method || has_lars))
    return err_new(ERR_INPUT, "--train, --method and their options are only for flip eval probe");
  r->is_lars = r->method && strcmp(r->method, "lars") == 0;
  if (r->method && !r->is_lars && strcmp(r->method, "lbfgs") != 0)
    return err_new(ERR_INPUT, "--method: '%s' is not lbfgs or lars", r->method);
  if (r->is_lars && has_c) return err_new(ERR_INPUT, "--c requires --method lbfgs");
  if (!r->is_lars && has_lars)
    return err_new(ERR_INPUT, "--epochs, --batch, --rate and --no-augment require --method lars");
  return take_numbers(has_c, r);
}

static err read_task(const option_list *words, request *r) {
  static const char *const tasks[] = {"zeroshot", "retrieval", "probe", "suite"};
  if (words->count) r->task = words->items[0];
  bool is_suite = r->task && strcmp(r->task, "suite") == 0;
  bool is_probe = r->task && strcmp(r->task, "probe") == 0;
  if (words->count > (is_suite ? 2u : 1u))
    return err_new(ERR_INPUT, "unexpected word '%s'", words->items[words->count - 1]);
  bool is_known = !r->task;
  for (size_t i = 0; i < 4 && !is_known; i++) is_known = strcmp(tasks[i], r->task) == 0;
  if (!is_known)
    return err_new(ERR_INPUT, "unknown task '%s': zeroshot, retrieval, probe or suite", r->task);
  if (is_suite && r->sets.count)
    return err_new(ERR_INPUT, "--set-file: a suite names its sets itself");
  if (is_suite && words->count < 2)
    return err_new(ERR_INPUT, "give the suite file: flip eval suite FILE");
  err error = read_probe(is_probe, r);
  if (is_suite) r->suite = words->items[1];
  return error;
}

static err run_request(const request *r, trained *t, comm *ranks) {
  if (r->suite) return run_suite(r->suite, t, r->as_json, ranks);
  const char *const *sets =
      r->sets.count ? r->sets.items : (const char *const *)t->s.eval_sets.items;
  size_t count = r->sets.count ? r->sets.count : t->s.eval_sets.count;
  if (!count) return err_new(ERR_INPUT, "the run has no evaluation set: give one with --set-file");
  err error = NULL;
  if (!r->as_json && comm_rank(ranks) == 0)
    log_info("evaluating in %s on %s (--set precision=fp32, bf16 or fp8 changes it)",
             precision_of(t), t->o->call->name);
  for (size_t i = 0; i < count && !error; i++) {
    error = r->train ? run_probe(r, sets[i], t, ranks)
                     : eval_one(sets[i], t, r->task, r->as_json, ranks);
    /* only rank 0 has printed */
    if (!error || err_kind_of(error) != ERR_LOST) error = share_agree(ranks, error);
  }
  return error;
}

/* On the ranks that a launcher started. A failure is an error of all ranks, which rank 0 reports; a
 * lost connection is an error of one rank, and ends all. */
static err run_on_ranks(const request *r, trained *t) {
  comm *ranks = NULL;
  watch *lives = NULL;
  err error = comm_open(&ranks);
  if (!error) error = watch_start(ranks, &lives);
  if (!error)
    error = share_same(ranks, NULL, t->digest, "another model, other settings or another flip");
  if (!error) error = comm_check_devices(t->o, ranks);
  if (!error) /* some ranks' embeddings would not be those of one process */
    error = comm_check_kernels(t->o, ranks,
                               t->o->call->queue
                                   ? "compute embeddings with other bits: use GPUs of one kind"
                                   : "compute embeddings with other bits: set FLIP_CPU_KERNELS to "
                                     "the older of them on all ranks");
  if (!error && comm_rank(ranks) == 0) trained_say_remarks(t);
  if (!error) error = run_request(r, t, ranks);
  bool is_of_one = error && err_kind_of(error) == ERR_LOST;
  if (is_of_one && lives) {
    log_error("rank %d of %d: %s", ranks->rank, ranks->size, err_message(error));
    watch_end_all(lives, err_message(error));
  }
  if (error && lives && comm_rank(ranks)) {
    err_free(error);
    error = NULL;
  }
  watch_stop(lives);
  comm_close(ranks);
  return error;
}

int cmd_eval(int argc, char **argv) {
  const char *model = NULL;
  bool is_help = false;
  request r = {.augments = true, .c = NAN, .lars = no_recipe};
  option_list settings_changed = {0}, rest = {0};
  option options[] = {
      {"model", 'm', OPTION_STRING, &model, "PATH",
       "checkpoint, run folder (its newest), or a model that flip convert reads", true},
      {"set-file", 'f', OPTION_LIST, &r.sets, "FILE",
       "evaluation set (YAML); default: those of the run's settings", false},
      {"train", 0, OPTION_STRING, &r.train, "FILE", "probe: set that it is fitted on", false},
      {"c", 0, OPTION_NUMBER, &r.c, "C",
       "probe: inverse regularisation strength; default: chosen on a validation split of a fifth "
       "of the training images",
       false},
      {"method", 0, OPTION_STRING, &r.method, "lbfgs|lars",
       "probe: logistic regression by L-BFGS (default), or LARS as in the paper", false},
      {"epochs", 0, OPTION_INTEGER, &r.lars.epochs, "N", "probe by LARS: epochs (90)", false},
      {"batch", 0, OPTION_INTEGER, &r.lars.batch, "N",
       "probe by LARS: batch size (16384, or less so that an epoch has at least 78 updates)",
       false},
      {"rate", 0, OPTION_NUMBER, &r.lars.rate, "RATE", "probe by LARS: peak learning rate (0.64)",
       false},
      {"augment", 0, OPTION_FLAG, &r.augments, NULL,
       "probe by LARS: random crops, re-encoded each epoch (default); --no-augment: "
       "images encoded once, uncropped",
       false},
      {"set", 's', OPTION_LIST, &settings_changed, "KEY=VALUE",
       "change a setting: eval.mask_ratio=0.5 evaluates on half of the patches", false},
      {"json", 0, OPTION_FLAG, &r.as_json, NULL, "one JSON object per set", false},
      {0}};
  const command c = {
      "flip eval", "measure a model: zero-shot, retrieval, linear probe, a suite of sets",
      "[zeroshot|retrieval|probe|suite FILE] --model PATH [--set-file FILE]… [OPTIONS]", options,
      "Without a task, all tasks named in the set are run, except probe, which needs --train.\n"
      "A probe reads the model's embeddings, or with --set eval.probe_features=encoder the image "
      "encoder's output before the projection, as CLIP's and MAE's probes do.\n"
      "A suite is a list of sets; its table shows published numbers for comparison "
      "(docs/models.md).\n\n"
      "examples:\n"
      "  flip eval zeroshot -m results/quickstart/RUN -f experiments/evals/emoji.yaml\n"
      "  flip eval -m RUN/checkpoints/step-000000200.safetensors --set eval.mask_ratio=0.5\n"
      "  flip eval probe -m RUN --train experiments/evals/openclipart_train.yaml\n"
      "  flip eval probe -m RUN --train experiments/evals/openclipart_train.yaml --method lars\n"
      "  flip eval suite experiments/evals/shipped.yaml -m RUN"};
  trained t = {.is_eval = true};
  err error = options_parse(&c, argc, argv, &rest, &is_help);
  if (error || is_help) goto cleanup;
  TRY(read_task(&rest, &r));
  t.is_probe = r.task && strcmp(r.task, "probe") == 0;
  TRY(trained_open(model, &settings_changed, !t.is_probe, &t));
  TRY(run_on_ranks(&r, &t));
cleanup:
  trained_close(&t);
  options_free(options);
  options_free_list(&rest);
  return options_exit_status(error);
}
