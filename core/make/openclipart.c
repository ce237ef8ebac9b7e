#include "make/openclipart.h"

#include <errno.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/progress.h"
#include "make/caption.h"
#include "make/rdf.h"
#include "read/shard_swap.h"
#include "image/shrink.h"

enum { KEY_SIDE = 8, SAME_SIDE = 64, CROWDED_TITLE = 3 };

typedef struct {
  char *path; /* below png/, "animals/cat.png" */
  rdf_facts facts;
  char *caption, *problem;
  uint8_t *bytes;
  size_t size;
  int32_t width, height;
  char same[HASH_SIZE]; /* of the drawing at 64 x 64: equal means a duplicate */
  double place;         /* in [0, 1): from the hash of an 8 x 8 copy; decides the split */
} drawing;

typedef struct {
  const openclipart_options *o;
  drawing *items;
  size_t count, capacity;
} collection;

static err add_drawing(collection *c, const char *path) {
  if (c->count == c->capacity) {
    size_t capacity = c->capacity ? 2 * c->capacity : 1024;
    drawing *items = mem_resize(c->items, capacity, sizeof *items);
    if (!items) return mem_error(capacity * sizeof *items, "a list of drawings");
    c->items = items;
    c->capacity = capacity;
  }
  c->items[c->count] = (drawing){.path = mem_copy_string(path)};
  return c->items[c->count++].path ? NULL : mem_error(strlen(path), "a list of drawings");
}

/* Every .png below `folder`, in order of path. */
static err find_drawings(collection *c, const char *root, const char *below) {
  char **names = NULL, *folder = fs_join(root, below);
  size_t count = 0;
  err error = folder ? fs_list(folder, &names, &count) : mem_error(strlen(root), "a path");
  for (size_t i = 0; i < count && !error; i++) {
    char *inner = fs_join(below, names[i]), *full = inner ? fs_join(root, inner) : NULL;
    size_t length = strlen(names[i]);
    if (!full)
      error = mem_error(length, "a path");
    else if (fs_is_folder(full))
      error = find_drawings(c, root, inner);
    else if (length > 4 && strcmp(names[i] + length - 4, ".png") == 0)
      error = add_drawing(c, inner);
    free(inner);
    free(full);
  }
  fs_free_names(names, count);
  free(folder);
  return error;
}

/* Whether the file itself is at fault: an outage of the file system would leave out all. */
static bool is_at_fault(const char *path, err error) {
  return err_kind_of(error) == ERR_INPUT || (err_kind_of(error) == ERR_IO && fs_is_at_fault(path));
}

static err read_facts(collection *c, drawing *d) {
  strbuf path = {0};
  strbuf_format(&path, "%s/svg/%.*s.svg", c->o->source, (int)(strlen(d->path) - 4), d->path);
  err error = path.is_broken ? mem_error(0, "a path") : NULL;
  if (!error && fs_exists(strbuf_string(&path))) error = rdf_read(strbuf_string(&path), &d->facts);
  /* a broken SVG: the PNG's file name is still usable */
  if (error && is_at_fault(strbuf_string(&path), error)) {
    err_free(error);
    error = NULL;
  }
  strbuf_free(&path);
  return error;
}

static err look_at(const image *picture, drawing *d) {
  image same = {0}, tiny = {0};
  char digest[HASH_SIZE];
  err error = NULL;
  TRY(shrink_stretch(picture, SAME_SIDE, SAME_SIDE, &same));
  TRY(shrink_stretch(picture, KEY_SIDE, KEY_SIDE, &tiny));
  hash_bytes(same.pixels, SAME_SIDE * SAME_SIDE * 3, d->same);
  for (int i = 0; i < KEY_SIDE * KEY_SIDE * 3; i++)
    tiny.pixels[i] /= 32; /* insensitive to small
                           * changes */
  hash_bytes(tiny.pixels, KEY_SIDE * KEY_SIDE * 3, digest);
  digest[8] = '\0';
  d->place = (double)strtoul(digest, NULL, 16) / 4294967296.0;
cleanup:
  image_free(&same);
  image_free(&tiny);
  return error;
}

