/* Divides clips among threads; see loops.h. */
#include "loops.h"
#include <pthread.h>

#define SHARES 8

typedef struct {
    Work work;
    const void *job;
    double *sums;
    long clips, width;
    int first, step, failed;
} Worker;

static void *run(void *argument) {
    Worker *w = argument;
    for (long share = w->first; share < SHARES; share += w->step)
        w->failed |= w->work(w->job, w->clips * share / SHARES, w->clips * (share + 1) / SHARES,
                             w->sums ? w->sums + share * w->width : NULL);
    return NULL;
}

int over_clips(const Size *size, Work work, const void *job, double *total, long width) {
    double *sums = width ? calloc(SHARES * width, sizeof(double)) : NULL;
    if (width && !sums) return 1;
    int threads = size->threads < 1 ? 1 : size->threads > SHARES ? SHARES : (int)size->threads;
    Worker workers[SHARES];
    pthread_t ids[SHARES];
    int started[SHARES], failed = 0;
    for (int i = 0; i < threads; i++) {
        workers[i] = (Worker){work, job, sums, size->clips, width, i, threads, 0};
        started[i] = i > 0 && !pthread_create(&ids[i], NULL, run, &workers[i]);
    }
    for (int i = 0; i < threads; i++)
        if (!started[i]) run(&workers[i]);
    for (int i = 0; i < threads; i++) {
        if (started[i]) pthread_join(ids[i], NULL);
        failed |= workers[i].failed;
    }
    if (width) memset(total, 0, width * sizeof(double));
    for (long share = 0; width && share < SHARES; share++)
        for (long i = 0; i < width; i++) total[i] += sums[share * width + i];
    free(sums);
    return failed;
}
