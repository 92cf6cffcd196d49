#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Offsets: device (from bit 40), slot (from bit 26), value (25 bits: memory in MiB, then 7 bits of per cent). */
#define DEVICE_STRIDE ((off_t)1 << 40)
#define SLOT_SIZE ((off_t)1 << 26)
#define SLOTS 4096u
#define MAX_HOLDERS 64u

static off_t held_at[SIM_MAX_DEVICES]; /* first byte of our own lock plus one; 0 when none is held */

static int lock(int board, int type, off_t start, off_t length) {
    struct flock range = {.l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    return fcntl(board, F_SETLK, &range);
}

/* Finds a lock of another process, or of ours, in [start, end): an open-file query meets the process's own too. */
static int find(int board, off_t start, off_t end, struct flock *found) {
    if (start >= end) return 0;
    *found = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = end - start};
    return fcntl(board, F_OFD_GETLK, found) == 0 && found->l_type != F_UNLCK;
}

/* The same without our own lock: a process never conflicts with itself. */
static int others_in_slot(int board, off_t start) {
    struct flock found = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = SLOT_SIZE};
    return fcntl(board, F_GETLK, &found) != 0 || found.l_type != F_UNLCK;
}

static unsigned pick_slot(unsigned attempt) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return ((unsigned)getpid() * 2654435761u + (unsigned)now.tv_nsec + attempt * 40503u) % SLOTS;
}

int sim_load_hold(int board, unsigned minor, struct sim_load load) {
    off_t base = (off_t)minor * DEVICE_STRIDE;
    if (minor >= SIM_MAX_DEVICES || load.utilization > 100 || load.memory_mib >= 1u << 18) return errno = EINVAL, -1;
    if (held_at[minor] != 0) {
        lock(board, F_UNLCK, base, DEVICE_STRIDE);
        held_at[minor] = 0;
    }
    if (load.utilization == 0 && load.memory_mib == 0) return 0;
    off_t length = (off_t)(load.memory_mib << 7 | load.utilization) + 1;
    for (unsigned attempt = 0; attempt < 100; attempt++) {
        off_t start = base + (off_t)pick_slot(attempt) * SLOT_SIZE;
        if (lock(board, F_RDLCK, start, length) != 0) return -1;
        if (!others_in_slot(board, start)) return held_at[minor] = start + 1, 0;
        lock(board, F_UNLCK, start, SLOT_SIZE); /* somebody took the slot too: both look for another */
    }
    return errno = EBUSY, -1;
}

static unsigned collect(int board, off_t start, off_t end, struct sim_holder *holders, unsigned max) {
    struct flock found;
    if (max == 0 || !find(board, start, end, &found)) return 0;
    unsigned value = (unsigned)(found.l_len - 1);
    holders[0] = (struct sim_holder){found.l_pid, {value & 127u, value >> 7}};
    unsigned count = 1;
    count += collect(board, start, found.l_start, holders + count, max - count);
    return count + collect(board, found.l_start + found.l_len, end, holders + count, max - count);
}

unsigned sim_load_holders(int board, unsigned minor, struct sim_holder *holders, unsigned max) {
    off_t base = (off_t)minor * DEVICE_STRIDE;
    return collect(board, base, base + DEVICE_STRIDE, holders, max);
}

struct sim_load sim_load_total(int board, unsigned minor) {
    struct sim_holder holders[MAX_HOLDERS];
    struct sim_load total = {0, 0};
    unsigned count = sim_load_holders(board, minor, holders, MAX_HOLDERS);
    for (unsigned i = 0; i < count; i++) {
        total.utilization += holders[i].load.utilization;
        total.memory_mib += holders[i].load.memory_mib;
    }
    if (total.utilization > 100) total.utilization = 100;
    return total;
}
