/* Sample sources: one interface, one file per format, one table of formats (source.c).
 *
 * A source is written as [FORMAT:]LOCATION[#KEY=VALUE,KEY=VALUE]; without a format, it is guessed
 * from the location. Used through dataset.h. */
#ifndef FLIP_READ_SOURCE_H
#define FLIP_READ_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/text.h"
#include "read/dataset.h"

enum { SOURCE_OPTIONS = 8 };

/* A source's name, parsed. */
typedef struct {
  const char *whole; /* as it was written */
  char *location;
  struct {
    char *key, *value;
  } options[SOURCE_OPTIONS];
  size_t option_count;
  dataset_parts needs;
  bool allows_pipes;
  bool is_trained_on; /* what reads it could read shards in data.order: stream instead */
} source_request;

/* Does the task require captions? */
bool source_needs_caption(const source_request *r);

/* The value of an option, NULL when it was not given. */
const char *source_option(const source_request *r, const char *key);

typedef struct source_format source_format;

/* Parses a name: the request's strings are stored in *copy, which the caller frees. */
err source_take_apart(const char *name, source_request *r, const source_format **format,
                      char **copy) ERR_MUST_CHECK;
/* The option `weight`, 1 when it was not given. */
err source_weight(const source_request *r, double *weight) ERR_MUST_CHECK;
/* An error where the request does not allow pipes, which run programs. */
err source_refuse_pipe(const source_request *r) ERR_MUST_CHECK;

typedef struct data_source data_source;

typedef struct {
  /* One sample, as in dataset_read; has_image false: only its texts. A sample that cannot be read
   * is an ERR_INPUT, with shard and key set; an outage of its files an ERR_IO. */
  err (*read)(const data_source *s, int64_t row, bool has_image, dataset_sample *out);
  /* Hash of the data; has_bytes: of the images too, where available. */
  err (*hash)(const data_source *s, bool has_bytes, hash_state *state);
  void (*close)(data_source *s);
} source_calls;

/* The first member of every format's own struct. */
struct data_source {
  const source_calls *call;
  int64_t count;   /* samples */
  uint64_t bytes;  /* number of bytes that `hash` would read with has_bytes */
  double weight;   /* times its samples are seen in an epoch */
  bool is_endless; /* count is only a limit: see source_refuse_endless */
  dataset_parts needs;
  bool picks_captions; /* an option chose among the captions of one data: `hash` gives it for all */
  bool has_json_files; /* JSON next to the images, which `hash` does not read */
  strbuf damage;       /* faults found at opening, one line each */
  strbuf notes;        /* what was skipped or does not match, and is no fault: one line each */
  left_out_list left_out; /* samples that lack something */
};

/* One row of the table of formats. */
struct source_format {
  const char *name, *location, *summary;
  const char *keys; /* "caption|images": its options other than `weight` */
  err (*open)(const source_request *r, data_source **out);
};

const source_format *source_formats(size_t *count);

/* Opens the source `name`; as for the members of source_request. */
err source_open(const char *name, dataset_parts needs, bool allows_pipes, bool is_trained_on,
                data_source **out) ERR_MUST_CHECK;
/* An error for a source that a task cannot read whole, because its samples are made as they are
 * read and no number of them was given. */
err source_refuse_endless(const data_source *s, const char *name) ERR_MUST_CHECK;
/* NULL is allowed. */
void source_close(data_source *s);
/* All paths in `name`, as written: a file, a folder, or a pattern of shards; for a list without
 * images= the folder of its images. Nothing is opened; a pipe has none. */
typedef err (*source_visit)(void *context, const char *path);
err source_paths(const char *name, source_visit visit, void *context) ERR_MUST_CHECK;
/* The format given in `name` or guessed from it; NULL if unknown. */
const source_format *source_format_of(const char *name);

/* The formats (source_*.c). */
err source_open_shards(const source_request *r, data_source **out) ERR_MUST_CHECK;
err source_open_pipe(const source_request *r, data_source **out) ERR_MUST_CHECK;
err source_open_folder(const source_request *r, data_source **out) ERR_MUST_CHECK;
err source_open_imagenet(const source_request *r, data_source **out) ERR_MUST_CHECK;
err source_open_list(const source_request *r, data_source **out) ERR_MUST_CHECK;
err source_open_cifar10(const source_request *r, data_source **out) ERR_MUST_CHECK;
err source_open_cifar100(const source_request *r, data_source **out) ERR_MUST_CHECK;
err source_open_scenes(const source_request *r, data_source **out) ERR_MUST_CHECK;
err source_open_coco(const source_request *r, data_source **out) ERR_MUST_CHECK;
err source_open_openimages(const source_request *r, data_source **out) ERR_MUST_CHECK;
err source_open_narratives(const source_request *r, data_source **out) ERR_MUST_CHECK;

#endif
