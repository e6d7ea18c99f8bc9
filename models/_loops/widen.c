/* The 1x1 convolution that changes the number of channels, u = matrix x, on its own and after the stem. What follows
 * it is a normalization and a ReLU; the gradient d that comes back is that of the normalization, so that the one of u
 * is alpha d + beta u + gamma.
 *
 * The stem is a 5x5 convolution of features [clips, 1, rows_in], with a normalization (a, b) and a ReLU. It is computed
 * anew in the backward pass, because its result is the largest of all. */
#include "loops.h"
#include "matrix.h"

#define KERNEL 5
#define HALF (KERNEL / 2)
#define WINDOW (KERNEL * KERNEL)

typedef struct {
    const Size *size;
    const float *x, *matrix, *kernel, *a, *b, *d, *u, *alpha, *beta, *gamma;
    float *out;
    long outputs;
} Job;

/* Row r of every one of `channels` channels of clip i. The next rows are asked for: they are more than the processor
 * foresees by itself. */
static Rows channel_rows(const float *x, long channels, long height, long n, long i, long r) {
    Rows found = rows((const V *)x + (i * channels * height + r) * n, height * n);
    for (long c = 0; c < channels; c++)
        for (long v = n; v < 2 * n; v++) __builtin_prefetch(found.at + c * found.step + v);
    return found;
}

static void add_moments(Rows x, long channels, long n, V *sums) {
    for (long c = 0; c < channels; c++) {
        V sum = sums[2 * c], square = sums[2 * c + 1];
        for (long v = 0; v < n; v++) {
            V y = x.at[c * x.step + v];
            sum += y;
            square += y * y;
        }
        sums[2 * c] = sum;
        sums[2 * c + 1] = square;
    }
}

/* The gradient of u in row r of clip i. */
static void gradient_rows(const Job *job, long height, long i, long r, V *out) {
    const Size *s = job->size;
    long n = vectors(s);
    Rows d = channel_rows(job->d, job->outputs, height, n, i, r), u = channel_rows(job->u, job->outputs, height, n, i, r);
    for (long o = 0; o < job->outputs; o++, d.at += d.step, u.at += u.step) {
        float alpha = job->alpha[o], beta = job->beta[o], gamma = job->gamma[o];
        for (long v = 0; v < n; v++) out[o * n + v] = alpha * d.at[v] + beta * u.at[v] + gamma;
        out[o * n + n - 1] = keep(s, n - 1, out[o * n + n - 1]);
    }
}

static int widen(const void *job_, long first, long end, double *sums) {
    const Job *job = job_;
    const Size *s = job->size;
    long n = vectors(s), f = s->rows_in, inputs = s->channels, outputs = job->outputs;
    V *found = room(2 * outputs);
    if (!found) return 1;
    for (long i = first; i < end; i++)
        for (long r = 0; r < f; r++) {
            Rows u = rows((V *)job->out + (i * outputs * f + r) * n, f * n);
            product((Matrix){job->matrix, inputs, 1}, outputs, inputs, channel_rows(job->x, inputs, f, n, i, r), n, u);
            add_moments(u, outputs, n, found);
        }
    collect(found, 2 * outputs, sums);
    free(found);
    return 0;
}

/* sums: of u and u^2 per output. */
int kws_widen(const Size *size, const float *x, const float *matrix, long outputs, float *u, double *sums) {
    Job job = {.size = size, .x = x, .matrix = matrix, .outputs = outputs, .out = u};
    return over_clips(size, widen, &job, sums, 2 * outputs);
}

static int widen_back(const void *job_, long first, long end, double *sums) {
    const Job *job = job_;
    const Size *s = job->size;
    long n = vectors(s), f = s->rows_in, inputs = s->channels, outputs = job->outputs;
    V *du = room(outputs * n + outputs * inputs), *found = du + outputs * n;
    if (!du) return 1;
    for (long i = first; i < end; i++)
        for (long r = 0; r < f; r++) {
            Rows dx = rows((V *)job->out + (i * inputs * f + r) * n, f * n);
            gradient_rows(job, f, i, r, du);
            outer(rows(du, n), outputs, channel_rows(job->x, inputs, f, n, i, r), inputs, n, found, 0);
            product((Matrix){job->matrix, 1, inputs}, inputs, outputs, rows(du, n), n, dx);
        }
    collect(found, outputs * inputs, sums);
    free(du);
    return 0;
}

int kws_widen_back(const Size *size, const float *x, const float *matrix, long outputs, const float *d, const float *u,
                   const float *alpha, const float *beta, const float *gamma, float *of_x, double *of_matrix) {
    Job job = {.size = size, .x = x, .matrix = matrix, .outputs = outputs, .d = d, .u = u, .alpha = alpha,
               .beta = beta, .gamma = gamma, .out = of_x};
    return over_clips(size, widen_back, &job, of_matrix, outputs * size->channels);
}

/* ---- the stem ---- */

/* The features of clip i with zeros around them; `image` must be zero-filled. */
static void frame_image(const Job *job, long i, V *image) {
    long n = vectors(job->size), f = job->size->rows_in;
    spread((const V *)job->x + i * f * n, f, n, 1, image + HALF * (n + 2));
}

static long image_size(const Size *s) { return (s->rows_in + 2 * HALF) * (vectors(s) + 2); }

/* The WINDOW inputs of output row r, as rows. */
static void window_rows(const Size *s, const V *image, long r, V *out) {
    long n = vectors(s);
    for (long k = 0; k < WINDOW; k++) {
        const V *row = image + (r * s->stride + k / KERNEL) * (n + 2) + 1;
        for (long v = 0; v < n; v++) out[k * n + v] = keep(s, v, shifted(row + v, k % KERNEL - HALF));
    }
}

