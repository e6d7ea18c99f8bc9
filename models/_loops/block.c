/* The broadcasted residual block: x [clips, channels, rows_in], the convolution over frequency z, its sub-spectral
 * normalization, the branch over time, and the sum. z is computed anew wherever it is needed, and never stored. */
#include "loops.h"
#include "matrix.h"

typedef struct {
    const Size *size;
    const float *x, *scale, *shift; /* scale and shift: what makes x, see loops.h */
    const float *taps, *a, *b;      /* convolution over frequency, and its normalization [channels, bands] */
    const float *pool, *pool_shift; /* what its mean over frequency is of x [channels, rows_in], [channels] */
    const float *temporal, *c, *d;  /* convolution over time, and its normalization */
    const float *matrix, *mask;     /* pointwise [channels, channels]; dropout [clips, channels] or NULL */
    const float *alpha, *beta, *gamma, *temporal_alpha, *temporal_beta, *temporal_gamma;
    const float *pooled, *h, *result, *gradient;
    float *out, *dy;
    long residual;
} Job;

/* 1 / (1 + e^-x), relative error below 3e-7: e^y is 2^k times a polynomial on [-ln 2 / 2, ln 2 / 2]. */
static inline V sigmoid(V x) {
    V y = -x, low = zero() - 87.0f, high = zero() + 87.0f;
    I below = y < low, above = y > high;
    y = (V)((below & (I)low) | (above & (I)high) | (~(below | above) & (I)y));
    I k = __builtin_convertvector(y * 1.44269504f + 127.5f, I) - 127; /* rounds, as what it cuts is positive */
    V whole = __builtin_convertvector(k, V);
    V r = y - whole * 0.693359375f + whole * 2.12194440e-4f;
    V p = zero() + 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    return 1.0f / (1.0f + p * (V)((k + 127) << 23));
}

/* Vectors of zeros that a shift by `dilation` frames needs on either side of a row. */
static long margin(const Size *s) { return (s->dilation + LANES - 1) / LANES; }

/* The rows of channel c of clip i, from a tensor with `rows` rows. */
static inline V *tile(const Size *s, const float *x, long rows, long i, long c) {
    return (V *)x + (i * s->channels + c) * rows * vectors(s);
}

/* `load` of the same, which asks for the channel after it. */
static const V *load_tile(const Size *s, const float *x, const float *scale, const float *shift, long i, long c,
                          V *scratch) {
    const V *found = tile(s, x, s->rows_in, i, c);
    foresee(found + s->rows_in * vectors(s), s->rows_in * vectors(s));
    return load(s, found, scale, shift, c, scratch);
}

/* Per row: its sum, and its products with itself, the next row and the one after. */
static void row_products(const V *x, long rows, long n, const V *zeros, V *sums) {
    for (long r = 0; r < rows; r++)
        add_products(x + r * n, x + r * n, row_at(x, r + 1, rows, n, zeros), row_at(x, r + 2, rows, n, zeros), n,
                     sums + 4 * r);
}

static int products(const void *job_, long first, long end, double *sums) {
    const Job *job = job_;
    const Size *s = job->size;
    long f = s->rows_in, n = vectors(s);
    V *scratch = room(f * n + n + 4 * f * s->channels), *zeros = scratch + f * n, *found = zeros + n;
    if (!scratch) return 1;
    for (long i = first; i < end; i++)
        for (long c = 0; c < s->channels; c++) {
            const V *x = load_tile(s, job->x, job->scale, job->shift, i, c, scratch);
            row_products(x, f, n, zeros, found + 4 * f * c);
        }
    collect(found, 4 * f * s->channels, sums);
    free(scratch);
    return 0;
}

int kws_row_products(const Size *size, const float *x, const float *scale, const float *shift, double *sums) {
    Job job = {.size = size, .x = x, .scale = scale, .shift = shift};
    return over_clips(size, products, &job, sums, size->channels * size->rows_in * 4);
}

