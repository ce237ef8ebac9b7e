/* A model's file and its configuration. */
#include "convert/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "convert/folder.h"
#include "convert/foreign.h"
#include "convert/wordpiece.h"
#include "train/checkpoint.h"

void source_close_model(source *s) {
  tensor_set_close(&s->file);
  free(s->path);
  free(s->folder);
}

static err detect(const tensor_set *f, weights_format *format) {
  static const struct {
    weights_format format;
    const char *tensor;
  } signs[] = {{WEIGHTS_HF, "vision_model.embeddings.patch_embedding.weight"},
               {WEIGHTS_OPEN_CLIP, "visual.conv1.weight"},
               {WEIGHTS_BERT, "embeddings.word_embeddings.weight"},
               {WEIGHTS_BERT, "bert.embeddings.word_embeddings.weight"},
               {WEIGHTS_VIT, "embeddings.patch_embeddings.projection.weight"},
               {WEIGHTS_VIT, "vit.embeddings.patch_embeddings.projection.weight"}};
  *format = WEIGHTS_FLIP;
  if (tensor_set_metadata(f, "flip.settings")) return NULL;
  for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
    if (tensor_set_find(f, signs[i].tensor)) {
      *format = signs[i].format;
      return NULL;
    }
  return err_new(ERR_UNSUPPORTED,
                 "its tensor names match none of: flip, transformers' CLIPModel, BertModel, "
                 "ViTModel, open_clip's CLIP");
}

/* One file as a set. */
static tensor_set set_of(const safetensors_file **file) {
  return (tensor_set){file, 1};
}

err weights_detect(const safetensors_file *f, weights_format *format) {
  const tensor_set one = set_of(&f);
  return detect(&one, format);
}

err source_open_model(const char *path, source *s, strbuf *remarks) {
  err error = NULL;
  if (fs_is_folder(path)) {
    error = folder_find_weights(path, &s->path, remarks);
    s->folder = mem_copy_string(path);
  } else {
    size_t length = (size_t)(fs_name(path) - path);
    s->path = mem_copy_string(path);
    s->folder = mem_copy_string(length ? path : ".");
    if (s->folder && length) s->folder[length - 1 ? length - 1 : 1] = '\0';
  }
  if (!error && (!s->path || !s->folder)) error = mem_error(strlen(path), "a path");
  if (!error) error = tensor_set_open(s->path, &s->file);
  if (!error) error = err_context(detect(&s->file, &s->format), "%s", s->path);
  return error;
}

err weights_read_config(weights_format format, const char *json, const char *preprocessor,
                        settings *s, int64_t *vocabulary) {
  json_error_t problem;
  json_t *root = json_loads(json, JSON_REJECT_DUPLICATES, &problem);
  json_t *images = NULL;
  err error = NULL;
  if (!root) FAIL(ERR_INPUT, "is not JSON: %s", problem.text);
  if (preprocessor && !(images = json_loads(preprocessor, JSON_REJECT_DUPLICATES, &problem)))
    FAIL(ERR_INPUT, "preprocessor_config.json beside it is not JSON: %s", problem.text);
  switch (format) {
  case WEIGHTS_HF:
    TRY(foreign_read_hf(root, s, vocabulary));
    break;
  case WEIGHTS_OPEN_CLIP:
    TRY(foreign_read_open_clip(root, s, vocabulary));
    break;
  case WEIGHTS_VIT:
    TRY(foreign_read_vit(root, s));
    break;
  case WEIGHTS_BERT:
    TRY(foreign_read_bert(root, s, vocabulary));
    break;
  case WEIGHTS_FLIP:
    FAIL(ERR_INTERNAL, "a checkpoint includes its own settings");
  }
  bool is_vit = format == WEIGHTS_VIT;
  if (images)
    TRY(err_context(foreign_read_preprocessor(images, is_vit, s),
                    "its image processor's settings beside it"));
  else if (is_vit || format == WEIGHTS_HF)
    foreign_default_preprocessor(is_vit, s);
cleanup:
  json_decref(root);
  json_decref(images);
  return error;
}

/* The file FOLDER/NAME; *text stays NULL when it is optional and missing. */
static err read_beside(const char *folder, const char *name, bool is_optional, char **text) {
  size_t length;
  char *path = fs_join(folder, name);
  if (!path) return mem_error(strlen(folder), "a path");
  err error = is_optional && !fs_exists(path) ? NULL : fs_read(path, text, &length);
  free(path);
  return error;
}

/* How transformers prepares images: image_processor of processor_config.json, its place in
 * transformers 5, goes before a preprocessor_config.json. *text stays NULL without either. */
