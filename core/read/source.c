#include "read/source.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"

static const source_format formats[] = {
    {"shards", "TARS", "WebDataset tars: a path, a glob, a {00000..00009} range, @LIST of them",
     "caption", source_open_shards},
    {"pipe", "COMMAND", "a tar written by a shell command (data.allow_pipes: true)", "caption",
     source_open_pipe},
    {"folder", "DIR",
     "images in a folder and its subfolders; captions: .txt files of the same name, or a template",
     "template", source_open_folder},
    {"list", "FILE.csv", "a CSV, TSV or Parquet list of image paths and captions",
     "image|caption|images|separator", source_open_list},
    {"imagenet", "DIR", "one folder of images per class: ImageNet-1K and -21K, or any names",
     "names|template", source_open_imagenet},
    {"cifar10", "DIR", "CIFAR-10's binary files", "split|template", source_open_cifar10},
    {"cifar100", "DIR", "CIFAR-100's binary files", "split|template|labels", source_open_cifar100},
    {"scenes", "SEED", "procedural scenes, generated while reading: no disk space, unlimited",
     "split|count|size|version", source_open_scenes},
    {"coco", "FILE.json", "COCO's captions_*.json", "images|captions", source_open_coco},
    {"openimages", "LABELS.csv", "Open Images: image-level labels as captions", "images|names",
     source_open_openimages},
    {"narratives", "FILE.jsonl", "localized narratives as captions (Open Images and others)",
     "images", source_open_narratives},
};
enum { FORMATS = sizeof formats / sizeof *formats };

const source_format *source_formats(size_t *count) {
  *count = FORMATS;
  return formats;
}

static const source_format *find_format(const char *name, size_t length) {
  for (size_t i = 0; i < FORMATS; i++)
    if (strlen(formats[i].name) == length && strncmp(formats[i].name, name, length) == 0)
      return &formats[i];
  return NULL;
}

/* Start of the options: the last '#' followed by a '='; else the end. */
static const char *find_options(const char *name) {
  const char *hash = strrchr(name, '#');
  return hash && strchr(hash, '=') ? hash : name + strlen(name);
}

static bool ends_with(const char *text, size_t length, const char *end) {
  size_t end_length = strlen(end);
  return length >= end_length && strncmp(text + length - end_length, end, end_length) == 0;
}

static const source_format *guess_format(const char *location, size_t length) {
  static const struct {
    const char *end, *name;
  } looks[] = {{".csv", "list"},         {".tsv", "list"},     {".csv.gz", "list"},
               {".tsv.gz", "list"},      {".parquet", "list"}, {".json", "coco"},
               {".jsonl", "narratives"}, {".tar", "shards"}};
  char *copy = mem_copy_string(location);
  if (!copy) return &formats[0];
  copy[length] = '\0';
  const char *name = *copy != '@' && fs_is_folder(copy) ? "folder" : "shards";
  for (size_t i = 0; i < sizeof looks / sizeof *looks; i++)
    if (*copy != '@' && ends_with(copy, length, looks[i].end)) name = looks[i].name;
  free(copy);
  return find_format(name, strlen(name));
}

const source_format *source_format_of(const char *name) {
  const char *colon = strchr(name, ':');
  const source_format *format = colon ? find_format(name, (size_t)(colon - name)) : NULL;
  return format ? format : guess_format(name, (size_t)(find_options(name) - name));
}

const char *source_option(const source_request *r, const char *key) {
  for (size_t i = 0; i < r->option_count; i++)
    if (strcmp(r->options[i].key, key) == 0) return r->options[i].value;
  return NULL;
}

static bool takes_key(const char *keys, const char *key) {
  size_t length = strlen(key);
  for (const char *at = keys; *at; at += strcspn(at, "|"), at += *at == '|')
    if (strcspn(at, "|") == length && strncmp(at, key, length) == 0) return true;
  return strcmp(key, "weight") == 0;
}

