#include "exchange/bundle.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/shipped.h"
#include "base/version.h"
#include "config/yaml.h"
#include "exchange/inputs.h"
#include "exchange/pack.h"
#include "exchange/place.h"
#include "exchange/recorded.h"
#include "report/results.h"
#include "store/runs.h"
#include "sweep/directory.h"

enum { MOST_SMALL_BYTES = 8 << 20, MOST_DEPTH = 8 };

typedef struct {
  const spec_experiment *e;
  const bundle_options *options;
  pack files;
  json_t *inputs, *bases;
  char *experiment;      /* the place of its file */
  store_result *results; /* one per cell */
} packing;

/* ---- the experiment file and its bases ---- */

static err add_bases(packing *p, const char *path, const char *place, int depth);

/* A base is packed next to the file that refers to it, wherever it was found: that is where it is
 * looked up first. */
static err add_base(packing *p, const char *origin, const char *place, const char *base,
                    int depth) {
  char *path = settings_find_base(origin, base), *own = NULL;
  if (!path) return NULL; /* the experiment was loaded, so this is not a base in use */
  strbuf written = {0};
  const char *slash = strrchr(place, '/');
  if (slash && *base != '/') strbuf_append_bytes(&written, place, (size_t)(slash - place + 1));
  strbuf_append(&written, base);
  err error = pack_add_place(&p->files, path, strbuf_string(&written), &own);
  if (!error && *base == '/') json_array_append_new(p->bases, json_string(base));
  if (!error) error = add_bases(p, path, own, depth + 1);
  strbuf_free(&written);
  free(path);
  free(own);
  return error;
}

static err add_bases_under(packing *p, const yml_node *node, const char *path, const char *place,
                           int depth) {
  err error = NULL;
  for (size_t i = 0; node->kind == YML_MAP && i < node->count && !error; i++) {
    const yml_node *item = node->items[i];
    bool is_base = strcmp(node->keys[i]->scalar, "base") == 0;
    if (is_base && item->kind == YML_SCALAR) error = add_base(p, path, place, item->scalar, depth);
    for (size_t k = 0; is_base && item->kind == YML_SEQUENCE && k < item->count && !error; k++)
      if (item->items[k]->kind == YML_SCALAR)
        error = add_base(p, path, place, item->items[k]->scalar, depth);
    if (!is_base) error = add_bases_under(p, item, path, place, depth);
  }
  return error;
}

/* The bases of `path`, packed at `place`, recursively. */
static err add_bases(packing *p, const char *path, const char *place, int depth) {
  yml_document *document = NULL;
  if (depth > MOST_DEPTH) return NULL;
  err error = yml_load(path, &document);
  if (!error) error = add_bases_under(p, yml_root(document), path, place, depth);
  yml_free(document);
  return error;
}

/* For an absolute path: the part after the starting folder or the shipped files' folder. */
static const char *below_a_root(const char *path, char root[PATH_MAX]) {
  if (*path != '/') return path;
  size_t length = getcwd(root, PATH_MAX) ? strlen(root) : 0;
  if (length > 1 && strncmp(path, root, length) == 0 && path[length] == '/')
    return path + length + 1;
  const char *at = strstr(path, "/experiments/");
  for (; at; at = strstr(at + 1, "/experiments/")) {
    char *shipped = shipped_find(at + 1);
    bool is_shipped = shipped && strcmp(shipped, path) == 0;
    free(shipped);
    if (is_shipped) return at + 1;
  }
  return path;
}

static err add_experiment(packing *p) {
  char root[PATH_MAX];
  err error = pack_add_place(&p->files, p->e->path, below_a_root(p->e->path, root), &p->experiment);
  return error ? error : add_bases(p, p->e->path, p->experiment, 0);
}

/* ---- inputs of the runs ---- */

