/* Resuming from a checkpoint: which one, and which inputs must be unchanged. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/shipped.h"
#include "base/version.h"
#include "text/lexicon.h"
#include "train/run.h"

enum { MOST_NAMED = 4 };

/* Identity settings that differ, "mask_ratio: 0.5, this run has 0.75; …"; returns their number. One
 * that only either run ignores counts: the switch of a loss or an augmentation is idle itself when
 * it is off. */
static int name_differences(const settings *ours, const settings *theirs, strbuf *out) {
  size_t count;
  int found = 0;
  const setting *table = settings_table(&count);
  for (size_t i = 0; i < count; i++) {
    strbuf a = {0}, b = {0};
    setting_format(&table[i], ours, &a);
    setting_format(&table[i], theirs, &b);
    bool is_idle = setting_is_idle(&table[i], ours) && setting_is_idle(&table[i], theirs);
    bool counts = table[i].is_identity && !is_idle;
    bool differ = counts && strcmp(strbuf_string(&a), strbuf_string(&b)) != 0;
    if (differ && found++ < MOST_NAMED)
      strbuf_format(out, "%s%s: %s, this run has %s", found > 1 ? "; " : "", table[i].key,
                    strbuf_string(&b), strbuf_string(&a));
    strbuf_free(&a);
    strbuf_free(&b);
  }
  if (found > MOST_NAMED) strbuf_format(out, "; and %d more", found - MOST_NAMED);
  return found;
}

/* The checkpoint must belong to this run: all identity settings must agree. */
static err check_same_run(const run *r, const char *path, const settings *before) {
  char ours[HASH_SIZE], theirs[HASH_SIZE];
  strbuf differences = {0};
  err error = NULL;
  if (before->recipe != r->s->recipe)
    return err_new(
        ERR_INPUT,
        "%s was trained with recipe %" PRId64 ", this version trains with recipe %" PRId64
        " (docs/decisions.md): continue with the version that started the run, or name the "
        "checkpoint in init_from to start from its weights",
        path, before->recipe, r->s->recipe);
  error = settings_fingerprint(r->s, ours);
  if (!error) error = settings_fingerprint(before, theirs);
  if (error || strcmp(ours, theirs) == 0) return error;
  if (name_differences(r->s, before, &differences) == 0)
    strbuf_append(&differences, "other settings");
  error = err_new(ERR_INPUT,
                  "%s was made with %s; resume with the same settings, or name it in init_from "
                  "to start from its weights",
                  path, strbuf_string(&differences));
  strbuf_free(&differences);
  return error;
}

/* A new run must not use the folder of another: its last checkpoint would be mistaken for this
 * run's. */
static err refuse_used_folder(const run *r, const char *path) {
  settings before;
  checkpoint_state at;
  strbuf what = {0};
  err unreadable = checkpoint_read_settings(path, &before, &at);
  if (unreadable) {
    strbuf_format(&what, "a checkpoint that cannot be read (%s)", err_message(unreadable));
    err_free(unreadable);
  } else {
    strbuf_format(&what, "a run at step %" PRId64 " (%" PRId64 " samples)", at.step, at.samples);
    strbuf differences = {0};
    if (name_differences(r->s, &before, &differences))
      strbuf_format(&what, " of other settings (%s)", strbuf_string(&differences));
    strbuf_free(&differences);
    settings_free(&before);
  }
  err error = err_new(ERR_INPUT,
                      "%s already holds %s: --resume continues it, with its settings; to start a "
                      "new run, choose another --out or remove the folder",
                      r->options->out, strbuf_string(&what));
  strbuf_free(&what);
  return error;
}

err run_check_folder(run *r) {
  char *path = NULL;
  r->checkpoints = fs_join(r->options->out, "checkpoints");
  if (!r->checkpoints) return mem_error(0, "a path");
  if (r->options->is_resuming) return NULL;
  err error = checkpoint_newest(r->checkpoints, &path);
  if (!error && path) error = refuse_used_folder(r, path);
  free(path);
  return error;
}

