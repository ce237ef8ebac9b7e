#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/options.h"
#include "cli/cmd_data.h"
#include "cli/commands.h"
#include "make/emoji.h"
#include "make/openclipart.h"
#include "scenes/scenes.h"
#include "read/source.h"
#include "read/stats.h"

static err check_format(const char *format) {
  if (strcmp(format, "jpg") == 0 || strcmp(format, "png") == 0) return NULL;
  return err_new(ERR_INPUT, "--format: '%s' is not jpg or png", format);
}

static int pack_openclipart(int argc, char **argv) {
  const char *format = "jpg";
  openclipart_options o = {.source = "/usr/share/openclipart",
                           .size = 96,
                           .shard_size = 1000,
                           .heldout = 0.15,
                           .has_progress = true};
  int64_t threads = 0;
  bool as_json = false, is_help = false;
  option_list rest = {0};
  option options[] = {
      {"out", 'o', OPTION_STRING, &o.out, "DIR", "output folder for the shards", true},
      {"source", 0, OPTION_STRING, &o.source, "DIR",
       "folder with png/ and svg/ (default /usr/share/openclipart)", false},
      {"size", 0, OPTION_INTEGER, &o.size, "PIXELS",
       "longest side of an image in pixels (default 96)", false},
      {"format", 0, OPTION_STRING, &format, "jpg|png", "image format (default jpg, quality 95)",
       false},
      {"heldout", 0, OPTION_NUMBER, &o.heldout, "SHARE", "fraction held out (default 0.15)", false},
      {"shard-size", 0, OPTION_INTEGER, &o.shard_size, "N", "samples per shard (default 1000)",
       false},
      {"threads", 0, OPTION_INTEGER, &threads, "N", "threads (default: all cores)", false},
      {"progress", 0, OPTION_FLAG, &o.has_progress, NULL, "--no-progress: no progress line", false},
      {"json", 0, OPTION_FLAG, &as_json, NULL, "print the counts as JSON", false},
      {0}};
  const command c = {
      "flip data openclipart", "pack Debian's openclipart drawings into shards", "--out DIR",
      options,
      "Reads the packages openclipart-png and openclipart-svg. Titles, descriptions and keywords\n"
      "become captions, folders become labels (top, leaf); a fixed share is held out by the look\n"
      "of the drawing, so that copies of one drawing stay on one side. docs/data.md has the "
      "rules.\n\n"
      "example:\n  flip data openclipart --out data/openclipart"};
  openclipart_result r;
  err error = options_parse(&c, argc, argv, &rest, &is_help);
  if (error || is_help) goto cleanup;
  TRY(options_refuse_words(&rest, false));
  TRY(check_format(format));
  o.as_png = format[0] == 'p';
  o.threads = (int)threads;
  if (o.size < 8 || o.size > 4096)
    FAIL(ERR_INPUT, "--size: %ld is outside [8, 4096]", (long)o.size);
  if (o.heldout < 0 || o.heldout >= 1)
    FAIL(ERR_INPUT, "--heldout: %g is outside [0, 1)", o.heldout);
  if (o.shard_size < 1) FAIL(ERR_INPUT, "--shard-size: at least 1");
  TRY(openclipart_pack(&o, &r));
  if (as_json) {
    strbuf out = {0};
    json_writer w = jsonw_start(&out);
    jsonw_object(&w, NULL);
    jsonw_integer(&w, "drawings", r.drawings);
    jsonw_integer(&w, "train", r.train);
    jsonw_integer(&w, "heldout", r.heldout);
    jsonw_integer(&w, "duplicates", r.duplicates);
    jsonw_integer(&w, "skipped", r.skipped);
    jsonw_end(&w);
    strbuf_append_char(&out, '\n');
    TRY(options_print(&out));
  } else {
    printf("%s: %ld of %ld drawings: %ld to train on (%ld %s), %ld held out (%ld %s); "
           "%ld %s skipped, %ld unreadable (listed in manifest.json)\n",
           o.out, (long)(r.train + r.heldout), (long)r.drawings, (long)r.train,
           (long)r.train_shards, text_plural(r.train_shards, "shard", "shards"), (long)r.heldout,
           (long)r.heldout_shards, text_plural(r.heldout_shards, "shard", "shards"),
           (long)r.duplicates, text_plural(r.duplicates, "duplicate", "duplicates"),
           (long)r.skipped);
  }
cleanup:
  options_free_list(&rest);
  return options_exit_status(error);
}