static err pack_drawing(const collection *c, drawing *d) {
  image picture = {0};
  strbuf path = {0};
  err error = NULL;
  strbuf_format(&path, "%s/png/%s", c->o->source, d->path);
  TRY(shrink_png(strbuf_string(&path), (int32_t)c->o->size, &picture));
  TRY(look_at(&picture, d));
  d->width = picture.width;
  d->height = picture.height;
  TRY(c->o->as_png ? shrink_encode_png(&picture, &d->bytes, &d->size)
                   : shrink_encode_jpeg(&picture, &d->bytes, &d->size));
cleanup:
  image_free(&picture);
  strbuf_free(&path);
  return error;
}

static int by_title(const void *a, const void *b) {
  return strcmp((*(drawing *const *)a)->facts.title, (*(drawing *const *)b)->facts.title);
}

/* A title shared by more than three drawings names a collection ("gramastar"), not a drawing: it
 * becomes a keyword, unless it is the author's name, and the title is taken from the file name. */
static err demote_crowded_titles(collection *c) {
  drawing **order = mem_zeroed(c->count, sizeof(drawing *));
  if (!order) return mem_error(c->count * sizeof(drawing *), "titles");
  size_t used = 0;
  err error = NULL;
  for (size_t i = 0; i < c->count; i++)
    if (c->items[i].facts.title) order[used++] = &c->items[i];
  if (used) qsort(order, used, sizeof *order, by_title);
  for (size_t start = 0, end; start < used && !error; start = end) {
    for (end = start + 1; end < used && by_title(&order[start], &order[end]) == 0;) end++;
    for (size_t i = start; i < end && end - start > CROWDED_TITLE && !error; i++) {
      rdf_facts *facts = &order[i]->facts;
      if (!facts->creator || !caption_shares_word(facts->title, facts->creator))
        error = rdf_add_keyword(facts, facts->title);
      free(order[i]->facts.title);
      order[i]->facts.title = NULL;
    }
  }
  free((void *)order);
  return error;
}

static err make_caption(drawing *d) {
  strbuf name = {0}, caption = {0};
  if (!d->facts.title)
    caption_from_file(fs_name(d->path), d->facts.creator ? d->facts.creator : "", &name);
  const caption_parts parts = {.title = d->facts.title ? d->facts.title : strbuf_string(&name),
                               .description = d->facts.description ? d->facts.description : "",
                               .keywords = (const char *const *)(void *)d->facts.keywords,
                               .keyword_count = d->facts.keyword_count};
  caption_join(&parts, &caption);
  d->caption = strbuf_take(&caption);
  strbuf_free(&name);
  return d->caption ? NULL : mem_error(0, "a caption");
}

/* The first and the last folder of the path. */
static void find_labels(const char *path, strbuf *top, strbuf *leaf) {
  const char *end = strrchr(path, '/'), *start = end;
  strbuf_clear(top);
  strbuf_clear(leaf);
  strbuf_append_bytes(top, path, strcspn(path, "/"));
  while (start && start > path && start[-1] != '/') start--;
  if (end) strbuf_append_bytes(leaf, start, (size_t)(end - start));
}

static void write_json(const drawing *d, const char *key, strbuf *out) {
  strbuf top = {0}, leaf = {0};
  find_labels(d->path, &top, &leaf);
  strbuf_clear(out);
  json_writer w = jsonw_start(out);
  jsonw_object(&w, NULL);
  jsonw_string(&w, "key", key);
  jsonw_string(&w, "caption", d->caption);
  jsonw_integer(&w, "width", d->width);
  jsonw_integer(&w, "height", d->height);
  jsonw_string(&w, "source", d->path);
  jsonw_string(&w, "title", d->facts.title);
  jsonw_array(&w, "keywords");
  for (size_t i = 0; i < d->facts.keyword_count; i++) jsonw_string(&w, NULL, d->facts.keywords[i]);
  jsonw_end(&w);
  jsonw_object(&w, "labels");
  jsonw_string(&w, "top", strbuf_string(&top));
  jsonw_string(&w, "leaf", strbuf_string(&leaf));
  jsonw_end(&w);
  jsonw_end(&w);
  strbuf_free(&top);
  strbuf_free(&leaf);
}