/* pooled = mean over frequency of the normalized convolution, h = pooled convolved over time; sums of h and h^2. */
static int pool(const void *job_, long first, long end, double *sums) {
    const Job *job = job_;
    const Size *s = job->size;
    long f = s->rows_in, n = vectors(s), edge = margin(s), by = s->dilation, channels = s->channels;
    V *scratch = room(f * n + channels * (n + 2 * edge + 2)), *wides = scratch + f * n + edge;
    V *found = wides - edge + channels * (n + 2 * edge);
    if (!scratch) return 1;
    for (long i = first; i < end; i++) {
        for (long c = 0; c < channels; c++) {
            const float *weights = job->pool + c * f;
            const V *x = load_tile(s, job->x, job->scale, job->shift, i, c, scratch);
            V *pooled = tile(s, job->pooled, 1, i, c), *wide = wides + c * (n + 2 * edge);
            for (long v = 0; v < n; v++) {
                V sum = zero() + job->pool_shift[c];
                for (long r = 0; r < f; r++) sum += weights[r] * x[r * n + v];
                pooled[v] = wide[v] = keep(s, v, sum);
            }
        }
        for (long c = 0; c < channels; c++) { /* apart, as reading across what was just stored makes one wait */
            const float *w = job->temporal + c * TAPS, w0 = w[0], w1 = w[1], w2 = w[2];
            V *h = tile(s, job->h, 1, i, c), *wide = wides + c * (n + 2 * edge);
            V sum = found[2 * c], square = found[2 * c + 1];
            for (long v = 0; v < n; v++) {
                V y = keep(s, v, w0 * shifted(wide + v, -by) + w1 * wide[v] + w2 * shifted(wide + v, by));
                h[v] = y;
                sum += y;
                square += y * y;
            }
            found[2 * c] = sum;
            found[2 * c + 1] = square;
        }
    }
    collect(found, 2 * channels, sums);
    free(scratch);
    return 0;
}

int kws_pool(const Size *size, const float *x, const float *scale, const float *shift, const float *weights,
             const float *weights_shift, const float *temporal, float *pooled, float *h, double *sums) {
    Job job = {.size = size, .x = x, .scale = scale, .shift = shift, .pool = weights, .pool_shift = weights_shift,
               .temporal = temporal, .pooled = pooled, .h = h};
    return over_clips(size, pool, &job, sums, size->channels * 2);
}

/* relu(a z + b + g (+ x)) of one channel, g the row that is broadcast. */
static void combine_channel(const Job *job, long c, const V *x, const V *g, const V *zeros, V *out) {
    const Size *s = job->size;
    long f = s->rows_in, n = vectors(s), per_band = s->rows_out / s->bands;
    for (long r = 0, band = c * s->bands, left = per_band; r < s->rows_out; r++, left--) {
        if (!left) {
            band++;
            left = per_band;
        }
        long middle = r * s->stride;
        const V *low = row_at(x, middle - 1, f, n, zeros), *high = row_at(x, middle + 1, f, n, zeros);
        const V *here = x + middle * n;
        const float *w = job->taps + c * TAPS;
        float a = job->a[band], b = job->b[band];
        float w0 = a * w[0], w1 = a * w[1] + (job->residual ? 1 : 0), w2 = a * w[2];
        V *row = out + r * n;
        for (long v = 0; v < n; v++) row[v] = rectified(w0 * low[v] + w1 * here[v] + w2 * high[v] + (g[v] + b));
        row[n - 1] = keep(s, n - 1, row[n - 1]);
    }
}

/* out = relu(a z + b + mask * matrix silu(c h + d) (+ x)); row products of out while it is in the cache. */
static int combine(const void *job_, long first, long end, double *sums) {
    const Job *job = job_;
    const Size *s = job->size;
    long f = s->rows_in, fo = s->rows_out, n = vectors(s), channels = s->channels;
    V *scratch = room(f * n + n + 2 * channels * n + 4 * fo * channels), *zeros = scratch + f * n;
    V *active = zeros + n, *branch = active + channels * n, *found = branch + channels * n;
    if (!scratch) return 1;
    for (long i = first; i < end; i++) {
        for (long c = 0; c < channels; c++)
            for (long v = 0; v < n; v++) {
                V y = job->c[c] * tile(s, job->h, 1, i, c)[v] + job->d[c];
                active[c * n + v] = y * sigmoid(y);
            }
        product((Matrix){job->matrix, channels, 1}, channels, channels, rows(active, n), n, rows(branch, n));
        for (long c = 0; c < channels; c++) {
            const V *x = load_tile(s, job->x, job->scale, job->shift, i, c, scratch);
            V *g = branch + c * n, *out = tile(s, job->out, fo, i, c);
            for (long v = 0; job->mask && v < n; v++) g[v] *= job->mask[i * channels + c];
            combine_channel(job, c, x, g, zeros, out);
            if (sums) row_products(out, fo, n, zeros, found + c * fo * 4);
        }
    }
    if (sums) collect(found, 4 * fo * channels, sums);
    free(scratch);
    return 0;
}

