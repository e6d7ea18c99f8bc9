/* What all loops share: sizes, vectors of frames, and how work is divided among threads.
 *
 * Activations are contiguous float [clips, channels, rows, padded frames]: each row is padded with zeros
 * to a multiple of LANES frames, so that loops over frames have no remainder. Whatever adds a constant
 * clears the padding again with `keep`.
 *
 * A layer that follows a normalization and a ReLU can read what came before them: `scale` and `shift`
 * [channels] are then applied on the way in, x = max(scale * u + shift, 0), and x is never stored.
 */
#ifndef KWS_LOOPS_H
#define KWS_LOOPS_H

#include <stdlib.h>
#include <string.h>

#define LANES 16
#define TAPS 3

typedef struct {
    long clips, channels, rows_in, rows_out, frames, stride, bands, dilation, threads;
} Size;

typedef float V __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int I __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

/* Vectors in a row. */
static inline long vectors(const Size *s) { return (s->frames + LANES - 1) / LANES; }

static inline V zero(void) { return (V){0}; }
static inline V rectified(V x) { return (V)((I)x & ~(x < 0)); } /* passes NaN on */
static inline V where_positive(V x, V y) { return (V)((I)y & (x > 0)); }

static const int LANE_NUMBERS[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* Clears the padding in vector v of a row. */
static inline V keep(const Size *s, long v, V x) {
    if (__builtin_expect((v + 1) * LANES <= s->frames, 1)) return x;
    I lanes;
    memcpy(&lanes, LANE_NUMBERS, sizeof lanes);
    return (V)((I)x & (lanes < (int)(s->frames - v * LANES)));
}

/* Zero-filled memory for n vectors, released with free. */
static inline V *room(long n) { return calloc(n > 0 ? n : 1, sizeof(V)); }

/* Work on the clips `first` to `end`; adds what it sums to `sums`. Nonzero if there is no memory. */
typedef int (*Work)(const void *job, long first, long end, double *sums);

/* Divides the clips among threads. `total` receives the `width` sums; the shares in which they are added
 * up do not depend on the number of threads, so that results do not either. */
int over_clips(const Size *size, Work work, const void *job, double *total, long width);

/* Channel `c` of one clip, [rows_in] rows at x: normalized and rectified into `scratch` if the layer asks for it. */
static inline const V *load(const Size *s, const V *x, const float *scale, const float *shift, long c, V *scratch) {
    if (!scale) return x;
    long n = vectors(s);
    for (long r = 0; r < s->rows_in; r++)
        for (long v = 0; v < n; v++) scratch[r * n + v] = keep(s, v, rectified(scale[c] * x[r * n + v] + shift[c]));
    return scratch;
}

/* Asks for n vectors that are needed soon. The processor foresees only within a page, and stops at its end. */
static inline void foresee(const V *x, long n) {
    for (long v = 0; v < n; v++) __builtin_prefetch(x + v);
}

/* Row r of n rows of `width` vectors, or zeros outside. */
static inline const V *row_at(const V *x, long r, long n, long width, const V *zeros) {
    return r < 0 || r >= n ? zeros : x + r * width;
}

/* Adds the sum of x, and its products with a, b and c, to four vectors of sums. */
static inline void add_products(const V *x, const V *a, const V *b, const V *c, long n, V *sums) {
    V s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
    for (long v = 0; v < n; v++) {
        V y = x[v];
        s0 += y;
        s1 += y * a[v];
        s2 += y * b[v];
        s3 += y * c[v];
    }
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
}

/* Rows copied into the middle of rows that are `edge` vectors longer at either end, so that a shift over time
 * reads zeros there. The room must be zero-filled. */
static inline void spread(const V *rows, long count, long n, long edge, V *out) {
    for (long r = 0; r < count; r++) memcpy(out + r * (n + 2 * edge) + edge, rows + r * n, n * sizeof(V));
}

/* What lies `by` frames after a vector. */
static inline V shifted(const V *x, long by) { return *(const V *)((const float *)x + by); }

/* Adds n vectors of sums to n sums. */
static inline void collect(const V *found, long n, double *sums) {
    const float *lanes = (const float *)found;
    for (long i = 0; i < n; i++) {
        float sum = 0;
        for (long k = 0; k < LANES; k++) sum += lanes[i * LANES + k];
        sums[i] += sum;
    }
}

#endif
