/*
 * Loaded before libfaketime: the allocator of a program gets ready before libfaketime does.
 *
 * jemalloc asks for the time and makes condition variables while it gets ready; libfaketime, which answers both,
 * allocates while it gets ready itself. Whichever comes first waits for ever for the other. Here both calls are
 * answered without libfaketime until the allocator is ready, and handed on to it from then on.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int (*next_clock_gettime)(clockid_t, struct timespec *);
static int (*next_pthread_cond_init)(pthread_cond_t *, const pthread_condattr_t *);

int clock_gettime(clockid_t clock, struct timespec *time) {
    return next_clock_gettime ? next_clock_gettime(clock, time) : (int)syscall(SYS_clock_gettime, clock, time);
}

int pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes) {
    if (next_pthread_cond_init) {
        return next_pthread_cond_init(condition, attributes);
    }
    /* What PTHREAD_COND_INITIALIZER makes. */
    memset(condition, 0, sizeof *condition);
    return 0;
}

/* dlsym allocates, so that the allocator must be ready first. */
__attribute__((constructor)) static void hand_on(void) {
    free(malloc(1));
    next_pthread_cond_init = dlsym(RTLD_NEXT, "pthread_cond_init");
    next_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
}
