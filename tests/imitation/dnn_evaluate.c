/* Computes a graph of cuDNN's operations, one after the other, in double precision. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "imitation/dnn.h"

enum { TENSORS = 96 };

typedef struct {
  const dnn_descriptor *tensor;
  int64_t id, dims[4], strides[4];
  cudnnDataType_t type;
  double *values; /* dense, in the order of dims; NULL until computed or read */
} array;

typedef struct {
  array items[TENSORS];
  int count;
  int64_t given_count;
  const int64_t *ids;
  void *const *pointers;
  const char *problem;
} machine;

static int64_t elements(const array *a) {
  return a->dims[0] * a->dims[1] * a->dims[2] * a->dims[3];
}

static double widen(const void *at, cudnnDataType_t type, int64_t i) {
  float value;
  uint32_t bits;
  switch (type) {
  case CUDNN_DATA_BFLOAT16:
    bits = (uint32_t)((const uint16_t *)at)[i] << 16;
    memcpy(&value, &bits, sizeof value);
    return (double)value;
  case CUDNN_DATA_INT32:
    return ((const int32_t *)at)[i];
  default:
    return (double)((const float *)at)[i];
  }
}

/* As a tensor of this type holds it; bf16 to the nearest, ties to even. */
static double rounded(double value, cudnnDataType_t type) {
  float narrow = (float)value;
  uint32_t bits;
  if (type == CUDNN_DATA_INT32 || type == CUDNN_DATA_BOOLEAN) return value;
  if (type == CUDNN_DATA_BFLOAT16 && !isnan(narrow)) {
    memcpy(&bits, &narrow, sizeof bits);
    bits += 0x7FFFu + (bits >> 16 & 1u);
    bits &= 0xFFFF0000u;
    memcpy(&narrow, &bits, sizeof narrow);
  }
  return (double)narrow;
}

static void narrow(void *at, cudnnDataType_t type, int64_t i, double value) {
  float single = (float)value;
  uint32_t bits;
  memcpy(&bits, &single, sizeof bits);
  if (type == CUDNN_DATA_BFLOAT16)
    ((uint16_t *)at)[i] = (uint16_t)(bits >> 16);
  else
    ((float *)at)[i] = single;
}

static void *memory_of(const machine *m, int64_t id) {
  for (int64_t i = 0; i < m->given_count; i++)
    if (m->ids[i] == id) return m->pointers[i];
  return NULL;
}

static bool is_in_memory(const array *a) {
  return !dnn_find(a->tensor, CUDNN_ATTR_TENSOR_IS_VIRTUAL);
}

/* Visits the elements of `a` in its dense order: offset in memory of the i-th. */
static int64_t offset_of(const array *a, int64_t i) {
  int64_t offset = 0;
  for (int d = 3; d >= 0; d--) {
    offset += i % a->dims[d] * a->strides[d];
    i /= a->dims[d];
  }
  return offset;
}

/* No two elements have one place: a dimension's steps lead beyond all dimensions with smaller ones.
 */
static bool is_spread_out(const array *a) {
  for (int d = 0; d < 4; d++)
    for (int other = 0; other < 4; other++)
      if (other != d && a->dims[other] > 1 && a->dims[d] > 1 &&
          a->strides[other] <= a->strides[d] && a->strides[d] < a->strides[other] * a->dims[other])
        return false;
  return true;
}

static array *array_of(machine *m, const dnn_descriptor *tensor) {
  int64_t id = dnn_integer(tensor, CUDNN_ATTR_TENSOR_UNIQUE_ID, -1);
  for (int i = 0; i < m->count; i++) {
    if (m->items[i].id != id) continue;
    if (m->items[i].tensor != tensor) m->problem = "two tensors have one unique id";
    return &m->items[i];
  }
  if (m->count == TENSORS) abort();
  array *a = &m->items[m->count++];
  *a = (array){.tensor = tensor, .id = id};
  memcpy(a->dims, dnn_find(tensor, CUDNN_ATTR_TENSOR_DIMENSIONS)->values, sizeof a->dims);
  memcpy(a->strides, dnn_find(tensor, CUDNN_ATTR_TENSOR_STRIDES)->values, sizeof a->strides);
  a->type = *(const cudnnDataType_t *)dnn_find(tensor, CUDNN_ATTR_TENSOR_DATA_TYPE)->values;
  if (!is_spread_out(a)) m->problem = "two elements of a tensor have one place";
  return a;
}

