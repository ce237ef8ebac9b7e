/* Trains a recorded run again, in a separate folder, and compares the weights bit by bit. */
#ifndef FLIPBENCH_EXCHANGE_VERIFY_H
#define FLIPBENCH_EXCHANGE_VERIFY_H

#include <stdbool.h>

#include "base/text.h"
#include "store/store.h"

typedef struct {
  const char *results;
  const char *flip; /* the trainer */
  bool keeps_folder;
} verify_options;

typedef struct {
  bool is_equal;
  size_t tensors, different; /* of the last checkpoint */
  double greatest;           /* the largest absolute difference of an fp32 number; 0: none */
  char worst[128];           /* the tensor with that difference */
  /* inputs that have changed since the run */
  bool has_other_data, has_other_program, has_other_libraries, has_other_machine;
  /* the experiment sets environment variables that the second training did not have */
  bool has_other_environment;
  strbuf notes; /* these differences, one sentence per line */
  char *folder; /* folder of the second run, if it was kept; else NULL */
} verify_result;

/* ERR_INPUT when the run is not finished or its last checkpoint is gone. Precision, threads and
 * ranks are set to the run's values, so that `auto` cannot choose differently. */
err run_verify(store *s, const verify_options *options, int64_t run_id,
               verify_result *result) ERR_MUST_CHECK;
void verify_free(verify_result *result);

#endif
