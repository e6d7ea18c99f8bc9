/* Products of small matrices with rows of frames. */
#ifndef KWS_MATRIX_H
#define KWS_MATRIX_H

#include "loops.h"

/* A matrix whose entry (o, k) is at o * down + k * right. */
typedef struct {
    const float *at;
    long down, right;
} Matrix;

/* Rows of frames, `step` vectors apart. */
typedef struct {
    V *at;
    long step;
} Rows;

static inline Rows rows(const V *at, long step) { return (Rows){(V *)at, step}; }

#define OUTPUTS 4
#define SPAN 3

static inline __attribute__((always_inline)) void product_block(Matrix w, long inputs, Rows x, Rows out, int outputs,
                                                                int span) {
    V sums[OUTPUTS][SPAN];
    for (int o = 0; o < outputs; o++)
        for (int v = 0; v < span; v++) sums[o][v] = zero();
    for (long k = 0; k < inputs; k++)
        for (int o = 0; o < outputs; o++)
            for (int v = 0; v < span; v++) sums[o][v] += w.at[o * w.down + k * w.right] * x.at[k * x.step + v];
    for (int o = 0; o < outputs; o++)
        for (int v = 0; v < span; v++) out.at[o * out.step + v] = sums[o][v];
}

static inline __attribute__((always_inline)) void product_rows(Matrix w, long inputs, Rows x, long n, Rows out,
                                                               int outputs) {
    long v = 0;
    for (; v + SPAN <= n; v += SPAN)
        product_block(w, inputs, rows(x.at + v, x.step), rows(out.at + v, out.step), outputs, SPAN);
    for (; v < n; v++) product_block(w, inputs, rows(x.at + v, x.step), rows(out.at + v, out.step), outputs, 1);
}

/* out [outputs, n] = w x, for rows x [inputs, n]. */
static inline void product(Matrix w, long outputs, long inputs, Rows x, long n, Rows out) {
    for (; outputs >= OUTPUTS; outputs -= OUTPUTS, w.at += OUTPUTS * w.down, out.at += OUTPUTS * out.step)
        product_rows(w, inputs, x, n, out, OUTPUTS);
    for (; outputs > 0; outputs--, w.at += w.down, out.at += out.step) product_rows(w, inputs, x, n, out, 1);
}

#define PAIR 2
#define QUAD 4

static inline __attribute__((always_inline)) void outer_block(Rows a, Rows b, long n, V *sums, long width, int pair,
                                                              int quad) {
    V found[PAIR][QUAD];
    for (int i = 0; i < pair; i++)
        for (int j = 0; j < quad; j++) found[i][j] = sums[i * width + j];
    for (long v = 0; v < n; v++)
        for (int i = 0; i < pair; i++)
            for (int j = 0; j < quad; j++) found[i][j] += a.at[i * a.step + v] * b.at[j * b.step + v];
    for (int i = 0; i < pair; i++)
        for (int j = 0; j < quad; j++) sums[i * width + j] = found[i][j];
}

/* sums [height, width] += a b', for rows a [height, n] and b [width, n]; with `symmetric`, only from the first column
 * of the block on the diagonal. */
static inline void outer(Rows a, long height, Rows b, long width, long n, V *sums, int symmetric) {
    for (long i = 0; i < height; i += PAIR) {
        long j = symmetric ? i / QUAD * QUAD : 0;
        Rows top = rows(a.at + i * a.step, a.step);
        for (; i + PAIR <= height && j + QUAD <= width; j += QUAD)
            outer_block(top, rows(b.at + j * b.step, b.step), n, sums + i * width + j, width, PAIR, QUAD);
        for (; j < width; j++)
            for (long k = i; k < height && k < i + PAIR; k++)
                outer_block(rows(a.at + k * a.step, 0), rows(b.at + j * b.step, 0), n, sums + k * width + j, width, 1,
                            1);
    }
}

#endif