static int pack_emoji(int argc, char **argv) {
  emoji_options o = {.font = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf",
                     .cldr = "/usr/share/unicode/cldr/common",
                     .size = 96,
                     .shard_size = 1000,
                     .has_progress = true};
  bool is_help = false;
  option_list rest = {0};
  option options[] = {
      {"out", 'o', OPTION_STRING, &o.out, "DIR", "output folder for the shards", true},
      {"font", 0, OPTION_STRING, &o.font, "FILE", "colour bitmap font (default Noto Color Emoji)",
       false},
      {"cldr", 0, OPTION_STRING, &o.cldr, "DIR", "CLDR's folder common/", false},
      {"size", 0, OPTION_INTEGER, &o.size, "PIXELS",
       "longest side of an image in pixels (default 96)", false},
      {"progress", 0, OPTION_FLAG, &o.has_progress, NULL, "--no-progress: no progress line", false},
      {0}};
  const command c = {"flip data emoji",
                     "pack emoji and their names, a test set with distribution shift", "--out DIR",
                     options,
                     "Reads the packages fonts-noto-color-emoji and unicode-cldr-core. The label\n"
                     "`group` is the emoji's group (Animals & Nature, Food & Drink, …).\n\n"
                     "example:\n  flip data emoji --out data/emoji"};
  emoji_result r;
  err error = options_parse(&c, argc, argv, &rest, &is_help);
  if (error || is_help) goto cleanup;
  TRY(options_refuse_words(&rest, false));
  if (o.size < 8 || o.size > 1024)
    FAIL(ERR_INPUT, "--size: %ld is outside [8, 1024]", (long)o.size);
  TRY(emoji_pack(&o, &r));
  printf("%s: %ld emoji of %ld named characters (%ld %s); %ld not a single colour bitmap of the "
         "font, %ld without a group\n",
         o.out, (long)r.drawn, (long)r.named, (long)r.shards,
         text_plural(r.shards, "shard", "shards"), (long)r.without_glyph, (long)r.without_group);
cleanup:
  options_free_list(&rest);
  return options_exit_status(error);
}

static int make_scenes(int argc, char **argv) {
  const char *out = NULL, *split = "train";
  int64_t count = 10000, seed = 0, size = 64, version = 1, shard_count = 0;
  bool has_progress = true, is_help = false;
  option_list rest = {0};
  option options[] = {
      {"out", 'o', OPTION_STRING, &out, "DIR", "output folder for the shards", true},
      {"count", 'n', OPTION_INTEGER, &count, "N", "number of scenes (default 10k)", false},
      {"seed", 0, OPTION_INTEGER, &seed, "S", "seed (default 0)", false},
      {"split", 0, OPTION_STRING, &split, "train|heldout",
       "heldout: shape and colour pairs absent from train", false},
      {"size", 0, OPTION_INTEGER, &size, "PIXELS", "side of an image in pixels (default 64)",
       false},
      {"version", 0, OPTION_INTEGER, &version, "1|2",
       "version of the scene generator (default 1; docs/data.md)", false},
      {"progress", 0, OPTION_FLAG, &has_progress, NULL, "--no-progress: no progress line", false},
      {0}};
  const command c = {"flip data scenes", "draw procedural scenes with compositional captions",
                     "--out DIR [OPTIONS]", options,
                     "Scene i of a seed is always the same, whatever the count. Labels: shape, "
                     "color, combo; version 2: count, texture, whole.\nCaptions mention left and "
                     "right, so train with data.flip=false.\n\n"
                     "example:\n  flip data scenes -o data/scenes -n 100k && flip data scenes -o "
                     "data/scenes -n 2k --split heldout"};
  err error = options_parse(&c, argc, argv, &rest, &is_help);
  if (error || is_help) goto cleanup;
  TRY(options_refuse_words(&rest, false));
  bool is_heldout = strcmp(split, "heldout") == 0;
  if (!is_heldout && strcmp(split, "train") != 0)
    FAIL(ERR_INPUT, "--split: '%s' is not train or heldout", split);
  if (size < SCENE_SIZE_MIN || size > SCENE_SIZE_MAX)
    FAIL(ERR_INPUT, "--size: %ld is outside [%d, %d]", (long)size, SCENE_SIZE_MIN, SCENE_SIZE_MAX);
  if (version < 1 || version > SCENE_VERSIONS)
    FAIL(ERR_INPUT, "--version: %ld is not 1 or 2", (long)version);
  if (count < 1) FAIL(ERR_INPUT, "--count: at least 1");
  const scenes_packing how = {
      out, count, {(int)version, (uint64_t)seed, is_heldout}, (int32_t)size, has_progress};
  TRY(scenes_pack(&how, &shard_count));
  printf("%s/%s-*.tar: %ld %s (%ld %s)\n", out, split, (long)count,
         text_plural(count, "scene", "scenes"), (long)shard_count,
         text_plural(shard_count, "shard", "shards"));
cleanup:
  options_free_list(&rest);
  return options_exit_status(error);
}

