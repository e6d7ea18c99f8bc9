/* The depthwise 5x5 convolution near the end, padded over time only: out row r = sum over k, j of weights[k, j] times
 * row r + k, j - HALF frames later. */
#include "loops.h"

#define KERNEL 5
#define HALF (KERNEL / 2)
#define WINDOW (KERNEL * KERNEL)

typedef struct {
    const Size *size;
    const float *x, *weights, *d;
    float *out;
} Job;

static int depthwise(const void *job_, long first, long end, double *sums) {
    const Job *job = job_;
    const Size *s = job->size;
    long n = vectors(s), f = s->rows_in, fo = s->rows_out;
    V *image = room(f * (n + 2));
    (void)sums;
    if (!image) return 1;
    for (long i = first * s->channels; i < end * s->channels; i++) {
        const float *w = job->weights + i % s->channels * WINDOW;
        spread((const V *)job->x + i * f * n, f, n, 1, image);
        for (long r = 0; r < fo; r++)
            for (long v = 0; v < n; v++) {
                V y = zero();
                for (long k = 0; k < WINDOW; k++)
                    y += w[k] * shifted(image + (r + k / KERNEL) * (n + 2) + 1 + v, k % KERNEL - HALF);
                ((V *)job->out)[(i * fo + r) * n + v] = keep(s, v, y);
            }
    }
    free(image);
    return 0;
}

int kws_depthwise(const Size *size, const float *x, const float *weights, float *out) {
    Job job = {.size = size, .x = x, .weights = weights, .out = out};
    return over_clips(size, depthwise, &job, NULL, 0);
}

static int depthwise_back(const void *job_, long first, long end, double *sums) {
    const Job *job = job_;
    const Size *s = job->size;
    long n = vectors(s), f = s->rows_in, fo = s->rows_out;
    V *image = room((f + fo) * (n + 2) + WINDOW * s->channels), *rows = image + f * (n + 2), *found = rows + fo * (n + 2);
    if (!image) return 1;
    for (long i = first; i < end; i++)
        for (long c = 0; c < s->channels; c++) {
            const float *w = job->weights + c * WINDOW;
            long tile = i * s->channels + c;
            spread((const V *)job->x + tile * f * n, f, n, 1, image);
            spread((const V *)job->d + tile * fo * n, fo, n, 1, rows);
            for (long row = 0; row < f; row++)
                for (long v = 0; v < n; v++) {
                    V y = zero();
                    for (long k = 0; k < KERNEL; k++)
                        for (long j = 0; row - k >= 0 && row - k < fo && j < KERNEL; j++)
                            y += w[k * KERNEL + j] * shifted(rows + (row - k) * (n + 2) + 1 + v, HALF - j);
                    ((V *)job->out)[(tile * f + row) * n + v] = keep(s, v, y);
                }
            for (long r = 0; r < fo; r++)
                for (long k = 0; k < WINDOW; k++) {
                    const V *seen = image + (r + k / KERNEL) * (n + 2) + 1, *row = rows + r * (n + 2) + 1;
                    V sum = found[c * WINDOW + k];
                    for (long v = 0; v < n; v++) sum += row[v] * shifted(seen + v, k % KERNEL - HALF);
                    found[c * WINDOW + k] = sum;
                }
        }
    collect(found, WINDOW * s->channels, sums);
    free(image);
    return 0;
}

int kws_depthwise_back(const Size *size, const float *x, const float *weights, const float *gradient, float *of_x,
                       double *of_weights) {
    Job job = {.size = size, .x = x, .weights = weights, .d = gradient, .out = of_x};
    return over_clips(size, depthwise_back, &job, of_weights, size->channels * WINDOW);
}
