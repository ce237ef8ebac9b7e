/* A source's shard, opened by path or from a command's output, without the samples that lack
 * something. Shared by the exact order and the stream. */
#ifndef FLIP_READ_SHARD_SAMPLE_H
#define FLIP_READ_SHARD_SAMPLE_H

#include "base/command.h"
#include "base/hash.h"
#include "read/dataset.h"
#include "read/shard.h"

/* How the samples of a source's shards are read. */
typedef struct {
  dataset_parts needs;
  char *caption_field; /* of the JSON; NULL: the .txt */
} shard_reading;

/* Maps and indexes the output of a shell command, stored in an unlinked temporary file; messages
 * call the shard `name`. Waits for the command, which is ended when `stop` (may be NULL) asks for
 * it. A non-zero exit status is an ERR_IO, or ERR_INTERRUPTED where this process was asked to
 * stop. */
err shard_open_command(const char *command, const char *name, const command_stop *stop, shard *out,
                       shard_notes *notes) ERR_MUST_CHECK;

/* Removes samples that lack something from the index. */
err shard_leave_out_lacking(shard *from, const shard_reading *how,
                            left_out_list *left_out) ERR_MUST_CHECK;

/* Looks for how->caption_field in a source's first samples, shard after shard. Start from {0}. */
typedef struct {
  int64_t looked_at;
  bool is_found;
  strbuf fields; /* of the first JSON object */
} caption_search;
bool caption_search_is_over(const caption_search *search);
err caption_search_in(const shard *from, const shard_reading *how,
                      caption_search *search) ERR_MUST_CHECK;
/* Ends the search, which failed with `error` (NULL: it did not), and returns that, or an error if
 * there were samples, and none has the field. The .txt would stand in for all of them, as for a
 * sample that lacks it. name: the source's. */
err caption_search_end(caption_search *search, err error, const shard_reading *how,
                       const char *name) ERR_MUST_CHECK;

/* Sample i, as returned by dataset_read. */
err shard_sample_read(const shard *from, size_t i, const shard_reading *how, bool has_image,
                      dataset_sample *out) ERR_MUST_CHECK;

/* Hashes member offsets and sizes, and four pages of the bytes: no two shards with different
 * samples agree in both. */
void shard_hash_places(const shard *one, hash_state *state);

/* The commands that a pipe's location expands to: with a {00000..00009} range one per number,
 * otherwise the location itself; other braces and '*' are left to the shell. Free with
 * fs_free_names. names: display names of the shards, "pipe:COMMAND" or, for a single command,
 * `whole`. */
err shard_expand_commands(const char *location, const char *whole, char ***commands, char ***names,
                          size_t *count) ERR_MUST_CHECK;

#endif
