#include "model/tower_parts.h"

static int64_t operands_of(const tower_shape *s) {
  return TOWER_BLOCK_DENSE * s->layers + TOWER_LONE_DENSE;
}

int64_t tower_scales(const tower_shape *s) {
  return 2 * operands_of(s);
}

static err clear_maxima(const tower_pass *p, int64_t first) {
  const tower_activations *a = p->a;
  if (!a->is_narrow || a->is_delayed) return NULL;
  int64_t count = operands_of(&p->t->shape) * OPS_SCALE_FLOATS;
  return p->w->o->call->clear(p->w->o, ops_at(a->scales, first * OPS_SCALE_FLOATS).data,
                              (size_t)count * ops_size_of(a->scales.type));
}

err tower_begin_forward(const tower_pass *p) {
  return clear_maxima(p, 0);
}

err tower_begin_backward(const tower_pass *p) {
  return clear_maxima(p, operands_of(&p->t->shape));
}

static bool fits(int64_t size) {
  return size % OPS_NARROW_MULTIPLE == 0;
}

bool tower_narrows(const tower_pass *p, const tower_dense *d, int64_t rows) {
  return p->a->is_narrow && p->w->narrow.data && fits(rows) && fits(d->in) && fits(d->out);
}

static ops_buffer scale_of(const tower_pass *p, int64_t operand) {
  return ops_at(p->a->scales, operand * OPS_SCALE_FLOATS);
}

/* d's input, in gradients' `values` or `turned` form. */
static ops_narrow input_of(const tower_pass *p, const tower_dense *d, ops_buffer values,
                           ops_buffer turned) {
  return (ops_narrow){OPS_E4M3, values, turned, scale_of(p, d->slot)};
}

static ops_narrow gradient_of(const tower_pass *p, const tower_dense *d) {
  return (ops_narrow){OPS_E5M2, p->a->dy8, p->a->dy8_turned,
                      scale_of(p, operands_of(&p->t->shape) + d->slot)};
}

static ops_narrow weight_of(const tower_pass *p, const tower_dense *d) {
  const tower_weights *w = p->w;
  return (ops_narrow){OPS_E4M3, ops_at(w->narrow, d->weight), ops_at(w->narrow_turned, d->weight),
                      ops_at(w->narrow_scales, (int64_t)d->tensor * OPS_SCALE_FLOATS)};
}

static ops_buffer maximum_in(const tower_pass *p, const tower_dense *d, int64_t rows,
                             int64_t operand) {
  bool is_written = p->w->o->call->has_maxima && tower_narrows(p, d, rows);
  return is_written ? ops_at(scale_of(p, operand), OPS_SCALE_MAXIMUM) : (ops_buffer){0};
}

ops_buffer tower_input_maximum(const tower_pass *p, const tower_dense *d, int64_t rows) {
  return maximum_in(p, d, rows, d->slot);
}

ops_buffer tower_output_maximum(const tower_pass *p, const tower_dense *d, int64_t rows) {
  return maximum_in(p, d, rows, operands_of(&p->t->shape) + d->slot);
}

ops_narrow tower_norm_output(const tower_pass *p, const tower_dense *d, int64_t rows,
                             ops_buffer turned) {
  const tower_shape *s = &p->t->shape;
  bool is_written = tower_narrows(p, d, rows) && p->a->is_delayed && !s->is_post_norm &&
                    s->width <= p->w->o->call->widest_narrow_norm;
  return is_written ? input_of(p, d, p->a->x8, turned) : (ops_narrow){0};
}

ops_narrow tower_attention_gradient_output(const tower_pass *p, const tower_dense *qkv,
                                           int64_t rows) {
  const ops_table *call = p->w->o->call;
  bool is_written = tower_narrows(p, qkv, rows) && p->a->is_delayed && call->narrows_attention &&
                    (qkv->bias < 0 || call->sums & OPS_SUMS_ATTENTION);
  return is_written ? gradient_of(p, qkv) : (ops_narrow){0};
}

bool tower_rounds_through(const tower_pass *p, const tower_dense *d, int64_t rows) {
  const ops_table *call = p->w->o->call;
  return tower_narrows(p, d, rows) && p->a->is_delayed && call->has_maxima &&
         (d->bias < 0 || call->sums & OPS_SUMS_ACTIVATION);
}

