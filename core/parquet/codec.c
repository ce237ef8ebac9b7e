/* Decompression of pages and decoding of packed numbers. */
#include <string.h>

#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

#include "parquet/format.h"

const char *parquet_codec_name(int codec) {
  static const char *const names[] = {"none",   "Snappy", "gzip", "LZO",
                                      "Brotli", "LZ4",    "zstd", "LZ4_RAW"};
  return codec >= 0 && codec <= CODEC_LZ4_RAW ? names[codec] : "unknown";
}

const char *parquet_encoding_name(int encoding) {
  static const char *const names[] = {
      "PLAIN",          "GROUP_VAR_INT",       "PLAIN_DICTIONARY",        "RLE",
      "BIT_PACKED",     "DELTA_BINARY_PACKED", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY",
      "RLE_DICTIONARY", "BYTE_STREAM_SPLIT"};
  return encoding >= 0 && encoding < 10 ? names[encoding] : "unknown";
}

/* gzip or zlib; concatenated members count as one */
static bool unpack_gzip(const uint8_t *bytes, size_t size, uint8_t *out, size_t out_size) {
  z_stream z = {.next_in = (Bytef *)(uintptr_t)bytes, .avail_in = (uInt)size};
  z.next_out = out;
  z.avail_out = (uInt)out_size;
  if (inflateInit2(&z, 15 + 32) != Z_OK) return false;
  int state = inflate(&z, Z_FINISH);
  while (state == Z_STREAM_END && z.avail_in && z.avail_out && inflateReset(&z) == Z_OK)
    state = inflate(&z, Z_FINISH);
  inflateEnd(&z);
  return state == Z_STREAM_END && !z.avail_out;
}

static bool unpack(int codec, const uint8_t *bytes, size_t size, uint8_t *out, size_t out_size) {
  size_t length = out_size;
  switch (codec) {
  case CODEC_NONE:
    if (size == out_size && size) memcpy(out, bytes, size);
    return size == out_size;
  case CODEC_SNAPPY:
    return snappy_uncompressed_length((const char *)bytes, size, &length) == SNAPPY_OK &&
           length == out_size &&
           snappy_uncompress((const char *)bytes, size, (char *)out, &length) == SNAPPY_OK;
  case CODEC_GZIP:
    return unpack_gzip(bytes, size, out, out_size);
  default:
    length = ZSTD_decompress(out, out_size, bytes, size);
    return !ZSTD_isError(length) && length == out_size;
  }
}

err parquet_unpack(int codec, const uint8_t *bytes, size_t size, uint8_t *out, size_t out_size) {
  if (codec != CODEC_NONE && codec != CODEC_SNAPPY && codec != CODEC_GZIP && codec != CODEC_ZSTD)
    return err_new(
        ERR_UNSUPPORTED,
        "is compressed with %s (codec %d); rewrite it with snappy, zstd, gzip or no compression",
        parquet_codec_name(codec), codec);
  if (unpack(codec, bytes, size, out, out_size)) return NULL;
  return err_new(ERR_INPUT,
                 "is damaged: a page of %zu bytes does not decompress (%s) to the stated %zu", size,
                 parquet_codec_name(codec), out_size);
}

/* The header of the next run; false when there is none. */
static bool begin_run(hybrid_reader *h) {
  thrift_reader bytes = {h->at, h->end, false};
  uint64_t head = thrift_varint(&bytes), size = (uint64_t)(bytes.end - bytes.at);
  if (bytes.is_broken) return false;
  h->is_packed = head & 1;
  h->left = head >> 1;
  if (h->is_packed) {
    /* the last run may have fewer bytes than its groups of eight need */
    uint64_t wanted = h->left > UINT64_MAX / 64 ? UINT64_MAX : h->left * h->width;
    h->left = h->left > UINT64_MAX / 64 ? UINT64_MAX / 8 : h->left * 8;
    if (wanted > size) {
      wanted = size;
      h->left = size * 8 / h->width; /* not 0: with a width of 0 no bytes are needed */
    }
    h->packed = bytes.at;
    h->bit = 0;
    h->at = bytes.at + wanted;
    return true;
  }
  unsigned value_bytes = (h->width + 7) / 8;
  if (value_bytes > size) return false;
  h->value = 0;
  for (unsigned i = 0; i < value_bytes; i++) h->value |= (uint32_t)bytes.at[i] << 8 * i;
  h->at = bytes.at + value_bytes;
  return true;
}

bool hybrid_next(hybrid_reader *h, uint32_t *value) {
  while (!h->left)
    if (!begin_run(h)) return false;
  h->left--;
  if (h->is_packed) {
    uint64_t bits = 0, byte = h->bit >> 3;
    unsigned shift = (unsigned)(h->bit & 7);
    for (unsigned i = 0; i * 8 < h->width + shift; i++)
      bits |= (uint64_t)h->packed[byte + i] << 8 * i;
    h->value = (uint32_t)(bits >> shift & (((uint64_t)1 << h->width) - 1));
    h->bit += h->width;
  }
  *value = h->value;
  return true;
}
