/* `flip data filter` and `flip data balance`. */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/options.h"
#include "cli/cmd_data.h"
#include "cli/data_score.h"
#include "read/shard_expand.h"
#include "read/source.h"
#include "select/image_hash.h"
#include "select/select.h"

static bool is_in(const char *real, const char *folder) {
  size_t length = (size_t)(fs_name(real) - real); /* with the slash */
  return length && strlen(folder) == length - 1 && memcmp(real, folder, length - 1) == 0;
}

/* Would the output replace this shard, whatever links lead to it? */
static bool is_replaced(const char *path, const char *out) {
  char *real = realpath(path, NULL), *folder = realpath(out, NULL);
  char *below = folder ? fs_join(folder, "unfinished") : NULL;
  bool is_there = real && below && (is_in(real, folder) || is_in(real, below)) &&
                  fnmatch("kept-*.tar", fs_name(real), 0) == 0;
  free(real);
  free(folder);
  free(below);
  return is_there;
}

/* What a selection removes exists only in its sources. */
static err refuse_output_as_source(const char *name, const char *out) {
  source_request r = {0};
  const source_format *format;
  char *copy = NULL, **paths = NULL;
  size_t count = 0;
  err error = NULL;
  TRY(source_take_apart(name, &r, &format, &copy));
  if (format->open == source_open_shards) TRY(shard_expand(&r.location, 1, &paths, &count));
  for (size_t i = 0; i < count && !error; i++)
    if (is_replaced(paths[i], out))
      error = err_new(ERR_INPUT,
                      "%s: is in the output folder, where it would be replaced: choose another "
                      "--out",
                      paths[i]);
cleanup:
  if (paths) fs_free_names(paths, count);
  free(copy);
  return error;
}

static err open_sources(const option_list *sources, const select_output *output, dataset **data) {
  if (!sources->count)
    return err_new(ERR_INPUT, "give the data: shards, or FORMAT:LOCATION (flip data formats)");
  if (output->shard_size < 1) return err_new(ERR_INPUT, "--shard-size: at least 1");
  err error = NULL;
  for (size_t i = 0; i < sources->count && !error; i++)
    error = refuse_output_as_source(sources->items[i], output->out);
  if (!error)
    error = dataset_open_to_read((char *const *)(void *)sources->items, sources->count,
                                 DATASET_PAIR, data);
  if (!error && *dataset_warnings(*data, NULL)) fputs(dataset_warnings(*data, NULL), stderr);
  if (!error && !dataset_count(*data))
    error = err_new(ERR_INPUT, "%s: contains no samples", sources->items[0]);
  return error;
}

static err print_result(const select_output *output, const select_result *r, bool as_json) {
  if (as_json && r->report.is_broken) return mem_error(0, "the report");
  if (as_json)
    fputs(strbuf_string(&r->report), stdout);
  else
    printf("%s/kept-*.tar: %ld of %ld %s (%ld %s); %ld left out (reasons in left_out.tsv, "
           "counts in report.json)\n",
           output->out, (long)r->kept, (long)r->samples,
           text_plural(r->samples, "sample", "samples"), (long)r->shards,
           text_plural(r->shards, "shard", "shards"), (long)r->left_out);
  return NULL;
}

/* Decoding takes several times as long as all else: only what needs the pixels decodes them. */
static void print_undecoded(const filter_rules *r, const select_output *output) {
  if (r->duplicates >= 0 || r->model) return;
  printf(
      "images were not decoded, only their headers read: `flip data verify '%s/kept-*.tar'` finds "
      "damaged ones\n",
      output->out);
}

