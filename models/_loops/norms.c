/* Batch normalization as a scale and a shift per channel, computed in double from sums over the batch. */
#include "loops.h"
#include <math.h>

typedef struct {
    long training;
    double count, epsilon, momentum;
    const float *weight, *bias;
    float *running_mean, *running_var;
} Norm;

/* Mean and 1 / standard deviation of channel c, from those of the batch in training. */
static void fold_channel(const Norm *norm, long c, double mean, double var, double *kept, float *scale, float *shift) {
    if (norm->training) {
        double unbiased = var * norm->count / (norm->count > 1 ? norm->count - 1 : 1);
        norm->running_mean[c] += norm->momentum * (mean - norm->running_mean[c]);
        norm->running_var[c] += norm->momentum * (unbiased - norm->running_var[c]);
    } else {
        mean = norm->running_mean[c];
        var = norm->running_var[c];
    }
    double inverse = 1 / sqrt((var > 0 ? var : 0) + norm->epsilon);
    kept[2 * c] = mean;
    kept[2 * c + 1] = inverse;
    scale[c] = norm->weight[c] * inverse;
    shift[c] = norm->bias[c] - norm->weight[c] * inverse * mean;
}

/* Gradients of weight and bias from the sums of d and d u, and du = alpha d + beta u + gamma. */
static void fold_channel_back(const Norm *norm, long c, const double *kept, double sum, double product,
                              float *of_weight, float *of_bias, float *alpha, float *beta, float *gamma) {
    double mean = kept[2 * c], inverse = kept[2 * c + 1], a = norm->weight[c] * inverse;
    double normalized = (product - mean * sum) * inverse;
    of_weight[c] = normalized;
    of_bias[c] = sum;
    double b = norm->training ? -a * inverse * normalized / norm->count : 0;
    alpha[c] = a;
    beta[c] = b;
    gamma[c] = norm->training ? -a * sum / norm->count - b * mean : 0;
}

/* sums [channels, 2] of u and u^2; kept [channels, 2] is for kws_fold_back. */
int kws_fold(const Norm *norm, long channels, const double *sums, double *kept, float *scale, float *shift) {
    for (long c = 0; c < channels; c++) {
        double mean = norm->training ? sums[2 * c] / norm->count : 0;
        double var = norm->training ? sums[2 * c + 1] / norm->count - mean * mean : 0;
        fold_channel(norm, c, mean, var, kept, scale, shift);
    }
    return 0;
}

int kws_fold_back(const Norm *norm, long channels, const double *kept, const double *sums, float *of_weight,
                  float *of_bias, float *alpha, float *beta, float *gamma) {
    for (long c = 0; c < channels; c++)
        fold_channel_back(norm, c, kept, sums[2 * c], sums[2 * c + 1], of_weight, of_bias, alpha, beta, gamma);
    return 0;
}

/* Sum of x under tap i, and of the products of x under taps i and j, for output row r. */
static double sum_under(const Size *s, const double *products, long r, long i) {
    long row = r * s->stride + i - 1;
    return row < 0 || row >= s->rows_in ? 0 : products[row * 4];
}

static double product_under(const Size *s, const double *products, long r, long i, long j) {
    long low = r * s->stride + (i < j ? i : j) - 1, high = r * s->stride + (i < j ? j : i) - 1;
    return low < 0 || high >= s->rows_in ? 0 : products[low * 4 + 1 + high - low];
}

/* Sub-spectral normalization of the convolution over frequency, from kws_row_products. Also the weights
 * [channels, rows_in] and shift of what it becomes when pooled over frequency. */
int kws_spectral_fold(const Size *s, const Norm *norm, const double *products, const float *taps, double *kept,
                      float *scale, float *shift, float *pool, float *pool_shift) {
    long per_band = s->rows_out / s->bands;
    memset(pool, 0, s->channels * s->rows_in * sizeof(float));
    for (long c = 0; c < s->channels; c++) {
        const double *mine = products + c * s->rows_in * 4;
        const float *w = taps + c * TAPS;
        double shifts = 0;
        for (long band = 0; band < s->bands; band++) {
            double mean = 0, square = 0;
            long at = c * s->bands + band;
            for (long r = band * per_band; norm->training && r < (band + 1) * per_band; r++)
                for (long i = 0; i < TAPS; i++) {
                    mean += w[i] * sum_under(s, mine, r, i);
                    for (long j = 0; j < TAPS; j++) square += w[i] * w[j] * product_under(s, mine, r, i, j);
                }
            mean /= norm->count;
            fold_channel(norm, at, mean, square / norm->count - mean * mean, kept, scale, shift);
            shifts += shift[at];
            for (long r = band * per_band; r < (band + 1) * per_band; r++)
                for (long i = 0; i < TAPS; i++) {
                    long row = r * s->stride + i - 1;
                    if (row >= 0 && row < s->rows_in) pool[c * s->rows_in + row] += scale[at] * w[i] / s->rows_out;
                }
        }
        pool_shift[c] = shifts / s->bands;
    }
    return 0;
}

