#include "eval/pictures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "read/dataset.h"
#include "read/file_rows.h"
#include "image/image.h"
#include "eval/feed.h"
#include "eval/finite.h"

enum { BATCH = 256, DEEPEST_FOLDER = 32 /* links are followed 40 times at most */ };

struct pictures {
  dataset *data; /* or */
  char **files;
  size_t file_count;
  char *name;        /* the first place */
  int64_t strangers; /* other files in the folders */
  strbuf warnings;
};

/* Takes ownership of `path`. */
static err add_file(pictures *p, char *path) {
  char **grown = mem_resize(p->files, p->file_count + 1, sizeof *grown);
  if (!grown) {
    free(path);
    return mem_error(sizeof *grown, "a list of images");
  }
  p->files = grown;
  p->files[p->file_count++] = path;
  return NULL;
}

static err search(pictures *p, const char *folder, int depth) {
  char **names;
  size_t count;
  if (depth > DEEPEST_FOLDER)
    return err_new(ERR_INPUT, "%s: folders nest deeper than %d (a loop of links?)", folder,
                   DEEPEST_FOLDER);
  err error = fs_list(folder, &names, &count);
  if (error) return error;
  for (size_t i = 0; i < count && !error; i++) {
    char *path = fs_join(folder, names[i]);
    if (!path) {
      error = mem_error(strlen(folder), "a path");
    } else if (fs_is_folder(path)) {
      error = search(p, path, depth + 1);
      free(path);
    } else if (file_rows_is_image(names[i])) {
      error = add_file(p, path);
    } else {
      p->strangers += file_rows_is_stranger(names[i]);
      free(path);
    }
  }
  fs_free_names(names, count);
  return error;
}

err pictures_open(const char *const *places, size_t count, pictures **out) {
  size_t folders = 0;
  err error = NULL;
  pictures *p = mem_zeroed(1, sizeof *p);
  if (!p) return mem_error(sizeof *p, "images");
  p->name = mem_copy_string(places[0]);
  if (!p->name) FAIL(ERR_MEMORY, "out of memory: images");
  for (size_t i = 0; i < count; i++) folders += fs_is_folder(places[i]);
  if (folders == count) {
    for (size_t i = 0; i < count; i++) TRY(search(p, places[i], 0));
  } else if (folders == 0) {
    TRY(dataset_open_to_read((char *const *)(uintptr_t)places, count, DATASET_IMAGE, &p->data));
  } else {
    FAIL(ERR_INPUT, "folders and shards of images cannot be mixed in one list");
  }
  if (p->strangers)
    strbuf_format(&p->warnings, "%s: %ld %s skipped: not .jpg, .jpeg, .png or .webp\n", places[0],
                  (long)p->strangers, text_plural(p->strangers, "file", "files"));
  if (!pictures_count(p)) FAIL(ERR_INPUT, "%s: contains no images", places[0]);
cleanup:
  if (error)
    pictures_close(p);
  else
    *out = p;
  return error;
}

void pictures_close(pictures *p) {
  if (!p) return;
  if (p->data) dataset_close(p->data);
  for (size_t i = 0; i < p->file_count; i++) free(p->files[i]);
  free(p->files);
  free(p->name);
  strbuf_free(&p->warnings);
  free(p);
}

int64_t pictures_count(const pictures *p) {
  return p->data ? dataset_count(p->data) : (int64_t)p->file_count;
}

/* A copy of what `pick` points to within a sample. */
static err copy_field(const pictures *p, int64_t row, bool is_caption, char **text) {
  dataset_sample sample;
  err error = dataset_read(p->data, row, &sample);
  const char *field = is_caption ? sample.caption : sample.key;
  if (!error) *text = mem_copy_string(field ? field : "");
  dataset_sample_free(&sample);
  if (error) return error;
  return *text ? NULL : mem_error(0, "a name");
}

err pictures_name(const pictures *p, int64_t row, char **name) {
  if (p->data) return copy_field(p, row, false, name);
  *name = mem_copy_string(p->files[row]);
  return *name ? NULL : mem_error(0, "a name");
}

err pictures_caption(const pictures *p, int64_t row, char **caption) {
  if (p->data) return copy_field(p, row, true, caption);
  *caption = mem_copy_string("");
  return *caption ? NULL : mem_error(0, "a caption");
}

err pictures_bytes(const pictures *p, int64_t row, void **bytes, size_t *size) {
  if (!p->data) return fs_read_regular(p->files[row], (char **)bytes, size);
  dataset_sample sample;
  err error = dataset_read(p->data, row, &sample);
  *size = sample.image_bytes;
  *bytes = error ? NULL : mem_zeroed(1, sample.image_bytes);
  if (error) {
    dataset_sample_free(&sample);
    return error;
  }
  if (*bytes)
    memcpy(*bytes, sample.image, sample.image_bytes);
  else
    error = mem_error(sample.image_bytes, "an image");
  dataset_sample_free(&sample);
  return error;
}

