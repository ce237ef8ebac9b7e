#include "make/emoji.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ft2build.h>
#include FT_FREETYPE_H
#include <hb-ft.h>
#include <hb.h>
#include <libxml/xmlreader.h>
#include <omp.h>
#include <utf8proc.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/progress.h"
#include "make/caption.h"
#include "read/in_order.h"
#include "read/shard_swap.h"
#include "image/shrink.h"

enum { AT_ONCE = 256 }; /* rendered before they are written */

typedef struct {
  char *sequence, *name, *keywords;
} annotation;

/* Characters, or one sequence of them, with their group as in the labels file. */
typedef struct {
  utf8proc_int32_t first, last;
  char *sequence; /* without variation selectors; NULL: a range */
  const char *group, *subgroup;
} group_range;

typedef struct {
  const emoji_options *o;
  annotation *items;
  size_t count, capacity;
  group_range *ranges;
  size_t range_count, range_capacity;
  char *labels; /* the file, split into strings */
} emoji_set;

/* The font of one thread: a FreeType face may be used by one thread at a time. */
typedef struct {
  FT_Library freetype;
  FT_Face face;
  hb_font_t *shaper;
} emoji_font;

/* An emoji to be written into a shard, or the reason to skip it. */
typedef struct {
  enum { NOT_NAMED, WITHOUT_GLYPH, WITHOUT_GROUP, DRAWN } kind;
  uint8_t *png;
  size_t length;
  strbuf caption, json;
  err error;
} packed;

static annotation *find_annotation(emoji_set *set, const char *sequence) {
  for (size_t i = set->count; i-- > 0;) /* a name follows its keywords: search from the end */
    if (strcmp(set->items[i].sequence, sequence) == 0) return &set->items[i];
  if (set->count == set->capacity) {
    size_t capacity = set->capacity ? 2 * set->capacity : 4096;
    annotation *items = mem_resize(set->items, capacity, sizeof *items);
    if (!items) return NULL;
    set->items = items;
    set->capacity = capacity;
  }
  annotation *fresh = &set->items[set->count];
  *fresh = (annotation){.sequence = mem_copy_string(sequence)};
  if (!fresh->sequence) return NULL;
  set->count++;
  return fresh;
}

/* One element <annotation cp="…" type="tts">…</annotation>; without a type it holds keywords. */
static err take_annotation(emoji_set *set, xmlTextReaderPtr reader) {
  xmlChar *sequence = xmlTextReaderGetAttribute(reader, (const xmlChar *)"cp");
  xmlChar *type = xmlTextReaderGetAttribute(reader, (const xmlChar *)"type");
  xmlChar *value = xmlTextReaderReadString(reader);
  err error = NULL;
  if (sequence && value) { /* one without a character or a text is useless */
    annotation *item = find_annotation(set, (const char *)sequence);
    char **field = !item ? NULL : type ? &item->name : &item->keywords;
    if (field) {
      free(*field);
      *field = mem_copy_string((const char *)value);
    }
    if (!field || !*field) error = mem_error(0, "annotations");
  }
  xmlFree(sequence);
  xmlFree(type);
  xmlFree(value);
  return error;
}

static err read_annotations(emoji_set *set, const char *folder) {
  int status = 0;
  char *path = NULL, *below = fs_join(set->o->cldr, folder);
  if (below) path = fs_join(below, "en.xml");
  free(below);
  if (!path) return mem_error(0, "a path");
  xmlTextReaderPtr reader = xmlReaderForFile(path, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR);
  err error = NULL;
  if (!reader)
    error = err_new(ERR_INPUT, "%s: not found; install Debian's unicode-cldr-core", path);
  while (!error && (status = xmlTextReaderRead(reader)) == 1)
    if (xmlTextReaderNodeType(reader) == XML_READER_TYPE_ELEMENT &&
        strcmp((const char *)xmlTextReaderConstLocalName(reader), "annotation") == 0)
      error = take_annotation(set, reader);
  if (!error && status < 0)
    error = err_new(ERR_INPUT, "%s:%d: is not XML, or is truncated", path,
                    xmlTextReaderGetParserLineNumber(reader));
  if (reader) xmlFreeTextReader(reader);
  free(path);
  return error;
}

