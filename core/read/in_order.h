/* Rows that all threads make, and that are taken one after the other: while one thread takes what
 * is ready, the others make what comes next. No thread waits unless 2 * at_once rows are made and
 * not taken yet. What comes out does not depend on the number of threads. */
#ifndef FLIP_READ_IN_ORDER_H
#define FLIP_READ_IN_ORDER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct {
  void *context;
  int64_t count;   /* rows */
  int64_t at_once; /* half of the rows that are in memory at a time; below 128 each row is made by
                    * whichever thread is free, else two to four at once */
  size_t place_bytes; /* of one row; zeroed before `make` */
  /* Called from many threads. What goes wrong is left in the place for `take`. */
  void (*make)(void *context, int64_t row, void *place);
  /* Called for each row in order, from one thread at a time (not always the same one). */
  err (*take)(void *context, int64_t row, void *place);
  /* Called once for each row that was made, also after an error. */
  void (*release)(void *place);
} in_order_work;

/* The first error of `take` ends the work. */
err in_order(const in_order_work *work) ERR_MUST_CHECK;

#endif
