/* Adapts an unpacked bundle to this machine: makes data visible at the experiment's paths, and maps
 * absolute paths to the bundle or to --data. */
#ifndef FLIPBENCH_EXCHANGE_LOCALISE_H
#define FLIPBENCH_EXCHANGE_LOCALISE_H

#include "exchange/bundle.h"

typedef struct {
  const char *inside;   /* OUT/NAME, absolute: the unpacked bundle */
  const char *start;    /* the folder in it that relative paths start from, absolute */
  const char *from;     /* the folder in which 'reproduce' was started, absolute */
  char *const *folders; /* --data, absolute */
  size_t folder_count;
} localise_place;

/* Maps absolute bases, in the experiment file and in bases: call before it is loaded. */
err localise_bases(const localise_place *p, const bundle_manifest *m) ERR_MUST_CHECK;

/* Finds the cells' inputs: in the bundle, in the folders of --data (by the whole path or its last
 * parts), or in the starting folder; links them into the bundle's folder, entry by entry where that
 * has files of its own; and updates the paths in the cells' settings and in evaluation sets. The
 * comparison reports what was not found. The current folder must be `start`. *here (free with
 * json_decref) is the resulting output of `flip inputs`. */
err localise_inputs(const localise_place *p, const char *flip, spec_experiment *e,
                    json_t **here) ERR_MUST_CHECK;

/* Compares the bundle's inputs with the local ones, one sentence per input: with what the runs
 * recorded of it, else with what was found where the bundle was made. */
typedef struct {
  size_t same, different, absent, unknown;
  size_t
      unrecorded; /* of `different`: from what was found there, of which the runs have no record */
} localise_match;
void localise_compare(const localise_place *p, const json_t *recorded, const json_t *here,
                      strbuf *said, localise_match *match);

#endif