err tower_round(const tower_pass *p, const tower_dense *d, int64_t rows, tower_rounding of) {
  const ops_rounding r = {
      .rows = rows,
      .columns = d->in,
      .x = of.x,
      .is_activated = of.is_activated,
      .activation = p->t->shape.activation,
      .has_maximum = of.has_maximum,
      .is_delayed = p->a->is_delayed,
      .to = input_of(p, d, of.for_backward ? (ops_buffer){0} : p->a->x8, of.turned)};
  return tower_narrows(p, d, rows) ? p->w->o->call->narrow(p->w->o, &r, 1) : NULL;
}

err tower_round_norm(const tower_pass *p, const tower_dense *d, const tower_norm *norm,
                     ops_buffer turned, bool for_backward) {
  const tower_rounding of = {.x = norm->y,
                             .turned = turned,
                             .has_maximum = norm->y_maximum.data != NULL,
                             .for_backward = for_backward};
  return norm->y8.scale.data ? NULL : tower_round(p, d, tower_rows(p), of);
}

err tower_multiply(const tower_pass *p, const tower_dense *d, ops_gemm *op) {
  if (tower_narrows(p, d, op->m)) {
    op->narrow_a = input_of(p, d, p->a->x8, (ops_buffer){0});
    op->narrow_b = weight_of(p, d);
  }
  return p->w->o->call->gemm(p->w->o, op);
}

err tower_round_and_multiply(const tower_pass *p, const tower_dense *d, ops_gemm *op) {
  err error = tower_round(p, d, op->m, (tower_rounding){.x = op->a});
  return error ? error : tower_multiply(p, d, op);
}

/* Rounds dy, in both layouts, unless that is done, and x again if it was not kept, and sets the
 * operands of both products. */
static err narrow_gradient(const tower_pass *p, const tower_dense_pass *of, ops_gemm *dweight,
                           ops_gemm *dx) {
  const tower_dense *d = &of->d;
  const ops_narrow dy = gradient_of(p, d);
  ops_buffer turned = of->turned.data ? of->turned : p->a->x8_turned;
  const ops_rounding r = {.rows = of->rows,
                          .columns = d->out,
                          .x = of->dy,
                          .activation = p->t->shape.activation,
                          .pre = of->pre,
                          .sums = of->sums,
                          .has_maximum = of->has_maximum,
                          .is_delayed = p->a->is_delayed,
                          .to = dy};
  err error = of->is_rounded ? NULL : p->w->o->call->narrow(p->w->o, &r, 1);
  if (!error && !of->turned.data)
    error = tower_round(p, d, of->rows,
                        (tower_rounding){.x = of->x, .turned = turned, .for_backward = true});
  dweight->narrow_a = dy;
  dweight->narrow_b = input_of(p, d, (ops_buffer){0}, turned);
  dx->narrow_a = dy;
  dx->narrow_b = weight_of(p, d);
  return error;
}

static ops_gemm weight_gradient(const tower_pass *p, const tower_dense_pass *of) {
  const tower_weights *w = p->w;
  const tower_dense *d = &of->d;
  return (ops_gemm){.m = d->out,
                    .n = d->in,
                    .k = of->rows,
                    .transpose_a = true,
                    .accumulate = tower_accumulates(p),
                    .a = of->dy,
                    .b = of->x,
                    .c = ops_at(w->gradients, d->weight),
                    .a_sums = d->bias < 0 ? (ops_buffer){0} : ops_at(w->gradients, d->bias)};
}

static ops_gemm input_gradient(const tower_pass *p, const tower_dense_pass *of, ops_gemm into) {
  into.m = of->rows;
  into.n = of->d.in;
  into.k = of->d.out;
  into.a = of->dy;
  into.b = ops_at(p->w->working, of->d.weight);
  return into;
}

err tower_dense_gradient(const tower_pass *p, const tower_dense_pass *of, ops_gemm into) {
  ops *o = p->w->o;
  ops_gemm dweight = weight_gradient(p, of), dx = input_gradient(p, of, into);
  err error = tower_narrows(p, &of->d, of->rows) ? narrow_gradient(p, of, &dweight, &dx) : NULL;
  if (!error) error = o->call->gemm(o, &dweight);
  return error ? error : o->call->gemm(o, &dx);
}

err tower_input_gradient(const tower_pass *p, const tower_dense_pass *of, ops_gemm into) {
  const ops_gemm dx = input_gradient(p, of, into);
  return p->w->o->call->gemm(p->w->o, &dx);
}

err tower_weight_gradient(const tower_pass *p, const tower_dense_pass *of) {
  const ops_gemm dweight = weight_gradient(p, of);
  return p->w->o->call->gemm(p->w->o, &dweight);
}
