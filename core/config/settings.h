/* The settings of one training run: a plain struct made from settings_table.h.
 *
 * A run file is a YAML map of these keys, nested (`image: {width: 192}`) or dotted
 * (`image.width: 192`), and `base:` (a path or a list of paths, applied first; looked up next to
 * the file, then in experiments/ above it, then in the current folder). Later values win, key by
 * key. Relative paths inside settings are relative to the current folder of the process. */
#ifndef FLIP_CONFIG_SETTINGS_H
#define FLIP_CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/text.h"
#include "config/settings_table.h"
#include "config/yaml.h"

enum { POSITION_SINCOS, POSITION_LEARNED };
enum { IMAGE_POOL_MEAN, IMAGE_POOL_CLASS };
enum { ACTIVATION_GELU_TANH, ACTIVATION_GELU_ERF, ACTIVATION_QUICK_GELU };
enum { NORMALIZATION_CLIP, NORMALIZATION_INCEPTION, NORMALIZATION_IMAGENET, NORMALIZATION_NONE };
enum { RESIZE_SHORTEST, RESIZE_SQUASH, RESIZE_LONGEST };
enum { CROP_ROUND, CROP_FLOOR };
enum { INTERPOLATION_BICUBIC, INTERPOLATION_BILINEAR };
enum { FP8_SCALING_CURRENT, FP8_SCALING_DELAYED };
enum { OPTIMIZER_MOMENTS_FP32, OPTIMIZER_MOMENTS_BF16 };
enum { COMM_REDUCE_FP32, COMM_REDUCE_BF16 };
enum { DATA_ORDER_EXACT, DATA_ORDER_STREAM };
enum { TOKENIZER_WORDPIECE, TOKENIZER_BPE, TOKENIZER_BPE_HUGGINGFACE };
enum { SPECIAL_TOKENS_NONE, SPECIAL_TOKENS_BOTH };
enum { TEXT_POOL_FIRST, TEXT_POOL_EOT, TEXT_POOL_MEAN };
enum { LOSS_BOTH, LOSS_IMAGE_TO_TEXT };
enum { EVAL_VIEWS_ONE, EVAL_VIEWS_COMPLEMENTARY };
enum { EVAL_PROBE_EMBEDDING, EVAL_PROBE_ENCODER };
enum {
  MASK_RANDOM,
  MASK_GRID,
  MASK_BLOCK,
  MASK_GAUSSIAN,
  MASK_ZERO,
  MASK_GAUSSIAN_DENSITY,
  MASK_BLOCK_KEPT,
  MASK_ATTENTIVE
};
enum {
  TEXT_MASK_NONE,
  TEXT_MASK_TRUNCATE,
  TEXT_MASK_RANDOM,
  TEXT_MASK_BLOCK,
  TEXT_MASK_PRIORITIZED,
  TEXT_MASK_FREQUENCY,
  TEXT_MASK_SYNTAX
};
enum { TEXT_POSITIONS_PACKED, TEXT_POSITIONS_ORIGINAL };
/* The training rules of this version: what `recipe` must say to be trained (docs/decisions.md). */
enum { SETTINGS_RECIPE = 2 };
enum { DEVICE_AUTO, DEVICE_CPU, DEVICE_CUDA };
enum { PRECISION_AUTO, PRECISION_FP32, PRECISION_BF16, PRECISION_FP8 };

/* Words of image.recompute and text.recompute. */
enum { RECOMPUTE_NORMS = -1, RECOMPUTE_ACTIVATIONS = -2, RECOMPUTE_BLOCKS = -3 };

typedef struct {
  char **items;
  size_t count;
} settings_list;

