/* Writes judged claims in the report's formats. */
#include "report/claims.h"

#include <math.h>

#include "report/findings.h"
#include "report/write.h"
#include "store/csv.h"

/* ---- text ---- */

const char *claims_verdict_name(claim_verdict verdict) {
  static const char *const names[CLAIM_VERDICTS] = {"holds", "does not hold", "cannot tell",
                                                    "not run", "not judged in this profile"};
  return names[verdict];
}

void claims_write_counts(const size_t counts[CLAIM_VERDICTS], strbuf *out) {
  strbuf_format(out, "%zu %s, %zu %s not hold, %zu cannot tell, %zu not run, %zu not judged",
                counts[CLAIM_HOLDS], text_plural((int64_t)counts[CLAIM_HOLDS], "holds", "hold"),
                counts[CLAIM_FAILS], text_plural((int64_t)counts[CLAIM_FAILS], "does", "do"),
                counts[CLAIM_UNSURE], counts[CLAIM_NOT_RUN], counts[CLAIM_NOT_JUDGED]);
}

void claims_write_number(const spec_claim *c, double value, strbuf *out) {
  int digits = c->metric && c->compare == CLAIM_DIFFERENCE ? c->metric->digits + 1 : 2;
  const char *sign = c->compare == CLAIM_DIFFERENCE && value > 0 ? "+" : "";
  if (isinf(value))
    strbuf_append(out, "∞");
  else
    strbuf_format(out, "%s%.*f", value < 0 ? "−" : sign, digits, fabs(value));
}

void claims_write_published(const claim_result *j, strbuf *out) {
  if (isnan(j->published)) return;
  if (j->is_unverified) strbuf_append(out, "~");
  claims_write_number(j->claim, j->published, out);
}

void claims_write_measured(const claim_result *j, strbuf *out) {
  if (isnan(j->value)) return;
  claims_write_number(j->claim, j->value, out);
  if (isnan(j->low) || j->low >= j->high) return;
  strbuf_append(out, " (95 % interval ");
  if (j->claim->compare != CLAIM_DIFFERENCE) {
    findings_name_range(j->low, j->high, out);
  } else {
    claims_write_number(j->claim, j->low, out);
    strbuf_append(out, " to ");
    claims_write_number(j->claim, j->high, out);
  }
  strbuf_append(out, ")");
}

void claims_write_basis(const claim_result *j, strbuf *out) {
  if (isnan(j->value)) return;
  findings_name_basis(j->claim->metric, j->seeds, j->items, out);
  findings_name_pairing(j->over, out);
  if (j->disturbed && j->is_of_time) strbuf_append(out, " †");
}

void claims_write_note(const claim_result *j, strbuf *out) {
  if (j->verdict == CLAIM_NOT_RUN)
    strbuf_append(out, *j->missing ? j->missing : j->why ? j->why : "the row does not exist");
  if (j->verdict != CLAIM_UNSURE) return;
  if (j->why) {
    strbuf_append(out, j->why);
    return;
  }
  if (isnan(j->low) && j->seeds > 1)
    strbuf_append(out, "no interval: all seeds are equal, and there are no per-image outcomes");
  else if (isnan(j->low))
    strbuf_append(out, "no interval; it needs two seeds, or per-image outcomes");
  else if (j->seeds_needed || j->items_needed)
    findings_write_needed(j->claim->metric, j->seeds_needed, j->items_needed, out);
  else if (j->is_of_time && j->disturbed && isinf(j->high))
    strbuf_append(out, "other work left too few undisturbed steps; run it again on an idle machine "
                       "(flipbench run --retry disturbed)");
  else if (!j->items)
    strbuf_append(out, "more seeds alone would not decide it");
  else
    strbuf_append(out, "neither more seeds alone nor more images alone would decide it");
}

