/* Evaluation sets and their measurements: zero-shot classification and retrieval.
 *
 * A set is a YAML file (docs/data.md):
 *   name: openclipart
 *   images: [data/openclipart/heldout-*.tar]
 *   tasks: [zeroshot, retrieval]   # and probe: labels only, for the linear probe
 *   label: leaf              # which label of a sample's JSON gives its class
 *   min_images: 5            # classes with fewer images are left out
 *   templates: ["a drawing of {}"]   # each must contain {} or {c}, replaced by the class name with
 *                                    # underscores as spaces
 *   classes: [cat, dog]      # optional: only these, in this order
 *   class_names: [a cat, …]  # optional: names used in prompts, one for each of classes
 *   class_file: classes.txt  # instead of both: LABEL<tab>NAME per line; without a tab: both
 *   template_file: FILE      # instead of templates: one per line
 *   captions: lines          # text (default): the whole .txt; lines: one per line; else the name
 *                            # of a JSON list
 *   captions_per_image: 5    # optional: only the first N of each image (COCO's protocol)
 *   limit: 10000             # optional: only the first N samples
 *   metric: mean_per_class   # optional: the published metric (default top1)
 *   corruption: {kind: jpeg, strength: 3}   # optional: corrupted images (corrupt.h); `all`: kinds
 *                                           # or strengths in turn, one per image
 *   multilabel: true         # `label` is a JSON list of classes; needs classes or class_file
 *   ignore_label: difficult  # multilabel, optional: a JSON list of classes ignored for an image that `label` has not
 *   label_files: Main/{}_test.txt    # multilabel, instead of `label`: one file per class, with
 *                                    # IMAGE 1|0|-1 per line (as in the VOC devkit); only the
 *                                    # listed images take part */
#ifndef FLIP_EVAL_EVAL_H
#define FLIP_EVAL_EVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"
#include "config/settings.h"
#include "image/corrupt.h"
#include "text/tokenizer.h"
#include "model/clip.h"

typedef struct eval_set eval_set;

/* The numbers that classification sets are published by.
 *   top1, top5, mean_per_class (balanced accuracy: mean over the classes that have images)
 *   mean_top1_top5  the mean of the two (Kinetics)
 *   roc_auc         two classes, the second is positive: area under the curve of the difference of
 *                   their scores, ties half, as scikit-learn's roc_auc_score (Hateful Memes)
 *   map_11point     multilabel: mean over classes of the 11-point interpolated average precision of
 *                   the VOC2007 devkit; equal scores in the order of the images */
typedef enum {
  EVAL_TOP1,
  EVAL_TOP5,
  EVAL_MEAN_PER_CLASS,
  EVAL_MEAN_TOP1_TOP5,
  EVAL_ROC_AUC,
  EVAL_MAP_11POINT,
  EVAL_METRICS
} eval_metric;
const char *eval_metric_name(eval_metric metric);
const char *eval_metric_heading(eval_metric metric);

/* Opens a set and tokenizes its captions and prompts. task: "zeroshot", "retrieval" or "probe", if
 * only that one will be run, so that inputs it does not use are not required; NULL: all tasks of
 * the set. A sample that cannot be read is skipped and reported, as is one without a class label.
 * Images are decoded and resized when first evaluated, and cached if they fit in memory (512 MiB).
 * `words` must outlive the set. */
err eval_set_open(const char *path, const char *task, const settings *s, const tokenizer *words,
                  eval_set **set) ERR_MUST_CHECK;
void eval_set_close(eval_set *set);
/* Evaluates on corrupted images from now on, overriding the set's file; call before the set is
 * first evaluated. Row i is image i, so every model sees the same images. */
err eval_set_corrupt(eval_set *set, const image_corruption *corruption) ERR_MUST_CHECK;
const char *eval_set_name(const eval_set *set);
bool eval_set_is_corrupted(const eval_set *set);
/* Appends a line if the set's metric is of scores, which classifiers and probes do not measure. */
void eval_set_explain_metric(const eval_set *set, strbuf *lines);
/* What was skipped since the last call, one line each ("" for nothing); valid until the set is used
 * again. */
const char *eval_set_new_warnings(eval_set *set);

/* Zero-shot classification: a class's embedding is the normalised mean of its normalised prompt
 * embeddings (docs/method.md). All rates in [0, 1]. */
typedef struct {
  int64_t images, classes;
  double top1, top5, mean_per_class, majority, chance;
  double roc_auc, map_11point; /* if `metric` is that; for a multilabel set, only map_11point */
  eval_metric metric;          /* the set's own */
  double bounds[2];            /* 95 % over images of roc_auc or map_11point; NaN if not measured */
} eval_zeroshot;
/* The number selected by `metric`; NaN: it was not measured, or a score was NaN. */
double eval_zeroshot_value(const eval_zeroshot *z, eval_metric metric);

/* Retrieval among `images` images and `texts` captions, one or several per image. R@k as in CLIP
 * and clip_benchmark: a correct match is among the k best; ties count as wrong. */
typedef struct {
  int64_t images, texts;
  double image_to_text[3], text_to_image[3]; /* R@1, R@5, R@10 */
  double chance_r1;
} eval_retrieval;