/* An operand: computed before, or in memory. NULL with the problem said. */
static const array *operand(machine *m, const dnn_descriptor *operation,
                            cudnnBackendAttributeName_t name) {
  const dnn_descriptor *tensor = dnn_part(operation, name);
  if (!tensor) return NULL;
  array *a = array_of(m, tensor);
  if (a->values) return a;
  const char *memory = memory_of(m, a->id);
  int64_t alignment = dnn_integer(tensor, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 1);
  if (!is_in_memory(a))
    m->problem = "a virtual tensor is read before any operation wrote it";
  else if (!memory)
    m->problem = "the pack has no memory for a tensor";
  else if ((uintptr_t)memory % (uintptr_t)alignment)
    m->problem = "a tensor's memory is not aligned as its descriptor promises";
  a->values = calloc((size_t)elements(a), sizeof *a->values);
  if (!a->values) abort();
  if (m->problem) return a;
  for (int64_t i = 0; i < elements(a); i++) a->values[i] = widen(memory, a->type, offset_of(a, i));
  return a;
}

static array *result(machine *m, const dnn_descriptor *operation,
                     cudnnBackendAttributeName_t name) {
  array *a = array_of(m, dnn_part(operation, name));
  if (a->values) m->problem = "a tensor is written twice";
  a->values = a->values ? a->values : calloc((size_t)elements(a), sizeof *a->values);
  if (!a->values) abort();
  return a;
}

/* To what its type holds, and to memory if it lies there. */
static void finish(machine *m, array *a) {
  char *memory = is_in_memory(a) ? memory_of(m, a->id) : NULL;
  if (is_in_memory(a) && !memory) m->problem = "the pack has no memory for a result";
  if (m->problem) return;
  for (int64_t i = 0; i < elements(a); i++) {
    a->values[i] = rounded(a->values[i], a->type);
    if (memory) narrow(memory, a->type, offset_of(a, i), a->values[i]);
  }
}

/* The element of x that corresponds to element i of y: dimensions of 1 are repeated. */
static double beside(const array *x, const array *y, int64_t i) {
  int64_t at = 0, scale = 1;
  if (!memcmp(x->dims, y->dims, sizeof x->dims)) return x->values[i];
  for (int d = 3; d >= 0; d--) {
    at += (x->dims[d] == 1 ? 0 : i % y->dims[d]) * scale;
    scale *= x->dims[d];
    i /= y->dims[d];
  }
  return x->values[at];
}

static bool fits(const array *x, const array *y) {
  for (int d = 0; d < 4; d++)
    if (x->dims[d] != 1 && x->dims[d] != y->dims[d]) return false;
  return true;
}

static int64_t index_along(const array *y, int64_t i, int64_t axis) {
  for (int64_t d = 3; d > axis; d--) i /= y->dims[d];
  return i % y->dims[axis];
}