static void print_range(const char *name, const stats_range *r, const char *unit) {
  printf("  %-14s %6ld … %ld … %ld %s (min, median, max)\n", name, (long)r->min, (long)r->median,
         (long)r->max, unit);
}

static void json_range(json_writer *w, const char *name, const stats_range *r) {
  jsonw_object(w, name);
  jsonw_integer(w, "min", r->min);
  jsonw_integer(w, "median", r->median);
  jsonw_integer(w, "max", r->max);
  jsonw_end(w);
}

static void print_stats(const data_stats *s) {
  char bytes[TEXT_NUMBER_SIZE];
  const struct {
    int64_t count;
    const char *name;
  } formats[] = {{s->jpg, "jpg"},
                 {s->png, "png"},
                 {s->webp, "webp"},
                 {s->pixmap, "uncompressed"},
                 {s->unknown, "of unknown type"}};
  bool is_first = true;
  printf("%ld %s, %s", (long)s->samples, text_plural(s->samples, "sample", "samples"),
         text_bytes((uint64_t)s->bytes, bytes));
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
    if (!formats[i].count) continue;
    printf("%s%ld %s", is_first ? ": " : ", ", (long)formats[i].count, formats[i].name);
    is_first = false;
  }
  printf("\n");
  if (s->width.max) { /* the size of some is known */
    print_range("width", &s->width, "pixels");
    print_range("height", &s->height, "pixels");
  }
  print_range("caption", &s->words, "words");
  for (size_t i = 0; i < s->label_count; i++)
    printf("  label %-8s %6ld %s in %ld %s; most frequent: %s (%ld)\n", s->labels[i].name,
           (long)s->labels[i].distinct, text_plural(s->labels[i].distinct, "value", "values"),
           (long)s->labels[i].samples, text_plural(s->labels[i].samples, "sample", "samples"),
           s->labels[i].top, (long)s->labels[i].top_count);
  if (s->unsized)
    printf("  %ld %s without a readable size: not in width and height\n", (long)s->unsized,
           text_plural(s->unsized, "image", "images"));
  if (s->left_out)
    printf("  %ld %s skipped, without image or caption\n", (long)s->left_out,
           text_plural(s->left_out, "sample", "samples"));
  if (s->unreadable)
    printf("  %ld %s cannot be read\n", (long)s->unreadable,
           text_plural(s->unreadable, "sample", "samples"));
}

static err print_stats_json(const data_stats *s) {
  strbuf out = {0};
  json_writer w = jsonw_start(&out);
  jsonw_object(&w, NULL);
  jsonw_integer(&w, "samples", s->samples);
  jsonw_integer(&w, "bytes", s->bytes);
  jsonw_integer(&w, "jpg", s->jpg);
  jsonw_integer(&w, "png", s->png);
  jsonw_integer(&w, "webp", s->webp);
  jsonw_integer(&w, "pixmap", s->pixmap);
  jsonw_integer(&w, "unknown", s->unknown);
  jsonw_integer(&w, "unsized", s->unsized);
  json_range(&w, "width", &s->width);
  json_range(&w, "height", &s->height);
  json_range(&w, "caption_words", &s->words);
  jsonw_object(&w, "labels");
  for (size_t i = 0; i < s->label_count; i++) {
    jsonw_object(&w, s->labels[i].name);
    jsonw_integer(&w, "samples", s->labels[i].samples);
    jsonw_integer(&w, "distinct", s->labels[i].distinct);
    jsonw_string(&w, "top", s->labels[i].top);
    jsonw_integer(&w, "top_count", s->labels[i].top_count);
    jsonw_end(&w);
  }
  jsonw_end(&w);
  jsonw_integer(&w, "left_out", s->left_out);
  jsonw_integer(&w, "unreadable", s->unreadable);
  jsonw_end(&w);
  strbuf_append_char(&out, '\n');
  return options_print(&out);
}