int kws_combine(const Size *size, const float *x, const float *scale, const float *shift, const float *taps,
                const float *a, const float *b, const float *h, const float *c, const float *d, const float *matrix,
                const float *mask, long residual, float *out, double *sums) {
    Job job = {.size = size, .x = x, .scale = scale, .shift = shift, .taps = taps, .a = a, .b = b, .h = (float *)h,
               .c = c, .d = d, .matrix = matrix, .mask = mask, .residual = residual, .out = out};
    return over_clips(size, combine, &job, sums, sums ? size->channels * size->rows_out * 4 : 0);
}

/* ---- backward, first half: all sums that the gradients of the two normalizations need ---- */

/* What is summed per channel: FRAME_SUMS, then for each of dy, h and 1, convolved backwards over time: its sum and
 * its products with each row of x; then per output row the four products of kws_combine_back. */
#define FRAME_SUMS 11

/* Sums of dy and dy h; of dy, h and 1 with the pooled frames under each tap. */
static void add_frame_sums(const Size *s, const V *dy, const V *h, const V *ones, const V *pooled, V *sums) {
    long n = vectors(s), by = s->dilation;
    V found[FRAME_SUMS];
    for (int i = 0; i < FRAME_SUMS; i++) found[i] = sums[i];
    for (long v = 0; v < n; v++) {
        V p = pooled[v];
        found[0] += dy[v];
        found[1] += dy[v] * h[v];
        for (int tap = 0; tap < TAPS; tap++) {
            long shift = (1 - tap) * by;
            found[2 + tap] += shifted(dy + v, shift) * p;
            found[5 + tap] += shifted(h + v, shift) * p;
            found[8 + tap] += shifted(ones + v, shift) * p;
        }
    }
    for (int i = 0; i < FRAME_SUMS; i++) sums[i] = found[i];
}

/* The gradient of the frames before the convolution over time, for the gradient d after it. */
static inline V before_temporal(const Size *s, const float *w, const V *d, long v) {
    return keep(s, v, w[0] * shifted(d + v, s->dilation) + w[1] * d[v] + w[2] * shifted(d + v, -s->dilation));
}

/* The sum of each of three rows, and its products with each row of x; `step` sums for each. */
static void add_row_sums(const V *three, const V *x, long height, long n, V *sums, long step) {
    for (long k = 0; k < 3; k++) {
        V sum = sums[k * step];
        for (long v = 0; v < n; v++) sum += three[k * n + v];
        sums[k * step] = sum;
    }
    for (long r = 0; r < height; r++) {
        V *mine = sums + 1 + r, s0 = mine[0], s1 = mine[step], s2 = mine[2 * step];
        for (long v = 0; v < n; v++) {
            V y = x[r * n + v];
            s0 += y * three[v];
            s1 += y * three[n + v];
            s2 += y * three[2 * n + v];
        }
        mine[0] = s0;
        mine[step] = s1;
        mine[2 * step] = s2;
    }
}

/* gradient = where the result is positive (if given), in place; g = its sum over rows. */
static void mask_and_add(V *gradient, const V *result, long rows, long n, float mask, V *g) {
    for (long v = 0; result && v < rows * n; v++) gradient[v] = where_positive(result[v], gradient[v]);
    for (long v = 0; v < n; v++) {
        V sum = gradient[v];
        for (long r = 1; r < rows; r++) sum += gradient[r * n + v];
        g[v] = sum * mask;
    }
}

