/* Products of small matrices with rows of frames. */
#ifndef KWS_MATRIX_H
#define KWS_MATRIX_H

#include "loops.h"

/* A matrix whose entry (o, k) is at o * down + k * right. */
typedef struct {
    const float *at;
    long down, right;
} Matrix;

#define OUTPUTS 4
#define SPAN 3

static inline __attribute__((always_inline)) void product_block(Matrix w, long inputs, const V *x, long n, V *out,
                                                                int outputs, int span) {
    V sums[OUTPUTS][SPAN];
    for (int o = 0; o < outputs; o++)
        for (int v = 0; v < span; v++) sums[o][v] = zero();
    for (long k = 0; k < inputs; k++)
        for (int o = 0; o < outputs; o++)
            for (int v = 0; v < span; v++) sums[o][v] += w.at[o * w.down + k * w.right] * x[k * n + v];
    for (int o = 0; o < outputs; o++)
        for (int v = 0; v < span; v++) out[o * n + v] = sums[o][v];
}

static inline __attribute__((always_inline)) void product_rows(Matrix w, long inputs, const V *x, long n, V *out,
                                                               int outputs) {
    long v = 0;
    for (; v + SPAN <= n; v += SPAN) product_block(w, inputs, x + v, n, out + v, outputs, SPAN);
    for (; v < n; v++) product_block(w, inputs, x + v, n, out + v, outputs, 1);
}

/* out [outputs, n] = w x, for rows x [inputs, n]. */
static inline void product(Matrix w, long outputs, long inputs, const V *x, long n, V *out) {
    long o = 0;
    for (; o + OUTPUTS <= outputs; o += OUTPUTS, w.at += OUTPUTS * w.down)
        product_rows(w, inputs, x, n, out + o * n, OUTPUTS);
    for (; o < outputs; o++, w.at += w.down) product_rows(w, inputs, x, n, out + o * n, 1);
}

#define PAIR 2
#define QUAD 4

static inline __attribute__((always_inline)) void outer_block(const V *a, const V *b, long n, V *sums, long stride,
                                                              int pair, int quad) {
    V found[PAIR][QUAD];
    for (int i = 0; i < pair; i++)
        for (int j = 0; j < quad; j++) found[i][j] = sums[i * stride + j];
    for (long v = 0; v < n; v++)
        for (int i = 0; i < pair; i++)
            for (int j = 0; j < quad; j++) found[i][j] += a[i * n + v] * b[j * n + v];
    for (int i = 0; i < pair; i++)
        for (int j = 0; j < quad; j++) sums[i * stride + j] = found[i][j];
}

/* sums [rows, columns] += a b', for rows a [rows, n] and b [columns, n]. */
static inline void outer(const V *a, long rows, const V *b, long columns, long n, V *sums) {
    for (long i = 0; i < rows; i += PAIR) {
        long j = 0;
        for (; i + PAIR <= rows && j + QUAD <= columns; j += QUAD)
            outer_block(a + i * n, b + j * n, n, sums + i * columns + j, columns, PAIR, QUAD);
        for (; j < columns; j++)
            for (long k = i; k < rows && k < i + PAIR; k++)
                outer_block(a + k * n, b + j * n, n, sums + k * columns + j, columns, 1, 1);
    }
}

#endif
