/* Writing weights: our own checkpoint, or a folder that transformers or open_clip loads. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/shipped.h"
#include "convert/folder.h"
#include "convert/foreign.h"
#include "convert/names.h"
#include "convert/weights.h"
#include "model/count.h"
#include "model/front.h"
#include "text/tokenizer.h"

static err cannot(weights_format format, const char *key, const char *why) {
  return err_new(ERR_UNSUPPORTED, "%s: %s %s; --format flip keeps it", key,
                 format == WEIGHTS_HF ? "transformers' CLIPModel" : "open_clip's CLIP", why);
}

err foreign_check(weights_format format, const settings *s) {
  bool is_hf = format == WEIGHTS_HF;
  if (format != WEIGHTS_HF && format != WEIGHTS_OPEN_CLIP)
    return err_new(ERR_UNSUPPORTED,
                   "this format can be read but not written; write hf, open_clip or flip");
  if (is_hf && s->image_resize_mode == RESIZE_LONGEST)
    return cannot(format, "image.resize_mode", "has no filled resizing");
  if (!is_hf && s->image_resize_to)
    return cannot(format, "image.resize_to", "resizes to image.size");
  if (s->text_post_norm) return cannot(format, "text.post_norm", "is pre-norm");
  if (s->text_padding_mask) return cannot(format, "text.padding_mask", "attends to padding");
  if (!s->normalize) return cannot(format, "normalize", "compares unit vectors");
  if (!s->image_class_token || s->image_pool != IMAGE_POOL_CLASS)
    return cannot(format, "image.pool", "pools the class token");
  if (is_hf && !s->image_pre_norm)
    return cannot(format, "image.pre_norm", "has a layer norm before the first block");
  if (is_hf && !s->text_causal) return cannot(format, "text.causal", "attends causally");
  if (is_hf && s->text_pool != TEXT_POOL_EOT)
    return cannot(format, "text.pool", "pools the end of text");
  if (s->text_special_tokens == SPECIAL_TOKENS_NONE)
    return cannot(format, "text.special_tokens", "adds start and end tokens to a text");
  if (s->text_pool == TEXT_POOL_MEAN)
    return cannot(format, "text.pool", "has no mean over text tokens");
  if (!is_hf && (s->image_activation == ACTIVATION_QUICK_GELU) !=
                    (s->text_activation == ACTIVATION_QUICK_GELU))
    return cannot(format, "text.activation", "has QuickGELU in both towers or in none");
  return NULL;
}

/* [SEP], with which our WordPiece tokenizer ends texts. */
static err find_separator(const settings *s, int64_t *end) {
  tokenizer *words = NULL;
  err error = tokenizer_open(TOKENIZER_WORDPIECE, SPECIAL_TOKENS_BOTH, s->text_vocabulary, &words);
  if (error)
    return err_context(error, "the end-of-text token is looked up in the vocabulary (--set "
                              "text.vocabulary=FILE)");
  for (*end = 0; *end < tokenizer_vocabulary_size(words); (*end)++)
    if (strcmp(tokenizer_token(words, (int32_t)*end), "[SEP]") == 0) break;
  tokenizer_close(words);
  return NULL;
}

/* The end token of the model's own list of merges; one that cannot be read leaves *end. */
static err find_end_of_merges(const settings *s, int64_t *end) {
  tokenizer *words = NULL;
  if (!*s->text_vocabulary) return NULL;
  err error = tokenizer_open_for(s, &words);
  if (!error) *end = tokenizer_end(words);
  if (words) tokenizer_close(words);
  if (error && err_kind_of(error) == ERR_MEMORY) return error;
  err_free(error);
  return NULL;
}

/* The id of the token that ends a text: the model's own, else its list's, CLIP's last, or
 * WordPiece's [SEP]. */