static err add_range(emoji_set *set, const group_range *range) {
  if (set->range_count == set->range_capacity) {
    size_t capacity = set->range_capacity ? 2 * set->range_capacity : 512;
    group_range *ranges = mem_resize(set->ranges, capacity, sizeof *ranges);
    if (!ranges) return mem_error(capacity * sizeof *ranges, "groups");
    set->ranges = ranges;
    set->range_capacity = capacity;
  }
  set->ranges[set->range_count++] = *range;
  return NULL;
}

static char *trim(char *text) {
  text += strspn(text, " \t");
  size_t length = strlen(text);
  while (length && strchr(" \t\r", text[length - 1])) text[--length] = '\0';
  return text;
}

/* Labels and annotations differ in U+FE0F, which asks for colours and names no other emoji. */
static void append_plain(const char *text, size_t length, strbuf *out) {
  static const char selector[] = "\xEF\xB8\x8F";
  for (const char *end = text + length; text < end;) {
    bool is_selector = end - text >= 3 && memcmp(text, selector, 3) == 0;
    if (!is_selector) strbuf_append_char(out, *text);
    text += is_selector ? 3 : 1;
  }
}

/* What is between braces, of `length` bytes. */
static err add_sequence(emoji_set *set, const char *text, size_t length, group_range range) {
  strbuf plain = {0};
  append_plain(text, length, &plain);
  if (utf8proc_iterate((const utf8proc_uint8_t *)strbuf_string(&plain), -1, &range.first) <= 0)
    range.first = -1;
  range.last = range.first;
  range.sequence = strbuf_take(&plain);
  err error = range.sequence ? add_range(set, &range) : mem_error(length, "groups");
  if (error) free(range.sequence);
  return error;
}

/* A UnicodeSet as in labels.txt: characters, ranges a-b and {sequences}. */
static err read_unicode_set(emoji_set *set, const char *text, const char *group,
                            const char *subgroup) {
  group_range range = {.group = group, .subgroup = subgroup};
  utf8proc_int32_t c, before = -1;
  bool is_range = false;
  err error = NULL;
  while (*text && !error) {
    utf8proc_ssize_t length = utf8proc_iterate((const utf8proc_uint8_t *)text, -1, &c);
    if (length <= 0) return err_new(ERR_INPUT, "labels.txt: not UTF-8");
    text += length;
    if (c == '{') {
      size_t inside = strcspn(text, "}");
      error = add_sequence(set, text, inside, range);
      text += inside + (text[inside] == '}');
    } else if (c == '-' && before >= 0) {
      is_range = true;
    } else if (c > 127 || !strchr("[]} \\", (int)c)) {
      range.first = is_range ? before : c;
      range.last = before = c;
      error = add_range(set, &range);
      is_range = false;
    }
  }
  return error;
}

static err read_groups(emoji_set *set) {
  size_t length;
  char *path = fs_join(set->o->cldr, "properties/labels.txt");
  err error = path ? fs_read(path, &set->labels, &length) : mem_error(0, "a path");
  free(path);
  if (error) return error;
  for (char *rest = set->labels, *line; (line = strsep(&rest, "\n")) && !error;) {
    if (*line == '#' || !*line) continue;
    char *characters = strsep(&line, ";"), *group = strsep(&line, ";"), *subgroup = line;
    if (!group || !subgroup) continue;
    error = read_unicode_set(set, trim(characters), trim(group), trim(subgroup));
  }
  return error;
}

/* Of the sequence itself; of one that is not listed, of its first character, alone or as that of
 * a listed one. */
static const group_range *group_of(const emoji_set *set, const char *plain) {
  const group_range *alone = NULL, *beginning = NULL;
  utf8proc_int32_t c;
  if (utf8proc_iterate((const utf8proc_uint8_t *)plain, -1, &c) <= 0) return NULL;
  for (size_t i = 0; i < set->range_count; i++) {
    const group_range *one = &set->ranges[i];
    if (one->sequence && strcmp(one->sequence, plain) == 0) return one;
    if (c < one->first || c > one->last) continue;
    if (!one->sequence && !alone) alone = one;
    if (one->sequence && !beginning) beginning = one;
  }
  return alone ? alone : beginning;
}

static err find_group(const emoji_set *set, const char *sequence, const group_range **group) {
  strbuf plain = {0};
  append_plain(sequence, strlen(sequence), &plain);
  err error = plain.is_broken ? mem_error(strlen(sequence), "groups") : NULL;
  *group = error ? NULL : group_of(set, strbuf_string(&plain));
  strbuf_free(&plain);
  return error;
}

