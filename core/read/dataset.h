/* A data set: the samples of a list of sources, by row. Reading is thread-safe. */
#ifndef FLIP_READ_DATASET_H
#define FLIP_READ_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"
#include "read/left_out.h"

typedef struct dataset dataset;

/* What a task requires of a sample. Other fields are filled in if present. */
typedef enum {
  DATASET_IMAGE = 1,
  DATASET_CAPTION = 2,
  DATASET_PAIR = DATASET_IMAGE | DATASET_CAPTION
} dataset_parts;

/* Opens and indexes the given sources (see source.h): shards by path, glob or range, or
 * FORMAT:LOCATION. A sample that lacks one of `needs` is skipped, counted and reported in the
 * warnings; so are skipped members of shards. allows_pipes: `pipe:COMMAND` may run its command;
 * dataset_open and dataset_open_for do not allow it. dataset_open needs pairs. dataset_open_for and
 * dataset_open_to_read are for tasks that read all samples, each once: they refuse sources without
 * end, and weights. */
err dataset_open(char *const *names, size_t count, dataset **out) ERR_MUST_CHECK;
err dataset_open_for(char *const *names, size_t count, dataset_parts needs,
                     dataset **out) ERR_MUST_CHECK;
/* Without a fingerprint: for tasks that only read the samples. */
err dataset_open_to_read(char *const *names, size_t count, dataset_parts needs,
                         dataset **out) ERR_MUST_CHECK;
err dataset_open_with(char *const *names, size_t count, bool allows_pipes,
                      dataset **out) ERR_MUST_CHECK;
/* For the streaming order (stream.h): tar shards and pipes by name, without an index. Rows cannot
 * be read; count and epoch come from files next to the shards, 0 if there are none. */
err dataset_open_stream(char *const *names, size_t count, bool allows_pipes,
                        dataset **out) ERR_MUST_CHECK;
void dataset_close(dataset *d);

struct shard_list;
/* The shards of a data set opened for the streaming order; NULL for others. */
const struct shard_list *dataset_shards(const dataset *d);

int64_t dataset_count(const dataset *d);
/* Samples in one epoch: the sum over sources of count times weight. */
int64_t dataset_epoch(const dataset *d);
/* The row at `place` of epoch `epoch`, in [0, dataset_epoch). Each row of a source with weight 2
 * occurs twice; of a source with weight 0.5 half the rows occur, and the other half in the next
 * epoch; which half depends on the seed. */
int64_t dataset_row(const dataset *d, uint64_t seed, bool is_shuffled, int64_t epoch,
                    int64_t place);

/* Could the fingerprint be that of other texts too? is_json: of lists in the samples' JSON, not of
 * their captions. */
bool dataset_may_have_other_texts(const dataset *d, bool is_json);

/* Appends a line for each source of which an epoch's whole number of samples is more than 1 % off
 * its `weight`, in every epoch. names: as given when it was opened. */
void dataset_explain_weights(const dataset *d, char *const *names, strbuf *out);

/* Hash of the data: for shards, names and bytes (beyond 4 GiB in total: names, sizes, member
 * offsets and four pages of each); for lists and folders, paths and captions, the sizes of up to
 * 4,096 files and the first bytes of 256 of them, evenly chosen. "" for a data set opened with
 * dataset_open_to_read. */
const char *dataset_fingerprint(const dataset *d);
/* Problems found at opening, one line each; "" for none. left_out: number of skipped samples. */
const char *dataset_warnings(const dataset *d, int64_t *left_out);

/* Calls `take` with each skipped sample, one source after the other. */
void dataset_each_left_out(const dataset *d,
                           void (*take)(void *context, const left_out_sample *one), void *context);

/* One sample. shard points into the data set; the rest is released by dataset_sample_free, also
 * after an error, since the name is set then. caption, if not required, and json are NULL when
 * there is none; the caption is UTF-8 without NUL, the JSON a string for sample_json.h. */
typedef struct {
  const char *shard, *key;
  bool key_is_path;     /* of a file: it names the sample without the shard */
  bool has_fallen_back; /* the caption is the .txt, since the JSON lacks the field that was named */
  const void *image;    /* in the data set or `owned`; NULL from dataset_read_text */
  size_t image_bytes;
  char *caption, *json;
  char *owned_key; /* what key points to, if not in the data set */
  void *owned;
} dataset_sample;

/* A sample that cannot be read is an ERR_INPUT; shard and key identify it. An outage of its files
 * (fs_is_at_fault) is an ERR_IO. */
err dataset_read(const dataset *d, int64_t row, dataset_sample *sample) ERR_MUST_CHECK;
/* The same without the image, which is then not read from disk. */
err dataset_read_text(const dataset *d, int64_t row, dataset_sample *sample) ERR_MUST_CHECK;
/* Appends what identifies the sample: the path of its file, or SHARD/KEY. */
void dataset_append_name(const dataset_sample *sample, strbuf *out);
void dataset_sample_free(dataset_sample *sample);

#endif