static err find_end_of_text(const weights *w, weights_format format, int64_t *end) {
  bool is_pooled = w->s.text_pool == TEXT_POOL_EOT;
  err error = NULL;
  *end = w->end_of_text > 0                                ? w->end_of_text
         : w->is_padded && w->vocabulary > CLIP_VOCABULARY ? CLIP_VOCABULARY - 1
                                                           : w->vocabulary - 1;
  if (is_pooled && w->end_of_text <= 0 && w->s.text_tokenizer == TOKENIZER_WORDPIECE)
    error = find_separator(&w->s, end);
  else if (is_pooled && w->end_of_text <= 0)
    error = find_end_of_merges(&w->s, end);
  if (!error && is_pooled && format == WEIGHTS_HF && *end == 2)
    return err_new(ERR_UNSUPPORTED, /* it stands for an old CLIP, which pools the largest number */
                   "texts end with token 2, which transformers' CLIPModel misreads");
  return error;
}

/* The tensors of the file to write; `turned`: converted values that it owns, if they differ from
 * the model's. */
typedef struct {
  safetensor *items;
  size_t count;
  float **turned;
} tensor_list;

static void free_list(tensor_list *list) {
  for (size_t i = 0; list->turned && i < list->count; i++) free(list->turned[i]);
  free(list->turned);
  free(list->items);
}

/* The scale that a run's loss used: other libraries do not clip it when using it. One that comes
 * from them was never used clipped, and stays. */
static err add_scale(const weights *w, float scale_log, const char *name, tensor_list *list) {
  float *clipped = mem_zeroed(1, sizeof *clipped);
  if (!clipped) return mem_error(sizeof *clipped, name);
  *clipped = scale_log;
  if (w->s.temperature_learned && w->is_of_run)
    *clipped = (float)fmin(fmax((double)scale_log, 0), log(w->s.logit_scale_max));
  safetensor *t = &list->items[list->count];
  *t = (safetensor){.data = clipped, .bytes = sizeof *clipped};
  snprintf(t->name, sizeof t->name, "%s", name);
  snprintf(t->type, sizeof t->type, "F32");
  list->turned[list->count++] = clipped;
  return NULL;
}

/* data [columns, rows] = values [rows, columns] transposed. */
static float *turn(const float *values, int64_t rows, int64_t columns) {
  float *data = mem_zeroed((size_t)(rows * columns), sizeof *data);
  for (int64_t i = 0; data && i < rows; i++)
    for (int64_t j = 0; j < columns; j++) data[j * rows + i] = values[i * columns + j];
  return data;
}

static void set_shape(safetensor *t, tensor_layout layout, int64_t rows, int64_t columns,
                      int64_t patch) {
  if (layout == LAYOUT_SCALAR) return; /* rank 0 */
  if (rows) t->shape[t->rank++] = rows;
  if (layout == LAYOUT_PATCHES) {
    t->shape[t->rank++] = 3;
    t->shape[t->rank++] = patch;
    t->shape[t->rank++] = patch;
  } else {
    t->shape[t->rank++] = columns;
  }
}

static err add_tensor(const weights *w, weights_format format, const param *p, tensor_list *list) {
  int64_t block;
  char names[NAME_PARTS][FOREIGN_NAME];
  const tensor_name *row = names_find(p->name, &block);
  size_t parts = row ? names_foreign(row, block, format, names) : 0;
  const float *values = w->values + p->offset;
  if (strncmp(p->name, "reconstruction.", 15) == 0) return NULL; /* only for training */
  if (!parts) { /* values that the format cannot store must be neutral */
    for (int64_t i = 0; i < param_elements(p); i++)
      if (values[i] != 0)
        return err_new(ERR_UNSUPPORTED,
                       "%s is not zero, and the format has no such tensor (train with "
                       "image.patch_bias: false)",
                       p->name);
    return NULL;
  }
  if (strcmp(p->name, "logit_scale") == 0) return add_scale(w, values[0], names[0], list);
  int64_t rows = p->rows / (int64_t)parts;
  int64_t columns = p->rows ? p->columns : p->columns / (int64_t)parts;
  for (size_t i = 0; i < parts; i++) {
    safetensor *t = &list->items[list->count];
    *t = (safetensor){.bytes = (size_t)((rows ? rows : 1) * columns) * sizeof(float),
                      .data = values + (int64_t)i * (rows ? rows : 1) * columns};
    memcpy(t->name, names[i], FOREIGN_NAME); /* shorter than t->name */
    snprintf(t->type, sizeof t->type, "F32");
    bool is_turned = row->layout == LAYOUT_PROJECTION && format == WEIGHTS_OPEN_CLIP;
    set_shape(t, row->layout, is_turned ? columns : rows, is_turned ? rows : columns,
              w->s.image_patch);
    if (is_turned) {
      t->data = list->turned[list->count] = turn(t->data, rows, columns);
      if (!t->data) return mem_error(t->bytes, p->name);
    }
    list->count++;
  }
  return NULL;
}