/* Rules that no sample could pass, or that say nothing, are mistakes. */
static err check_rules(const filter_rules *r, int64_t duplicates) {
  const struct {
    const char *least_name, *most_name;
    int64_t least, most;
  } ranges[] = {{"--min-words", "--max-words", r->min_words, r->max_words},
                {"--min-characters", "--max-characters", r->min_characters, r->max_characters},
                {"--min-side", "--max-side", r->min_side, r->max_side}};
  for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
    if (ranges[i].least < 0 || ranges[i].most < 0)
      return err_new(ERR_INPUT, "%s: %ld is below 0",
                     ranges[i].least < 0 ? ranges[i].least_name : ranges[i].most_name,
                     (long)(ranges[i].least < 0 ? ranges[i].least : ranges[i].most));
    if (ranges[i].most > 0 && ranges[i].least > ranges[i].most)
      return err_new(ERR_INPUT, "%s %ld is above %s %ld: no sample would be kept",
                     ranges[i].least_name, (long)ranges[i].least, ranges[i].most_name,
                     (long)ranges[i].most);
  }
  if (!(r->min_letters >= 0 && r->min_letters <= 1))
    return err_new(ERR_INPUT, "--min-letters: %g is not a share in [0, 1]", r->min_letters);
  if (r->max_aspect != 0 && !(r->max_aspect >= 1))
    return err_new(ERR_INPUT,
                   "--max-aspect: %g is below 1, and it is the longer side over the "
                   "shorter",
                   r->max_aspect);
  if (duplicates < -1 || duplicates > IMAGE_HASH_FARTHEST)
    return err_new(ERR_INPUT, "--duplicates: %ld is outside [0, %d]", (long)duplicates,
                   IMAGE_HASH_FARTHEST);
  if ((r->model != NULL) != (r->min_score > -2))
    return err_new(ERR_INPUT, "--min-score and --model must be given together");
  if (r->model && !(r->min_score >= -1 && r->min_score <= 1))
    return err_new(ERR_INPUT, "--min-score: %g is not a cosine in [-1, 1]", r->min_score);
  return NULL;
}

int cmd_data_filter(int argc, char **argv) {
  filter_rules r = {.duplicates = -1, .min_score = -2};
  float *scores = NULL;
  select_output o = {.shard_size = 1000, .has_progress = true};
  int64_t duplicates = -1;
  bool as_json = false, is_help = false;
  option_list sources = {0}, sets = {0};
  dataset *data = NULL;
  select_result result = {0};
  option options[] = {
      {"out", 'o', OPTION_STRING, &o.out, "DIR", "output folder for the new shards and the report",
       true},
      {"min-words", 0, OPTION_INTEGER, &r.min_words, "N", "minimum words in a caption", false},
      {"max-words", 0, OPTION_INTEGER, &r.max_words, "N", "maximum words in a caption", false},
      {"min-characters", 0, OPTION_INTEGER, &r.min_characters, "N",
       "minimum characters in a caption", false},
      {"max-characters", 0, OPTION_INTEGER, &r.max_characters, "N",
       "maximum characters in a caption", false},
      {"min-letters", 0, OPTION_NUMBER, &r.min_letters, "SHARE",
       "minimum fraction of letters among a caption's non-space characters", false},
      {"min-side", 0, OPTION_INTEGER, &r.min_side, "PIXELS", "minimum shorter side", false},
      {"max-side", 0, OPTION_INTEGER, &r.max_side, "PIXELS", "maximum longer side", false},
      {"max-aspect", 0, OPTION_NUMBER, &r.max_aspect, "RATIO",
       "maximum ratio of longer to shorter side", false},
      {"duplicates", 0, OPTION_INTEGER, &duplicates, "BITS",
       "leave out copies whose perceptual hashes differ in at most N of 64 bits (0 to 7)", false},
      {"min-score", 0, OPTION_NUMBER, &r.min_score, "COSINE",
       "minimum cosine similarity of image and caption under --model (CLIP-filtered data sets use "
       "0.28 to 0.3)",
       false},
      {"model", 'm', OPTION_STRING, &r.model, "PATH",
       "for --min-score: checkpoint, run folder, or a model that flip convert reads", false},
      {"set", 's', OPTION_LIST, &sets, "KEY=VALUE", "for --model: change a setting", false},
      {"shard-size", 0, OPTION_INTEGER, &o.shard_size, "N", "samples per shard (default 1000)",
       false},
      {"progress", 0, OPTION_FLAG, &o.has_progress, NULL, "--no-progress: no progress line", false},
      {"json", 0, OPTION_FLAG, &as_json, NULL, "print the report as JSON", false},
      {0}};
  const command c = {"flip data filter", "keep the samples that pass the given rules",
                     "--out DIR [RULES] SOURCES…", options,
                     "Writes new shards, left_out.tsv (which sample, which rule, which value) and\n"
                     "report.json. Rules that are not given remove nothing. Only --duplicates and\n"
                     "--model decode the images; without them a damaged image whose header can be\n"
                     "read is kept.\n\n"
                     "example:\n  flip data filter -o clean --min-words 3 --min-side 200 "
                     "--max-aspect 3 --duplicates 3 'laion/*.tar'\n"
                     "  flip data filter -o near -m clip-vit-base-patch32 --min-score 0.28 "
                     "'laion/*.tar'"};
  err error = options_parse(&c, argc, argv, &sources, &is_help);
  if (error || is_help) goto cleanup;
  TRY(check_rules(&r, duplicates));
  if (sets.count && !r.model) FAIL(ERR_INPUT, "--set changes a model's settings: give --model too");
  r.duplicates = (int)duplicates;
  TRY(open_sources(&sources, &o, &data));
  if (r.model) {
    TRY(data_scores(data, r.model, &sets, o.has_progress, &scores));
    r.scores = scores;
  }
  TRY(select_filter(data, &r, &o, &result));
  TRY(print_result(&o, &result, as_json));
  if (!as_json) print_undecoded(&r, &o);
cleanup:
  free(scores);
  strbuf_free(&result.report);
  dataset_close(data);
  options_free(options);
  options_free_list(&sources);
  return options_exit_status(error);
}