typedef struct {
#define FIELD_INT(field, ...) int64_t field;
#define FIELD_REAL(field, ...) double field;
#define FIELD_BOOL(field, ...) bool field;
#define FIELD_TEXT(field, ...) char *field; /* owned; never NULL */
#define FIELD_LIST(field, ...) settings_list field;
#define FIELD_LEVEL(field, ...) int64_t field; /* or the negated index of a word */
#define FIELD_PICK(field, ...) int field;      /* index into the choices: the enums above */
  SETTINGS_TABLE(FIELD_INT, FIELD_REAL, FIELD_BOOL, FIELD_TEXT, FIELD_LIST, FIELD_PICK, FIELD_LEVEL)
#undef FIELD_INT
#undef FIELD_REAL
#undef FIELD_BOOL
#undef FIELD_TEXT
#undef FIELD_LIST
#undef FIELD_PICK
#undef FIELD_LEVEL
} settings;

/* Patches are chosen by an average tower's attention: with mask_ratio 0 there is nothing to choose.
 */
static inline bool settings_is_attentive(const settings *s) {
  return s->mask_mode == MASK_ATTENTIVE && s->mask_ratio > 0 && s->classification_classes == 0;
}

typedef enum {
  SETTING_INT,
  SETTING_REAL,
  SETTING_BOOL,
  SETTING_TEXT,
  SETTING_LIST,
  SETTING_PICK,
  SETTING_LEVEL
} setting_type;

/* One row of the table. */
typedef struct {
  setting_type type;
  size_t offset; /* of the field in `settings` */
  const char *key;
  double least, most;  /* INT, REAL, LEVEL */
  const char *initial; /* the default, as it is written in YAML */
  const char *choices; /* PICK, LEVEL: "a|b|c" */
  bool is_identity;
  const char *help;
} setting;

/* The whole table in its order, and all keys, for suggestions. */
const setting *settings_table(size_t *count);
const char *const *settings_keys(size_t *count);
/* True when the setting has no effect on a run with these settings: its identity ignores it, and so
 * does the comparison on resume, if it has no effect on the earlier run either. */
bool setting_is_idle(const setting *row, const settings *s);
/* NULL when there is no such key. */
const setting *settings_find(const char *key);
/* The other way to give what a setting gives, of which the one said last counts ("epochs" for
 * "samples"); NULL: none. */
const char *settings_alternative(const char *key);

/* Defaults. Everything below expects an initialised struct; settings_free releases it. */
err settings_init(settings *s) ERR_MUST_CHECK;
/* The same, except that settings whose default differs from the behaviour before they existed get
 * the old behaviour. Base for settings that a run recorded. */
err settings_init_recorded(settings *s) ERR_MUST_CHECK;
err settings_copy(const settings *from, settings *to) ERR_MUST_CHECK; /* `to` uninitialised */
void settings_free(settings *s);

/* "fp32", "bf16", "fp8" of a PRECISION_*; and back: PRECISION_FP32 for a name that is none. */
const char *precision_name(int precision);
int precision_from_name(const char *name);

/* Reads a run file with its bases over the defaults, or over settings_init_recorded if a run wrote
 * it. */
err settings_load(const char *path, settings *s) ERR_MUST_CHECK;
/* Applies a YAML map to `s`. `origin` is the path whose folder is searched for `base:` entries;
 * NULL rejects `base:`. `samples` resets an earlier `epochs` and vice versa; so do the two warm-up
 * lengths; `base_learning_rate` resets an earlier `learning_rate`. Problems are collected; `s` is
 * invalid if there are any. */
void settings_apply(settings *s, const yml_node *map, const char *origin, yml_problems *problems);
/* Where a base named `name` in the file `origin` is: the first that exists of: next to it; in each
 * folder called experiments above it; the current folder; the shipped experiments folder. The
 * caller frees. NULL when it is not found. */
char *settings_find_base(const char *origin, const char *name);
/* One "key=value", as given to --set: the value is YAML (lists as [a, b]), in which a comment,
 * which a name with a # may have been meant to be, is an error. */
err settings_set(settings *s, const char *assignment) ERR_MUST_CHECK;
/* The value as it is, not as YAML: a path may have any character of UTF-8. For a known key. */
err settings_set_text(settings *s, const char *key, const char *value) ERR_MUST_CHECK;
/* The same of a list. */
err settings_set_texts(settings *s, const char *key, const char *const *values,
                       size_t count) ERR_MUST_CHECK;