static int windows(const void *job_, long first, long end, double *sums) {
    const Job *job = job_;
    const Size *s = job->size;
    long n = vectors(s);
    V *image = room(image_size(s) + WINDOW * n + WINDOW * (WINDOW + 1)), *window = image + image_size(s);
    V *found = window + WINDOW * n;
    if (!image) return 1;
    for (long i = first; i < end; i++) {
        frame_image(job, i, image);
        for (long r = 0; r < s->rows_out; r++) {
            window_rows(s, image, r, window);
            outer(rows(window, n), WINDOW, rows(window, n), WINDOW, n, found, 1);
            for (long k = 0; k < WINDOW; k++) {
                V sum = found[WINDOW * WINDOW + k];
                for (long v = 0; v < n; v++) sum += window[k * n + v];
                found[WINDOW * WINDOW + k] = sum;
            }
        }
    }
    for (long k = 0; k < WINDOW; k++)
        for (long j = 0; j < k; j++) found[k * WINDOW + j] = found[j * WINDOW + k];
    collect(found, WINDOW * (WINDOW + 1), sums);
    free(image);
    return 0;
}

/* Sums of the products of the inputs of the stem's windows [25, 25], and of the inputs [25]. */
int kws_windows(const Size *size, const float *x, double *sums) {
    Job job = {.size = size, .x = x};
    return over_clips(size, windows, &job, sums, WINDOW * (WINDOW + 1));
}

/* What the stem gives in output row r, [channels, n], after its normalization and ReLU. */
static void stem_rows(const Job *job, const V *window, V *out) {
    const Size *s = job->size;
    long n = vectors(s);
    product((Matrix){job->kernel, WINDOW, 1}, s->channels, WINDOW, rows(window, n), n, rows(out, n));
    for (long c = 0; c < s->channels; c++)
        for (long v = 0; v < n; v++) out[c * n + v] = keep(s, v, rectified(job->a[c] * out[c * n + v] + job->b[c]));
}

static int stem_widen(const void *job_, long first, long end, double *sums) {
    const Job *job = job_;
    const Size *s = job->size;
    long n = vectors(s), channels = s->channels, outputs = job->outputs;
    V *image = room(image_size(s) + (WINDOW + channels) * n + 2 * outputs), *window = image + image_size(s);
    V *stem = window + WINDOW * n, *found = stem + channels * n;
    if (!image) return 1;
    for (long i = first; i < end; i++) {
        frame_image(job, i, image);
        for (long r = 0; r < s->rows_out; r++) {
            window_rows(s, image, r, window);
            stem_rows(job, window, stem);
            Rows u = rows((V *)job->out + (i * outputs * s->rows_out + r) * n, s->rows_out * n);
            product((Matrix){job->matrix, channels, 1}, outputs, channels, rows(stem, n), n, u);
            add_moments(u, outputs, n, found);
        }
    }
    collect(found, 2 * outputs, sums);
    free(image);
    return 0;
}

/* sums: of u and u^2 per output. */
int kws_stem_widen(const Size *size, const float *x, const float *kernel, const float *a, const float *b,
                   const float *matrix, long outputs, float *u, double *sums) {
    Job job = {.size = size, .x = x, .kernel = kernel, .a = a, .b = b, .matrix = matrix, .outputs = outputs, .out = u};
    return over_clips(size, stem_widen, &job, sums, 2 * outputs);
}

static int stem_widen_back(const void *job_, long first, long end, double *sums) {
    const Job *job = job_;
    const Size *s = job->size;
    long n = vectors(s), channels = s->channels, outputs = job->outputs;
    long width = channels * (outputs + WINDOW + 1);
    V *image = room(image_size(s) + (WINDOW + 2 * channels + outputs) * n + width), *window = image + image_size(s);
    V *stem = window + WINDOW * n, *d = stem + channels * n, *du = d + channels * n, *found = du + outputs * n;
    V *of_kernel = found + outputs * channels, *of_bias = of_kernel + channels * WINDOW;
    if (!image) return 1;
    for (long i = first; i < end; i++) {
        frame_image(job, i, image);
        for (long r = 0; r < s->rows_out; r++) {
            window_rows(s, image, r, window);
            stem_rows(job, window, stem);
            gradient_rows(job, s->rows_out, i, r, du);
            outer(rows(du, n), outputs, rows(stem, n), channels, n, found, 0);
            product((Matrix){job->matrix, 1, channels}, channels, outputs, rows(du, n), n, rows(d, n));
            for (long c = 0; c < channels; c++) {
                V sum = of_bias[c];
                for (long v = c * n; v < (c + 1) * n; v++) sum += d[v] = where_positive(stem[v], d[v]);
                of_bias[c] = sum;
            }
            outer(rows(d, n), channels, rows(window, n), WINDOW, n, of_kernel, 0);
        }
    }
    collect(found, width, sums);
    free(image);
    return 0;
}

/* sums: gradient of the matrix [outputs, channels]; then, for the gradient d of the stem's normalization, sums of d
 * times the inputs of the window [channels, 25], and of d [channels]. */
int kws_stem_widen_back(const Size *size, const float *x, const float *kernel, const float *a, const float *b,
                        const float *matrix, long outputs, const float *d, const float *u, const float *alpha,
                        const float *beta, const float *gamma, double *sums) {
    Job job = {.size = size, .x = x, .kernel = kernel, .a = a, .b = b, .matrix = matrix, .outputs = outputs, .d = d,
               .u = u, .alpha = alpha, .beta = beta, .gamma = gamma};
    return over_clips(size, stem_widen_back, &job, sums, size->channels * (outputs + WINDOW + 1));
}