static err read_preparation(const char *folder, char **text) {
  json_error_t problem;
  err error = read_beside(folder, "processor_config.json", true, text);
  if (error) return error;
  if (*text) {
    json_t *root = json_loads(*text, JSON_REJECT_DUPLICATES, &problem);
    bool is_json = root != NULL;
    bool has_images = json_is_object(json_object_get(root, "image_processor"));
    json_decref(root);
    if (!is_json)
      return err_new(ERR_INPUT, "%s/processor_config.json: is not JSON: %s", folder, problem.text);
    if (has_images) return NULL;
    free(*text);
    *text = NULL;
  }
  return read_beside(folder, "preprocessor_config.json", true, text);
}

/* Sets text.vocabulary to FOLDER/NAME, read by a tokenizer of this kind, if it exists. */
static err take_vocabulary(const char *folder, const char *name, int kind, settings *s,
                           bool *is_found) {
  char *path = fs_join(folder, name);
  if (!path) return mem_error(strlen(folder), "a path");
  *is_found = fs_exists(path);
  if (!*is_found) {
    free(path);
    return NULL;
  }
  free(s->text_vocabulary);
  s->text_vocabulary = path;
  s->text_tokenizer = kind;
  return NULL;
}

/* The vocabulary in a model's folder, next to the weights: transformers stores CLIP's merges there,
 * and BERT's words, as we do for a CLIP trained on WordPiece. If there is none, --set
 * text.vocabulary=FILE is required. */
static err find_vocabulary(const source *from, weights *w) {
  bool is_found = false;
  err error = NULL;
  if (from->format == WEIGHTS_HF || from->format == WEIGHTS_OPEN_CLIP)
    error = take_vocabulary(from->folder, "merges.txt", w->s.text_tokenizer, &w->s, &is_found);
  if (error || is_found || from->format == WEIGHTS_VIT) return error;
  error = take_vocabulary(from->folder, "vocab.txt", TOKENIZER_WORDPIECE, &w->s, &is_found);
  if (error || !is_found || *w->words_fault) return error;
  return wordpiece_check(from->folder, w->words_fault, sizeof w->words_fault);
}

/* What a whole model's configuration says of its texts. */
static err read_texts(const source *from, const char *json, weights *w) {
  const bool is_open_clip = from->format == WEIGHTS_OPEN_CLIP;
  json_t *root = json_loads(json, 0, NULL);
  err error = !root          ? err_new(ERR_INPUT, "is not JSON")
              : is_open_clip ? foreign_read_eos_id(root, &w->end_of_text)
                             : foreign_read_end_of_text(root, &w->end_of_text);
  const char *other = is_open_clip && root ? foreign_other_tokenizer(root) : "";
  if (*other)
    snprintf(w->words_fault, sizeof w->words_fault,
             "%.200s/open_clip_config.json: hf_tokenizer_name '%.100s': open_clip prepares this "
             "model's texts by its HFTokenizer, which is not supported; give a vocabulary that "
             "flip reads with --set text.vocabulary=FILE if the model is to be trained on",
             from->folder, other);
  json_decref(root);
  return error;
}

/* What flip.end_of_text of a converted model says; its absence, that any will do. */
static err read_own_end(const source *from, int64_t *end) {
  const char *text = tensor_set_metadata(&from->file, "flip.end_of_text");
  *end = END_IS_ANY;
  if (!text) return NULL;
  const char *rest = text_read_whole(text, end);
  if (rest && !*rest && *end >= END_IS_LARGEST && *end <= INT32_MAX) return NULL;
  return err_new(ERR_INPUT, "%s: flip.end_of_text '%.40s' is not a token", from->path, text);
}

static err read_own_settings(const source *from, weights *w) {
  checkpoint_state state;
  settings read;
  err error = checkpoint_read_settings(from->path, &read, &state);
  if (error) return error;
  settings_free(&w->s);
  w->s = read;
  w->vocabulary = state.vocabulary_size;
  w->words = state.words;
  w->is_padded = tensor_set_metadata(&from->file, "flip.vocabulary_padded") != NULL;
  w->precision = state.precision;
  w->is_of_run = state.step > 0;
  return read_own_end(from, &w->end_of_text);
}

err source_read_model(const source *from, weights *w) {
  err error = NULL;
  if (from->format == WEIGHTS_FLIP) return read_own_settings(from, w);
  bool is_open_clip = from->format == WEIGHTS_OPEN_CLIP;
  const char *name = is_open_clip ? "open_clip_config.json" : "config.json";
  char *json = NULL, *preprocessor = NULL;
  TRY(read_beside(from->folder, name, false, &json));
  if (!is_open_clip && from->format != WEIGHTS_BERT)
    error = read_preparation(from->folder, &preprocessor);
  if (error) goto cleanup;
  error = err_context(weights_read_config(from->format, json, preprocessor, &w->s, &w->vocabulary),
                      "%s/%s", from->folder, name);
  w->is_padded = true;
  if (!error && (is_open_clip || from->format == WEIGHTS_HF)) error = read_texts(from, json, w);
  if (!error) error = find_vocabulary(from, w);
cleanup:
  free(json);
  free(preprocessor);
  return error;
}