static err open_font(const char *path, emoji_font *font) {
  if (FT_Init_FreeType(&font->freetype))
    return err_new(ERR_MEMORY, "FreeType cannot be initialised");
  if (FT_New_Face(font->freetype, path, 0, &font->face))
    return err_new(ERR_INPUT,
                   "%s: not a readable font; install Debian's fonts-noto-color-emoji, or "
                   "give the font with --font",
                   path);
  if (!FT_HAS_COLOR(font->face) || font->face->num_fixed_sizes < 1 || FT_Select_Size(font->face, 0))
    return err_new(ERR_INPUT, "%s: has no colour bitmaps", path);
  font->shaper = hb_ft_font_create_referenced(font->face);
  return NULL;
}

static void close_font(emoji_font *font) {
  if (font->shaper) hb_font_destroy(font->shaper);
  if (font->face) FT_Done_Face(font->face);
  if (font->freetype) FT_Done_FreeType(font->freetype);
}

/* The single glyph that renders the sequence; 0 when the font needs several, or has none. */
static FT_UInt find_glyph(const emoji_font *font, const char *sequence) {
  hb_buffer_t *buffer = hb_buffer_create();
  unsigned count;
  hb_buffer_add_utf8(buffer, sequence, -1, 0, -1);
  hb_buffer_guess_segment_properties(buffer);
  hb_shape(font->shaper, buffer, NULL, 0);
  hb_glyph_info_t *glyphs = hb_buffer_get_glyph_infos(buffer, &count);
  FT_UInt glyph = count == 1 ? glyphs[0].codepoint : 0;
  hb_buffer_destroy(buffer);
  return glyph;
}

/* Premultiplied BGRA on white. */
static err draw(const emoji_font *font, FT_UInt glyph, int32_t size, image *out) {
  if (FT_Load_Glyph(font->face, glyph, FT_LOAD_COLOR) ||
      font->face->glyph->bitmap.pixel_mode != FT_PIXEL_MODE_BGRA)
    return err_new(ERR_INPUT, "no colour bitmap");
  const FT_Bitmap *bitmap = &font->face->glyph->bitmap;
  image whole = {0};
  err error = image_allocate(bitmap->width, bitmap->rows, &whole);
  if (error) return error;
  for (int32_t y = 0; y < whole.height; y++)
    for (int32_t x = 0; x < whole.width; x++) {
      const unsigned char *from = bitmap->buffer + y * bitmap->pitch + x * 4;
      uint8_t *to = whole.pixels + ((size_t)y * (size_t)whole.width + (size_t)x) * 3;
      for (int c = 0; c < 3; c++) {
        int value = from[2 - c] + 255 - from[3];
        to[c] = (uint8_t)(value > 255 ? 255 : value);
      }
    }
  error = shrink_fit(&whole, size, out);
  image_free(&whole);
  return error;
}

/* "name, keyword, keyword" of CLDR's "keyword | keyword". */
static err make_caption(const annotation *item, strbuf *out) {
  const char *keywords[32];
  size_t count = 0;
  char *copy = mem_copy_string(item->keywords ? item->keywords : "");
  if (!copy) return mem_error(0, "a caption");
  for (char *rest = copy, *word; (word = strsep(&rest, "|")) && count < 32;)
    if (*trim(word)) keywords[count++] = trim(word);
  const caption_parts parts = {item->name, "", keywords, count};
  caption_join(&parts, out);
  free(copy);
  return NULL;
}

static err describe(const annotation *item, const group_range *group, size_t i,
                    const image *picture, packed *p) {
  char key[32];
  snprintf(key, sizeof key, "%05zu", i);
  err error = make_caption(item, &p->caption);
  json_writer w = jsonw_start(&p->json);
  jsonw_object(&w, NULL);
  jsonw_string(&w, "key", key);
  jsonw_string(&w, "caption", strbuf_string(&p->caption));
  jsonw_integer(&w, "width", picture->width);
  jsonw_integer(&w, "height", picture->height);
  jsonw_string(&w, "source", item->sequence);
  jsonw_object(&w, "labels");
  jsonw_string(&w, "group", group->group);
  jsonw_string(&w, "subgroup", group->subgroup);
  jsonw_string(&w, "name", item->name);
  jsonw_end(&w);
  jsonw_end(&w);
  if (!error && (p->caption.is_broken || p->json.is_broken))
    error = mem_error(0, "an emoji's JSON");
  return error;
}

typedef struct {
  const emoji_set *set;
  const emoji_font *fonts; /* one per thread */
  shard_writer *shards;
  emoji_result *result;
  progress bar;
} packing;