typedef struct {
  bool has_zeroshot, has_retrieval;
  bool has_classes; /* a classifier's: `zeroshot` has its numbers, its scores being the logits */
  eval_zeroshot zeroshot;
  eval_retrieval retrieval;
} eval_result;

/* The items that were hits, for every metric that is a mean over items: bit i % 8 of byte i / 8 for
 * item i, excluding items that could not be decoded. An area and a precision are no such means: for
 * them, their values on resampled images. Resample k depends only on k and the number of images, so
 * two models' values are paired: their difference is that of the models on the same images.
 * Initialise with {0}. */
enum { EVAL_RESAMPLES = 1000 };
typedef struct {
  int64_t labelled, images, texts;              /* items: zero-shot's, retrieval's two */
  uint8_t *top[2];                              /* of the labelled: top 1, top 5 */
  uint16_t *labels;                             /* [labelled] classes; NULL beyond 65,536 classes */
  uint8_t *image_to_text[3], *text_to_image[3]; /* R@1, R@5, R@10, of images and of texts */
  float *resampled; /* [EVAL_RESAMPLES] roc_auc or map_11point, whichever the set is measured by, on
                       resample k of the images; NULL: not measured, or it has no interval */
} eval_outcomes;
void eval_outcomes_free(eval_outcomes *outcomes);

/* Embeddings of one set's classes, kept for the next set with the same prompts; valid for one model
 * with unchanged weights. Initialise with {0}. */
typedef struct {
  int64_t ids; /* token ids of all prompts */
  int32_t *prompt_ids;
  int64_t class_count;
  float *classes; /* [class_count, embed] */
} eval_prompts;
void eval_prompts_free(eval_prompts *prompts);

/* The part of an image that is encoded. mask_ratio 0: all patches; above: random ones, drawn from
 * (seed, image). is_ensemble: all patches, in complementary views of that ratio, whose unit-length
 * embeddings are averaged and normalised again. */
typedef struct {
  double mask_ratio;
  bool is_ensemble;
  uint64_t seed;
  comm *ranks; /* that evaluate together, each encoding and scoring a part; NULL: one process does
                * all. Every rank makes the call, with its own set and model, and gets the results;
                * errors, except for ERR_LOST, are those of all ranks. */
  bool takes_output;     /* features: what the projection reads, instead of embeddings */
  eval_prompts *prompts; /* NULL: every evaluation encodes its prompts */
} eval_how;
eval_how eval_how_of(const settings *s);

/* Runs the set's tasks on a model. */
err eval_run(eval_set *set, clip_model *model, const eval_how *how,
             eval_result *result) ERR_MUST_CHECK;
/* The same, with per-item outcomes. */
err eval_run_items(eval_set *set, clip_model *model, const eval_how *how, eval_result *result,
                   eval_outcomes *outcomes) ERR_MUST_CHECK;

/* Hash of the evaluation's inputs: the file's tasks, classes, prompts and captions, and the data
 * (dataset_fingerprint); the same for every model. Valid as long as the set. */
const char *eval_set_fingerprint(const eval_set *set);

/* Floats of an image's features, for a linear probe. */
int64_t eval_feature_width(const clip_model *model, const eval_how *how);
/* Features and classes of the images that have a class, for a linear probe: rows [eval_set_rows,
 * eval_feature_width], labels [eval_set_rows] below eval_set_classes; *count of them are filled. */
err eval_features(eval_set *set, clip_model *model, const eval_how *how, float *rows,
                  int32_t *labels, int64_t *count) ERR_MUST_CHECK;
/* The same for randomly cropped and mirrored images of `epoch`. */
err eval_features_augmented(eval_set *set, clip_model *model, const eval_how *how, int64_t epoch,
                            float *rows, int32_t *labels, int64_t *count) ERR_MUST_CHECK;
int64_t eval_set_rows(const eval_set *set);
/* The data of the set, and the class of each of its rows (below 0: none, or the row cannot be
 * read). */
struct dataset;
const struct dataset *eval_set_data(const eval_set *set);
int32_t eval_set_class_of(const eval_set *set, int64_t row);
int64_t eval_set_classes(const eval_set *set);
/* The label of a class, as in the data. */
const char *eval_set_label(const eval_set *set, int64_t number);

/* A classifier (clip_config.classes) on `test`, in the classes of `train`, which are its own;
 * images of other classes are left out, counted and named. */
err eval_run_classes(comm *ranks, eval_set *test, const eval_set *train, clip_model *model,
                     eval_result *result, eval_outcomes *outcomes) ERR_MUST_CHECK;

/* Can a probe be fitted on `train` and evaluated on `test`? Both need one label per image, and an
 * image of `test` a class of `train`. Asked of the opened sets, before any image is read. */
err eval_check_probe(const eval_set *train, const eval_set *test) ERR_MUST_CHECK;

/* A linear probe: logistic regression on the embeddings of `train`, evaluated on `test`; images
 * whose class is not in `train` are skipped. c 0: swept on a held-out part of `train`. */