static int sums_back(const void *job_, long first, long end, double *sums) {
    const Job *job = job_;
    const Size *s = job->size;
    long f = s->rows_in, fo = s->rows_out, n = vectors(s), channels = s->channels, edge = margin(s);
    long width = FRAME_SUMS + 3 * (1 + f) + 4 * fo, wide = n + 2 * edge;
    V *scratch = room(f * n + 4 * n + (2 * channels + 1) * wide + 4 * channels * n + channels * (width + channels));
    V *zeros = scratch + f * n, *three = zeros + n, *ones = three + 3 * n + edge, *wides = ones + wide;
    V *g = wides - edge + 2 * channels * wide, *active = g + channels * n, *slope = active + channels * n;
    V *dy = slope + channels * n, *found = dy + channels * n, *of_matrix = found + channels * width;
    if (!scratch) return 1;
    for (long v = 0; v < n; v++) ones[v] = keep(s, v, zero() + 1.0f);
    for (long i = first; i < end; i++) {
        for (long c = 0; c < channels; c++) {
            const V *result = job->result ? tile(s, job->result, fo, i, c) : NULL, *h = tile(s, job->h, 1, i, c);
            foresee(tile(s, job->gradient, fo, i, c + 1), fo * n);
            mask_and_add(tile(s, job->gradient, fo, i, c), result, fo, n, job->mask ? job->mask[i * channels + c] : 1,
                         g + c * n);
            for (long v = 0; v < n; v++) {
                V y = job->c[c] * h[v] + job->d[c], k = sigmoid(y);
                wides[(channels + c) * wide + v] = h[v];
                active[c * n + v] = keep(s, v, y * k);
                slope[c * n + v] = k * (1.0f + y * (1.0f - k));
            }
        }
        outer(rows(g, n), channels, rows(active, n), channels, n, of_matrix, 0);
        product((Matrix){job->matrix, 1, channels}, channels, channels, rows(g, n), n, rows(dy, n));
        for (long c = 0; c < channels; c++)
            for (long v = 0; v < n; v++)
                tile(s, job->dy, 1, i, c)[v] = wides[c * wide + v] = dy[c * n + v] * slope[c * n + v];
        for (long c = 0; c < channels; c++) {
            const V *x = load_tile(s, job->x, job->scale, job->shift, i, c, scratch);
            const V *gradient = tile(s, job->gradient, fo, i, c), *mine_dy = wides + c * wide;
            const V *mine_h = wides + (channels + c) * wide;
            const float *w = job->temporal + c * TAPS;
            V *mine = found + c * width;
            add_frame_sums(s, mine_dy, mine_h, ones, tile(s, job->pooled, 1, i, c), mine);
            for (long v = 0; v < n; v++) {
                three[v] = before_temporal(s, w, mine_dy, v);
                three[n + v] = before_temporal(s, w, mine_h, v);
                three[2 * n + v] = before_temporal(s, w, ones, v);
            }
            add_row_sums(three, x, f, n, mine + FRAME_SUMS, 1 + f);
            for (long r = 0; r < fo; r++) {
                long middle = r * s->stride;
                add_products(gradient + r * n, row_at(x, middle - 1, f, n, zeros), x + middle * n,
                             row_at(x, middle + 1, f, n, zeros), n, mine + FRAME_SUMS + 3 * (1 + f) + 4 * r);
            }
        }
    }
    collect(found, channels * width, sums);
    collect(of_matrix, channels * channels, sums + channels * width);
    free(scratch);
    return 0;
}

/* How many sums kws_block_sums makes per channel, without those of the matrix, which follow. */
long kws_block_width(const Size *s) { return FRAME_SUMS + 3 * (1 + s->rows_in) + 4 * s->rows_out; }

int kws_block_sums(const Size *size, const float *x, const float *scale, const float *shift, const float *temporal,
                   const float *pooled, const float *h, const float *c, const float *d, const float *matrix,
                   const float *mask, const float *result, float *gradient, float *dy, double *sums) {
    Job job = {.size = size, .x = x, .scale = scale, .shift = shift, .temporal = temporal, .pooled = pooled, .h = h,
               .c = c, .d = d, .matrix = matrix, .mask = mask, .result = result, .gradient = gradient, .dy = dy};
    return over_clips(size, sums_back, &job, sums, size->channels * (kws_block_width(size) + size->channels));
}

/* ---- backward, second half: the gradient of x ---- */

/* The output row that sees input row r under tap k, or zeros. */
static const V *row_seeing(const Size *s, const V *rows, long r, long k, const V *zeros) {
    long place = r + 1 - k;
    if (s->stride == 1) return row_at(rows, place, s->rows_out, vectors(s), zeros); /* dividing takes long */
    return place < 0 || place % s->stride ? zeros : row_at(rows, place / s->stride, s->rows_out, vectors(s), zeros);
}

