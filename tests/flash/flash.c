/* A flash that fails when it is told to: preloaded, it stands between a process (SQLite included) and its C library.
 *
 * Every call on a path below the watched directory is one operation, numbered from 1. What is mapped (a -shm) has no
 * calls and is left alone, and so is fstat(2), which needs no medium. What happens at the armed operation is its kind:
 *
 *   ONCE      the call fails
 *   PATH      it fails, and so does every later call on this file's content, whatever its name becomes, or, if the call
 *             was about the name, every later call on this path: a bad place of the medium
 *   READONLY  from then on every call that changes something fails
 *   FULL      from then on every call that needs room fails; the first write(2) still takes its half
 *   FLIP      one bit of what the call reads, or writes, is another one
 */
#define _GNU_SOURCE 1
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NONE, ONCE, PATH, READONLY, FULL, FLIP };
enum { READS = 'r', LOOKS = 'l', CHANGES = 'c', GROWS = 'g', SYNCS = 's' };
enum { MOST_FILES = 4096 };

static char root[PATH_MAX];
static size_t root_length;
static char *path_of[MOST_FILES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long count, target, fired_count;
static int kind, error, quiet, trace = -1, tells_full, bad_content;
static unsigned long bit;
static char bad_path[PATH_MAX], fired[PATH_MAX + 64];

/* -- control, called from the test */

void flash_watch(const char *directory)
{
    snprintf(root, sizeof root, "%s", directory);
    root_length = strlen(root);
}

/* What `what` does at operation `at`, counted from now on. `which` is the flipped bit, modulo those that there are. */
void flash_arm(long at, int what, int number, unsigned long which, int tells)
{
    pthread_mutex_lock(&lock);
    count = fired_count = 0;
    target = at, kind = what, error = number, bit = which, tells_full = tells;
    fired[0] = bad_path[0] = 0;
    pthread_mutex_unlock(&lock);
}

void flash_heal(void) { kind = NONE; }
void flash_quiet(int more) { quiet += more; }
void flash_trace(int descriptor) { trace = descriptor; }
long flash_count(void) { return count; }
long flash_fired_count(void) { return fired_count; }
const char *flash_fired(void) { return fired; }

/* -- deciding */

static int is_watched(const char *path)
{
    size_t length;
    if (!root_length || quiet || !path || strncmp(path, root, root_length) != 0)
        return 0;
    if (path[root_length] != '/' && path[root_length] != 0)
        return 0;
    length = strlen(path);
    return length < 4 || strcmp(path + length - 4, "-shm") != 0;
}

static int concerns(char effect)
{
    if (kind == READONLY)
        return effect == CHANGES || effect == GROWS || effect == SYNCS;
    if (kind == FULL)
        return effect == GROWS;
    return kind != FLIP;
}

static const char *inside(const char *path)
{
    return path[root_length] ? path + root_length + 1 : ".";
}

static void remember(int descriptor, const char *path);

/* One line for each operation that has ended: what it is, what came of it, its name, its path, and a second path. */
static void tell(char effect, long result, const char *call, const char *path, const char *other)
{
    int before = errno;
    if (other && result == 0 && strcmp(call, "rename") == 0) {
        if (strcmp(path, bad_path) == 0)
            snprintf(bad_path, sizeof bad_path, "%s", other);
        for (int descriptor = 0; descriptor < MOST_FILES; descriptor++)
            if (path_of[descriptor] && strcmp(path_of[descriptor], path) == 0)
                remember(descriptor, other);
    }
    if (trace >= 0)
        dprintf(trace, "%c %ld %s %s%s%s\n", effect, result, call, inside(path), other ? " " : "",
                other ? inside(other) : "");
    errno = before;
}

static int is_about_content(const char *call)
{
    return strchr("rwftao", call[0]) && strcmp(call, "rename") != 0 && strcmp(call, "access") != 0 &&
           strcmp(call, "opendir") != 0 && strcmp(call, "rmdir") != 0;
}

static void note(const char *call, const char *path)
{
    if (!fired_count++)
        snprintf(fired, sizeof fired, "%s %s", call, inside(path));
}

/* Counts one operation; true when it must fail, and errno says how. `is_now` says that it is the armed one. */
static int fails(const char *call, const char *path, char effect, int *is_now)
{
    int bad = 0, now;
    pthread_mutex_lock(&lock);
    now = ++count == target;
    if (is_now)
        *is_now = now;
    if (kind != NONE && kind != FLIP && count >= target && target > 0) {
        if (kind == ONCE)
            bad = now;
        else if (kind == PATH) {
            if (now) {
                snprintf(bad_path, sizeof bad_path, "%s", path);
                bad_content = is_about_content(call);
            }
            bad = strcmp(bad_path, path) == 0 && (!bad_content || is_about_content(call));
        } else
            bad = concerns(effect);
        if (bad)
            note(call, path);
    }
    pthread_mutex_unlock(&lock);
    if (bad) {
        errno = error;
        if (kind != FULL || !now || strcmp(call, "write") != 0)
            tell(effect, -1, call, path, NULL);
    }
    return bad;
}

static const char *path_of_descriptor(int descriptor)
{
    const char *path = descriptor >= 0 && descriptor < MOST_FILES ? path_of[descriptor] : NULL;
    return is_watched(path) ? path : NULL;
}

static void remember(int descriptor, const char *path)
{
    if (descriptor >= 0 && descriptor < MOST_FILES) {
        free(path_of[descriptor]);
        path_of[descriptor] = path ? strdup(path) : NULL;
    }
}

/* The path that (directory, name) means; NULL when it is none that is watched. */
static const char *resolve(int directory, const char *name, char *room)
{
    const char *top;
    if (name && name[0] != '/' && directory >= 0 && directory < MOST_FILES && (top = path_of[directory])) {
        snprintf(room, PATH_MAX, "%s/%s", top, name);
        return is_watched(room) ? room : NULL;
    }
    return is_watched(name) ? name : NULL;
}

static int is_there(const char *path)
{
    static int (*real)(const char *, int);
    if (!real)
        real = dlsym(RTLD_NEXT, "access");
    int before = errno, found = real(path, F_OK) == 0;
    errno = before;
    return found;
}

#define REAL(name, ...) \
    static __typeof__(name) *real; \
    if (!real) \
        real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

/* -- opening and closing */

static int open_as(int (*real)(int, const char *, int, ...), int directory, const char *name, int flags, mode_t mode)
{
    char room[PATH_MAX], effect = LOOKS;
    const char *path = resolve(directory, name, room);
    int descriptor;
    if (path) {
        if (flags & O_CREAT && !is_there(path))
            effect = GROWS;
        else if ((flags & O_ACCMODE) != O_RDONLY)
            effect = CHANGES;
        if (fails("open", path, effect, NULL))
            return -1;
    }
    descriptor = real(directory, name, flags, mode);
    if (path)
        tell(effect, descriptor < 0 ? -1 : 0, "open", path, NULL);
    if (descriptor >= 0)
        remember(descriptor, path);
    return descriptor;
}

static int real_openat(int directory, const char *name, int flags, ...)
{
    static int (*real)(int, const char *, int, ...);
    va_list more;
    mode_t mode;
    va_start(more, flags);
    mode = va_arg(more, mode_t);
    va_end(more);
    if (!real)
        real = dlsym(RTLD_NEXT, "openat64");
    return real(directory, name, flags, mode);
}

#define MODE_BEHIND(last, mode) \
    mode_t mode = 0; \
    if ((last) & (O_CREAT | O_TMPFILE)) { \
        va_list more; \
        va_start(more, last); \
        mode = va_arg(more, mode_t); \
        va_end(more); \
    }

int open(const char *name, int flags, ...) { MODE_BEHIND(flags, mode) return open_as(real_openat, AT_FDCWD, name, flags, mode); }
int open64(const char *name, int flags, ...) { MODE_BEHIND(flags, mode) return open_as(real_openat, AT_FDCWD, name, flags, mode); }
int openat(int directory, const char *name, int flags, ...) { MODE_BEHIND(flags, mode) return open_as(real_openat, directory, name, flags, mode); }
int openat64(int directory, const char *name, int flags, ...) { MODE_BEHIND(flags, mode) return open_as(real_openat, directory, name, flags, mode); }
int creat(const char *name, mode_t mode) { return open_as(real_openat, AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode); }

int close(int descriptor)
{
    REAL(close);
    remember(descriptor, NULL);
    return real(descriptor);
}

/* -- bytes */

static void flip(unsigned char *data, size_t size, const char *call, const char *path)
{
    unsigned long place = bit % (size * 8);
    data[place / 8] ^= (unsigned char)(1u << place % 8);
    note(call, path);
}

#define READING(name, call, ...) \
    const char *path = path_of_descriptor(descriptor); \
    int is_now = 0; \
    ssize_t result; \
    REAL(name); \
    if (path && fails("read", path, READS, &is_now)) \
        return -1; \
    result = call; \
    if (path) \
        tell(READS, result, "read", path, NULL); \
    if (is_now && kind == FLIP && result > 0) \
        flip(data, (size_t)result, "read", path); \
    return result;

ssize_t read(int descriptor, void *data, size_t size) { READING(read, real(descriptor, data, size)) }
ssize_t pread(int descriptor, void *data, size_t size, off_t at) { READING(pread, real(descriptor, data, size, at)) }
ssize_t pread64(int descriptor, void *data, size_t size, off64_t at) { READING(pread64, real(descriptor, data, size, at)) }

static ssize_t write_as(int descriptor, const void *data, size_t size, off64_t at)
{
    static ssize_t (*real_write)(int, const void *, size_t), (*real_pwrite)(int, const void *, size_t, off64_t);
    const char *path = path_of_descriptor(descriptor);
    unsigned char *other = NULL;
    int is_now = 0;
    ssize_t result;
    if (!real_write) {
        real_write = dlsym(RTLD_NEXT, "write");
        real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    }
    if (path && fails("write", path, GROWS, &is_now)) {
        if (kind != FULL || !is_now || size < 2)
            return -1;
        size /= 2;
    }
    if (path && is_now && kind == FLIP && size && (other = malloc(size))) {
        memcpy(other, data, size);
        flip(other, size, "write", path);
        data = other;
    }
    result = at < 0 ? real_write(descriptor, data, size) : real_pwrite(descriptor, data, size, at);
    free(other);
    if (path)
        tell(GROWS, result, "write", path, NULL);
    return result;
}

ssize_t write(int descriptor, const void *data, size_t size) { return write_as(descriptor, data, size, -1); }
ssize_t pwrite(int descriptor, const void *data, size_t size, off_t at) { return write_as(descriptor, data, size, at); }
ssize_t pwrite64(int descriptor, const void *data, size_t size, off64_t at) { return write_as(descriptor, data, size, at); }

/* Vectors are not torn apart: they fail or do not. */
#define VECTOR(name, effect, word, call, ...) \
    const char *path = path_of_descriptor(descriptor); \
    REAL(name); \
    long result; \
    if (path && fails(word, path, effect, NULL)) \
        return -1; \
    result = call; \
    if (path) \
        tell(effect, result, word, path, NULL); \
    return result;

ssize_t readv(int descriptor, const struct iovec *parts, int number) { VECTOR(readv, READS, "read", real(descriptor, parts, number)) }
ssize_t writev(int descriptor, const struct iovec *parts, int number) { VECTOR(writev, GROWS, "write", real(descriptor, parts, number)) }
ssize_t preadv(int descriptor, const struct iovec *parts, int number, off_t at) { VECTOR(preadv, READS, "read", real(descriptor, parts, number, at)) }
ssize_t preadv64(int descriptor, const struct iovec *parts, int number, off64_t at) { VECTOR(preadv64, READS, "read", real(descriptor, parts, number, at)) }
ssize_t pwritev(int descriptor, const struct iovec *parts, int number, off_t at) { VECTOR(pwritev, GROWS, "write", real(descriptor, parts, number, at)) }
ssize_t pwritev64(int descriptor, const struct iovec *parts, int number, off64_t at) { VECTOR(pwritev64, GROWS, "write", real(descriptor, parts, number, at)) }

#define ON_FILE(name, effect, word, call) \
    const char *path = path_of_descriptor(descriptor); \
    REAL(name); \
    int result; \
    if (path && fails(word, path, effect, NULL)) \
        return -1; \
    result = call; \
    if (path) \
        tell(effect, result, word, path, NULL); \
    return result;

int fsync(int descriptor) { ON_FILE(fsync, SYNCS, "fsync", real(descriptor)) }
int fdatasync(int descriptor) { ON_FILE(fdatasync, SYNCS, "fdatasync", real(descriptor)) }
int ftruncate(int descriptor, off_t size) { ON_FILE(ftruncate, CHANGES, "truncate", real(descriptor, size)) }
int ftruncate64(int descriptor, off64_t size) { ON_FILE(ftruncate64, CHANGES, "truncate", real(descriptor, size)) }
int fallocate(int descriptor, int mode, off_t at, off_t size) { ON_FILE(fallocate, GROWS, "allocate", real(descriptor, mode, at, size)) }
int fallocate64(int descriptor, int mode, off64_t at, off64_t size) { ON_FILE(fallocate64, GROWS, "allocate", real(descriptor, mode, at, size)) }
int fchmod(int descriptor, mode_t mode) { ON_FILE(fchmod, CHANGES, "chmod", real(descriptor, mode)) }

/* -- names */

#define ON_PATH(name, directory, first, second, effect, word, call) \
    char room[PATH_MAX]; \
    const char *path = resolve(directory, first, room); \
    REAL(name); \
    int result; \
    if (path && fails(word, path, effect, NULL)) \
        return -1; \
    result = call; \
    if (path) \
        tell(effect, result, word, path, second); \
    return result;

int stat(const char *name, struct stat *found) { ON_PATH(stat, AT_FDCWD, name, NULL, LOOKS, "stat", real(name, found)) }
int stat64(const char *name, struct stat64 *found) { ON_PATH(stat64, AT_FDCWD, name, NULL, LOOKS, "stat", real(name, found)) }
int lstat(const char *name, struct stat *found) { ON_PATH(lstat, AT_FDCWD, name, NULL, LOOKS, "stat", real(name, found)) }
int lstat64(const char *name, struct stat64 *found) { ON_PATH(lstat64, AT_FDCWD, name, NULL, LOOKS, "stat", real(name, found)) }
int fstatat(int directory, const char *name, struct stat *found, int flags) { ON_PATH(fstatat, directory, name, NULL, LOOKS, "stat", real(directory, name, found, flags)) }
int fstatat64(int directory, const char *name, struct stat64 *found, int flags) { ON_PATH(fstatat64, directory, name, NULL, LOOKS, "stat", real(directory, name, found, flags)) }
int statx(int directory, const char *name, int flags, unsigned mask, struct statx *found) { ON_PATH(statx, directory, name, NULL, LOOKS, "stat", real(directory, name, flags, mask, found)) }
int access(const char *name, int mode) { ON_PATH(access, AT_FDCWD, name, NULL, LOOKS, "access", real(name, mode)) }
int unlink(const char *name) { ON_PATH(unlink, AT_FDCWD, name, NULL, CHANGES, "unlink", real(name)) }
int unlinkat(int directory, const char *name, int flags) { ON_PATH(unlinkat, directory, name, NULL, CHANGES, "unlink", real(directory, name, flags)) }
int rmdir(const char *name) { ON_PATH(rmdir, AT_FDCWD, name, NULL, CHANGES, "rmdir", real(name)) }
int mkdir(const char *name, mode_t mode) { ON_PATH(mkdir, AT_FDCWD, name, NULL, GROWS, "mkdir", real(name, mode)) }
int mkdirat(int directory, const char *name, mode_t mode) { ON_PATH(mkdirat, directory, name, NULL, GROWS, "mkdir", real(directory, name, mode)) }
int chmod(const char *name, mode_t mode) { ON_PATH(chmod, AT_FDCWD, name, NULL, CHANGES, "chmod", real(name, mode)) }
int truncate(const char *name, off_t size) { ON_PATH(truncate, AT_FDCWD, name, NULL, CHANGES, "truncate", real(name, size)) }
int truncate64(const char *name, off64_t size) { ON_PATH(truncate64, AT_FDCWD, name, NULL, CHANGES, "truncate", real(name, size)) }
int rename(const char *from, const char *to) { ON_PATH(rename, AT_FDCWD, from, to, GROWS, "rename", real(from, to)) }
int renameat(int at, const char *from, int there, const char *to) { ON_PATH(renameat, at, from, to, GROWS, "rename", real(at, from, there, to)) }
int renameat2(int at, const char *from, int there, const char *to, unsigned flags) { ON_PATH(renameat2, at, from, to, GROWS, "rename", real(at, from, there, to, flags)) }
int link(const char *from, const char *to) { ON_PATH(link, AT_FDCWD, from, to, GROWS, "link", real(from, to)) }
int linkat(int at, const char *from, int there, const char *to, int flags) { ON_PATH(linkat, at, from, to, GROWS, "link", real(at, from, there, to, flags)) }

#define ROOM(name, type) \
    int name(const char *where, struct type *found) \
    { \
        char room[PATH_MAX]; \
        const char *path = resolve(AT_FDCWD, where, room); \
        int result; \
        REAL(name); \
        if (path && fails("statvfs", path, LOOKS, NULL)) \
            return -1; \
        result = real(where, found); \
        if (path) \
            tell(LOOKS, result, "statvfs", path, NULL); \
        if (path && result == 0 && kind == FULL && tells_full && target > 0 && count >= target) \
            found->f_bavail = found->f_bfree = 0; \
        return result; \
    }

ROOM(statvfs, statvfs)
ROOM(statvfs64, statvfs64)

/* -- directories */

DIR *opendir(const char *name)
{
    char room[PATH_MAX];
    const char *path = resolve(AT_FDCWD, name, room);
    DIR *directory;
    REAL(opendir);
    if (path && fails("opendir", path, LOOKS, NULL))
        return NULL;
    directory = real(name);
    if (path)
        tell(LOOKS, directory ? 0 : -1, "opendir", path, NULL);
    if (directory)
        remember(dirfd(directory), path);
    return directory;
}

int closedir(DIR *directory)
{
    REAL(closedir);
    remember(dirfd(directory), NULL);
    return real(directory);
}

#define LISTING(name, type) \
    struct type *name(DIR *directory) \
    { \
        const char *path = path_of_descriptor(dirfd(directory)); \
        REAL(name); \
        if (path && fails("readdir", path, LOOKS, NULL)) \
            return NULL; \
        if (path) \
            tell(LOOKS, 0, "readdir", path, NULL); \
        return real(directory); \
    }

LISTING(readdir, dirent)
LISTING(readdir64, dirent64)