typedef struct {
  int64_t train_images, test_images, classes;
  double top1, mean_per_class, c, validation; /* validation: -1 when c was given */
  int tried;
  int64_t epochs, batch; /* of eval_run_lars; 0: the logistic regression's fields count */
  double rate, loss;     /* peak rate; mean training loss of the last epoch */
} eval_probe;
err eval_run_probe(eval_set *train, eval_set *test, clip_model *model, const eval_how *how,
                   double c, eval_probe *result) ERR_MUST_CHECK;

/* The probe of FLIP's Table 11 (MAE's): lars.h's classifier on features of random resized crops
 * (area 8 to 100 %), mirrored with probability 1/2 and recomputed every epoch: `epochs` times the
 * cost of encoding `train`. Zeros select the paper's values: 90 epochs, a ninth of them warm-up;
 * peak rate 0.64, which is the base rate 0.01 at batch 16,384. A set smaller than ImageNet uses the
 * batch size that keeps its 78 updates per epoch, at the same rate: LARS's steps are relative to
 * the weights, so the number of updates determines training progress. */
typedef struct {
  int64_t epochs, batch;
  double rate;
  bool is_plain; /* features computed once, from images prepared as in evaluation */
} eval_lars;
err eval_run_lars(eval_set *train, eval_set *test, clip_model *model, const eval_how *how,
                  const eval_lars *recipe, eval_probe *result) ERR_MUST_CHECK;
/* The same, with the outcome of each item: only top-1. outcomes may be NULL. */
err eval_run_lars_items(eval_set *train, eval_set *test, clip_model *model, const eval_how *how,
                        const eval_lars *recipe, eval_probe *result,
                        eval_outcomes *outcomes) ERR_MUST_CHECK;

/* The metrics of one task as an object under `key`, named as docs/events.md names them. */
void eval_write_zeroshot(json_writer *w, const char *key, const eval_zeroshot *z);
void eval_write_retrieval(json_writer *w, const char *key, const eval_retrieval *r);
void eval_write_probe(json_writer *w, const char *key, const eval_probe *p);

/* {"top1": "base64…", …} under `key`, and the labels as a string of little-endian uint16. */
void eval_write_zeroshot_hits(json_writer *w, const char *key, const eval_outcomes *outcomes);
void eval_write_retrieval_hits(json_writer *w, const char *key, const eval_outcomes *outcomes);
void eval_write_labels(json_writer *w, const char *key, const eval_outcomes *outcomes);
/* {"roc_auc": "base64…"} under `key`, the values as little-endian fp32; nothing if there are none.
 */
void eval_write_resampled(json_writer *w, const char *key, const eval_zeroshot *z,
                          const eval_outcomes *outcomes);

/* The metrics themselves, computed from embeddings: unit-length rows of `width` floats. The _items
 * fields of `outcomes` are filled if it is not NULL. ranks: they pass the same arguments, score a
 * part each, and all get the results; NULL: this process scores everything. */
err eval_score_zeroshot(const float *images, const int32_t *labels, int64_t image_count,
                        const float *classes, int64_t class_count, int64_t width,
                        eval_zeroshot *z) ERR_MUST_CHECK;
err eval_score_zeroshot_items(comm *ranks, const float *images, const int32_t *labels,
                              int64_t image_count, const float *classes, int64_t class_count,
                              int64_t width, eval_zeroshot *z,
                              eval_outcomes *outcomes) ERR_MUST_CHECK;
/* truths [image_count, class_count]: 1 has the class, -1 does not have it, 0 is ignored. A class
 * without positive images is excluded from the mean. */
err eval_score_multilabel(comm *ranks, const float *images, const int8_t *truths,
                          int64_t image_count, const float *classes, int64_t class_count,
                          int64_t width, eval_zeroshot *z, eval_outcomes *outcomes) ERR_MUST_CHECK;
/* Area under the ROC curve of `scores` [count] for labels 0 and 1, ties half; NaN when a score is
 * NaN or one of the labels is missing. bounds: its 95 % interval over images; NULL: not wanted, and
 * neither is `outcomes`, which otherwise get the resampled values unless NULL. */
err eval_score_auc(comm *ranks, const float *scores, const int32_t *labels, int64_t count,
                   double *auc, double bounds[2], eval_outcomes *outcomes) ERR_MUST_CHECK;
/* The same of scores [count, class_count] as they are, the larger the better. */
err eval_score_classes(comm *ranks, const float *scores, const int32_t *labels, int64_t count,
                       int64_t class_count, eval_zeroshot *z,
                       eval_outcomes *outcomes) ERR_MUST_CHECK;
/* owners [text_count]: the image of each text, ascending. */
err eval_score_retrieval(const float *images, int64_t image_count, const float *texts,
                         const int32_t *owners, int64_t text_count, int64_t width,
                         eval_retrieval *r) ERR_MUST_CHECK;
err eval_score_retrieval_items(comm *ranks, const float *images, int64_t image_count,
                               const float *texts, const int32_t *owners, int64_t text_count,
                               int64_t width, eval_retrieval *r,
                               eval_outcomes *outcomes) ERR_MUST_CHECK;

#endif
