/* TensorBoard event files: scalars by tag and step. A file is a sequence of records in TFRecord
 * framing (length and bytes, each with a masked CRC-32C), each an Event message in protobuf's wire
 * format. */
#ifndef FLIPBENCH_REPORT_TENSORBOARD_H
#define FLIPBENCH_REPORT_TENSORBOARD_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

/* Initialise with {0}; wall times are seconds since 1970. is_broken is set when out of memory. */
typedef strbuf tensorboard_events;

/* The first record of every file: the format version. */
void tensorboard_begin(tensorboard_events *events, double wall_time);
void tensorboard_scalar(tensorboard_events *events, const char *tag, int64_t step, double wall_time,
                        double value);

/* CRC-32C (Castagnoli), unmasked. */
uint32_t tensorboard_crc(const void *bytes, size_t length);

#endif