/* Stores sine-cosine positions as learned ones: the same numbers, and zeros for the class token. */
static err add_fixed_positions(const weights *w, weights_format format, tensor_list *list) {
  int64_t block, grid = w->s.image_size / w->s.image_patch, width = w->s.image_width;
  char names[NAME_PARTS][FOREIGN_NAME];
  if (w->s.image_position == POSITION_LEARNED) return NULL;
  names_foreign(names_find("image.positions", &block), block, format, names);
  size_t count = (size_t)(grid * grid * width);
  double *wide = mem_zeroed(count, sizeof *wide);
  float *rows = mem_zeroed(count + (size_t)width, sizeof *rows);
  if (!wide || !rows) {
    free(wide);
    free(rows);
    return mem_error(count * sizeof *wide, "positions");
  }
  image_sincos_positions(grid, width, wide);
  for (size_t i = 0; i < count; i++) rows[(size_t)width + i] = (float)wide[i];
  free(wide);
  safetensor *t = &list->items[list->count];
  *t = (safetensor){.rank = 2, .shape = {grid * grid + 1, width}, .data = rows};
  t->bytes = (count + (size_t)width) * sizeof *rows;
  memcpy(t->name, names[0], FOREIGN_NAME);
  snprintf(t->type, sizeof t->type, "F32");
  list->turned[list->count++] = rows;
  return NULL;
}

static err write_text(const char *folder, const char *name, const strbuf *text) {
  char *path = fs_join(folder, name);
  err error = path && !text->is_broken ? fs_write_atomic(path, strbuf_string(text), text->length)
                                       : mem_error(text->length, name);
  free(path);
  return error;
}

/* The words of the model: those recorded, else those of its vocabulary file, if there is one that
 * fits. "" leaves them unknown. */
static err find_words(const weights *w, char tokens[HASH_SIZE]) {
  tokenizer *words = NULL;
  memcpy(tokens, w->words.tokens, HASH_SIZE);
  if (*tokens || !*w->s.text_vocabulary) return NULL;
  err error = tokenizer_open_for(&w->s, &words);
  if (error && err_kind_of(error) != ERR_MEMORY) { /* images can be embedded without one */
    err_free(error);
    return NULL;
  }
  if (!error && weights_hold_words(w, tokenizer_vocabulary_size(words))) {
    error = words_check(&w->words, &w->s, words);
    if (!error) error = words_describe(&w->s, words, tokens);
  }
  if (words) tokenizer_close(words);
  return error;
}

/* That the vocabulary to be copied is the model's. */
static err check_vocabulary(const weights *w) {
  tokenizer *words = NULL;
  err error = tokenizer_open_for(&w->s, &words);
  if (!error) error = words_check(&w->words, &w->s, words);
  if (words) tokenizer_close(words);
  return error;
}

/* A WordPiece vocabulary is copied next to the weights, where transformers' AutoTokenizer finds it.
 * Byte-pair models use CLIP's own tokenizer, which both libraries include. */
