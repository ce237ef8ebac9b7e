#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/trained.h"
#include "eval/gallery.h"

/* Command-line arguments. */
typedef struct {
  const char *text, *image, *texts, *html;
  option_list images;
  int64_t top;
  bool as_json;
} request;

static err check_request(const request *r) {
  bool by_text = r->text != NULL, by_image = r->image != NULL;
  if (by_text == by_image)
    return err_new(ERR_INPUT, "give one query: --text WORDS, or --image FILE");
  if (by_text && (!r->images.count || r->texts))
    return err_new(ERR_INPUT, "--text needs --images DIR|SHARDS to search");
  if (by_image && (!r->texts || r->images.count))
    return err_new(ERR_INPUT, "--image needs --texts FILE to search");
  if (r->top < 1 || r->top > 10000)
    return err_new(ERR_INPUT, "--top: %ld is outside [1, 10000]", (long)r->top);
  return NULL;
}

static err print_hit(const request *r, int64_t rank, const gallery_hit *hit, const char *name,
                     const char *text) {
  if (!r->as_json) {
    printf("%3ld  %7.4f  %s%s%s\n", (long)rank + 1, (double)hit->score, name,
           *name && *text ? "  " : "", text);
    return NULL;
  }
  strbuf line = {0};
  json_writer w = jsonw_start(&line);
  jsonw_object(&w, NULL);
  jsonw_integer(&w, "rank", rank + 1);
  jsonw_number(&w, "score", (double)hit->score);
  jsonw_integer(&w, "row", hit->row);
  if (*name) jsonw_string(&w, "name", name);
  jsonw_string(&w, "text", text);
  jsonw_end(&w);
  strbuf_append_char(&line, '\n');
  return options_print(&line);
}

static err print_pictures(const request *r, const pictures *all, const gallery_hit *hits,
                          int64_t count) {
  err error = NULL;
  for (int64_t i = 0; i < count && !error; i++) {
    char *name = NULL, *caption = NULL;
    error = pictures_name(all, hits[i].row, &name);
    if (!error) error = pictures_caption(all, hits[i].row, &caption);
    if (!error) error = print_hit(r, i, &hits[i], name, caption);
    free(name);
    free(caption);
  }
  return error;
}

static err find_images(const request *r, trained *t, gallery_hit *hits) {
  pictures *all = NULL;
  strbuf warnings = {0};
  int64_t width = t->s.embed_dim;
  float *query = NULL, *rows = NULL;
  char *words = (char *)(uintptr_t)r->text;
  const image_preparation how = image_preparation_of(&t->s);
  err error = NULL;
  TRY(pictures_open(r->images.items, r->images.count, &all));
  if (*pictures_warnings(all)) fputs(pictures_warnings(all), stderr);
  query = mem_zeroed((size_t)width, sizeof *query);
  rows = mem_zeroed((size_t)(pictures_count(all) * width), sizeof *rows);
  if (!query || !rows) FAIL(ERR_MEMORY, "out of memory: embeddings");
  TRY(trained_embed_texts(t, "--text", &words, 1, query));
  TRY(pictures_embed(all, &how, t->model, rows, &warnings));
  if (warnings.length)
    log_warning("images that could not be decoded were skipped:\n%s", strbuf_string(&warnings));
  int64_t found = gallery_best(query, rows, pictures_count(all), width, r->top, hits);
  TRY(print_pictures(r, all, hits, found));
  if (r->html) {
    gallery_page page = {.title = "flip retrieve",
                         .query_text = r->text,
                         .hits = hits,
                         .count = found,
                         .pictures = all};
    TRY(gallery_write(r->html, &page));
  }
cleanup:
  free(query);
  free(rows);
  strbuf_free(&warnings);
  pictures_close(all);
  return error;
}

