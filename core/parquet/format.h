/* Constants of the Parquet format (parquet.thrift), and declarations shared by these files. */
#ifndef FLIP_PARQUET_FORMAT_H
#define FLIP_PARQUET_FORMAT_H

#include "parquet/parquet.h"
#include "parquet/thrift.h"

enum {
  TYPE_BOOLEAN,
  TYPE_INT32,
  TYPE_INT64,
  TYPE_INT96,
  TYPE_FLOAT,
  TYPE_DOUBLE,
  TYPE_BYTES,
  TYPE_FIXED
};
enum {
  CODEC_NONE,
  CODEC_SNAPPY,
  CODEC_GZIP,
  CODEC_LZO,
  CODEC_BROTLI,
  CODEC_LZ4,
  CODEC_ZSTD,
  CODEC_LZ4_RAW
};
enum { PAGE_DATA, PAGE_INDEX, PAGE_DICTIONARY, PAGE_DATA_2 };
enum {
  ENCODING_PLAIN = 0,
  ENCODING_PLAIN_DICTIONARY = 2,
  ENCODING_RLE = 3,
  ENCODING_BIT_PACKED = 4,
  ENCODING_RLE_DICTIONARY = 8
};
enum { REPETITION_REQUIRED, REPETITION_OPTIONAL, REPETITION_REPEATED };
enum { CONVERTED_UTF8 = 0 };

/* A page is decoded as a whole; larger ones are rejected before memory is allocated. */
enum { MOST_PAGE_BYTES = 512 << 20, MOST_FOOTER_BYTES = 64 << 20 };

/* A column's bytes in a row group. */
typedef struct {
  int64_t values, start, size; /* of the compressed pages, dictionary included */
  int type, codec;
} parquet_chunk;

struct parquet_file {
  char *path;
  const uint8_t *bytes; /* mapped */
  size_t size;
  parquet_column *columns;
  size_t column_count, leaf_count;
  int64_t rows;
  /* row groups: rows of each, and chunks [group_count, leaf_count] */
  int64_t *group_rows;
  parquet_chunk *chunks;
  size_t group_count;
};

/* Fills in columns and row groups from the footer's bytes. */
err parquet_read_footer(parquet_file *f, const uint8_t *footer, size_t size) ERR_MUST_CHECK;

const char *parquet_codec_name(int codec);
const char *parquet_encoding_name(int encoding);

/* Decompresses `size` bytes into exactly `out_size`; the message describes the error, without a
 * position. */
err parquet_unpack(int codec, const uint8_t *bytes, size_t size, uint8_t *out,
                   size_t out_size) ERR_MUST_CHECK;

/* RLE / bit-packing hybrid encoding: levels, dictionary indices, booleans. */
typedef struct {
  const uint8_t *at, *end;
  unsigned width; /* bits of a number, at most 32 */
  bool is_packed;
  uint64_t left; /* left in the run */
  uint32_t value;
  const uint8_t *packed; /* of a packed run: its bytes, and the next bit */
  uint64_t bit;
} hybrid_reader;

/* False at the end of the bytes. */
bool hybrid_next(hybrid_reader *h, uint32_t *value);

#endif