static err save_vocabulary(const char *folder, weights *model) {
  const settings *s = &model->s;
  char *text = NULL, *found = NULL, tokens[HASH_SIZE];
  size_t length;
  strbuf words = {0}, config = {0};
  const bool has_words = s->text_tokenizer == TOKENIZER_WORDPIECE && *s->text_vocabulary;
  err error = NULL;
  if (has_words) {
    TRY(check_vocabulary(model));
    found = shipped_or_given(s->text_vocabulary);
    error = found ? fs_read(found, &text, &length) : mem_error(0, "a path");
    TRY(err_context(error, "text.vocabulary"));
  }
  error = find_words(model, tokens);
  if (error && err_kind_of(error) == ERR_MEMORY) goto cleanup;
  if (error) *tokens = '\0'; /* the vocabulary is not exported, and need not be the model's */
  err_free(error);
  TRY(folder_clear(folder, s, tokens, has_words, &model->remarks));
  if (!has_words) goto cleanup;
  strbuf_append_bytes(&words, text, length);
  json_writer writer = jsonw_start(&config), *w = &writer;
  jsonw_object(w, NULL);
  jsonw_string(w, "tokenizer_class", "BertTokenizer");
  jsonw_bool(w, "do_lower_case", true);
  jsonw_integer(w, "model_max_length", s->text_length);
  jsonw_end(w);
  error = write_text(folder, "vocab.txt", &words);
  if (!error) error = write_text(folder, "tokenizer_config.json", &config);
cleanup:
  strbuf_free(&words);
  strbuf_free(&config);
  free(found);
  free(text);
  return error;
}

static err save_foreign(const char *folder, weights_format format, weights *w) {
  err error = NULL;
  bool is_hf = format == WEIGHTS_HF;
  int64_t end_of_text, rows = settings_vocabulary_rows(&w->s, w->vocabulary);
  strbuf config = {0}, preprocessor = {0};
  const char *name = is_hf ? "model.safetensors" : "open_clip_model.safetensors";
  char *path = fs_join(folder, name);
  tensor_list list = {.items = mem_zeroed(NAME_PARTS * w->table.count + 1, sizeof *list.items),
                      .turned = mem_zeroed(NAME_PARTS * w->table.count + 1, sizeof *list.turned)};
  const safetensors_pair pairs[] = {{"format", "pt"}}; /* transformers requires it */
  if (!path || !list.items || !list.turned) FAIL(ERR_MEMORY, "out of memory: a list of tensors");
  TRY(foreign_check(format, &w->s));
  TRY(folder_check_free(folder, format, name));
  TRY(find_end_of_text(w, format, &end_of_text));
  for (size_t i = 0; i < w->table.count; i++) TRY(add_tensor(w, format, &w->table.items[i], &list));
  TRY(add_fixed_positions(w, format, &list));
  TRY(fs_make_folders(folder));
  if (is_hf) {
    foreign_write_hf(&w->s, rows, end_of_text, &config);
    foreign_write_hf_preprocessor(&w->s, &preprocessor);
    TRY(write_text(folder, "preprocessor_config.json", &preprocessor));
  } else {
    foreign_write_open_clip(&w->s, rows, end_of_text, &config);
  }
  TRY(save_vocabulary(folder, w));
  TRY(write_text(folder, is_hf ? "config.json" : "open_clip_config.json", &config));
  TRY(safetensors_write(path, list.items, list.count, pairs, 1, false, NULL));
cleanup:
  free_list(&list);
  strbuf_free(&config);
  strbuf_free(&preprocessor);
  free(path);
  return error;
}

