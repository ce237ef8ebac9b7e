/* An unpacked bundle on this machine: data made visible where the experiment's paths lead, and
 * absolute paths redirected to the bundle or to --data. */
#ifndef FLIPBENCH_EXCHANGE_LOCALISE_H
#define FLIPBENCH_EXCHANGE_LOCALISE_H

#include "exchange/bundle.h"

typedef struct {
  const char *inside;   /* OUT/NAME, absolute: what was unpacked */
  const char *start;    /* the folder in it that relative paths begin in, absolute */
  const char *from;     /* the folder that 'reproduce' was started in, absolute */
  char *const *folders; /* --data, absolute */
  size_t folder_count;
} localise_place;

/* Absolute bases, in the experiment file and in bases: to be called before it is loaded. */
err localise_bases(const localise_place *p, const bundle_manifest *m) ERR_MUST_CHECK;

/* Finds what the cells read: in the bundle, in the folders of --data (by the whole path or its last
 * parts), or in the starting folder; links it into the bundle's folder, entry by entry where that
 * holds files of its own; and names it so in the cells' settings and in evaluation sets. The
 * comparison reports what was not found. The current folder has to be `start`. *here (json_decref
 * it) is what `flip inputs` then says of it. */
err localise_inputs(const localise_place *p, const char *flip, spec_experiment *e,
                    json_t **here) ERR_MUST_CHECK;

/* What the bundle's runs read against what is here, a sentence each. */
typedef struct {
  size_t same, different, absent, unknown;
} localise_match;
void localise_compare(const localise_place *p, const json_t *recorded, const json_t *here,
                      strbuf *said, localise_match *match);

#endif