/* A list of shards is small, but the files it refers to are large. */
static bool is_list(const json_t *input, const char *path) {
  const json_t *names = json_object_get(input, "names");
  for (size_t i = 0; i < json_array_size(names); i++) {
    const char *name = json_string_value(json_array_get(names, i));
    const char *at = name ? strchr(name, '@') : NULL;
    if (at && strncmp(at + 1, path, strlen(path)) == 0) return true;
  }
  return false;
}

static bool is_packed(const packing *p, const json_t *input, const char *path, const char *found) {
  struct stat status;
  if (stat(found, &status) != 0 || !S_ISREG(status.st_mode)) return false;
  if (inputs_has_role(input, "weights")) return p->options->with_checkpoints;
  if (status.st_size > MOST_SMALL_BYTES || inputs_has_role(input, "required")) return false;
  return !inputs_is_data(input) || is_list(input, path);
}

static err add_input_files(packing *p, json_t *input) {
  size_t i;
  json_t *file, *named;
  err error = NULL;
  json_array_foreach(json_object_get(input, "paths"), i, named) {
    pack_reach(&p->files, json_string_value(named));
  }
  json_array_foreach(json_object_get(input, "files"), i, file) {
    const char *path = inputs_text(file, "path"), *found = inputs_text(file, "found");
    if (error || !*found || !is_packed(p, input, path, found)) continue;
    error = pack_add_place(&p->files, found, path, NULL);
    json_object_set_new(file, "packed", json_true());
  }
  json_array_foreach(json_object_get(input, "files"), i, file) json_object_del(file, "found");
  return error;
}

/* The local files describe what the runs read only if the fingerprints match. */
static err add_recorded(const packing *p, store *s, json_t *input) {
  json_t *recorded = NULL;
  const char *here = inputs_text(input, "fingerprint");
  strbuf name = {0};
  bool is_here = false;
  err error = recorded_fingerprints(s, p->e, p->results, input, &recorded);
  if (error) return error;
  for (size_t i = 0; i < json_array_size(recorded); i++)
    is_here = is_here || strcmp(json_string_value(json_array_get(recorded, i)), here) == 0;
  inputs_describe(input, &name);
  if (json_array_size(recorded) > 1)
    log_warning("%s: its runs were trained on different ones (%zu fingerprints)",
                strbuf_string(&name), json_array_size(recorded));
  if (json_array_size(recorded) && !is_here) {
    if (*here)
      log_warning(
          "%s: the local files differ from what the runs were trained on (fingerprint %.10s, "
          "recorded %.10s); the bundle records the latter%s",
          strbuf_string(&name), here, json_string_value(json_array_get(recorded, 0)),
          inputs_has_role(input, "train") ? "" : " and does not contain the file");
    if (*here || inputs_has_role(input, "train")) json_array_clear(json_object_get(input, "files"));
    json_object_del(input, "samples");
    json_object_set(input, "fingerprint", json_array_get(recorded, 0));
  }
  json_object_set_new(input, "recorded", recorded);
  strbuf_free(&name);
  return NULL;
}

/* A file that the runs did not read is not packed; a list of shards is, which leads to others. */
static err add_input(packing *p, store *s, json_t *input) {
  bool is_train = inputs_has_role(input, "train");
  err error = is_train ? add_input_files(p, input) : NULL;
  if (!error && recorded_has_kind(input)) error = add_recorded(p, s, input);
  return error || is_train ? error : add_input_files(p, input);
}

static err add_inputs(packing *p, store *s) {
  size_t i;
  json_t *input;
  err error = inputs_list(p->options->flip, p->e, &p->inputs);
  json_array_foreach(p->inputs, i, input) {
    if (!error) error = add_input(p, s, input);
  }
  return error;
}

/* ---- runs ---- */