/* A checkpoint of step 0 without moments, accepted by init_from and flip eval. */
static err save_own(const char *path, const weights *w) {
  err error = NULL;
  strbuf yaml = {0};
  char fingerprint[HASH_SIZE], vocabulary[32], end[32], words[HASH_SIZE];
  safetensor *tensors = mem_zeroed(w->table.count, sizeof *tensors);
  settings_write_yaml(&w->s, &yaml);
  TRY(settings_fingerprint(&w->s, fingerprint));
  TRY(find_words(w, words));
  snprintf(vocabulary, sizeof vocabulary, "%" PRId64, w->vocabulary);
  snprintf(end, sizeof end, "%" PRId64, w->end_of_text);
  if (!tensors || yaml.is_broken) FAIL(ERR_MEMORY, "out of memory: a list of tensors");
  for (size_t i = 0; i < w->table.count; i++) {
    const param *p = &w->table.items[i];
    safetensor *t = &tensors[i];
    *t = (safetensor){.data = w->values + p->offset,
                      .bytes = (size_t)param_elements(p) * sizeof(float)};
    snprintf(t->name, sizeof t->name, "%s", p->name);
    snprintf(t->type, sizeof t->type, "F32");
    set_shape(t, LAYOUT_PLAIN, p->rows, p->columns, 0);
  }
  enum { ALWAYS = 7, MOST = ALWAYS + 3 };
  safetensors_pair pairs[MOST] = {{"format", "flip"},
                                  {"flip.step", "0"},
                                  {"flip.samples", "0"},
                                  {"flip.vocabulary_size", vocabulary},
                                  {"flip.precision", precision_name(w->precision)},
                                  {"flip.fingerprint", fingerprint},
                                  {"flip.settings", strbuf_string(&yaml)}};
  size_t count = ALWAYS;
  if (w->is_padded) pairs[count++] = (safetensors_pair){"flip.vocabulary_padded", "true"};
  if (w->end_of_text != END_IS_ANY) pairs[count++] = (safetensors_pair){"flip.end_of_text", end};
  if (*words) pairs[count++] = (safetensors_pair){"flip.vocabulary_fingerprint", words};
  TRY(safetensors_write(path, tensors, w->table.count, pairs, count, true, NULL));
cleanup:
  free(tensors);
  strbuf_free(&yaml);
  return error;
}

/* Is an odd margin of pixels ever cut off? */
static bool is_crop_rounded(const settings *s) {
  if (s->image_resize_mode != RESIZE_SQUASH) return s->image_resize_mode == RESIZE_SHORTEST;
  return s->image_resize_to && (s->image_resize_to - s->image_size) % 2 != 0;
}

void weights_describe_changes(weights_format format, const weights *w, strbuf *remarks) {
  if (format != WEIGHTS_HF && format != WEIGHTS_OPEN_CLIP) return;
  const bool is_hf = format == WEIGHTS_HF;
  const settings *s = &w->s;
  const char *library = is_hf ? "transformers" : "open_clip";
  const int crop = is_hf ? CROP_FLOOR : CROP_ROUND;
  const int words = is_hf ? TOKENIZER_BPE_HUGGINGFACE : TOKENIZER_BPE;
  if (s->image_crop != crop && is_crop_rounded(s))
    strbuf_format(
        remarks,
        "image.crop: %s crops some images with an odd margin a pixel away from where this "
        "model did: their embeddings differ\n",
        library);
  if (s->text_tokenizer == TOKENIZER_WORDPIECE) {
    if (!is_hf)
      strbuf_append(remarks,
                    "text.tokenizer: open_clip's own tokenizer is CLIP's, whose tokens this "
                    "model does not have: give it those of the vocabulary in the folder, "
                    "as transformers' AutoTokenizer reads it\n");
    return;
  }
  if (w->format == WEIGHTS_FLIP && !weights_hold_words(w, CLIP_VOCABULARY))
    strbuf_format(
        remarks,
        "text.vocabulary: %s splits texts by CLIP's own list of merges, of %d tokens, and "
        "this model was trained with another, of %ld, which is not exported: it has other "
        "tokens there, or none\n",
        library, CLIP_VOCABULARY, (long)w->vocabulary);
  if (s->text_tokenizer != words)
    strbuf_format(remarks,
                  "text.tokenizer: %s cleans texts in another way than this model's tokenizer: "
                  "embeddings of texts with HTML entities (&amp;), wrongly decoded characters or a "
                  "literal <|endoftext|> differ\n",
                  library);
  else if (!is_hf && !s->text_repair)
    strbuf_append(remarks, "text.repair: open_clip repairs wrongly decoded texts, which this model "
                           "did not: their embeddings differ\n");
}

err weights_save(const char *path, weights_format format, weights *w) {
  return format == WEIGHTS_FLIP ? save_own(path, w) : save_foreign(path, format, w);
}