int cmd_data_balance(int argc, char **argv) {
  balance_rules r = {0};
  select_output o = {.shard_size = 1000, .has_progress = true};
  int64_t seed = 0;
  bool as_json = false, is_help = false;
  option_list sources = {0};
  dataset *data = NULL;
  select_result result = {0};
  option options[] = {
      {"out", 'o', OPTION_STRING, &o.out, "DIR", "output folder for the new shards and the report",
       true},
      {"per-term", 't', OPTION_INTEGER, &r.per_term, "N", "maximum samples per term", true},
      {"terms", 0, OPTION_STRING, &r.terms, "FILE",
       "terms, one per line, up to 8 words each (default: every word of the captions)", false},
      {"seed", 0, OPTION_INTEGER, &seed, "S",
       "seed for choosing the samples kept for a full term (default 0)", false},
      {"shard-size", 0, OPTION_INTEGER, &o.shard_size, "N", "samples per shard (default 1000)",
       false},
      {"progress", 0, OPTION_FLAG, &o.has_progress, NULL, "--no-progress: no progress line", false},
      {"json", 0, OPTION_FLAG, &as_json, NULL, "print the report as JSON", false},
      {0}};
  const command c = {
      "flip data balance", "limit the number of samples per caption term",
      "--out DIR --per-term N SOURCES…", options,
      "Each sample is counted under the rarest term of its caption. Writes new shards,\n"
      "left_out.tsv (which sample, under which term) and report.json.\n\n"
      "example:\n  flip data balance -o balanced -t 20000 --terms wordnet.txt 'laion/*.tar'"};
  err error = options_parse(&c, argc, argv, &sources, &is_help);
  if (error || is_help) goto cleanup;
  if (r.per_term < 1) FAIL(ERR_INPUT, "--per-term: at least 1");
  r.seed = (uint64_t)seed;
  TRY(open_sources(&sources, &o, &data));
  TRY(select_balance(data, &r, &o, &result));
  error = print_result(&o, &result, as_json);
cleanup:
  strbuf_free(&result.report);
  dataset_close(data);
  options_free_list(&sources);
  return options_exit_status(error);
}