/* Sums of kws_block_sums for the gradient alpha d + beta h + gamma after the convolution over time. */
static double after_temporal(const double *of_d, const double *of_h, const double *of_one, const float *alpha,
                             const float *beta, const float *gamma, long c) {
    return alpha[c] * *of_d + beta[c] * *of_h + gamma[c] * *of_one;
}

/* The gradients of all weights but the pointwise matrix from `sums`, [channels, width] of kws_block_sums. */
int kws_block_fold_back(const Size *s, const Norm *spectral, const Norm *temporal, const double *products,
                        const float *taps, const double *kept, const double *temporal_kept, const double *sums,
                        long width, float *of_taps, float *of_weight, float *of_bias, float *alpha, float *beta,
                        float *gamma, float *of_temporal_taps, float *of_temporal_weight, float *of_temporal_bias,
                        float *temporal_alpha, float *temporal_beta, float *temporal_gamma) {
    long per_band = s->rows_out / s->bands, f = s->rows_in, step = 1 + f;
    for (long c = 0; c < s->channels; c++) {
        const double *mine = products + c * f * 4, *frames = sums + c * width, *pool = frames + 2 + 3 * TAPS;
        const double *rows = pool + 3 * step;
        const float *w = taps + c * TAPS;
        fold_channel_back(temporal, c, temporal_kept, frames[0], frames[1], of_temporal_weight, of_temporal_bias,
                          temporal_alpha, temporal_beta, temporal_gamma);
        for (long i = 0; i < TAPS; i++)
            of_temporal_taps[c * TAPS + i] = after_temporal(frames + 2 + i, frames + 2 + TAPS + i,
                                                            frames + 2 + 2 * TAPS + i, temporal_alpha, temporal_beta,
                                                            temporal_gamma, c);
        double found[TAPS] = {0};
        for (long band = 0; band < s->bands; band++) {
            double under[TAPS] = {0}, product = 0, at_pool = after_temporal(
                pool, pool + step, pool + 2 * step, temporal_alpha, temporal_beta, temporal_gamma, c);
            double sum = at_pool * per_band / s->rows_out;
            long at = c * s->bands + band;
            for (long r = band * per_band; r < (band + 1) * per_band; r++) {
                sum += rows[4 * r];
                for (long i = 0; i < TAPS; i++) {
                    long from = r * s->stride + i - 1;
                    if (from < 0 || from >= f) continue;
                    const double *q = pool + 1 + from;
                    under[i] += rows[4 * r + 1 + i] + after_temporal(q, q + step, q + 2 * step, temporal_alpha,
                                                                     temporal_beta, temporal_gamma, c) / s->rows_out;
                }
            }
            for (long i = 0; i < TAPS; i++) product += w[i] * under[i];
            fold_channel_back(spectral, at, kept, sum, product, of_weight, of_bias, alpha, beta, gamma);
            for (long i = 0; i < TAPS; i++) {
                found[i] += alpha[at] * under[i];
                for (long r = band * per_band; spectral->training && r < (band + 1) * per_band; r++) {
                    found[i] += gamma[at] * sum_under(s, mine, r, i);
                    for (long j = 0; j < TAPS; j++) found[i] += beta[at] * w[j] * product_under(s, mine, r, i, j);
                }
            }
        }
        for (long i = 0; i < TAPS; i++) of_taps[c * TAPS + i] = found[i];
    }
    return 0;
}

/* The stem's normalization from the sums of kws_windows, `size` products and then sums of the `size` inputs. */
int kws_stem_fold(const Norm *norm, long channels, long size, const double *windows, const float *kernel, double *kept,
                  float *scale, float *shift) {
    const double *inputs = windows + size * size;
    for (long c = 0; c < channels; c++) {
        const float *w = kernel + c * size;
        double mean = 0, square = 0;
        for (long i = 0; norm->training && i < size; i++) {
            mean += w[i] * inputs[i];
            for (long j = 0; j < size; j++) square += (double)w[i] * w[j] * windows[i * size + j];
        }
        mean /= norm->count;
        fold_channel(norm, c, mean, square / norm->count - mean * mean, kept, scale, shift);
    }
    return 0;
}

/* `products` [channels, size] and `of_d` [channels]: sums of d times the inputs, and of d. */
int kws_stem_fold_back(const Norm *norm, long channels, long size, const double *windows, const float *kernel,
                       const double *kept, const double *products, const double *of_d, float *of_kernel,
                       float *of_weight, float *of_bias) {
    const double *inputs = windows + size * size;
    for (long c = 0; c < channels; c++) {
        const float *w = kernel + c * size;
        const double *mine = products + c * size;
        double product = 0;
        float of[2], numbers[3];
        for (long i = 0; i < size; i++) product += w[i] * mine[i];
        Norm one = *norm;
        one.weight += c;
        fold_channel_back(&one, 0, kept + 2 * c, of_d[c], product, of, of + 1, numbers, numbers + 1, numbers + 2);
        of_weight[c] = of[0];
        of_bias[c] = of[1];
        for (long i = 0; i < size; i++) {
            double found = numbers[0] * mine[i];
            if (norm->training) {
                found += numbers[2] * inputs[i];
                for (long j = 0; j < size; j++) found += numbers[1] * w[j] * windows[i * size + j];
            }
            of_kernel[c * size + i] = found;
        }
    }
    return 0;
}
