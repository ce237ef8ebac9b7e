#include "cuda/sdpa_graph.h"

#include <string.h>

/* A tensor's layout: dimensions and strides as [batch, heads, rows, columns]. */
typedef struct {
  int64_t dims[4], strides[4];
} place;

typedef cudnnBackendDescriptor_t handle;

static handle start(sdpa_graph *g, cudnnBackendDescriptorType_t type) {
  handle made = NULL;
  if (g->status != CUDNN_STATUS_SUCCESS) return NULL;
  if (g->part_count == SDPA_PARTS) {
    g->status = CUDNN_STATUS_INTERNAL_ERROR;
    return NULL;
  }
  g->status = cudnnBackendCreateDescriptor(type, &made);
  if (g->status == CUDNN_STATUS_SUCCESS) g->parts[g->part_count++] = made;
  return made;
}

static void set(sdpa_graph *g, handle d, cudnnBackendAttributeName_t name,
                cudnnBackendAttributeType_t type, int64_t count, const void *values) {
  if (g->status == CUDNN_STATUS_SUCCESS)
    g->status = cudnnBackendSetAttribute(d, name, type, count, values);
}

static void set_part(sdpa_graph *g, handle d, cudnnBackendAttributeName_t name, handle part) {
  if (part) set(g, d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &part);
}

static void finalize(sdpa_graph *g, handle d) {
  if (g->status == CUDNN_STATUS_SUCCESS) g->status = cudnnBackendFinalize(d);
}

static void finish_operation(sdpa_graph *g, handle d) {
  finalize(g, d);
  if (g->operation_count == SDPA_OPERATIONS)
    g->status = CUDNN_STATUS_INTERNAL_ERROR;
  else
    g->operations[g->operation_count++] = d;
}

typedef enum { IN_MEMORY, INSIDE, BY_VALUE } residence;

