/* Between the daemon and the machine's clock: the file named by CLOCK_OFFSET has the microseconds it is wrong by. For LD_PRELOAD. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define EVERY 20000000LL /* ns between two looks at the file */

static long long offset, looked;

static long long nanos(const struct timespec *time) { return time->tv_sec * 1000000000LL + time->tv_nsec; }

int clock_gettime(clockid_t id, struct timespec *time) {
    int (*real)(clockid_t, struct timespec *) = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    struct timespec now;
    const char *path;
    FILE *file;
    long long by;
    int said = real(id, time);
    if (id != CLOCK_REALTIME || said != 0) return said;
    real(CLOCK_MONOTONIC, &now);
    if (nanos(&now) >= __atomic_load_n(&looked, __ATOMIC_RELAXED) + EVERY) {
        __atomic_store_n(&looked, nanos(&now), __ATOMIC_RELAXED);
        path = getenv("CLOCK_OFFSET");
        file = path ? fopen(path, "r") : NULL;
        if (file) {
            /* Half written: the next look finds it. */
            if (fscanf(file, "%lld;", &by) == 1) __atomic_store_n(&offset, by, __ATOMIC_RELAXED);
            fclose(file);
        }
    }
    by = nanos(time) + __atomic_load_n(&offset, __ATOMIC_RELAXED) * 1000;
    time->tv_sec = by / 1000000000LL;
    time->tv_nsec = by % 1000000000LL;
    return 0;
}
