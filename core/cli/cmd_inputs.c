/* `flip inputs`: every file that a run reads, with its size and fingerprint. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/shipped.h"
#include "cli/commands.h"
#include "config/settings.h"
#include "eval/description.h"
#include "read/dataset.h"
#include "read/shard_expand.h"
#include "read/source.h"
#include "text/template.h"

typedef struct {
  char *written, *found; /* found: NULL if missing */
  int64_t bytes;
} input_file;

/* One input: data of any number of files, or one file. */
typedef struct {
  const char *role;    /* train, evaluation, set, vocabulary, lexicon, classes, templates, labels,
                          weights */
  const char *setting; /* the source: "data.train", or an evaluation set's file */
  char *const *names;  /* as written there */
  size_t name_count;
  bool is_stream; /* data.order: stream, whose fingerprint of large data is another */
  char **paths;   /* the paths in the names: files, folders, patterns */
  size_t path_count;
  input_file *files;
  size_t file_count;
  int64_t samples, bytes;
  char fingerprint[HASH_SIZE];
  err problem; /* why it cannot be read; NULL: it is here */
} input;

typedef struct {
  strbuf *out;
  json_writer w;
  bool as_json;
  size_t missing;
} listing;

enum { DEEPEST = 32 }; /* folders within one another: links may form a loop */

/* Of a folder the sum of all files below it. */
static int64_t size_of(const char *path, int depth) {
  struct stat status;
  if (!path || stat(path, &status) != 0) return 0;
  if (S_ISREG(status.st_mode)) return (int64_t)status.st_size;
  if (!S_ISDIR(status.st_mode) || depth == DEEPEST) return 0;
  char **names = NULL;
  size_t count = 0;
  int64_t bytes = 0;
  err_free(fs_list(path, &names, &count));
  for (size_t i = 0; i < count; i++) {
    char *inside = fs_join(path, names[i]);
    bytes += size_of(inside, depth + 1);
    free(inside);
  }
  fs_free_names(names, count);
  return bytes;
}

static err add_file(input *in, const char *written, const char *found) {
  input_file *grown = mem_resize(in->files, in->file_count + 1, sizeof *grown);
  if (!grown) return mem_error(sizeof *grown, "the list of files");
  in->files = grown;
  bool is_here = found && fs_exists(found);
  input_file f = {mem_copy_string(written), is_here ? mem_copy_string(found) : NULL,
                  is_here ? size_of(found, 0) : 0};
  grown[in->file_count++] = f;
  in->bytes += f.bytes;
  return f.written && (f.found || !is_here) ? NULL : mem_error(strlen(written), "a path");
}

static err add_path(void *context, const char *path) {
  input *in = context;
  char **grown = mem_resize(in->paths, in->path_count + 1, sizeof *grown);
  if (!grown) return mem_error(sizeof *grown, "the list of paths");
  in->paths = grown;
  grown[in->path_count] = mem_copy_string(path);
  return grown[in->path_count++] ? NULL : mem_error(strlen(path), "a path");
}

static void free_input(input *in) {
  for (size_t i = 0; i < in->path_count; i++) free(in->paths[i]);
  for (size_t i = 0; i < in->file_count; i++) {
    free(in->files[i].written);
    free(in->files[i].found);
  }
  free(in->paths);
  free(in->files);
  err_free(in->problem);
}

/* ---- output ---- */

static void write_json(json_writer *w, const input *in) {
  jsonw_object(w, NULL);
  jsonw_string(w, "role", in->role);
  jsonw_string(w, "setting", in->setting);
  if (in->is_stream) jsonw_string(w, "order", "stream");
  jsonw_array(w, "names");
  for (size_t i = 0; i < in->name_count; i++) jsonw_string(w, NULL, in->names[i]);
  jsonw_end(w);
  jsonw_array(w, "paths");
  for (size_t i = 0; i < in->path_count; i++) jsonw_string(w, NULL, in->paths[i]);
  jsonw_end(w);
  jsonw_array(w, "files");
  for (size_t i = 0; i < in->file_count; i++) {
    jsonw_object(w, NULL);
    jsonw_string(w, "path", in->files[i].written);
    jsonw_string(w, "found", in->files[i].found);
    jsonw_integer(w, "bytes", in->files[i].bytes);
    jsonw_end(w);
  }
  jsonw_end(w);
  if (in->samples) jsonw_integer(w, "samples", in->samples);
  jsonw_integer(w, "bytes", in->bytes);
  jsonw_string(w, "fingerprint", in->fingerprint);
  jsonw_string(w, "problem", in->problem ? err_message(in->problem) : NULL);
  jsonw_end(w);
}