static handle add_tensor(sdpa_graph *g, int64_t id, residence where, cudnnDataType_t type,
                         const place *at) {
  handle d = start(g, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  int64_t alignment = where == IN_MEMORY ? 16 : 4;
  bool yes = true;
  set(g, d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
  set(g, d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, at->dims);
  set(g, d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, at->strides);
  set(g, d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id);
  set(g, d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment);
  if (where == INSIDE) set(g, d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &yes);
  if (where == BY_VALUE) set(g, d, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, &yes);
  finalize(g, d);
  return d;
}

static handle given(sdpa_graph *g, sdpa_tensor which, cudnnDataType_t type, const place *at) {
  g->has[which] = true;
  return add_tensor(g, which, IN_MEMORY, type, at);
}

static handle value(sdpa_graph *g, sdpa_tensor which) {
  static const place one = {{1, 1, 1, 1}, {1, 1, 1, 1}};
  g->has[which] = true;
  return add_tensor(g, which, BY_VALUE, CUDNN_DATA_FLOAT, &one);
}

static handle inside(sdpa_graph *g, cudnnDataType_t type, const place *at) {
  return add_tensor(g, g->next_id++, INSIDE, type, at);
}

/* y = mode(x, b), or of t ? x : b; absent operands are NULL. `axis` is for indices only. */
static void pointwise_to(sdpa_graph *g, cudnnPointwiseMode_t mode, int64_t axis, handle x, handle b,
                         handle t, cudnnDataType_t precision, handle y) {
  handle how = start(g, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  set(g, how, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
  set(g, how, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &precision);
  if (mode == CUDNN_POINTWISE_GEN_INDEX)
    set(g, how, CUDNN_ATTR_POINTWISE_AXIS, CUDNN_TYPE_INT64, 1, &axis);
  finalize(g, how);
  handle d = start(g, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  set_part(g, d, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, how);
  set_part(g, d, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
  set_part(g, d, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
  set_part(g, d, CUDNN_ATTR_OPERATION_POINTWISE_TDESC, t);
  set_part(g, d, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
  finish_operation(g, d);
}

static handle pointwise(sdpa_graph *g, cudnnPointwiseMode_t mode, handle x, handle b,
                        const place *at) {
  handle y = inside(g, CUDNN_DATA_FLOAT, at);
  pointwise_to(g, mode, 0, x, b, NULL, CUDNN_DATA_FLOAT, y);
  return y;
}

/* A row's maximum or sum. */
static handle reduce(sdpa_graph *g, cudnnReduceTensorOp_t operation, handle x, const place *at) {
  const cudnnDataType_t precision = CUDNN_DATA_FLOAT;
  handle y = inside(g, CUDNN_DATA_FLOAT, at);
  handle how = start(g, CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
  set(g, how, CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1, &operation);
  set(g, how, CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &precision);
  finalize(g, how);
  handle d = start(g, CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
  set_part(g, d, CUDNN_ATTR_OPERATION_REDUCTION_DESC, how);
  set_part(g, d, CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x);
  set_part(g, d, CUDNN_ATTR_OPERATION_REDUCTION_YDESC, y);
  finish_operation(g, d);
  return y;
}

static void multiply_to(sdpa_graph *g, handle a, handle b, handle c) {
  const cudnnDataType_t precision = CUDNN_DATA_FLOAT;
  handle how = start(g, CUDNN_BACKEND_MATMUL_DESCRIPTOR);
  set(g, how, CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &precision);
  finalize(g, how);
  handle d = start(g, CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
  set_part(g, d, CUDNN_ATTR_OPERATION_MATMUL_DESC, how);
  set_part(g, d, CUDNN_ATTR_OPERATION_MATMUL_ADESC, a);
  set_part(g, d, CUDNN_ATTR_OPERATION_MATMUL_BDESC, b);
  set_part(g, d, CUDNN_ATTR_OPERATION_MATMUL_CDESC, c);
  finish_operation(g, d);
}

/* The transposed view: [.., n, m] with strides swapped. */
static handle transpose(sdpa_graph *g, handle x, const place *at) {
  handle y = inside(g, CUDNN_DATA_BFLOAT16, at);
  handle d = start(g, CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);
  set_part(g, d, CUDNN_ATTR_OPERATION_RESHAPE_XDESC, x);
  set_part(g, d, CUDNN_ATTR_OPERATION_RESHAPE_YDESC, y);
  finish_operation(g, d);
  return y;
}

/* The layouts that both graphs use. */
typedef struct {
  place packed, packed_turned; /* q, k and v in qkv; k and v also as [width, tokens] */
  place plain;                 /* out */
  place scores, scores_turned; /* [tokens, tokens] */
  place rows;                  /* one number per row */
  place dense;                 /* [batch, heads, tokens, width], contiguous */
} places;

static place turned(place at) {
  return (place){{at.dims[0], at.dims[1], at.dims[3], at.dims[2]},
                 {at.strides[0], at.strides[1], at.strides[3], at.strides[2]}};
}

static places places_of(const sdpa_shape *s) {
  int64_t b = s->batch, h = s->heads, t = s->tokens, w = s->head_width;
  places p;
  p.packed = (place){{b, h, t, w}, {3 * t * h * w, w, 3 * h * w, 1}};
  p.plain = (place){{b, h, t, w}, {t * h * w, w, h * w, 1}};
  p.dense = (place){{b, h, t, w}, {h * t * w, t * w, w, 1}};
  p.scores = (place){{b, h, t, t}, {h * t * t, t * t, t, 1}};
  p.rows = (place){{b, h, t, 1}, {h * t, t, 1, 1}};
  p.packed_turned = turned(p.packed);
  p.scores_turned = turned(p.scores);
  return p;
}

/* Sets scores of keys after the query to minus infinity. */
static handle mask_causally(sdpa_graph *g, handle scores, const place *at) {
  handle row = inside(g, CUDNN_DATA_INT32, at), column = inside(g, CUDNN_DATA_INT32, at);
  handle may_see = inside(g, CUDNN_DATA_BOOLEAN, at), masked = inside(g, CUDNN_DATA_FLOAT, at);
  pointwise_to(g, CUDNN_POINTWISE_GEN_INDEX, 2, scores, NULL, NULL, CUDNN_DATA_FLOAT, row);
  pointwise_to(g, CUDNN_POINTWISE_GEN_INDEX, 3, scores, NULL, NULL, CUDNN_DATA_FLOAT, column);
  pointwise_to(g, CUDNN_POINTWISE_CMP_GE, 0, row, column, NULL, CUDNN_DATA_BOOLEAN, may_see);
  pointwise_to(g, CUDNN_POINTWISE_BINARY_SELECT, 0, scores, value(g, SDPA_MASKED), may_see,
               CUDNN_DATA_FLOAT, masked);
  return masked;
}

/* scale q kᵀ */
static handle score(sdpa_graph *g, handle q, handle k_turned, handle scale, const places *p) {
  handle products = inside(g, CUDNN_DATA_FLOAT, &p->scores);
  multiply_to(g, q, k_turned, products);
  return pointwise(g, CUDNN_POINTWISE_MUL, products, scale, &p->scores);
}

/* softmax(scale q kᵀ) v, and the logarithm of each row's sum of exponentials. */
static void describe_forward(sdpa_graph *g, const sdpa_shape *s, const places *p) {
  handle q = given(g, SDPA_Q, CUDNN_DATA_BFLOAT16, &p->packed);
  handle k = given(g, SDPA_K, CUDNN_DATA_BFLOAT16, &p->packed_turned);
  handle v = given(g, SDPA_V, CUDNN_DATA_BFLOAT16, &p->packed);
  handle out = given(g, SDPA_OUT, CUDNN_DATA_BFLOAT16, &p->plain);
  handle stats = given(g, SDPA_STATS, CUDNN_DATA_FLOAT, &p->rows);
  handle scores = score(g, q, k, value(g, SDPA_SCALE), p);
  if (s->is_causal) scores = mask_causally(g, scores, &p->scores);
  handle largest = reduce(g, CUDNN_REDUCE_TENSOR_MAX, scores, &p->rows);
  handle below = pointwise(g, CUDNN_POINTWISE_SUB, scores, largest, &p->scores);
  handle exponentials = pointwise(g, CUDNN_POINTWISE_EXP, below, NULL, &p->scores);
  handle sums = reduce(g, CUDNN_REDUCE_TENSOR_ADD, exponentials, &p->rows);
  handle logarithms = pointwise(g, CUDNN_POINTWISE_LOG, sums, NULL, &p->rows);
  pointwise_to(g, CUDNN_POINTWISE_ADD, 0, largest, logarithms, NULL, CUDNN_DATA_FLOAT, stats);
  handle shares = inside(g, CUDNN_DATA_BFLOAT16, &p->scores);
  pointwise_to(g, CUDNN_POINTWISE_DIV, 0, exponentials, sums, NULL, CUDNN_DATA_FLOAT, shares);
  multiply_to(g, shares, v, out);
}

/* With p the shares of softmax: dv = pᵀ dout, ds = scale p (dout vᵀ - rows of dout · out),
 * dk = dsᵀ q, dq = ds k. */
static void describe_backward(sdpa_graph *g, const sdpa_shape *s, const places *p) {
  handle q = given(g, SDPA_Q, CUDNN_DATA_BFLOAT16, &p->packed);
  handle k = given(g, SDPA_K, CUDNN_DATA_BFLOAT16, &p->packed_turned);
  handle v = given(g, SDPA_V, CUDNN_DATA_BFLOAT16, &p->packed_turned);
  handle out = given(g, SDPA_OUT, CUDNN_DATA_BFLOAT16, &p->plain);
  handle dout = given(g, SDPA_DOUT, CUDNN_DATA_BFLOAT16, &p->plain);
  handle stats = given(g, SDPA_STATS, CUDNN_DATA_FLOAT, &p->rows);
  handle scale = value(g, SDPA_SCALE), sums = given(g, SDPA_OUT_SUMS, CUDNN_DATA_FLOAT, &p->rows);
  handle both = pointwise(g, CUDNN_POINTWISE_MUL, dout, out, &p->dense);
  handle rows = reduce(g, CUDNN_REDUCE_TENSOR_ADD, both, &p->rows);
  pointwise_to(g, CUDNN_POINTWISE_MUL, 0, rows, value(g, SDPA_ONE), NULL, CUDNN_DATA_FLOAT, sums);

  handle scores = score(g, q, k, scale, p);
  handle below = pointwise(g, CUDNN_POINTWISE_SUB, scores, stats, &p->scores);
  if (s->is_causal) below = mask_causally(g, below, &p->scores);
  handle shares = pointwise(g, CUDNN_POINTWISE_EXP, below, NULL, &p->scores);
  multiply_to(g, transpose(g, shares, &p->scores_turned), dout,
              given(g, SDPA_DV, CUDNN_DATA_BFLOAT16, &p->packed));

  handle dshares = inside(g, CUDNN_DATA_FLOAT, &p->scores);
  multiply_to(g, dout, v, dshares);
  handle centred = pointwise(g, CUDNN_POINTWISE_SUB, dshares, sums, &p->scores);
  handle weighted = pointwise(g, CUDNN_POINTWISE_MUL, centred, shares, &p->scores);
  handle dscores = inside(g, CUDNN_DATA_BFLOAT16, &p->scores);
  pointwise_to(g, CUDNN_POINTWISE_MUL, 0, weighted, scale, NULL, CUDNN_DATA_FLOAT, dscores);
  multiply_to(g, transpose(g, dscores, &p->scores_turned), q,
              given(g, SDPA_DK, CUDNN_DATA_BFLOAT16, &p->packed));

  handle keys = transpose(g, k, &p->packed),
         dq = given(g, SDPA_DQ, CUDNN_DATA_BFLOAT16, &p->packed);
  if (s->is_deterministic) {
    multiply_to(g, dscores, keys, dq);
  } else {
    handle dq_sums = given(g, SDPA_DQ_SUMS, CUDNN_DATA_FLOAT, &p->dense);
    multiply_to(g, dscores, keys, dq_sums);
    pointwise_to(g, CUDNN_POINTWISE_IDENTITY, 0, dq_sums, NULL, NULL, CUDNN_DATA_FLOAT, dq);
  }
}

static void describe_single(sdpa_graph *g, const places *p) {
  handle d = start(g, CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR);
  set_part(g, d, CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC,
           given(g, SDPA_Q, CUDNN_DATA_BFLOAT16, &p->packed));
  set_part(g, d, CUDNN_ATTR_OPERATION_SDPA_FWD_KDESC,
           given(g, SDPA_K, CUDNN_DATA_BFLOAT16, &p->packed));
  set_part(g, d, CUDNN_ATTR_OPERATION_SDPA_FWD_VDESC,
           given(g, SDPA_V, CUDNN_DATA_BFLOAT16, &p->packed));
  set_part(g, d, CUDNN_ATTR_OPERATION_SDPA_FWD_ODESC,
           given(g, SDPA_OUT, CUDNN_DATA_BFLOAT16, &p->plain));
  set_part(g, d, CUDNN_ATTR_OPERATION_SDPA_FWD_STATSDESC,
           given(g, SDPA_STATS, CUDNN_DATA_FLOAT, &p->rows));
  set_part(g, d, CUDNN_ATTR_OPERATION_SDPA_FWD_SCALEDESC, value(g, SDPA_SCALE));
  finish_operation(g, d);
}

cudnnStatus_t sdpa_graph_make(const sdpa_shape *shape, sdpa_form form, const sdpa_target *target,
                              sdpa_graph *g) {
  memset(g, 0, sizeof *g);
  g->next_id = SDPA_TENSORS;
  if (form == SDPA_SINGLE && (shape->is_backward || shape->is_causal))
    return g->status = CUDNN_STATUS_NOT_SUPPORTED;
  const places p = places_of(shape);
  if (form == SDPA_SINGLE)
    describe_single(g, &p);
  else if (shape->is_backward)
    describe_backward(g, shape, &p);
  else
    describe_forward(g, shape, &p);
  handle graph = start(g, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  set(g, graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, g->operation_count,
      g->operations);
  if (target->handle)
    set(g, graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &target->handle);
  finalize(g, graph);
  g->graph = graph;
  return g->status;
}

/* Later parts depend on earlier ones. */
void sdpa_graph_free(sdpa_graph *g) {
  while (g->part_count) (void)cudnnBackendDestroyDescriptor(g->parts[--g->part_count]);
  memset(g, 0, sizeof *g);
}