/* Duplicates: drawings identical to an earlier one at 64 x 64 pixels. In training a duplicate is
 * skipped if its caption is the same too; held out it always is, since retrieval could not
 * distinguish the two. */
typedef struct {
  const drawing *d;
  size_t index;
} seen_drawing;

static int by_look(const void *a, const void *b) {
  const seen_drawing *x = a, *y = b;
  int order = strcmp(x->d->same, y->d->same);
  return order ? order : x->index < y->index ? -1 : x->index > y->index;
}

static err mark_duplicates(collection *c, bool *is_left_out) {
  seen_drawing *order = mem_zeroed(c->count, sizeof *order);
  if (!order) return mem_error(c->count * sizeof *order, "finding duplicates");
  size_t used = 0;
  for (size_t i = 0; i < c->count; i++)
    if (!c->items[i].problem) order[used++] = (seen_drawing){&c->items[i], i};
  if (used) qsort(order, used, sizeof *order, by_look);
  for (size_t start = 0, end; start < used; start = end) {
    for (end = start + 1; end < used && strcmp(order[start].d->same, order[end].d->same) == 0;)
      c->items[order[end++].index].place = order[start].d->place; /* all on one side */
    for (size_t i = start + 1; i < end; i++) {
      bool is_heldout = order[i].d->place < c->o->heldout, is_same = is_heldout;
      for (size_t j = start; j < i && !is_same; j++)
        is_same = strcmp(order[i].d->caption, order[j].d->caption) == 0;
      is_left_out[order[i].index] = is_same;
    }
  }
  free(order);
  return NULL;
}

static err write_shards(collection *c, const bool *is_left_out, const shard_swap *swap,
                        openclipart_result *result) {
  shard_writer *sides[2] = {NULL, NULL};
  strbuf json = {0}, key = {0};
  err error = NULL;
  for (int side = 0; side < 2; side++)
    TRY(shard_swap_writer(swap, side, c->o->shard_size, &sides[side]));
  for (size_t i = 0; i < c->count; i++) {
    const drawing *d = &c->items[i];
    if (d->problem)
      result->skipped++;
    else if (is_left_out[i])
      result->duplicates++;
    if (d->problem || is_left_out[i]) continue;
    int side = d->place < c->o->heldout;
    strbuf_clear(&key);
    strbuf_format(&key, "%06zu", i);
    write_json(d, strbuf_string(&key), &json);
    if (key.is_broken || json.is_broken) FAIL(ERR_MEMORY, "out of memory: a drawing's JSON");
    TRY(shard_writer_add(sides[side], strbuf_string(&key), c->o->as_png ? "png" : "jpg", d->bytes,
                         d->size, d->caption, strbuf_string(&json)));
    if (side)
      result->heldout++;
    else
      result->train++;
  }
  TRY(shard_writer_finish(sides[0], &result->train_shards));
  TRY(shard_writer_finish(sides[1], &result->heldout_shards));
cleanup:
  shard_writer_close(sides[0]);
  shard_writer_close(sides[1]);
  strbuf_free(&json);
  strbuf_free(&key);
  return error;
}

/* The earlier manifest goes first: it never stands next to the shards of another set. */
static err replace_shards(const collection *c, shard_swap *swap, const openclipart_result *r) {
  char *path = fs_join(c->o->out, "manifest.json");
  err error = NULL;
  if (!path)
    error = mem_error(0, "a path");
  else if (unlink(path) != 0 && errno != ENOENT)
    error = err_errno(errno, "%s: cannot remove", path);
  free(path);
  return error ? error : shard_swap_replace(swap, (int64_t[]){r->train_shards, r->heldout_shards});
}

