/* Watches the running cells: limits, ends and the display. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/facts.h"
#include "store/runs.h"
#include "sweep/again.h"
#include "sweep/retry.h"
#include "sweep/runner.h"
#include "sweep/time_slices.h"

/* From SIGTERM to SIGKILL for a process that exceeded its time limit: enough to write a
 * checkpoint. */
static const double longest_grace_seconds = 60;

void runner_enforce_limits(runner *r) {
  double now = clock_seconds();
  for (int i = 0; i < r->running_count; i++) {
    process *p = &r->running[i];
    process_look_after_ranks(r->options, &r->sweep->cells[p->index], p);
    double limit = r->sweep->cells[p->index].limits.time_seconds;
    double earlier = r->sweep->cells[p->index].sliced_seconds;
    if (limit <= 0 || earlier + now - p->started < limit) continue;
    if (p->stop == STOP_NONE || p->stop == STOP_TURN) process_stop(p, STOP_TIME);
    double grace = limit < longest_grace_seconds ? limit : longest_grace_seconds;
    if (p->stop == STOP_TIME && now - p->stopped > grace) process_kill(p);
  }
}

/* ---- the end of a process ---- */

/* `seconds`: of the last process; for a finished run the total time is shown. */
static void say_end(runner *r, run_cell *c, double seconds) {
  char time[TEXT_NUMBER_SIZE];
  const char *colour = "", *plain = "";
  double whole = NAN;
  if (c->state == CELL_FINISHED)
    runner_keep_failure(r, store_find_number(r->s, c->run_id, "wall_seconds", &whole));
  text_duration(whole > seconds ? whole : seconds, time);
  if (r->shown.has_colour) {
    colour = c->state == CELL_FINISHED ? "\033[32m"
             : c->state == CELL_FAILED ? "\033[31m"
                                       : "\033[33m";
    plain = "\033[0m";
  }
  const char *mark = c->state == CELL_FINISHED ? "✓" : c->state == CELL_FAILED ? "✗" : "–";
  char lost[64] = "";
  if (c->state == CELL_FINISHED)
    runner_keep_failure(r, store_find_lost_share(r->s, c->run_id, &c->lost_share));
  if (c->state == CELL_FINISHED && !isnan(c->lost_share))
    snprintf(lost, sizeof lost, " · † disturbed: %.0f %% of the time lost", 100 * c->lost_share);
  if (c->state == CELL_FINISHED)
    display_say(&r->shown, "%s%s%s %s · finished in %s%s", colour, mark, plain, c->cell->label,
                time, lost);
  else
    display_say(&r->shown, "%s%s%s %s · %s after %s%s%s", colour, mark, plain, c->cell->label,
                run_state_name(c->state), time, c->reason && *c->reason ? ": " : "",
                c->reason ? c->reason : "");
}

/* A transient failure is retried after a delay; the record keeps the reason. */
static void consider_retry(runner *r, run_cell *c, const char *kind) {
  char wait_text[TEXT_NUMBER_SIZE];
  strbuf why = {0};
  bool has_checkpoint = directory_has_checkpoint(r->options->results, c->directory);
  if (c->state != CELL_FAILED || c->tries >= c->limits.retries || runner_is_stopping(r)) return;
  if (!retry_is_worth_it(kind, has_checkpoint)) return;
  c->tries++;
  double wait = retry_wait(&c->limits, c->tries);
  strbuf_format(&why, "retry %d of %lld after %s: %s", c->tries, (long long)c->limits.retries, kind,
                c->reason);
  strbuf fewer = {0};
  retry_on_fewer_ranks(kind, c, &fewer);
  if (fewer.length) strbuf_format(&why, "; %s", strbuf_string(&fewer));
  if (fewer.length) runner_keep_failure(r, runner_predict_again(r, c));
  free(c->why);
  c->why = strbuf_take(&why);
  runner_keep_failure(r, retry_prepare(r->s, r->options, kind, c));
  c->not_before = clock_seconds() + wait;
  display_say(&r->shown, "  %s · retry in %s (%d of %lld)%s%s%s", c->cell->label,
              text_duration(wait, wait_text), c->tries, (long long)c->limits.retries,
              has_checkpoint ? ", from its checkpoint" : "", fewer.length ? ", " : "",
              strbuf_string(&fewer));
  strbuf_free(&fewer);
}

/* A paused cell, or one whose time slice is over, waits to resume. */
static void consider_pause(run_cell *c, const process *p) {
  bool is_turn = p->stop == STOP_TURN;
  if (c->state != CELL_INTERRUPTED || (p->stop != STOP_PAUSED && !is_turn)) return;
  c->state = CELL_WAITING;
  c->has_begun = true;
  free(c->why);
  c->why = mem_copy_string(is_turn ? "its next time slice" : "resumed after a pause");
}