const char *pictures_warnings(const pictures *p) {
  return p->data ? dataset_warnings(p->data, NULL) : strbuf_string(&p->warnings);
}

err pictures_prepare(const void *bytes, size_t size, const image_preparation *how,
                     uint8_t *pixels) {
  image picture = {0};
  err error = image_decode(bytes, size, 0, &picture);
  if (!error) error = image_prepare(&picture, how, pixels);
  image_free(&picture);
  return error;
}

/* A file's path, or a sample's shard and key. */
static err full_name(const pictures *p, int64_t row, char **name) {
  if (!p->data) return pictures_name(p, row, name);
  dataset_sample sample;
  strbuf text = {0};
  err_free(dataset_read_text(p->data, row, &sample)); /* the name is available in any case */
  strbuf_format(&text, "%s: %s", sample.shard, sample.key);
  dataset_sample_free(&sample);
  *name = strbuf_take(&text);
  return *name ? NULL : mem_error(0, "a name");
}

static err decode(const pictures *p, int64_t row, const image_preparation *how, uint8_t *pixels) {
  void *bytes = NULL;
  size_t length = 0;
  char *name = NULL;
  err error = pictures_bytes(p, row, &bytes, &length);
  if (!error) error = pictures_prepare(bytes, length, how, pixels);
  if (error) {
    err unnamed = full_name(p, row, &name);
    error = err_context(error, "%s", unnamed ? "?" : name);
    err_free(unnamed);
  }
  free(bytes);
  free(name);
  return error;
}

/* Short memory, or an outage of the files, is not the image's fault. A file of a folder may be
 * missing by now, or not readable. */
static bool is_fatal(const pictures *p, int64_t row, err error) {
  return err_kind_of(error) == ERR_MEMORY ||
         (err_kind_of(error) == ERR_IO && (p->data || !fs_is_at_fault(p->files[row])));
}

/* Pixels of one batch; is_bad marks images that could not be decoded. */
static err decode_batch(const pictures *p, int64_t first, int64_t count,
                        const image_preparation *how, uint8_t *pixels, bool *is_bad,
                        strbuf *warnings) {
  int64_t one = how->size * how->size * 3;
  err fatal = NULL;
#pragma omp parallel for schedule(dynamic, 8)
  for (int64_t i = 0; i < count; i++) {
    err error = decode(p, first + i, how, pixels + i * one);
    is_bad[i] = error != NULL;
    if (!error) continue;
    memset(pixels + i * one, 0, (size_t)one);
#pragma omp critical
    if (is_fatal(p, first + i, error) && !fatal) {
      fatal = error;
      error = NULL;
    } else {
      strbuf_format(warnings, "%s%s", warnings->length ? "\n" : "", err_message(error));
    }
    err_free(error);
  }
  return fatal;
}

err pictures_embed(const pictures *p, const image_preparation *how, clip_model *model,
                   float *embeddings, strbuf *warnings) {
  const clip_config *c = clip_get_config(model);
  int64_t size = how->size, width = c->image.embed, total = pictures_count(p);
  feed images;
  err error = feed_open(&images, model, (size_t)(BATCH * size * size * 3));
  bool *is_bad = mem_zeroed((size_t)total, sizeof *is_bad);
  if (!error && !is_bad) error = mem_error((size_t)total, "images");
  for (int64_t at = 0; at < total && !error; at += BATCH) {
    int64_t count = total - at < BATCH ? total - at : BATCH;
    uint8_t *pixels = feed_next(&images);
    error = decode_batch(p, at, count, how, pixels, is_bad + at, warnings);
    if (!error) error = clip_queue_images(model, count, pixels, NULL, embeddings + at * width);
  }
  error = feed_close(&images, error);
  if (!error) error = finite_check(p->name, "images", embeddings, total, width, is_bad);
  for (int64_t i = 0; i < total && !error; i++)
    for (int64_t j = 0; j < width && is_bad[i]; j++) embeddings[i * width + j] = NAN;
  free(is_bad);
  return error;
}

err pictures_embed_one(const char *name, const void *bytes, size_t size,
                       const image_preparation *how, clip_model *model, float *embedding) {
  size_t values = (size_t)(how->size * how->size * 3);
  uint8_t *pixels = mem_aligned(values);
  err error = pixels ? pictures_prepare(bytes, size, how, pixels) : mem_error(values, "an image");
  error = err_context(error, "%s", name);
  if (!error) error = clip_embed_images(model, 1, pixels, NULL, embedding);
  if (!error)
    error = finite_check(name, "images", embedding, 1, clip_get_config(model)->image.embed, NULL);
  free(pixels);
  return error;
}
