/* An experiment as one archive: its files, its runs' records, its table: what a reader needs to
 * check the numbers, and to reproduce them on another machine. The data itself is not included; its
 * files, sizes and fingerprints are.
 *
 *   NAME/MANIFEST.json   the contents, with a digest of every file; the runs' inputs
 *                        (exchange/inputs.h)
 *   NAME/table.json      the table computed from the records below
 *   NAME/files/          the experiment file, its bases, vocabularies, evaluation sets and the
 * files they refer to, each at the path by which it is referred to. Paths start in files/START;
 * START is "" unless some path begins with ".." NAME/absolute/       the same for absolute paths:
 * /a/b is absolute/a/b NAME/results/        a results folder: experiment.json and the run folders
 */
#ifndef FLIPBENCH_EXCHANGE_BUNDLE_H
#define FLIPBENCH_EXCHANGE_BUNDLE_H

#include <jansson.h>

#include "experiment/spec.h"
#include "store/store.h"

/* The experiment's part of a results folder in a separate folder: the contents of the bundle's
 * results/, with links to the runs of its cells. `folder` must not exist; bundle_unlink removes
 * it. */
err bundle_link(store *s, const char *results, const spec_experiment *e,
                const char *folder) ERR_MUST_CHECK;
void bundle_unlink(const char *folder);

typedef struct {
  const char *results, *out; /* out: the archive, .tar.gz */
  const char *flip;          /* the trainer, which lists the runs' inputs; NULL: none */
  const char *table_json;
  bool with_checkpoints;
} bundle_options;

typedef struct {
  size_t files, runs; /* runs: without archived ones */
  uint64_t bytes;     /* before compression */
} bundle_count;

err bundle_write(const spec_experiment *e, store *s, const bundle_options *options,
                 bundle_count *count) ERR_MUST_CHECK;

typedef struct {
  char *name, *experiment, *profile; /* experiment: path below NAME/; profile "": none */
  char *start;                       /* below NAME/files; "": files itself */
  char *created, *commit;
  spec_names set, set_cell; /* given over the experiment file */
  json_t *inputs;           /* exchange/inputs.h, of the day of the bundle; "recorded": the runs'
                             * own fingerprints (exchange/recorded.h), where they have them */
  json_t *bases;            /* ["/a/b.yaml", …]: absolute bases that are packed */
} bundle_manifest;

/* Unpacks into `folder` (created when missing) and checks every digest. Names that would leave the
 * folder are rejected, and so is a folder that contains another bundle of the name. */
err bundle_extract(const char *archive, const char *folder, bundle_manifest *m) ERR_MUST_CHECK;
void bundle_free(bundle_manifest *m);

#endif