static void write_text(strbuf *out, const input *in) {
  char size[TEXT_NUMBER_SIZE];
  strbuf_format(out, "%-11s", in->role);
  for (size_t i = 0; i < in->name_count; i++) strbuf_format(out, " %s", in->names[i]);
  if (in->problem) {
    strbuf_format(out, "\n            missing: %s\n", err_message(in->problem));
    return;
  }
  strbuf_format(out, "\n            ");
  if (in->samples)
    strbuf_format(out, "%ld %s, ", (long)in->samples,
                  text_plural(in->samples, "sample", "samples"));
  size_t folders = 0;
  for (size_t i = 0; i < in->file_count; i++)
    folders += in->files[i].found && fs_is_folder(in->files[i].found);
  size_t files = in->file_count - folders;
  if (files || !folders)
    strbuf_format(out, "%zu %s, ", files, text_plural((int64_t)files, "file", "files"));
  if (folders)
    strbuf_format(out, "%zu %s, ", folders, text_plural((int64_t)folders, "folder", "folders"));
  strbuf_append(out, text_bytes((uint64_t)in->bytes, size));
  if (*in->fingerprint) strbuf_format(out, ", fingerprint %s", in->fingerprint);
  strbuf_append_char(out, '\n');
}

/* Records the error and frees it. */
static err list_input(listing *l, input *in) {
  err error = NULL;
  if (in->problem && err_kind_of(in->problem) == ERR_MEMORY) {
    error = in->problem; /* out of memory: says nothing about the file */
    in->problem = NULL;
  }
  l->missing += in->problem != NULL;
  if (l->as_json)
    write_json(&l->w, in);
  else
    write_text(l->out, in);
  free_input(in);
  return error;
}

/* ---- collecting ---- */

/* A file, or a folder (of checkpoints), by name. */
static err list_file(listing *l, const char *role, const char *where, char *name,
                     const char *found) {
  input in = {.role = role, .setting = where, .names = &name, .name_count = 1};
  err error = add_path(&in, name);
  if (!error) error = add_file(&in, name, found);
  if (!error && !fs_exists(found))
    in.problem = err_new(ERR_INPUT, "%s: no such file", name);
  else if (!error && !fs_is_folder(found))
    in.problem = hash_file(found, in.fingerprint);
  if (!error) return list_input(l, &in);
  free_input(&in);
  return error;
}

/* The files of one data source: its shards, else the paths in its name. */
static err add_source_files(input *in, const char *name, size_t first_path) {
  char **shards = NULL;
  size_t count = 0;
  const source_format *format = source_format_of(name);
  err error = NULL;
  if (strcmp(format->name, "shards") != 0) {
    for (size_t i = first_path; i < in->path_count && !error; i++)
      error = add_file(in, in->paths[i], in->paths[i]);
    return error;
  }
  char *location = in->path_count > first_path ? in->paths[first_path] : NULL, *list = NULL;
  const char *at = strchr(name, '@');
  bool is_list = location && at && strncmp(at + 1, location, strlen(location)) == 0;
  if (is_list && (list = mem_zeroed(strlen(location) + 2, 1))) {
    *list = '@';
    memcpy(list + 1, location, strlen(location));
    error = add_file(in, location, location);
  }
  if (!error && location && !in->problem)
    in->problem = shard_expand(is_list ? &list : &location, 1, &shards, &count);
  for (size_t i = 0; i < count && !error; i++) {
    error = add_file(in, shards[i], shards[i]);
    if (!error && is_list) error = add_path(in, shards[i]);
  }
  fs_free_names(shards, count);
  free(list);
  return error;
}

