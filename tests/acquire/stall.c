/* Flash that stalls: while the file STALL_FILE is there, the next fsync or fdatasync takes it away and sleeps. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void stall(void) {
    const char *file = getenv("STALL_FILE"), *seconds = getenv("STALL_SECONDS");
    if (file && seconds && unlink(file) == 0) {
        struct timespec left = {atol(seconds), 0};
        while (nanosleep(&left, &left)) continue;
    }
}

int fsync(int descriptor) {
    stall();
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(descriptor);
}

int fdatasync(int descriptor) {
    stall();
    return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(descriptor);
}
