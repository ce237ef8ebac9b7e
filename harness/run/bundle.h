/* An experiment as one archive: its files, its runs' records, its table. What a reader needs to
 * check the numbers, and to make them again on another machine. The data itself is not in it; its
 * fingerprints are.
 *
 *   NAME/MANIFEST.json   what is in it, with a digest of every file
 *   NAME/files/          the experiment file, its bases and evaluation sets, at their paths
 *   NAME/results/        a results folder: experiment.json and the run folders
 *   NAME/table.json      the table as it was measured */
#ifndef FLIPBENCH_RUN_BUNDLE_H
#define FLIPBENCH_RUN_BUNDLE_H

#include "spec/spec.h"
#include "store/store.h"

typedef struct {
  const char *results, *out; /* out: the archive, .tar.gz */
  const char *table_json;
  bool with_checkpoints;
} bundle_options;

typedef struct {
  size_t files, runs;
  uint64_t bytes; /* before compression */
} bundle_count;

err bundle_write(const spec_experiment *e, store *s, const bundle_options *options,
                 bundle_count *count) ERR_MUST_CHECK;

typedef struct {
  char *name, *experiment, *profile; /* experiment: path below files/; profile "": none */
  char *created, *commit;
  char *data; /* fingerprints of the training data, parted by blanks */
} bundle_manifest;

/* Unpacks into `folder` (made when missing) and checks every digest. Names that would leave the
 * folder are refused. */
err bundle_extract(const char *archive, const char *folder, bundle_manifest *m) ERR_MUST_CHECK;
void bundle_free(bundle_manifest *m);

#endif