static void pointwise(machine *m, const dnn_descriptor *operation) {
  const dnn_descriptor *how = dnn_part(operation, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
  const array *x = operand(m, operation, CUDNN_ATTR_OPERATION_POINTWISE_XDESC);
  const array *b = operand(m, operation, CUDNN_ATTR_OPERATION_POINTWISE_BDESC);
  const array *t = operand(m, operation, CUDNN_ATTR_OPERATION_POINTWISE_TDESC);
  array *y = result(m, operation, CUDNN_ATTR_OPERATION_POINTWISE_YDESC);
  cudnnPointwiseMode_t mode =
      *(const cudnnPointwiseMode_t *)dnn_find(how, CUDNN_ATTR_POINTWISE_MODE)->values;
  int64_t axis = dnn_integer(how, CUDNN_ATTR_POINTWISE_AXIS, -1);
  bool is_unary = mode == CUDNN_POINTWISE_EXP || mode == CUDNN_POINTWISE_LOG ||
                  mode == CUDNN_POINTWISE_IDENTITY || mode == CUDNN_POINTWISE_GEN_INDEX;
  if (!fits(x, y) || (b && !fits(b, y)) || (t && !fits(t, y)))
    m->problem = "operands of a point by point operation do not fit";
  if (is_unary != (b == NULL) || (mode == CUDNN_POINTWISE_BINARY_SELECT) != (t != NULL))
    m->problem = "a point by point operation has operands too many or too few";
  for (int64_t i = 0; i < elements(y) && !m->problem; i++) {
    double p = beside(x, y, i), q = b ? beside(b, y, i) : 0;
    switch (mode) {
    case CUDNN_POINTWISE_ADD:
      y->values[i] = p + q;
      break;
    case CUDNN_POINTWISE_SUB:
      y->values[i] = p - q;
      break;
    case CUDNN_POINTWISE_MUL:
      y->values[i] = p * q;
      break;
    case CUDNN_POINTWISE_DIV:
      y->values[i] = p / q;
      break;
    case CUDNN_POINTWISE_EXP:
      y->values[i] = exp(p);
      break;
    case CUDNN_POINTWISE_LOG:
      y->values[i] = log(p);
      break;
    case CUDNN_POINTWISE_IDENTITY:
      y->values[i] = p;
      break;
    case CUDNN_POINTWISE_CMP_GE:
      y->values[i] = p >= q;
      break;
    case CUDNN_POINTWISE_GEN_INDEX:
      y->values[i] = (double)index_along(y, i, axis);
      break;
    case CUDNN_POINTWISE_BINARY_SELECT:
      y->values[i] = beside(t, y, i) != 0 ? p : q;
      break;
    default:
      m->problem = "a point by point operation that is not imitated";
    }
  }
  finish(m, y);
}

static void reduction(machine *m, const dnn_descriptor *operation) {
  const dnn_descriptor *how = dnn_part(operation, CUDNN_ATTR_OPERATION_REDUCTION_DESC);
  const array *x = operand(m, operation, CUDNN_ATTR_OPERATION_REDUCTION_XDESC);
  array *y = result(m, operation, CUDNN_ATTR_OPERATION_REDUCTION_YDESC);
  bool is_max =
      *(const cudnnReduceTensorOp_t *)dnn_find(how, CUDNN_ATTR_REDUCTION_OPERATOR)->values ==
      CUDNN_REDUCE_TENSOR_MAX;
  if (y->dims[3] != 1 || x->dims[0] != y->dims[0] || x->dims[1] != y->dims[1] ||
      x->dims[2] != y->dims[2])
    m->problem = "a reduction of something else than rows";
  for (int64_t i = 0; i < elements(y) && !m->problem; i++) {
    double sum = is_max ? -INFINITY : 0;
    for (int64_t j = 0; j < x->dims[3]; j++) {
      double value = x->values[i * x->dims[3] + j];
      sum = is_max ? fmax(sum, value) : sum + value;
    }
    y->values[i] = sum;
  }
  finish(m, y);
}

static void multiply(machine *m, const array *a, const array *b, array *c) {
  int64_t rows = a->dims[2], depth = a->dims[3], columns = b->dims[3];
  if (b->dims[2] != depth || c->dims[2] != rows || c->dims[3] != columns ||
      memcmp(a->dims, b->dims, 2 * sizeof *a->dims) ||
      memcmp(a->dims, c->dims, 2 * sizeof *a->dims))
    m->problem = "matrices of a product do not fit";
  for (int64_t batch = 0; batch < a->dims[0] * a->dims[1] && !m->problem; batch++)
    for (int64_t i = 0; i < rows; i++) {
      double *restrict out = c->values + (batch * rows + i) * columns; /* cleared by result() */
      for (int64_t k = 0; k < depth; k++) {
        double left = a->values[(batch * rows + i) * depth + k];
        const double *right = b->values + (batch * depth + k) * columns;
        for (int64_t j = 0; j < columns; j++) out[j] += left * right[j];
      }
    }
  finish(m, c);
}

static void product(machine *m, const dnn_descriptor *operation) {
  const array *a = operand(m, operation, CUDNN_ATTR_OPERATION_MATMUL_ADESC);
  const array *b = operand(m, operation, CUDNN_ATTR_OPERATION_MATMUL_BDESC);
  multiply(m, a, b, result(m, operation, CUDNN_ATTR_OPERATION_MATMUL_CDESC));
}

/* The same memory seen with rows for columns: any other reshaping is not imitated. */
static void reshape(machine *m, const dnn_descriptor *operation) {
  const array *x = operand(m, operation, CUDNN_ATTR_OPERATION_RESHAPE_XDESC);
  array *y = result(m, operation, CUDNN_ATTR_OPERATION_RESHAPE_YDESC);
  if (x->dims[2] != y->dims[3] || x->dims[3] != y->dims[2] || x->strides[2] != y->strides[3] ||
      x->strides[3] != y->strides[2])
    m->problem = "a reshaping that is no transposition";
  int64_t rows = y->dims[2], columns = y->dims[3];
  for (int64_t i = 0; i < elements(y) && !m->problem; i++) {
    int64_t batch = i / (rows * columns), row = i / columns % rows, column = i % columns;
    y->values[i] = x->values[(batch * columns + column) * rows + row];
  }
  finish(m, y);
}

static void attend_row(const array *q, const array *k, const array *v, double scale, int64_t batch,
                       int64_t i, array *out, array *stats, double *shares) {
  int64_t tokens = q->dims[2], width = q->dims[3];
  double largest = -INFINITY, sum = 0;
  for (int64_t j = 0; j < tokens; j++) {
    shares[j] = 0;
    for (int64_t w = 0; w < width; w++)
      shares[j] += scale * q->values[(batch * tokens + i) * width + w] *
                   k->values[(batch * tokens + j) * width + w];
    largest = fmax(largest, shares[j]);
  }
  for (int64_t j = 0; j < tokens; j++) sum += shares[j] = exp(shares[j] - largest);
  stats->values[batch * tokens + i] = largest + log(sum);
  for (int64_t w = 0; w < width; w++) {
    double value = 0;
    for (int64_t j = 0; j < tokens; j++)
      value += shares[j] / sum * v->values[(batch * tokens + j) * width + w];
    out->values[(batch * tokens + i) * width + w] = value;
  }
}

static void attention(machine *m, const dnn_descriptor *operation) {
  const array *q = operand(m, operation, CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC);
  const array *k = operand(m, operation, CUDNN_ATTR_OPERATION_SDPA_FWD_KDESC);
  const array *v = operand(m, operation, CUDNN_ATTR_OPERATION_SDPA_FWD_VDESC);
  const array *scale = operand(m, operation, CUDNN_ATTR_OPERATION_SDPA_FWD_SCALEDESC);
  array *out = result(m, operation, CUDNN_ATTR_OPERATION_SDPA_FWD_ODESC);
  array *stats = result(m, operation, CUDNN_ATTR_OPERATION_SDPA_FWD_STATSDESC);
  double *shares = calloc((size_t)q->dims[2], sizeof *shares);
  if (!shares) abort();
  for (int64_t batch = 0; batch < q->dims[0] * q->dims[1] && !m->problem; batch++)
    for (int64_t i = 0; i < q->dims[2]; i++)
      attend_row(q, k, v, scale->values[0], batch, i, out, stats, shares);
  free(shares);
  finish(m, out);
  finish(m, stats);
}

const char *dnn_evaluate(const dnn_descriptor *graph, int64_t count, const int64_t *ids,
                         void *const *pointers) {
  static machine m; /* too large for a stack */
  m = (machine){.given_count = count, .ids = ids, .pointers = pointers};
  const dnn_attribute *operations = dnn_find(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS);
  for (int64_t i = 0; i < operations->count && !m.problem; i++) {
    const dnn_descriptor *operation = ((dnn_descriptor *const *)operations->values)[i];
    switch ((int)operation->type) {
    case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
      pointwise(&m, operation);
      break;
    case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR:
      reduction(&m, operation);
      break;
    case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR:
      product(&m, operation);
      break;
    case CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR:
      reshape(&m, operation);
      break;
    case CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR:
      attention(&m, operation);
      break;
    default:
      m.problem = "an operation that is not imitated";
    }
  }
  for (int i = 0; i < m.count; i++) free(m.items[i].values);
  return m.problem;
}
