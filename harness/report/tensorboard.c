#include "report/tensorboard.h"

#include <string.h>

/* ---- framing ---- */

uint32_t tensorboard_crc(const void *bytes, size_t length) {
  const uint8_t *at = bytes;
  uint32_t crc = ~0u;
  for (size_t i = 0; i < length; i++) {
    crc ^= at[i];
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0x82F63B78u & (0u - (crc & 1)));
  }
  return ~crc;
}

/* Rotated and offset as TFRecord specifies, so that the checksum of data containing checksums
 * differs. */
static uint32_t masked_crc(const void *bytes, size_t length) {
  uint32_t crc = tensorboard_crc(bytes, length);
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
}

/* Little-endian regardless of the machine. */
static void put_fixed(strbuf *out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; i++) strbuf_append_char(out, (char)(uint8_t)(value >> (8 * i)));
}

static void put_record(tensorboard_events *events, const strbuf *record) {
  strbuf head = {0};
  put_fixed(&head, record->length, 8);
  strbuf_append_bytes(events, head.data, head.length);
  put_fixed(events, masked_crc(head.data, head.length), 4);
  strbuf_append_bytes(events, record->data, record->length);
  put_fixed(events, masked_crc(record->data, record->length), 4);
  events->is_broken = events->is_broken || head.is_broken || record->is_broken;
  strbuf_free(&head);
}

/* ---- messages ---- */

/* Field numbers of tensorflow/core/util/event.proto and framework/summary.proto. */
enum { EVENT_WALL_TIME = 1, EVENT_STEP = 2, EVENT_FILE_VERSION = 3, EVENT_SUMMARY = 5 };
enum { SUMMARY_VALUE = 1, VALUE_TAG = 1, VALUE_SIMPLE = 2 };
enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

static void put_varint(strbuf *out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) strbuf_append_char(out, (char)(uint8_t)(value | 0x80));
  strbuf_append_char(out, (char)(uint8_t)value);
}

static void put_key(strbuf *out, int field, int wire) {
  put_varint(out, (uint64_t)field << 3 | (uint64_t)wire);
}

static void put_bytes(strbuf *out, int field, const void *bytes, size_t length) {
  put_key(out, field, WIRE_BYTES);
  put_varint(out, length);
  strbuf_append_bytes(out, bytes, length);
}

/* protobuf omits zero values */
static void put_double(strbuf *out, int field, double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  if (!bits) return;
  put_key(out, field, WIRE_FIXED64);
  put_fixed(out, bits, 8);
}

static void put_float(strbuf *out, int field, double value) {
  float narrow = (float)value;
  uint32_t bits;
  memcpy(&bits, &narrow, sizeof bits);
  put_key(out, field, WIRE_FIXED32);
  put_fixed(out, bits, 4);
}

void tensorboard_begin(tensorboard_events *events, double wall_time) {
  static const char version[] = "brain.Event:2";
  strbuf event = {0};
  put_double(&event, EVENT_WALL_TIME, wall_time);
  put_bytes(&event, EVENT_FILE_VERSION, version, strlen(version));
  put_record(events, &event);
  strbuf_free(&event);
}

void tensorboard_scalar(tensorboard_events *events, const char *tag, int64_t step, double wall_time,
                        double value) {
  strbuf event = {0}, summary = {0}, one = {0};
  put_bytes(&one, VALUE_TAG, tag, strlen(tag));
  put_float(&one, VALUE_SIMPLE, value);
  put_bytes(&summary, SUMMARY_VALUE, one.data, one.length);
  put_double(&event, EVENT_WALL_TIME, wall_time);
  if (step) {
    put_key(&event, EVENT_STEP, WIRE_VARINT);
    put_varint(&event, (uint64_t)step);
  }
  put_bytes(&event, EVENT_SUMMARY, summary.data, summary.length);
  event.is_broken = event.is_broken || summary.is_broken || one.is_broken;
  put_record(events, &event);
  strbuf_free(&event);
  strbuf_free(&summary);
  strbuf_free(&one);
}