static int describe(int argc, char **argv) {
  bool as_json = false, is_help = false;
  option_list shards = {0};
  data_stats stats = {0};
  option options[] = {{"json", 0, OPTION_FLAG, &as_json, NULL, "print JSON for scripts", false},
                      {0}};
  const command c = {
      "flip data stats", "describe any data", "SOURCES… [--json]", options,
      "Sources are those of data.train: shards, lists, folders, scenes (docs/data.md).\n\n"
      "examples:\n  flip data stats 'data/openclipart/train-*.tar'\n"
      "  flip data stats 'scenes:0#count=1000'"};
  err error = options_parse(&c, argc, argv, &shards, &is_help);
  if (error || is_help) goto cleanup;
  if (!shards.count)
    FAIL(ERR_INPUT,
         "give the data: paths, globs, {00000..00009} ranges or other sources (docs/data.md)");
  TRY(stats_collect((char *const *)(void *)shards.items, shards.count, &stats));
  if (as_json)
    TRY(print_stats_json(&stats));
  else
    print_stats(&stats);
  if (*stats.warnings) fputs(stats.warnings, stderr);
cleanup:
  stats_free(&stats);
  options_free_list(&shards);
  return options_exit_status(error);
}

static int verify(int argc, char **argv) {
  bool as_json = false, is_help = false;
  option_list shards = {0};
  strbuf bad = {0};
  int64_t faults = 0, total = 0;
  option options[] = {{"json", 0, OPTION_FLAG, &as_json, NULL, "print JSON for scripts", false},
                      {0}};
  const command c = {"flip data verify", "decode every sample and report faults",
                     "SOURCES… [--json]", options,
                     "Exits 0 when every member can be read, 1 when some cannot.\n\n"
                     "example:\n  flip data verify 'data/openclipart/*.tar'"};
  err error = options_parse(&c, argc, argv, &shards, &is_help);
  if (error || is_help) goto cleanup;
  if (!shards.count)
    FAIL(ERR_INPUT,
         "give the data: paths, globs, {00000..00009} ranges or other sources (docs/data.md)");
  TRY(stats_verify((char *const *)(void *)shards.items, shards.count, &bad, &faults, &total));
  if (as_json) {
    printf("{\"samples\":%ld,\"faults\":%ld}\n", (long)total, (long)faults);
    fputs(strbuf_string(&bad), stderr);
  } else
    printf("%s%ld %s checked, %ld %s\n", strbuf_string(&bad), (long)total,
           text_plural(total, "sample", "samples"), (long)faults,
           text_plural(faults, "fault", "faults"));
cleanup:
  strbuf_free(&bad);
  options_free_list(&shards);
  int status = options_exit_status(error);
  return status ? status : faults > 0;
}

static int list_formats(int argc, char **argv) {
  bool is_help = false;
  option_list rest = {0};
  option options[] = {{0}};
  const command c = {
      "flip data formats", "list the data formats for data.train and evaluation sets", "", options,
      "A source is FORMAT:LOCATION#KEY=VALUE,KEY=VALUE. The format may be left out for shards,\n"
      "folders and files that end in .csv, .tsv, .parquet, .json (COCO) or .jsonl. weight=2\n"
      "repeats a source's samples twice per epoch. docs/data.md has examples."};
  size_t count;
  const source_format *formats = source_formats(&count);
  err error = options_parse(&c, argc, argv, &rest, &is_help);
  if (!error && !is_help) error = options_refuse_words(&rest, false);
  for (size_t i = 0; !error && !is_help && i < count; i++)
    printf("%-11s %-11s %s%s%s\n", formats[i].name, formats[i].location, formats[i].summary,
           *formats[i].keys ? "\n                        options: " : "", formats[i].keys);
  options_free_list(&rest);
  return options_exit_status(error);
}

int cmd_data(int argc, char **argv) {
  static const subcommand table[] = {
      {"balance", "limit the number of samples per caption term", cmd_data_balance},
      {"emoji", "pack emoji and their names, a test set with distribution shift", pack_emoji},
      {"filter", "keep the samples that pass the given rules", cmd_data_filter},
      {"formats", "list the data formats for data.train and evaluation sets", list_formats},
      {"openclipart", "pack Debian's openclipart drawings into shards", pack_openclipart},
      {"scenes", "draw procedural scenes with compositional captions", make_scenes},
      {"stats", "describe any data", describe},
      {"verify", "decode every sample and report faults", verify},
      {0}};
  return options_dispatch("flip data", "make, describe and check shards of images and captions",
                          table, argc, argv);
}