static err add_folder(packing *p, const char *folder, const char *name, bool with_folders) {
  char **names = NULL;
  size_t count = 0;
  err error = fs_list(folder, &names, &count);
  for (size_t i = 0; i < count && !error; i++) {
    char *path = fs_join(folder, names[i]), *packed = fs_join(name, names[i]);
    if (!path || !packed)
      error = mem_error(0, "a bundle");
    else if (!fs_is_folder(path) && names[i][0] != '.' && strcmp(names[i], "lock") != 0)
      error = pack_add(&p->files, path, packed);
    else if (fs_is_folder(path) && with_folders)
      error = add_folder(p, path, packed, false);
    free(path);
    free(packed);
  }
  fs_free_names(names, count);
  return error;
}

static bool has_children(const spec_experiment *e, const spec_cell *cell) {
  for (size_t i = 0; i < e->cell_count; i++)
    if (e->cells[i].parent == cell - e->cells) return true;
  return false;
}

/* An archived run is no result, but the one from which a tuning started says whether that is a
 * tuning of the weights that the table shows (store/lineage.h). */
static bool is_wanted(const spec_experiment *e, const store_run_line *run) {
  const spec_cell *cell = spec_find_cell(e, run->cell_id);
  return cell && (!run->is_archived || has_children(e, cell));
}

/* The folders of the runs of the experiment's own cells, including those started by another
 * experiment: a later 'run' with other settings may have recorded other cells under its name. */
static err list_runs(store *s, const char *results, const spec_experiment *e, spec_names *folders,
                     size_t *count) {
  store_run_line *all;
  size_t all_count;
  err error = store_list_runs(s, &(store_run_filter){0}, &all, &all_count);
  *count = 0;
  for (size_t i = 0; i < all_count && !error; i++) {
    if (!is_wanted(e, &all[i])) continue;
    char *folder = directory_path(results, all[i].directory, NULL);
    if (!folder) {
      error = mem_error(0, "a bundle");
    } else if (fs_is_folder(folder)) {
      error = spec_names_add(folders, all[i].directory);
      *count += !all[i].is_archived;
    } else {
      log_warning("%s: the run's folder is gone; the run is skipped", folder);
    }
    free(folder);
  }
  store_free_run_lines(all, all_count);
  return error;
}

/* The record as the experiment was loaded now; the results folder has that of its last run. */
static err add_record(packing *p) {
  strbuf text = {0}, name = {0};
  spec_write_json(p->e, &text);
  strbuf_format(&name, "results/%s/experiment.json", p->e->name);
  err error = text.is_broken || name.is_broken ? mem_error(text.length, "a bundle")
                                               : pack_add_text(&p->files, text.data, name.data);
  strbuf_free(&text);
  strbuf_free(&name);
  return error;
}

static err add_runs(packing *p, store *s, bundle_count *count) {
  spec_names runs = {0};
  strbuf name = {0};
  err error = add_record(p);
  if (!error) error = list_runs(s, p->options->results, p->e, &runs, &count->runs);
  for (size_t i = 0; i < runs.count && !error; i++) {
    char *folder = directory_path(p->options->results, runs.items[i], NULL);
    strbuf_clear(&name);
    strbuf_format(&name, "results/%s", runs.items[i]);
    error = folder ? add_folder(p, folder, strbuf_string(&name), p->options->with_checkpoints)
                   : mem_error(0, "a bundle");
    free(folder);
  }
  spec_names_free(&runs);
  strbuf_free(&name);
  return error;
}

static err link_one(const char *results, const char *name, const char *folder) {
  char *from = fs_join(results, name), *to = fs_join(folder, name), real[PATH_MAX];
  err error = from && to ? NULL : mem_error(0, "a path");
  char *slash = error ? NULL : strrchr(to, '/');
  if (slash) {
    *slash = '\0';
    error = fs_make_folders(to);
    *slash = '/';
  }
  if (!error && !realpath(from, real)) error = err_errno(errno, "%s", from);
  if (!error && symlink(real, to) != 0) error = err_errno(errno, "%s: cannot create the link", to);
  free(from);
  free(to);
  return error;
}