/* One value from text, checked against the row's type and limits. */
err setting_assign(const setting *row, settings *s, const char *text) ERR_MUST_CHECK;
/* One value from a node (scalar, or sequence for lists). */
void setting_apply_node(const setting *row, settings *s, const yml_node *node,
                        yml_problems *problems);
/* One value as text, as it would be written in YAML. */
void setting_format(const setting *row, const settings *s, strbuf *out);

/* Constraints between settings: patch divides size, heads divide width, one of samples/epochs, a
 * vocabulary for the text tower; this version's recipe. */
err settings_check(const settings *s) ERR_MUST_CHECK;
/* The same of a run that is not trained here: its recipe may be another version's. */
err settings_check_shown(const settings *s) ERR_MUST_CHECK;
/* Checks that every number is within its row's limits, for settings not set through
 * setting_assign. */
err settings_check_limits(const settings *s) ERR_MUST_CHECK;
/* The part of settings_check that concerns a training step, whatever the data and the length of the
 * run: what can be planned and measured. */
err settings_check_step(const settings *s) ERR_MUST_CHECK;
/* Complementary views of `keep` patches share out all: refused if they cannot. */
err settings_check_views(int64_t patches, int64_t keep, double mask_ratio) ERR_MUST_CHECK;
/* Width of an MLP. */
int64_t settings_hidden_width(int64_t width, double mlp_ratio);
/* The part of settings_check that concerns only the model: what can be built without data. */
err settings_check_model(const settings *s) ERR_MUST_CHECK;
/* That text.vocabulary_rows, if set, hold the vocabulary's entries. */
err settings_check_vocabulary(const settings *s, int64_t entries) ERR_MUST_CHECK;

/* Tokens of a caption that enter the text tower in training: text.length minus those dropped by
 * text masking, int(length * (1 - ratio)). */
int64_t settings_text_tokens(const settings *s);
/* Are these tokens drawn, so that their positions may be chosen; and are the positions their own?
 */
bool settings_draws_text(const settings *s);
bool settings_masks_in_place(const settings *s);

/* Whether a batch can be divided among this many ranks: evenly, and in whole pairs where mixup or
 * CutMix mix them. */
bool settings_suit_ranks(const settings *s, int64_t ranks);

/* Whether a classifier's images are mixed by mixup or CutMix, and how many by one draw. */
bool settings_is_mixing(const settings *s);
int64_t settings_mix_batch(const settings *s);
/* Samples of the batch within which a rank's part is mirrored, so that it has whole pairs
 * (loader.h); 0: in their own order, in which one process has all pairs of a whole batch. */
int64_t settings_mirrored(const settings *s, int64_t ranks);

/* Whether settings_length_of knows the updates of the warm-up: with warmup_epochs, which are of the
 * data unless epoch_samples is given, not for data_samples 0. */
bool settings_knows_warmup(const settings *s, int64_t data_samples);
/* Updates of a run and of its warm-up: `epochs` are whole updates of epoch_samples, rounded down;
 * without epoch_samples an epoch is `data_samples`, and the run rounded. Zero where the settings
 * count in epochs and data_samples is not known (0). */
typedef struct {
  int64_t updates, warmup;
} settings_length;
settings_length settings_length_of(const settings *s, int64_t data_samples);

/* Rows of the token embedding for a vocabulary of `entries`. */
int64_t settings_vocabulary_rows(const settings *s, int64_t entries);

/* All settings, dotted keys in table order, one per line: the canonical form. */
void settings_write_yaml(const settings *s, strbuf *out);
/* A flat JSON object of dotted keys. */
void settings_write_json(const settings *s, strbuf *out);
/* Hash over all settings but those that concern one machine only: what ranks must agree in. */
err settings_digest_shared(const settings *s, char digest[HASH_SIZE]) ERR_MUST_CHECK;
/* Hash over the identity settings that differ from settings_init_recorded (identity.c). */
err settings_fingerprint(const settings *s, char digest[HASH_SIZE]) ERR_MUST_CHECK;

#endif