/* "+1.2 (95 % interval +0.3 to +2.1), one seed; published 2.50; holds". */
static void write_evidence(const claim_result *j, strbuf *out) {
  strbuf note = {0};
  claims_write_measured(j, out);
  if (!isnan(j->value)) {
    strbuf_append(out, ", ");
    claims_write_basis(j, out);
    strbuf_append(out, "; ");
  }
  if (!isnan(j->published)) {
    strbuf_append(out, "published ");
    claims_write_published(j, out);
    strbuf_append(out, "; ");
  }
  strbuf_append(out, claims_verdict_name(j->verdict));
  claims_write_note(j, &note);
  if (note.length)
    strbuf_format(out, "%s%s", j->verdict == CLAIM_NOT_RUN ? ": " : "; ", strbuf_string(&note));
  if (note.is_broken) out->is_broken = true;
  strbuf_free(&note);
}

/* ---- formats ---- */

static void write_claim(const claim_result *j, strbuf *out) {
  const spec_claim *c = j->claim;
  strbuf_format(out, "%s%s%s%s: ", c->from ? "[" : "", c->from ? c->from : "", c->from ? "] " : "",
                c->sentence);
  if (!isnan(j->value)) strbuf_format(out, "%s: ", j->quantity);
  write_evidence(j, out);
}

err claims_write(const spec_experiment *e, store *s, bool is_markdown, strbuf *out) {
  claim_results all;
  err error = claims_judge_all(e, s, &all);
  if (error || !all.count) return error;
  strbuf_append(out, "\nClaims\n\n");
  for (size_t i = 0; i < all.count; i++) {
    strbuf line = {0};
    write_claim(&all.items[i], &line);
    strbuf_append(out, "- ");
    if (is_markdown)
      report_markdown_text(strbuf_string(&line), out);
    else
      strbuf_append(out, strbuf_string(&line));
    strbuf_append_char(out, '\n');
    out->is_broken = out->is_broken || line.is_broken;
    strbuf_free(&line);
  }
  strbuf_append_char(out, '\n');
  claims_write_counts(all.counts, out);
  strbuf_append_char(out, '\n');
  claims_free(&all);
  return NULL;
}

/* Ends of an interval; an unbounded one is null and flagged. */
static void json_interval(const claim_result *j, json_writer *w) {
  if (isnan(j->low)) return;
  jsonw_number(w, "low", j->low);
  jsonw_number(w, "high", j->high);
  if (isinf(j->high)) jsonw_bool(w, "unbounded", true);
  if (j->over) jsonw_string(w, "interval_over", j->over);
}

static void json_claim(const claim_result *j, json_writer *w) {
  strbuf evidence = {0};
  jsonw_object(w, NULL);
  jsonw_string(w, "claim", j->claim->sentence);
  jsonw_string(w, "from", j->claim->from);
  jsonw_string(w, "verdict", claims_verdict_name(j->verdict));
  if (*j->quantity) jsonw_string(w, "quantity", j->quantity);
  jsonw_number(w, "value", j->value);
  json_interval(j, w);
  jsonw_number(w, "published", j->published);
  if (j->is_unverified) jsonw_bool(w, "published_verified", false);
  jsonw_integer(w, "seeds", (int64_t)j->seeds);
  jsonw_integer(w, "images", (int64_t)j->items);
  jsonw_integer(w, "disturbed", (int64_t)j->disturbed);
  if (j->seeds_needed) jsonw_integer(w, "seeds_needed", (int64_t)j->seeds_needed);
  if (j->items_needed) jsonw_integer(w, "images_needed", (int64_t)j->items_needed);
  if (*j->missing) jsonw_string(w, "missing", j->missing);
  write_evidence(j, &evidence);
  jsonw_string(w, "evidence", strbuf_string(&evidence));
  jsonw_end(w);
  if (evidence.is_broken) w->out->is_broken = true;
  strbuf_free(&evidence);
}

err claims_write_json(const spec_experiment *e, store *s, json_writer *w) {
  claim_results all;
  strbuf said = {0};
  err error = claims_judge_all(e, s, &all);
  if (error || !all.count) return error;
  jsonw_array(w, "claims");
  for (size_t i = 0; i < all.count; i++) json_claim(&all.items[i], w);
  jsonw_end(w);
  claims_write_counts(all.counts, &said);
  jsonw_string(w, "claim_counts", strbuf_string(&said));
  if (said.is_broken) w->out->is_broken = true;
  strbuf_free(&said);
  claims_free(&all);
  return NULL;
}