/* dz = alpha (gradient + dp / rows_out) + beta z + gamma, of one channel. */
static void before_norm(const Job *job, long c, const V *x, const V *gradient, const V *dp, const V *zeros, V *dz) {
    const Size *s = job->size;
    long f = s->rows_in, n = vectors(s), per_band = s->rows_out / s->bands;
    for (long r = 0, band = c * s->bands, left = per_band; r < s->rows_out; r++, left--) {
        if (!left) {
            band++;
            left = per_band;
        }
        long middle = r * s->stride;
        const float *w = job->taps + c * TAPS;
        float alpha = job->alpha[band], beta = job->beta[band], gamma = job->gamma[band], share = 1.0f / s->rows_out;
        float w0 = beta * w[0], w1 = beta * w[1], w2 = beta * w[2];
        const V *low = row_at(x, middle - 1, f, n, zeros), *high = row_at(x, middle + 1, f, n, zeros);
        const V *here = x + middle * n, *d = gradient + r * n;
        for (long v = 0; v < n; v++)
            dz[r * n + v] = alpha * (d[v] + share * dp[v]) + w0 * low[v] + w1 * here[v] + w2 * high[v] + gamma;
    }
}

/* out = transposed convolution of dz (+ gradient), zero where x is not positive, because x is what a ReLU gave. If
 * that ReLU was on the way in, then also, per channel, sums of out and of out times what x was made from. `out` may
 * be `gradient` where the stride is 1. */
static int input_back(const void *job_, long first, long end, double *sums) {
    const Job *job = job_;
    const Size *s = job->size;
    long f = s->rows_in, fo = s->rows_out, n = vectors(s), edge = margin(s), wide = n + 2 * edge, channels = s->channels;
    V *scratch = room((f + fo + 2) * n + channels * (wide + 2)), *dz = scratch + f * n, *zeros = dz + fo * n;
    V *dp = zeros + n, *wides = dp + n + edge, *found = wides - edge + channels * wide;
    if (!scratch) return 1;
    for (long i = first; i < end; i++) {
        for (long c = 0; c < channels; c++) {
            float alpha = job->temporal_alpha[c], beta = job->temporal_beta[c], gamma = job->temporal_gamma[c];
            const V *dy = tile(s, job->dy, 1, i, c), *h = tile(s, job->h, 1, i, c);
            for (long v = 0; v < n; v++) wides[c * wide + v] = keep(s, v, alpha * dy[v] + beta * h[v] + gamma);
        }
        for (long c = 0; c < channels; c++) {
            const float *w = job->taps + c * TAPS, w0 = w[0], w1 = w[1], w2 = w[2];
            const V *u = tile(s, job->x, f, i, c), *gradient = tile(s, job->gradient, fo, i, c);
            const V *x = load_tile(s, job->x, job->scale, job->shift, i, c, scratch);
            foresee(gradient + fo * n, fo * n);
            V *out = tile(s, job->out, f, i, c);
            for (long v = 0; v < n; v++) dp[v] = before_temporal(s, job->temporal + c * TAPS, wides + c * wide, v);
            before_norm(job, c, x, gradient, dp, zeros, dz);
            for (long r = 0; r < f; r++) {
                const V *before = row_seeing(s, dz, r, 0, zeros), *here = row_seeing(s, dz, r, 1, zeros);
                const V *after = row_seeing(s, dz, r, 2, zeros), *straight = job->residual ? gradient + r * n : zeros;
                for (long v = 0; v < n; v++)
                    out[r * n + v] =
                        where_positive(x[r * n + v], straight[v] + w0 * before[v] + w1 * here[v] + w2 * after[v]);
            }
            if (!job->scale) continue;
            V sum = found[2 * c], product = found[2 * c + 1];
            for (long v = 0; v < f * n; v++) {
                sum += out[v];
                product += out[v] * u[v];
            }
            found[2 * c] = sum;
            found[2 * c + 1] = product;
        }
    }
    collect(found, 2 * channels, sums);
    free(scratch);
    return 0;
}

int kws_block_input(const Size *size, const float *x, const float *scale, const float *shift, const float *taps,
                    const float *alpha, const float *beta, const float *gamma, const float *temporal, const float *h,
                    const float *dy, const float *temporal_alpha, const float *temporal_beta,
                    const float *temporal_gamma, const float *gradient, long residual, float *out, double *sums) {
    Job job = {.size = size, .x = x, .scale = scale, .shift = shift, .taps = taps, .alpha = alpha, .beta = beta,
               .gamma = gamma, .temporal = temporal, .h = h, .dy = (float *)dy, .temporal_alpha = temporal_alpha,
               .temporal_beta = temporal_beta, .temporal_gamma = temporal_gamma, .gradient = gradient,
               .residual = residual, .out = out};
    return over_clips(size, input_back, &job, sums, size->channels * 2);
}