static err write_manifest(const collection *c, const openclipart_result *r) {
  strbuf out = {0};
  json_writer w = jsonw_start(&out);
  jsonw_object(&w, NULL);
  jsonw_string(&w, "source", c->o->source);
  jsonw_integer(&w, "size", c->o->size);
  jsonw_number(&w, "heldout_share", c->o->heldout);
  jsonw_string(&w, "format", c->o->as_png ? "png" : "jpg");
  jsonw_integer(&w, "drawings", r->drawings);
  jsonw_integer(&w, "train", r->train);
  jsonw_integer(&w, "heldout", r->heldout);
  jsonw_integer(&w, "duplicates", r->duplicates);
  jsonw_array(&w, "skipped");
  for (size_t i = 0; i < c->count; i++) {
    if (!c->items[i].problem) continue;
    jsonw_object(&w, NULL);
    jsonw_string(&w, "drawing", c->items[i].path);
    jsonw_string(&w, "reason", c->items[i].problem);
    jsonw_end(&w);
  }
  jsonw_end(&w);
  jsonw_end(&w);
  strbuf_append_char(&out, '\n');
  char *path = fs_join(c->o->out, "manifest.json");
  err error = path && !out.is_broken ? fs_write_atomic(path, strbuf_string(&out), out.length)
                                     : mem_error(out.length, "the manifest");
  free(path);
  strbuf_free(&out);
  return error;
}

static bool is_picture_at_fault(const collection *c, const drawing *d, err error) {
  strbuf path = {0};
  strbuf_format(&path, "%s/png/%s", c->o->source, d->path);
  bool is_own = is_at_fault(strbuf_string(&path), error);
  strbuf_free(&path);
  return is_own;
}

/* Reads, shrinks and encodes every drawing on all threads. A drawing that cannot be read is
 * reported and skipped; any other error is fatal. */
static err pack_all(collection *c) {
  progress bar = progress_start("packing openclipart", (double)c->count, 0, c->o->has_progress);
  err failure = NULL;
  size_t done = 0;
  int threads = c->o->threads > 0 ? c->o->threads : omp_get_num_procs();
#pragma omp parallel for schedule(dynamic, 16) num_threads(threads)
  for (size_t i = 0; i < c->count; i++) {
    err error = pack_drawing(c, &c->items[i]);
    if (!error) error = read_facts(c, &c->items[i]);
#pragma omp critical
    {
      if (error && is_picture_at_fault(c, &c->items[i], error)) {
        c->items[i].problem = mem_copy_string(err_message(error));
        err_free(error);
        error = NULL;
      }
      if (error && !failure)
        failure = error;
      else
        err_free(error);
      progress_update(&bar, (double)++done, c->items[i].path);
    }
  }
  progress_finish(&bar, NULL);
  return failure;
}

static void free_collection(collection *c) {
  for (size_t i = 0; i < c->count; i++) {
    free(c->items[i].path);
    free(c->items[i].caption);
    free(c->items[i].problem);
    free(c->items[i].bytes);
    rdf_free(&c->items[i].facts);
  }
  free(c->items);
}

err openclipart_pack(const openclipart_options *options, openclipart_result *result) {
  collection c = {.o = options};
  shard_swap swap = {0};
  const shard_swap_plan plan = {.out = options->out,
                                .prefixes = {"train", "heldout"},
                                .maker = "flip data openclipart",
                                .suffix = ""};
  bool *is_left_out = NULL;
  char *pictures = fs_join(options->source, "png");
  err error = NULL;
  *result = (openclipart_result){0};
  if (!pictures) return mem_error(0, "a path");
  if (!fs_is_folder(pictures))
    FAIL(ERR_INPUT,
         "%s: not found; install Debian's openclipart-png and openclipart-svg, or give "
         "their folder with --source",
         pictures);
  TRY(shard_swap_open(&plan, &swap));
  TRY(find_drawings(&c, pictures, ""));
  result->drawings = (int64_t)c.count;
  TRY(pack_all(&c));
  TRY(demote_crowded_titles(&c));
  for (size_t i = 0; i < c.count; i++) TRY(make_caption(&c.items[i]));
  is_left_out = mem_zeroed(c.count, sizeof *is_left_out);
  if (!is_left_out) FAIL(ERR_MEMORY, "out of memory: finding duplicates");
  TRY(mark_duplicates(&c, is_left_out));
  TRY(write_shards(&c, is_left_out, &swap, result));
  TRY(replace_shards(&c, &swap, result));
  TRY(write_manifest(&c, result));
cleanup:
  shard_swap_close(&swap);
  free(is_left_out);
  free(pictures);
  free_collection(&c);
  return error;
}