static err find_texts(const request *r, trained *t, gallery_hit *hits) {
  char *bytes = NULL;
  text_lines lines = {0};
  size_t size = 0;
  const image_preparation how = image_preparation_of(&t->s);
  int64_t width = t->s.embed_dim;
  float *query = NULL, *rows = NULL;
  err error = NULL;
  TRY(fs_read(r->image, &bytes, &size));
  TRY(trained_read_lines(r->texts, &lines));
  size_t count = lines.count;
  query = mem_zeroed((size_t)width, sizeof *query);
  rows = mem_zeroed(count * (size_t)width, sizeof *rows);
  if (!query || !rows) FAIL(ERR_MEMORY, "out of memory: embeddings");
  TRY(pictures_embed_one(r->image, bytes, size, &how, t->model, query));
  TRY(trained_embed_texts(t, r->texts, lines.items, count, rows));
  int64_t found = gallery_best(query, rows, (int64_t)count, width, r->top, hits);
  for (int64_t i = 0; i < found; i++) TRY(print_hit(r, i, &hits[i], "", lines.items[hits[i].row]));
  if (r->html) {
    gallery_page page = {.title = "flip retrieve",
                         .query_image = bytes,
                         .query_image_bytes = size,
                         .hits = hits,
                         .count = found,
                         .texts = lines.items};
    TRY(gallery_write(r->html, &page));
  }
cleanup:
  free(query);
  free(rows);
  text_lines_free(&lines);
  free(bytes);
  return error;
}

int cmd_retrieve(int argc, char **argv) {
  const char *model = NULL;
  bool is_help = false;
  request r = {.top = 12};
  option_list sets = {0}, rest = {0};
  trained t = {0};
  gallery_hit *hits = NULL;
  option options[] = {
      {"model", 'm', OPTION_STRING, &model, "PATH",
       "checkpoint, run folder, or a model that flip convert reads", true},
      {"text", 't', OPTION_STRING, &r.text, "WORDS", "text query, searched among images", false},
      {"images", 'i', OPTION_LIST, &r.images, "DIR|SHARDS", "images to search", false},
      {"image", 0, OPTION_STRING, &r.image, "FILE", "image query, searched among texts", false},
      {"texts", 0, OPTION_STRING, &r.texts, "FILE", "texts to search, one per line", false},
      {"top", 'n', OPTION_INTEGER, &r.top, "N", "number of results (default 12)", false},
      {"html", 0, OPTION_STRING, &r.html, "FILE", "also write the results as an HTML page", false},
      {"json", 0, OPTION_FLAG, &r.as_json, NULL, "one JSON object per result", false},
      {"set", 's', OPTION_LIST, &sets, "KEY=VALUE", "change a setting", false},
      {0}};
  const command c = {
      "flip retrieve",
      "find the images that best match a text, or the texts that best match an image",
      "--model PATH (--text WORDS --images DIR|SHARDS | --image FILE --texts FILE)", options,
      "Searches existing images and texts; nothing is generated. The score is the cosine of the "
      "two embeddings\n(of a model with normalize: false, their product).\n\n"
      "examples:\n"
      "  flip retrieve -m RUN -t 'a red apple' -i 'data/openclipart/heldout-*.tar' --html "
      "out.html\n"
      "  flip retrieve -m RUN --image photo.jpg --texts captions.txt --top 5"};
  err error = options_parse(&c, argc, argv, &rest, &is_help);
  if (error || is_help) goto cleanup;
  TRY(options_refuse_words(&rest, false));
  TRY(check_request(&r));
  hits = mem_zeroed((size_t)r.top, sizeof *hits);
  if (!hits) FAIL(ERR_MEMORY, "out of memory: hits");
  TRY(trained_open(model, &sets, true, &t));
  TRY(r.text ? find_images(&r, &t, hits) : find_texts(&r, &t, hits));
cleanup:
  free(hits);
  trained_close(&t);
  options_free(options);
  options_free_list(&rest);
  return options_exit_status(error);
}