static err write_record(const spec_experiment *e, const char *folder) {
  strbuf text = {0};
  char *inside = fs_join(folder, e->name),
       *path = inside ? fs_join(inside, "experiment.json") : NULL;
  spec_write_json(e, &text);
  err error = path && !text.is_broken ? fs_make_folders(inside) : mem_error(0, "a path");
  if (!error) error = fs_write_atomic(path, text.data, text.length);
  strbuf_free(&text);
  free(inside);
  free(path);
  return error;
}

err bundle_link(store *s, const char *results, const spec_experiment *e, const char *folder) {
  spec_names runs = {0};
  size_t count;
  err error = write_record(e, folder);
  if (!error) error = list_runs(s, results, e, &runs, &count);
  for (size_t i = 0; i < runs.count && !error; i++)
    error = link_one(results, runs.items[i], folder);
  spec_names_free(&runs);
  return error;
}

/* Removes links, not their targets. */
void bundle_unlink(const char *folder) {
  char **names = NULL;
  size_t count = 0;
  struct stat status;
  err_free(fs_list(folder, &names, &count));
  for (size_t i = 0; i < count; i++) {
    char *path = fs_join(folder, names[i]);
    if (path && lstat(path, &status) == 0 && S_ISDIR(status.st_mode))
      bundle_unlink(path);
    else if (path)
      unlink(path);
    free(path);
  }
  fs_free_names(names, count);
  rmdir(folder);
}

/* ---- writing ---- */

static json_t *texts_json(const spec_names *texts) {
  json_t *list = json_array();
  for (size_t i = 0; i < texts->count; i++)
    json_array_append_new(list, json_string(texts->items[i]));
  return list;
}

static err make_manifest(packing *p, char **text) {
  char now[CLOCK_STAMP_SIZE], *start = NULL;
  json_t *set = texts_json(&p->e->set), *set_cell = texts_json(&p->e->set_cell);
  err error = pack_finish(&p->files, &start);
  char *experiment = error ? NULL : pack_name(start, p->experiment);
  json_t *folders = json_array();
  for (size_t i = 0; i < p->files.folder_count && !error; i++) {
    char *name = pack_name(start, p->files.folders[i]);
    json_array_append_new(folders, json_string(name ? name : ""));
    free(name);
  }
  json_t *m =
      json_pack("{si ss ss ss ss ss ss so so so sO sO so}", "version", 2, "name", p->e->name,
                "experiment", experiment ? experiment : "", "start", start ? start : "", "profile",
                p->e->profile ? p->e->profile : "", "created", clock_stamp(now), "commit",
                version_commit, "set", set, "set_cell", set_cell, "folders", folders, "inputs",
                p->inputs, "bases", p->bases, "files", pack_files_json(&p->files));
  *text = m ? json_dumps(m, JSON_INDENT(1)) : NULL;
  if (!error && !*text) error = mem_error(0, "a bundle's manifest");
  json_decref(m);
  free(start);
  free(experiment);
  return error;
}

err bundle_write(const spec_experiment *e, store *s, const bundle_options *options,
                 bundle_count *count) {
  packing p = {.e = e, .options = options, .bases = json_array()};
  char *manifest = NULL;
  err error = NULL;
  *count = (bundle_count){0};
  TRY(add_experiment(&p));
  TRY(results_find(e, s, &p.results));
  TRY(add_inputs(&p, s));
  TRY(add_runs(&p, s, count));
  TRY(make_manifest(&p, &manifest));
  const pack_text texts[] = {{"MANIFEST.json", manifest, strlen(manifest)},
                             {"table.json", options->table_json, strlen(options->table_json)}};
  TRY(pack_write(&p.files, e->name, options->out, texts, 2));
  count->files = p.files.count;
  for (size_t i = 0; i < p.files.count; i++) count->bytes += p.files.files[i].bytes;
cleanup:
  pack_free(&p.files);
  json_decref(p.inputs);
  json_decref(p.bases);
  free(p.experiment);
  free(p.results);
  free(manifest);
  return error;
}