err claims_write_csv(const spec_experiment *e, store *s, strbuf *out) {
  static const char *const heading[] = {
      "claim",        "from",          "verdict",       "value",  "low",
      "high",         "published",     "seeds",         "images", "disturbed",
      "seeds_needed", "images_needed", "interval_over", "note",   "quantity"};
  claim_results all;
  err error = claims_judge_all(e, s, &all);
  if (error) return error;
  for (size_t i = 0; i < sizeof heading / sizeof *heading; i++) csv_field(heading[i], i == 0, out);
  strbuf_append(out, "\r\n");
  for (size_t i = 0; i < all.count; i++) {
    const claim_result *j = &all.items[i];
    const double numbers[] = {j->value,
                              j->low,
                              j->high,
                              j->published,
                              (double)j->seeds,
                              (double)j->items,
                              (double)j->disturbed,
                              j->seeds_needed ? (double)j->seeds_needed : NAN,
                              j->items_needed ? (double)j->items_needed : NAN};
    strbuf note = {0};
    csv_field(j->claim->sentence, true, out);
    csv_field(j->claim->from ? j->claim->from : "", false, out);
    csv_field(claims_verdict_name(j->verdict), false, out);
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
      csv_number(numbers[k], false, out);
    claims_write_note(j, &note);
    csv_field(j->over ? j->over : "", false, out);
    csv_field(strbuf_string(&note), false, out);
    csv_field(j->quantity, false, out);
    strbuf_append(out, "\r\n");
    if (note.is_broken) out->is_broken = true;
    strbuf_free(&note);
  }
  claims_free(&all);
  return NULL;
}

/* "claim (quantity): why there is no verdict", which is the only cell that is wrapped. */
static void latex_claim(const claim_result *j, strbuf *out) {
  strbuf note = {0};
  strbuf_append(out, j->claim->sentence);
  if (*j->quantity) strbuf_format(out, " (%s)", j->quantity);
  claims_write_note(j, &note);
  if (note.length) strbuf_format(out, ": %s", strbuf_string(&note));
  if (note.is_broken) out->is_broken = true;
  strbuf_free(&note);
}

err claims_write_latex(const spec_experiment *e, store *s, strbuf *out) {
  claim_results all;
  err error = claims_judge_all(e, s, &all);
  if (error || !all.count) return error;
  strbuf_append(out, "\n\\begin{table}\n\\centering\n\\begin{tabular}{lp{0.4\\linewidth}lll}\n"
                     "\\toprule\nfrom & claim & measured & published & verdict \\\\\n\\midrule\n");
  for (size_t i = 0; i < all.count; i++) {
    const claim_result *j = &all.items[i];
    strbuf measured = {0}, published = {0}, claim = {0};
    latex_claim(j, &claim);
    claims_write_measured(j, &measured);
    if (measured.length) strbuf_append(&measured, ", ");
    claims_write_basis(j, &measured);
    claims_write_published(j, &published);
    const char *const cells[] = {j->claim->from ? j->claim->from : "", strbuf_string(&claim),
                                 strbuf_string(&measured), strbuf_string(&published),
                                 claims_verdict_name(j->verdict)};
    for (size_t k = 0; k < sizeof cells / sizeof *cells; k++) {
      if (k) strbuf_append(out, " & ");
      report_latex_text(cells[k], out);
    }
    strbuf_append(out, " \\\\\n");
    if (measured.is_broken || published.is_broken || claim.is_broken) out->is_broken = true;
    strbuf_free(&claim);
    strbuf_free(&measured);
    strbuf_free(&published);
  }
  strbuf_append(out, "\\bottomrule\n\\end{tabular}\n\\caption{Claims: ");
  claims_write_counts(all.counts, out);
  strbuf_append(
      out, ". Parentheses: 95\\,\\% interval; $^\\dagger$: a run was disturbed.}\n\\end{table}\n");
  claims_free(&all);
  return NULL;
}