/* Splits `text` ("key=value,key=value") into the request's options. */
static err read_options(source_request *r, const source_format *format, char *text) {
  for (char *part; (part = strsep(&text, ","));) {
    char *equals = strchr(part, '=');
    if (!equals || r->option_count == SOURCE_OPTIONS)
      return err_new(ERR_INPUT, "%s: '%s' is not KEY=VALUE", r->whole, part);
    *equals = '\0';
    if (!takes_key(format->keys, part))
      return err_new(ERR_INPUT, "%s: a source of kind %s has no option '%s'; it takes weight%s%s",
                     r->whole, format->name, part, *format->keys ? "|" : "", format->keys);
    r->options[r->option_count].key = part;
    r->options[r->option_count++].value = equals + 1;
  }
  return NULL;
}

err source_weight(const source_request *r, double *weight) {
  const char *text = source_option(r, "weight");
  char *end = NULL;
  *weight = text ? strtod(text, &end) : 1;
  if (text && (end == text || *end || !(*weight > 0) || *weight > 1e6))
    return err_new(ERR_INPUT, "%s: weight '%s' is not a number in (0, 1000000]", r->whole, text);
  return NULL;
}

err source_take_apart(const char *name, source_request *r, const source_format **format,
                      char **copy) {
  *format = source_format_of(name);
  size_t prefix = strlen((*format)->name);
  bool is_named = strncmp(name, (*format)->name, prefix) == 0 && name[prefix] == ':';
  r->whole = name;
  *copy = mem_copy_string(is_named ? name + prefix + 1 : name);
  if (!*copy) return mem_error(strlen(name), "a data source");
  r->location = *copy;
  char *options = *copy + (find_options(*copy) - *copy);
  if (!*options) return NULL;
  *options++ = '\0';
  return read_options(r, *format, options);
}

err source_refuse_pipe(const source_request *r) {
  if (r->allows_pipes) return NULL;
  return err_new(ERR_INPUT,
                 "%s: runs a program, which only data.train may, with data.allow_pipes: true if "
                 "you trust the command; elsewhere give a file with its output",
                 r->whole);
}

bool source_needs_caption(const source_request *r) {
  return r->needs & DATASET_CAPTION;
}

err source_open(const char *name, dataset_parts needs, bool allows_pipes, bool is_trained_on,
                data_source **out) {
  source_request r = {.needs = needs, .allows_pipes = allows_pipes, .is_trained_on = is_trained_on};
  const source_format *format;
  char *copy = NULL;
  double weight;
  err error = NULL;
  *out = NULL;
  TRY(source_take_apart(name, &r, &format, &copy));
  TRY(source_weight(&r, &weight));
  TRY(format->open(&r, out));
  (*out)->weight = weight;
  (*out)->needs = needs;
cleanup:
  free(copy);
  return error;
}

/* The base folder of a list's relative images if no option gives it. */
static err visit_own_folder(const char *location, source_visit visit, void *context) {
  char *folder = mem_copy_string(location);
  if (!folder) return mem_error(strlen(location), "a path");
  char *slash = strrchr(folder, '/');
  if (slash) *slash = '\0';
  err error = visit(context, slash == folder ? "/" : slash ? folder : ".");
  free(folder);
  return error;
}

err source_paths(const char *name, source_visit visit, void *context) {
  static const char *const keys[] = {"images", "names"};
  source_request r = {0};
  const source_format *format;
  char *copy = NULL;
  err error = NULL;
  TRY(source_take_apart(name, &r, &format, &copy));
  if (format->open == source_open_pipe) goto cleanup;
  TRY(visit(context, format->open == source_open_shards && *r.location == '@' ? r.location + 1
                                                                              : r.location));
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    const char *path = source_option(&r, keys[i]);
    if (path && takes_key(format->keys, keys[i])) TRY(visit(context, path));
  }
  if (takes_key(format->keys, "images") && !source_option(&r, "images"))
    TRY(visit_own_folder(r.location, visit, context));
cleanup:
  free(copy);
  return error;
}

err source_refuse_endless(const data_source *s, const char *name) {
  if (!s->is_endless) return NULL;
  return err_new(ERR_INPUT,
                 "%s: has no end, and this reads all of it: give a number of samples, "
                 "as in 'scenes:0#count=20k'",
                 name);
}

void source_close(data_source *s) {
  if (!s) return;
  strbuf_free(&s->damage);
  strbuf_free(&s->notes);
  strbuf_free(&s->left_out.records);
  s->call->close(s);
}