/* As the trainer opens it: the streaming order indexes nothing. */
static void look_at_data(input *in) {
  dataset *data = NULL;
  for (size_t i = 0; i < in->name_count; i++)
    if (strncmp(in->names[i], "pipe:", 5) == 0) return; /* commands are not run */
  if (!in->problem)
    in->problem = in->is_stream ? dataset_open_stream(in->names, in->name_count, false, &data)
                                : dataset_open(in->names, in->name_count, &data);
  if (in->problem) return;
  in->samples = dataset_count(data);
  snprintf(in->fingerprint, sizeof in->fingerprint, "%s", dataset_fingerprint(data));
  dataset_close(data);
}

static err list_data(listing *l, const char *role, const char *where, char *const *names,
                     size_t count, bool is_stream) {
  input in = {
      .role = role, .setting = where, .names = names, .name_count = count, .is_stream = is_stream};
  err error = NULL;
  for (size_t i = 0; i < count && !error; i++) {
    size_t first = in.path_count;
    error = source_paths(names[i], add_path, &in);
    if (!error) error = add_source_files(&in, names[i], first);
  }
  if (error) {
    free_input(&in);
    return error;
  }
  look_at_data(&in);
  return list_input(l, &in);
}

static err list_named_file(listing *l, const yml_node *root, const char *key, const char *role,
                           const char *set) {
  const yml_node *node = yml_get(root, key);
  if (yml_is_null(node) || node->kind != YML_SCALAR) return NULL;
  char *name = mem_copy_string(node->scalar);
  err error = name ? list_file(l, role, set, name, name) : mem_error(0, "a path");
  free(name);
  return error;
}

/* The files of a multilabel set, one per class. What is wrong with the set is reported where it is
 * opened. */
static err list_label_files(listing *l, const yml_document *document, const char *name) {
  set_description d;
  yml_problems problems = {0};
  description_read(document, &d, &problems);
  err error = NULL, unread = yml_problems_take(&problems);
  if (!unread && d.label_files) unread = description_read_files(&d);
  for (size_t i = 0; d.label_files && !unread && i < d.classes.count && !error; i++) {
    strbuf path = {0};
    template_fill(d.label_files, d.classes.items[i], &path);
    char *file = strbuf_take(&path);
    error = file ? list_file(l, "labels", name, file, file) : mem_error(0, "a path");
    free(file);
  }
  err_free(unread);
  description_free(&d);
  return error;
}

/* An evaluation set's file and the files it refers to (eval/set.c reads the same keys). */
static err list_set(listing *l, const char *where, char *name) {
  if (!*name) return err_new(ERR_INPUT, "%s is empty: name a set (YAML)", where);
  yml_document *document = NULL;
  char *found = shipped_or_given(name), **images = NULL;
  size_t count = 0;
  err error = NULL;
  if (!found) FAIL(ERR_MEMORY, "out of memory: a path");
  TRY(list_file(l, "set", where, name, found));
  if (!fs_exists(found)) goto cleanup;
  TRY(yml_load(found, &document));
  const yml_node *root = yml_root(document), *node = NULL;
  if (root->kind != YML_MAP) FAIL(ERR_INPUT, "%s: an evaluation set is a map of keys", name);
  TRY(list_named_file(l, root, "class_file", "classes", name));
  TRY(list_named_file(l, root, "template_file", "templates", name));
  TRY(list_label_files(l, document, name));
  node = yml_get(root, "images");
  if (yml_is_null(node)) goto cleanup;
  images = mem_zeroed(node->kind == YML_SEQUENCE ? node->count + 1 : 1, sizeof *images);
  if (!images) FAIL(ERR_MEMORY, "out of memory: an evaluation set");
  if (node->kind == YML_SCALAR) images[count++] = (char *)node->scalar;
  for (size_t i = 0; node->kind == YML_SEQUENCE && i < node->count; i++)
    if (node->items[i]->kind == YML_SCALAR) images[count++] = (char *)node->items[i]->scalar;
  if (count) TRY(list_data(l, "evaluation", name, images, count, false));
cleanup:
  free(images);
  free(found);
  yml_free(document);
  return error;
}