static void make(void *context, int64_t row, void *place) {
  const packing *to = context;
  const emoji_set *set = to->set;
  const emoji_font *font = &to->fonts[omp_get_thread_num()];
  packed *p = place;
  size_t i = (size_t)row;
  const annotation *item = &set->items[i];
  if (!item->name || strstr(item->name, "skin tone")) return;
  const group_range *group;
  p->error = find_group(set, item->sequence, &group);
  if (p->error) return;
  FT_UInt glyph = find_glyph(font, item->sequence);
  p->kind = glyph && group ? DRAWN : glyph ? WITHOUT_GROUP : WITHOUT_GLYPH;
  if (p->kind != DRAWN) return;
  image picture = {0};
  err error = draw(font, glyph, (int32_t)set->o->size, &picture);
  if (error && err_kind_of(error) != ERR_MEMORY) {
    err_free(error); /* an outline glyph: text symbols that the font happens to contain */
    p->kind = WITHOUT_GLYPH;
    return;
  }
  if (!error) error = describe(item, group, i, &picture, p);
  if (!error) error = shrink_encode_png(&picture, &p->png, &p->length);
  image_free(&picture);
  p->error = error;
}

static err add(void *context, int64_t row, void *place) {
  packing *to = context;
  emoji_result *r = to->result;
  packed *p = place;
  char key[32];
  snprintf(key, sizeof key, "%05ld", (long)row);
  progress_update(&to->bar, (double)row + 1, to->set->items[row].name);
  r->named += p->kind != NOT_NAMED;
  r->without_glyph += p->kind == WITHOUT_GLYPH;
  r->without_group += p->kind == WITHOUT_GROUP;
  r->drawn += p->kind == DRAWN;
  err error = p->error;
  p->error = NULL;
  if (error || p->kind != DRAWN) return error;
  return shard_writer_add(to->shards, key, "png", p->png, p->length, strbuf_string(&p->caption),
                          strbuf_string(&p->json));
}

static void release(void *place) {
  packed *p = place;
  free(p->png);
  strbuf_free(&p->caption);
  strbuf_free(&p->json);
  err_free(p->error);
}

/* Rendered by all threads, each with its own font, and written in order. */
static err pack_all(const emoji_set *set, const emoji_font *fonts, shard_writer *shards,
                    emoji_result *r) {
  packing to = {set, fonts, shards, r, {0}};
  const in_order_work work = {&to,    (int64_t)set->count, AT_ONCE, sizeof(packed), make, add,
                              release};
  to.bar = progress_start("packing emoji", (double)set->count, 0, set->o->has_progress);
  err error = in_order(&work);
  progress_finish(&to.bar, NULL);
  return error;
}

static void free_set(emoji_set *set) {
  for (size_t i = 0; i < set->count; i++) {
    free(set->items[i].sequence);
    free(set->items[i].name);
    free(set->items[i].keywords);
  }
  for (size_t i = 0; i < set->range_count; i++) free(set->ranges[i].sequence);
  free(set->items);
  free(set->ranges);
  free(set->labels);
}

err emoji_pack(const emoji_options *options, emoji_result *result) {
  emoji_set set = {.o = options};
  shard_writer *shards = NULL;
  shard_swap swap = {0};
  const shard_swap_plan plan = {
      .out = options->out, .prefixes = {"emoji"}, .maker = "flip data emoji", .suffix = ""};
  int threads = omp_get_max_threads();
  emoji_font *fonts = mem_zeroed((size_t)threads, sizeof *fonts);
  err error = NULL;
  *result = (emoji_result){0};
  if (!fonts) FAIL(ERR_MEMORY, "out of memory: emoji");
  TRY(read_annotations(&set, "annotations"));
  TRY(read_annotations(&set, "annotationsDerived"));
  TRY(read_groups(&set));
  for (int i = 0; i < threads; i++) TRY(open_font(options->font, &fonts[i]));
  TRY(shard_swap_open(&plan, &swap));
  TRY(shard_swap_writer(&swap, 0, options->shard_size, &shards));
  TRY(pack_all(&set, fonts, shards, result));
  TRY(shard_writer_finish(shards, &result->shards));
  TRY(shard_swap_replace(&swap, &result->shards));
cleanup:
  shard_writer_close(shards);
  shard_swap_close(&swap);
  for (int i = 0; fonts && i < threads; i++) close_font(&fonts[i]);
  free(fonts);
  free_set(&set);
  return error;
}
