/* Between the daemon and its disk: what the file named by DISK_FAULT says goes wrong. For LD_PRELOAD. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int faulty(int fd, const char *fault) {
    const char *path = getenv("DISK_FAULT");
    struct stat about;
    char said[16] = {0};
    if (!path || fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) return 0;
    ssize_t (*read_it)(int, void *, size_t) = dlsym(RTLD_NEXT, "read");
    int file = open(path, O_RDONLY);
    if (file < 0) return 0;
    ssize_t length = read_it(file, said, sizeof said - 1);
    close(file);
    return length > 0 && strncmp(said, fault, strlen(fault)) == 0;
}

#define FAIL(fault, number) do { if (faulty(fd, fault)) { errno = number; return -1; } } while (0)
#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *bytes, size_t length) {
    FAIL("full", ENOSPC);
    REAL(write);
    return real(fd, bytes, length);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    FAIL("full", ENOSPC);
    REAL(writev);
    return real(fd, parts, count);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
    FAIL("full", ENOSPC);
    REAL(pwrite64);
    return real(fd, bytes, length, offset);
}

int fsync(int fd) {
    if (faulty(fd, "slow")) sleep(4);
    FAIL("sync", EIO);
    REAL(fsync);
    return real(fd);
}

int fdatasync(int fd) {
    if (faulty(fd, "slow")) sleep(4);
    FAIL("sync", EIO);
    REAL(fdatasync);
    return real(fd);
}