static err list_all(listing *l, const settings *s) {
  err error = NULL;
  char *words = shipped_or_given(s->text_vocabulary);
  if (!words) return mem_error(0, "a path");
  bool is_classifier = s->classification_classes > 0;
  char *lexicon = (char *)s->text_mask_lexicon;
  if (s->data_train.count && !is_classifier)
    TRY(list_data(l, "train", "data.train", s->data_train.items, s->data_train.count,
                  s->data_order == DATA_ORDER_STREAM));
  if (*s->text_vocabulary && !is_classifier)
    TRY(list_file(l, "vocabulary", "text.vocabulary", s->text_vocabulary, words));
  if (s->text_mask_mode == TEXT_MASK_SYNTAX && !is_classifier)
    TRY(list_file(l, "lexicon", "text_mask_lexicon", lexicon, lexicon));
  if (*s->init_from && strncmp(s->init_from, "cell:", 5) != 0)
    TRY(list_file(l, "weights", "init_from", s->init_from, s->init_from));
  for (size_t i = 0; i < s->eval_sets.count; i++)
    TRY(list_set(l, "eval.sets", s->eval_sets.items[i]));
  if (*s->eval_probe_train && !is_classifier)
    TRY(list_set(l, "eval.probe_train", s->eval_probe_train));
  if (is_classifier) TRY(list_set(l, "classification.train", s->classification_train));
cleanup:
  free(words);
  return error;
}

static err list_inputs(const settings *s, bool as_json, size_t *missing) {
  strbuf out = {0};
  listing l = {.out = &out, .as_json = as_json};
  l.w = jsonw_start(&out);
  if (as_json) {
    jsonw_object(&l.w, NULL);
    jsonw_integer(&l.w, "version", 1);
    jsonw_array(&l.w, "inputs");
  }
  err error = list_all(&l, s);
  if (as_json) {
    jsonw_end(&l.w);
    jsonw_end(&l.w);
    strbuf_append_char(&out, '\n');
  }
  if (!error) error = options_print(&out);
  *missing = l.missing;
  strbuf_free(&out);
  return error;
}

int cmd_inputs(int argc, char **argv) {
  const char *config = NULL;
  bool as_json = false, is_help = false, has_settings = false;
  size_t missing = 0;
  option_list sets = {0}, rest = {0};
  settings s;
  option options[] = {
      {"config", 'c', OPTION_STRING, &config, "FILE", "run file (YAML)", true},
      {"set", 's', OPTION_LIST, &sets, "KEY=VALUE", "change one setting; may be repeated", false},
      {"json", 0, OPTION_FLAG, &as_json, NULL, "print JSON for scripts", false},
      {0}};
  const command c = {
      "flip inputs", "list the files that a run reads, and whether they exist",
      "--config FILE [OPTIONS]", options,
      "Training data, vocabulary, lexicon, weights, evaluation sets and the files they reference, "
      "with "
      "sizes\n"
      "and fingerprints. Paths are relative to the current folder, as in training.\n\n"
      "example:\n"
      "  flip inputs -c experiments/presets/mini.yaml\n\n"
      "exit status: 0 all exist (always with --json); 1 some are missing; 2 usage error"};
  err error = options_parse(&c, argc, argv, &rest, &is_help);
  if (error || is_help) goto cleanup;
  TRY(options_refuse_words(&rest, true));
  TRY(settings_load(config, &s));
  has_settings = true;
  for (size_t i = 0; i < sets.count; i++) TRY(settings_set(&s, sets.items[i]));
  TRY(list_inputs(&s, as_json, &missing));
cleanup:
  if (has_settings) settings_free(&s);
  options_free(options);
  options_free_list(&rest);
  int status = options_exit_status(error);
  return status ? status : !as_json && missing > 0;
}