err run_find_checkpoint(run *r, char **path, int *precision) {
  settings before;
  bool has_state_file;
  *path = NULL;
  if (!r->options->is_resuming) return NULL;
  err error = checkpoint_newest(r->checkpoints, path);
  if (error || !*path) return error;
  error = checkpoint_read_settings(*path, &before, &r->at);
  if (error) return error;
  error = check_same_run(r, *path, &before);
  settings_free(&before);
  *precision = r->at.precision;
  if (!error && r->s->data_order == DATA_ORDER_STREAM && r->at.step && !r->at.has_order)
    error = err_new(ERR_INPUT, "%s does not record its position in data.order: stream", *path);
  if (!error) error = state_file_load(*path, &r->state_file, &has_state_file);
  if (!error && !has_state_file)
    strbuf_format(&r->remarks,
                  "%s has no %s file: training time starts at 0, and the run's inputs cannot be "
                  "checked for changes\n",
                  *path, STATE_FILE_SUFFIX);
  return error;
}

err run_find_init(const run *r, char **path) {
  const char *from = r->s->init_from;
  *path = NULL;
  if (!*from) return NULL;
  err error = NULL;
  if (fs_is_folder(from)) { /* a run, or its checkpoints folder: the newest */
    error = checkpoint_newest_of_run(from, path);
  } else if (fs_exists(from)) {
    *path = mem_copy_string(from);
    if (!*path) error = mem_error(strlen(from), "a path");
  }
  return error;
}

/* The inputs of this process. */
static err gather(run *r, run_inputs *g) {
  char *init = NULL;
  char *words = run_is_classifier(r) ? mem_copy_string("") /* it reads no text */
                                     : shipped_or_given(r->s->text_vocabulary);
  err error = NULL;
  *g = (run_inputs){.data_samples = r->train_set ? r->row_count : dataset_count(r->data)};
  snprintf(g->data, sizeof g->data, "%s", run_data_fingerprint(r));
  snprintf(g->commit, sizeof g->commit, "%s", version_commit);
  snprintf(g->dirty, sizeof g->dirty, "%s", version_dirty_digest);
  if (!words) FAIL(ERR_MEMORY, "out of memory: a path");
  if (*words) TRY(hash_file(words, g->vocabulary));
  if (r->s->text_mask_mode == TEXT_MASK_SYNTAX && !run_is_classifier(r))
    TRY(lexicon_fingerprint(r->s->text_mask_lexicon, g->lexicon));
  TRY(run_find_init(r, &init));
  if (init) TRY(hash_file(init, g->init));
  for (size_t i = 0; i < r->set_count; i++)
    TRY(run_inputs_add_set(g, eval_set_name(r->sets[i]), eval_set_fingerprint(r->sets[i])));
  if (r->probe_set)
    TRY(run_inputs_add_set(g, eval_set_name(r->probe_set), eval_set_fingerprint(r->probe_set)));
cleanup:
  free(words);
  free(init);
  return error;
}

err run_take_given(run *r, const char *path) {
  run_inputs now;
  err error = gather(r, &now);
  if (!error && path)
    error = run_inputs_compare(path, &r->state_file.inputs, &now, r->s, &r->remarks);
  if (error) {
    run_inputs_free(&now);
    return error;
  }
  if (!*now.init) /* gone, and no longer needed */
    snprintf(now.init, sizeof now.init, "%s", r->state_file.inputs.init);
  run_inputs_free(&r->state_file.inputs);
  r->state_file.inputs = now;
  return NULL;
}

err run_check_length(const run *r, const char *path) {
  if (r->at.step <= r->total_steps) return NULL;
  return err_new(ERR_INPUT,
                 "%s is at step %" PRId64 ", and this run ends at step %" PRId64
                 " (epochs: %g of %" PRId64
                 " samples): the data is now smaller. Restore the earlier data to continue, or "
                 "start a new run with another --out",
                 path, r->at.step, r->total_steps, r->s->epochs, run_data_samples(r));
}
