/* Checkpoints: weights, both moments and the position in the run, in one safetensors file.
 *
 * Tensors: NAME (the weights), adamw.m/NAME, adamw.v/NAME, and with mask mode attentive
 * average/NAME of the image tower's tensors, and with fp8_scaling: delayed fp8.scales; all F32.
 * Metadata under "flip.": step,
 * samples, precision, settings (canonical YAML), fingerprint, vocabulary_size, unless it is a
 * classifier's vocabulary_fingerprint (words.h); with data.order: stream also order, the position
 * in it (stream.h). Random numbers and the exact order are functions of the sample number, so this
 * is the complete state. Times are stored in a separate file (state_file.h), since they are not
 * reproducible: the same run gives the same checkpoint, byte for byte. The header and each tensor
 * have a checksum (safetensors.h); every tensor that is loaded is compared with its own. */
#ifndef FLIP_TRAIN_CHECKPOINT_H
#define FLIP_TRAIN_CHECKPOINT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "config/settings.h"
#include "model/clip.h"
#include "read/stream.h"
#include "train/state_file.h"
#include "train/optimizer.h"
#include "train/words.h"

typedef struct {
  int64_t step, samples, vocabulary_size;
  words_record words;
  int precision; /* PRECISION_*, never auto */
  bool has_order;
  stream_position order; /* of the next sample, with data.order: stream */
} checkpoint_state;

/* A checkpoint in host memory. Making one waits for the device and takes a copy from it; writing it
 * needs neither model nor device, so that training can continue. */
typedef struct checkpoint_image checkpoint_image;
/* Collective on ranks that share an optimizer. is_kept false: this rank only takes part, and *out
 * is NULL. */
err checkpoint_capture(const clip_model *model, optimizer *moments, const settings *s,
                       const checkpoint_state *state, bool is_kept,
                       checkpoint_image **out) ERR_MUST_CHECK;
/* ERR_NUMERIC if a weight is not finite: such a checkpoint must not become the newest, which the
 * run would be resumed from. The message says what to change in `s`. */
err checkpoint_check(const checkpoint_image *image, const settings *s) ERR_MUST_CHECK;
/* Writes the state file (state_file_describe), then the weights. */
err checkpoint_write(const char *path, const checkpoint_image *image, const strbuf *times,
                     size_t *bytes) ERR_MUST_CHECK;
void checkpoint_image_free(checkpoint_image *image);

/* Reads the settings and the position of a checkpoint, without its tensors. */
err checkpoint_read_settings(const char *path, settings *s, checkpoint_state *state) ERR_MUST_CHECK;
/* Loads weights (and moments unless NULL) into a model of the same shape; every tensor must be
 * present. With moments, ERR_INPUT where weights are not finite. Without moments, learned positions
 * of another image size are resized (model/positions.h). */
err checkpoint_load(const char *path, clip_model *model, optimizer *moments) ERR_MUST_CHECK;

/* Loads only the image tower, into a classifier, whose head need not be in the file. */
err checkpoint_load_image(const char *path, clip_model *model) ERR_MUST_CHECK;

/* FOLDER/step-000000123.safetensors; the caller frees. */
char *checkpoint_path(const char *folder, int64_t step);
/* The newest checkpoint of a folder, NULL when it has none; the caller frees. */
err checkpoint_newest(const char *folder, char **path) ERR_MUST_CHECK;
/* The same of a run folder, or of its checkpoints folder. */
err checkpoint_newest_of_run(const char *folder, char **path) ERR_MUST_CHECK;
/* Removes all but the `keep` newest, and temporary files of a killed process. */
err checkpoint_prune(const char *folder, int64_t keep) ERR_MUST_CHECK;

#endif
