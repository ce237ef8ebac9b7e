/* Every setting of a training run, described once. From this table come the struct, the YAML keys,
 * --set, validation, the canonical form, `flip train --list-settings` and docs/settings.md.
 *
 * INT  (field, key, default, least, most, is_identity, help)
 * REAL (the same)
 * BOOL (field, key, default, is_identity, help)
 * TEXT (field, key, default, is_identity, help)
 * LIST (field, key, is_identity, help)   a list of strings; a single string is a list of one
 * PICK (field, key, default index, "a|b|c", is_identity, help)
 * LEVEL (field, key, default, most, "a|b|c", is_identity, help)   a whole number from 0, or a word,
 *                                        which is -1, -2, …
 *
 * is_identity: part of a cell's identity, because it can change what is learned or measured. */
#define NO_LIMIT 9e15

#define SETTINGS_TABLE(INT, REAL, BOOL, TEXT, LIST, PICK, LEVEL)                                   \
  INT(seed, "seed", 0, 0, NO_LIMIT, true, "seed of all random numbers of the run")                 \
  INT(recipe, "recipe", 2, 1, 1000, true,                                                          \
      "version of the training rules that no setting covers; omit it in run files")                \
  INT(image_size, "image.size", 64, 8, 4096, true, "side of the square input image in pixels")     \
  INT(image_patch, "image.patch", 8, 1, 512, true, "side of a patch in pixels")                    \
  INT(image_width, "image.width", 128, 2, 65536, true, "width of the image tower")                 \
  INT(image_layers, "image.layers", 4, 1, 1000, true, "blocks of the image tower")                 \
  INT(image_heads, "image.heads", 4, 1, 1024, true, "attention heads of the image tower")          \
  REAL(image_mlp_ratio, "image.mlp_ratio", 4, 0.25, 64, true, "MLP width divided by tower width")  \
  PICK(image_position, "image.position", 0, "sincos|learned", true,                                \
       "patch positions: fixed 2-D sine-cosine (FLIP) or learned (CLIP)")                          \
  LEVEL(image_recompute, "image.recompute", 0, 1000, "norms|activations|blocks", true,             \
        "recomputed in the backward pass instead of stored: layer-norm outputs; also activation "  \
        "outputs (a CPU stores neither); all of a block but its input; or N: all of the first N "  \
        "blocks but their inputs")                                                                 \
  BOOL(image_class_token, "image.class_token", true, true, "prepend a class token")                \
  PICK(image_pool, "image.pool", 0, "mean|class", true,                                            \
       "pooling: mean over all tokens (FLIP) or the class token (CLIP)")                           \
  BOOL(image_pre_norm, "image.pre_norm", false, true, "layer norm before the first block (CLIP)")  \
  BOOL(image_patch_bias, "image.patch_bias", true, true,                                           \
       "bias in the patch embedding (FLIP has one, CLIP none)")                                    \
  PICK(image_activation, "image.activation", 0, "gelu_tanh|gelu_erf|quick_gelu", true,             \
       "MLP activation of the image tower")                                                        \
  REAL(image_dropout, "image.dropout", 0, 0, 0.9, true,                                            \
       "dropout of the image tower: on the embeddings and the outputs of attention and MLP")       \
  REAL(image_norm_eps, "image.norm_eps", 1e-6, 0, 1, true, "layer norm epsilon, image tower")      \
  PICK(image_normalization, "image.normalization", 2, "clip|inception|imagenet|none", true,        \
       "pixel mean and standard deviation: CLIP's, 0.5/0.5, ImageNet's (FLIP), or 0/1")            \
  PICK(image_resize_mode, "image.resize_mode", 0, "shortest|squash|longest", true,                 \
       "evaluation: resize the shorter side to image.resize_to, both sides to it, or the longer "  \
       "side to image.size and pad with image.fill")                                               \
  INT(image_resize_to, "image.resize_to", 0, 0, 8192, true,                                        \
      "evaluation: size that images are resized to before the centre crop to image.size; 0: "      \
      "image.size")                                                                                \
  PICK(image_interpolation, "image.interpolation", 0, "bicubic|bilinear", true,                    \
       "evaluation: resize filter, antialiased as in Pillow")                                      \
  PICK(image_crop, "image.crop", 0, "round|floor", true,                                           \
       "evaluation: rounding of an odd margin in the centre crop: round (torchvision, open_clip) " \
       "or floor (transformers)")                                                                  \
  INT(image_fill, "image.fill", 0, 0, 255, true,                                                   \
      "evaluation: grey level of the padding with resize_mode: longest")                           \
  INT(text_width, "text.width", 128, 2, 65536, true, "width of the text tower")                    \
  INT(text_layers, "text.layers", 4, 1, 1000, true, "blocks of the text tower")                    \
  INT(text_heads, "text.heads", 4, 1, 1024, true, "attention heads of the text tower")             \
  REAL(text_mlp_ratio, "text.mlp_ratio", 4, 0.25, 64, true, "MLP width divided by tower width")    \
  LEVEL(text_recompute, "text.recompute", 0, 1000, "norms|activations|blocks", true,               \
        "the same for the text tower")                                                             \
  INT(text_length, "text.length", 32, 2, 4096, true,                                               \
      "tokens that captions are truncated or padded to")                                           \
  PICK(text_tokenizer, "text.tokenizer", 0, "wordpiece|bpe|bpe_huggingface", true,                 \
       "tokenizer: WordPiece (BERT uncased, FLIP), byte-pair with the text cleaning of CLIP and "  \
       "open_clip, or byte-pair with that of Hugging Face's CLIPTokenizer")                        \
  BOOL(text_repair, "text.repair", true, true,                                                     \
       "tokenizer bpe: repair wrongly decoded captions (mojibake) as ftfy does, which open_clip "  \
       "uses")                                                                                     \
  TEXT(text_vocabulary, "text.vocabulary", "", true,                                               \
       "vocab.txt for wordpiece, bpe_simple_vocab_16e6.txt.gz for bpe")                            \
  INT(text_vocabulary_rows, "text.vocabulary_rows", 0, 0, 1e9, true,                               \
      "rows of the token embedding (FLIP: 30523); 0: one per vocabulary entry")                    \
  PICK(text_special_tokens, "text.special_tokens", 0, "none|both", true,                           \
       "none: bare word pieces (FLIP); both: start and end token around them (BERT, CLIP)")        \
  BOOL(text_causal, "text.causal", false, true, "causal attention in the text tower (CLIP)")       \
  PICK(text_pool, "text.pool", 0, "first|eot|mean", true,                                          \
       "pooled text token: the first (FLIP), end of text (CLIP) or the mean of all, padding too")  \
  PICK(text_activation, "text.activation", 0, "gelu_tanh|gelu_erf|quick_gelu", true,               \
       "MLP activation of the text tower")                                                         \
  BOOL(text_post_norm, "text.post_norm", false, true,                                              \
       "layer norms after attention, MLP and embeddings (BERT)")                                   \
  BOOL(text_padding_mask, "text.padding_mask", false, true,                                        \
       "text tokens do not attend to padding (BERT); those of a text without tokens attend to "    \
       "its first")                                                                                \
  REAL(text_dropout, "text.dropout", 0, 0, 0.9, true,                                              \
       "dropout of the text tower: on the embeddings and the outputs of attention and MLP")        \
  REAL(text_norm_eps, "text.norm_eps", 1e-6, 0, 1, true, "layer norm epsilon, text tower")         \
  INT(embed_dim, "embed_dim", 128, 1, 65536, true, "width of the shared embedding")                \
  REAL(temperature, "temperature", 0.07, 1e-4, 100, true,                                          \
       "starting temperature; logit_scale starts at log(1/temperature), but a learned one of "     \
       "init_from goes on")                                                                        \
  REAL(logit_scale_max, "logit_scale_max", 100, 1, 1e6, true,                                      \
       "exp(logit_scale), if learned, is clipped to [1, this] in the loss; no gradient beyond")    \
  BOOL(temperature_learned, "temperature_learned", true, true,                                     \
       "train logit_scale; false: the temperature is constant")                                    \
  BOOL(normalize, "normalize", true, true,                                                         \
       "normalise embeddings to unit length before comparing them")                                \
  PICK(loss_direction, "loss_direction", 0, "both|image_to_text", true,                            \
       "cross-entropy of images over texts and of texts over images, or only the first")           \
  REAL(mask_ratio, "mask_ratio", 0, 0, 0.999, true,                                                \
       "fraction of image patches dropped in training")                                            \
  PICK(mask_mode, "mask_mode", 0,                                                                  \
       "random|grid|block|gaussian|zero|gaussian_density|block_kept|attentive", true,              \
       "which patches are dropped (docs/data.md); zero: all are encoded, with dropped patches "    \
       "set to zero")                                                                              \
  BOOL(mask_replacement, "mask_replacement", false, true,                                          \
       "mask mode zero: draw the dropped patches with replacement (fewer are dropped)")            \
  REAL(attentive_momentum, "attentive.momentum", 0.996, 0, 1, true,                                \
       "mask mode attentive (A-CLIP): momentum of the moving average of the image tower at the "   \
       "first update; rises to 1 at the end by a cosine")                                          \
  INT(attentive_size, "attentive.size", 0, 0, 4096, true,                                          \
      "mask mode attentive: side, in pixels, of the images in which the average tower scores "     \
      "patches; 0: image.size")                                                                    \
  INT(attentive_cell, "attentive.cell", 1, 1, 512, true,                                           \
      "mask mode attentive: side, in patches, of the squares that share their mean score (2 in "   \
      "A-CLIP's released code)")                                                                   \
  REAL(text_mask_ratio, "text_mask_ratio", 0, 0, 0.999, true, "fraction of text.length dropped")   \
  PICK(text_mask_mode, "text_mask_mode", 0,                                                        \
       "none|truncate|random|block|prioritized|frequency|syntax", true,                            \
       "which text tokens are dropped in training (docs/data.md)")                                 \
  PICK(text_mask_positions, "text_mask_positions", 0, "packed|original", true,                     \
       "positions of the kept text tokens: packed: their ranks among the kept ones; original: "    \
       "their places in the caption")                                                              \
  TEXT(                                                                                            \
      text_mask_lexicon, "text_mask_lexicon", "/usr/share/perl5/Lingua/EN/Tagger/words.yml", true, \
      "parts of speech for text_mask_mode syntax: words.yml of Debian's liblingua-en-tagger-perl") \
  REAL(reconstruction_weight, "reconstruction.weight", 0, 0, 1e6, true,                            \
       "weight of the dropped patches' reconstruction in the loss (MAE; FLIP, Table 1f); 0: none") \
  INT(reconstruction_width, "reconstruction.width", 64, 4, 65536, true,                            \
      "width of the reconstruction's decoder")                                                     \
  INT(reconstruction_layers, "reconstruction.layers", 2, 1, 1000, true,                            \
      "blocks of the reconstruction's decoder")                                                    \
  INT(reconstruction_heads, "reconstruction.heads", 4, 1, 1024, true,                              \
      "attention heads of the reconstruction's decoder")                                           \
  INT(classification_classes, "classification.classes", 0, 0, 1e6, true,                           \
      "fine-tune the image tower as a classifier of this many classes (FLIP, Table 12): a new "    \
      "linear head, no text; 0: contrastive training")                                             \
  TEXT(classification_train, "classification.train", "", true,                                     \
       "classification: training set of labelled images, a YAML file as in eval.sets")             \
  REAL(classification_layer_decay, "classification.layer_decay", 1, 0.01, 1, true,                 \
       "classification: learning rate of a block divided by that of the next block")               \
  REAL(classification_label_smoothing, "classification.label_smoothing", 0, 0, 0.99, true,         \
       "classification: share of each label spread evenly over all classes")                       \
  REAL(classification_mixup, "classification.mixup", 0, 0, 100, true,                              \
       "classification: alpha of mixup's Beta(alpha, alpha); 0: none")                             \
  REAL(classification_cutmix, "classification.cutmix", 0, 0, 100, true,                            \
       "classification: alpha of CutMix, used in half of the draws if mixup is set too; 0: none")  \
  INT(classification_mix_batch, "classification.mix_batch", 0, 0, 1e9, true,                       \
      "classification: images that one draw of mixup or CutMix mixes with each other, as the "     \
      "batch of one GPU in MAE (32): an even number that divides batch_size, or the whole batch "  \
      "if "                                                                                        \
      "that is no larger; 0: the whole batch")                                                     \
  REAL(classification_drop_path, "classification.drop_path", 0, 0, 0.9, true,                      \
       "classification: rate of stochastic depth in the last block; linear from 0 in the first")   \
  REAL(classification_augment_magnitude, "classification.augment_magnitude", 0, 0, 10, true,       \
       "classification: mean magnitude of RandAugment, of 10; 0: none")                            \
  REAL(classification_augment_deviation, "classification.augment_deviation", 0.5, 0, 100, true,    \
       "classification: standard deviation of RandAugment's magnitude")                            \
  INT(classification_augment_operations, "classification.augment_operations", 2, 1, 15, true,      \
      "classification: operations that RandAugment draws per image; each is applied with "         \
      "probability 0.5")                                                                           \
  INT(batch_size, "batch_size", 256, 2, 1e9, true, "samples in the contrastive batch")             \
  INT(micro_batch_size, "micro_batch_size", 0, 0, 1e9, true,                                       \
      "samples in memory at once (exact gradient caching); 0: the whole batch")                    \
  INT(samples, "samples", 0, 0, NO_LIMIT, true, "samples seen in training; or give epochs")        \
  REAL(epochs, "epochs", 0, 0, 1e9, true, "passes over the training data; or give samples")        \
  INT(epoch_samples, "epoch_samples", 0, 0, NO_LIMIT, true,                                        \
      "samples per epoch, rounded down to whole updates (FLIP: 1281167); 0: size of the training " \
      "data")                                                                                      \
  INT(warmup_samples, "warmup_samples", 0, 0, NO_LIMIT, true,                                      \
      "samples of linear warm-up, rounded down to whole updates; or give warmup_epochs")           \
  REAL(warmup_epochs, "warmup_epochs", 0, 0, 1e9, true,                                            \
       "epochs of linear warm-up, to the nearest whole update; or give warmup_samples")            \
  REAL(base_learning_rate, "base_learning_rate", 4e-6, 0, 10, true,                                \
       "learning rate per 256 samples of batch (linear scaling)")                                  \
  REAL(learning_rate, "learning_rate", 0, 0, 10, true,                                             \
       "peak learning rate; 0: base_learning_rate * batch_size / 256")                             \
  REAL(beta1, "beta1", 0.9, 0, 0.999999, true, "AdamW first-moment decay")                         \
  REAL(beta2, "beta2", 0.95, 0, 0.999999, true, "AdamW second-moment decay")                       \
  REAL(epsilon, "epsilon", 1e-8, 0, 1, true, "AdamW epsilon")                                      \
  REAL(weight_decay, "weight_decay", 0.2, 0, 10, true,                                             \
       "AdamW decay; not on biases, norms and positions")                                          \
  REAL(clip_norm, "clip_norm", 0, 0, 1e9, true, "global gradient norm limit; 0: none (FLIP)")      \
  BOOL(optimizer_shard, "optimizer.shard", false, false,                                           \
       "divide AdamW's moments and the update among the ranks (ZeRO-1): the same bits, less "      \
       "memory")                                                                                   \
  PICK(                                                                                            \
      optimizer_moments, "optimizer.moments", 0, "fp32|bf16", true,                                \
      "type in which AdamW's moments are kept; bf16: computed in fp32 and rounded at random to a " \
      "neighbour, which is right on average, with 4 bytes less per parameter")                     \
  PICK(comm_reduce, "comm.reduce", 0, "fp32|bf16", true,                                           \
       "type in which ranks exchange gradients; summed in fp32 either way")                        \
  INT(comm_bucket_bytes, "comm.bucket_bytes", 26214400, 4096, 1e12, false,                         \
      "bytes of gradients that ranks exchange at once, as the backward pass completes them")       \
  TEXT(init_from, "init_from", "", true, "checkpoint whose weights the run starts from")           \
  LIST(data_train, "data.train", true,                                                             \
       "training data: shards by path, glob, {00000..00009} range, or FORMAT:LOCATION "            \
       "(flip data formats)")                                                                      \
  BOOL(data_allow_pipes, "data.allow_pipes", false, false,                                         \
       "allow pipe:COMMAND in data.train to run its command")                                      \
  REAL(data_crop_min, "data.crop_min", 0.5, 0.01, 1, true, "minimum area of the random crop")      \
  REAL(data_crop_max, "data.crop_max", 1, 0.01, 1, true, "maximum area of the random crop")        \
  REAL(data_ratio_min, "data.ratio_min", 0.75, 0.1, 10, true, "minimum width/height of the crop")  \
  REAL(data_ratio_max, "data.ratio_max", 1.3333333333333333, 0.1, 10, true,                        \
       "maximum width/height of the crop")                                                         \
  BOOL(data_flip, "data.flip", true, true, "flip half of the images left to right")                \
  BOOL(data_shuffle, "data.shuffle", true, true, "a new order each epoch")                         \
  BOOL(data_resample, "data.resample", false, true, "draw samples with replacement")               \
  PICK(data_order, "data.order", 0, "exact|stream", true,                                          \
       "exact: a permutation of all samples, with an index in memory; stream: shuffle shards, "    \
       "then samples within data.buffer, for data of any size (docs/data.md)")                     \
  INT(data_buffer, "data.buffer", 10000, 1, 1e9, true,                                             \
      "data.order stream: samples in the shuffle buffer")                                          \
  INT(data_workers, "data.workers", 1, 1, 1024, false, "loader threads")                           \
  INT(data_prefetch, "data.prefetch", 4, 1, 1024, false, "batches prepared ahead")                 \
  INT(data_cache_mib, "data.cache_mib", 1024, 0, 1e9, false,                                       \
      "cache for decoded images, so that each is decoded once; 0: no cache")                       \
  LIST(eval_sets, "eval.sets", true, "evaluation sets: YAML files (docs/data.md)")                 \
  INT(eval_points, "eval.points", 8, 0, 10000, true,                                               \
      "number of evaluations, evenly spaced, the last at the end")                                 \
  INT(eval_batch_size, "eval.batch_size", 128, 1, 1e6, true,                                       \
      "evaluation batch size; a larger one can raise the peak memory that tables show")            \
  REAL(eval_mask_ratio, "eval.mask_ratio", 0, 0, 0.999, true,                                      \
       "fraction of patches dropped in evaluation; 0: none (FLIP)")                                \
  PICK(eval_views, "eval.views", 0, "one|complementary", true,                                     \
       "evaluation with a mask: one random view, or the mean embedding of all complementary "      \
       "views of that ratio")                                                                      \
  TEXT(eval_probe_train, "eval.probe_train", "", true,                                             \
       "training set of a linear probe (LARS; FLIP, Table 11), fitted after training and "         \
       "evaluated on the first of eval.sets; empty: no probe")                                     \
  INT(eval_probe_epochs, "eval.probe_epochs", 90, 1, 10000, true, "epochs of the linear probe")    \
  PICK(eval_probe_features, "eval.probe_features", 0, "embedding|encoder", true,                   \
       "features of linear probes: the embedding, or the image encoder's output before the "       \
       "projection, as in CLIP and MAE")                                                           \
  INT(checkpoint_every, "checkpoint.every_samples", 0, 0, NO_LIMIT, false,                         \
      "samples between checkpoints; 0: at every evaluation")                                       \
  REAL(checkpoint_seconds, "checkpoint.every_seconds", 120, 1, 1e9, false,                         \
       "also write a checkpoint when the last is this many seconds old: limits what a killed run " \
       "loses")                                                                                    \
  INT(checkpoint_keep, "checkpoint.keep", 1, 1, 10000, false,                                      \
      "number of newest checkpoints to keep")                                                      \
  PICK(device, "device", 0, "auto|cpu|cuda", true, "device that the model runs on")                \
  PICK(precision, "precision", 0, "auto|fp32|bf16|fp8", true,                                      \
       "compute type; auto: bf16 on a GPU, the faster of fp32 and bf16 on a CPU; fp8: bf16 with "  \
       "dense layers in 8 bits (emulated on a CPU)")                                               \
  PICK(fp8_scaling, "fp8_scaling", 0, "current|delayed", true,                                     \
       "factors of precision fp8: by the largest value of each matrix now, or in the last 16 "     \
       "steps (weights by their current values)")                                                  \
  INT(threads, "threads", 0, 0, 4096, true, "CPU threads; 0: all cores this process may use")      \
  BOOL(deterministic, "deterministic", true, true,                                                 \
       "bit-identical results for the same config, seed and threads")                              \
  INT(log_every, "log_every", 1, 1, 1e9, false, "steps between step events")