void runner_collect_ended(runner *r) {
  for (int i = 0; i < r->running_count; i++) {
    process *p = &r->running[i];
    run_cell *c = &r->sweep->cells[p->index];
    struct rusage used;
    char kind[64] = "";
    int wait_status;
    if (!process_has_ended(p, &wait_status, &used)) continue;
    c->state = CELL_INTERRUPTED; /* if recording fails, it can be continued */
    c->has_begun = true;
    runner_keep_failure(r, process_finish(r->options, r->s, c, p, wait_status, &used, kind));
    time_slices_process_ended(r, p);
    c->sliced_seconds = p->stop == STOP_TURN ? c->sliced_seconds + clock_seconds() - p->started : 0;
    if (p->stop != STOP_TURN || c->state != CELL_INTERRUPTED)
      say_end(r, c, clock_seconds() - p->started);
    consider_retry(r, c, kind);
    consider_pause(c, p);
    if (c->state == CELL_FINISHED)
      runner_keep_failure(r, again_follow(r->e, r->s, r->options, r->sweep, p->index));
    r->running[i--] = r->running[--r->running_count];
  }
}

void runner_ingest(runner *r) {
  for (int i = 0; i < r->running_count && !r->failure; i++) {
    run_cell *c = &r->sweep->cells[r->running[i].index];
    bool is_busy; /* what could not be read now is read with the next */
    runner_keep_failure(
        r, store_ingest_soon(r->s, r->options->results, c->directory, &c->run_id, &is_busy));
    if (!r->failure && !is_busy)
      runner_keep_failure(r, time_slices_measure_start(r, &r->running[i]));
  }
}

/* ---- showing ---- */

static void describe(const runner *r, const store_progress *p, strbuf *note) {
  const column *iso = r->e->report.iso;
  if (!isnan(p->loss)) strbuf_format(note, "loss %.3f", p->loss);
  if (!isnan(p->samples_per_second))
    strbuf_format(note, " · %.0f samples/s", p->samples_per_second);
  if (!isnan(p->metric)) strbuf_format(note, " · %s %.1f %%", iso->heading, p->metric * 100);
  if (!note->length) strbuf_append(note, "starting");
}

double runner_work_done(const runner *r, const double *fractions) {
  double done = 0;
  for (size_t i = 0; i < r->sweep->count; i++) {
    const run_cell *c = &r->sweep->cells[i];
    if (c->state == CELL_WAITING)
      done += c->done_share * r->cost[i]; /* number of time slices so far */
    else if (c->state != CELL_RUNNING)
      done += r->cost[i];
  }
  for (int i = 0; i < r->running_count; i++)
    if (!isnan(fractions[i])) done += fractions[i] * r->cost[r->running[i].index];
  return done;
}

static void describe_whole(runner *r, const double *fractions, strbuf *closing) {
  char left[TEXT_NUMBER_SIZE], elapsed_text[TEXT_NUMBER_SIZE];
  double total = 0, elapsed = clock_seconds() - r->shown.started;
  for (size_t i = 0; i < r->sweep->count; i++) total += r->cost[i];
  double done = runner_work_done(r, fractions), fresh = done - r->shown.done_at_start;
  strbuf_format(closing, "%zu/%zu cells", run_count(r->sweep, CELL_FINISHED), r->sweep->count);
  if (fresh > 0 && elapsed > 2 && done < total && !runner_is_stopping(r))
    strbuf_format(closing, " · %s left", text_duration((total - done) / fresh * elapsed, left));
  strbuf_format(closing, " · %s", text_duration(elapsed, elapsed_text));
  if (r->is_paused)
    strbuf_format(closing, " · paused: 'flipbench resume %s' continues", r->e->name);
  if (r->stop_requests == 1)
    strbuf_append(closing, " · stopping after a checkpoint (Ctrl-C again: kill)");
}

void runner_show(runner *r) {
  display_line lines[SLOTS_MOST];
  double fractions[SLOTS_MOST];
  strbuf notes[SLOTS_MOST], closing = {0};
  if (!display_is_due(&r->shown)) return;
  char task[64] = "", *metric = task;
  snprintf(task, sizeof task, "%s", r->e->report.iso->argument);
  strsep(&metric, ".");
  if (metric) metric[strcspn(metric, "/")] = '\0';
  for (int i = 0; i < r->running_count; i++) {
    run_cell *c = &r->sweep->cells[r->running[i].index];
    store_progress p;
    err error = store_find_progress(r->s, c->run_id, task, metric ? metric : "", &p);
    runner_keep_failure(r, error);
    notes[i] = (strbuf){0};
    if (!error) describe(r, &p, &notes[i]);
    fractions[i] = error ? NAN : p.samples / p.total_samples;
    if (fractions[i] > 1) fractions[i] = 1;
    if (!isnan(fractions[i])) c->done_share = fractions[i];
    lines[i] = (display_line){c->cell->label, fractions[i], strbuf_string(&notes[i])};
  }
  describe_whole(r, fractions, &closing);
  display_draw(&r->shown, lines, (size_t)r->running_count, strbuf_string(&closing));
  for (int i = 0; i < r->running_count; i++) strbuf_free(&notes[i]);
  strbuf_free(&closing);
}
