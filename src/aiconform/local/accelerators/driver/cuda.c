/* libcuda: versions, devices and memory, and kernels that are not executed but count as load on their device. */
#define _GNU_SOURCE
#include "board.h"
#include "load.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

typedef int CUresult;
typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
enum {
    CUDA_SUCCESS = 0,
    CUDA_ERROR_INVALID_VALUE = 1,
    CUDA_ERROR_OUT_OF_MEMORY = 2,
    CUDA_ERROR_NOT_INITIALIZED = 3,
    CUDA_ERROR_NO_DEVICE = 100,
    CUDA_ERROR_INVALID_DEVICE = 101,
    CUDA_ERROR_INVALID_CONTEXT = 201,
    CUDA_ERROR_UNKNOWN = 999,
};

#define MIB ((size_t)1 << 20)

static struct sim_board board;
static int opened = -1, usable;
static const struct sim_device *visible[SIM_MAX_DEVICES];
static const struct sim_device *current; /* whose context is the caller's */
static struct sim_load ours;

CUresult cuInit(unsigned int flags) {
    (void)flags;
    if (opened < 0) opened = sim_board_open(&board);
    if (opened < 0 || sim_control_refusal(&board) != 0) return CUDA_ERROR_NO_DEVICE;
    usable = 0;
    for (unsigned i = 0; i < board.count; i++)
        if (sim_device_usable(&board.devices[i])) visible[usable++] = &board.devices[i];
    return usable > 0 ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE;
}

CUresult cuDriverGetVersion(int *version) {
    if (version == NULL) return CUDA_ERROR_INVALID_VALUE;
    if (opened < 0) opened = sim_board_open(&board);
    *version = (int)board.cuda_version;
    return opened < 0 ? CUDA_ERROR_NO_DEVICE : CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int *count) {
    if (count == NULL) return CUDA_ERROR_INVALID_VALUE;
    if (opened < 0) return CUDA_ERROR_NOT_INITIALIZED;
    *count = usable;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal) {
    if (device == NULL) return CUDA_ERROR_INVALID_VALUE;
    if (ordinal < 0 || ordinal >= usable) return CUDA_ERROR_INVALID_DEVICE;
    *device = ordinal;
    return CUDA_SUCCESS;
}

/* The sixteen bytes of GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx. */
CUresult cuDeviceGetUuid_v2(unsigned char *uuid, CUdevice device) {
    if (uuid == NULL) return CUDA_ERROR_INVALID_VALUE;
    if (device < 0 || device >= usable) return CUDA_ERROR_INVALID_DEVICE;
    const char *text = strchr(visible[device]->uuid, '-');
    for (int byte = 0; text != NULL && byte < 16; byte++) {
        text += *text == '-';
        if (sscanf(text, "%2hhx", &uuid[byte]) != 1) return CUDA_ERROR_UNKNOWN;
        text += 2;
    }
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetUuid(unsigned char *uuid, CUdevice device) { return cuDeviceGetUuid_v2(uuid, device); }

CUresult cuDevicePrimaryCtxRetain(void **context, CUdevice device) {
    if (context == NULL) return CUDA_ERROR_INVALID_VALUE;
    if (device < 0 || device >= usable) return CUDA_ERROR_INVALID_DEVICE;
    *context = (void *)(size_t)visible[device];
    return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(void *context) {
    current = context;
    return CUDA_SUCCESS;
}

static CUresult hold(struct sim_load load) {
    if (current == NULL) return CUDA_ERROR_INVALID_CONTEXT;
    if (sim_load_hold(opened, current->minor, load) != 0) return CUDA_ERROR_UNKNOWN;
    ours = load;
    return CUDA_SUCCESS;
}

/* Memory is counted, in whole MiB, and never freed before the process ends; there is none to read or write. */
CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t size) {
    if (address == NULL || size == 0) return CUDA_ERROR_INVALID_VALUE;
    if (current == NULL) return CUDA_ERROR_INVALID_CONTEXT;
    unsigned used = sim_load_total(opened, current->minor).memory_mib;
    size_t mib = (size + MIB - 1) / MIB;
    if (used > current->memory_mib || mib > current->memory_mib - used) return CUDA_ERROR_OUT_OF_MEMORY;
    *address = (CUdeviceptr)(used + 1) * MIB;
    return hold((struct sim_load){ours.utilization, ours.memory_mib + (unsigned)mib});
}

static char module, function;

CUresult cuModuleLoadData(void **loaded, const void *image) {
    if (loaded == NULL || image == NULL) return CUDA_ERROR_INVALID_VALUE;
    *loaded = &module;
    return current == NULL ? CUDA_ERROR_INVALID_CONTEXT : CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(void **found, void *from, const char *name) {
    if (found == NULL || from != &module || name == NULL) return CUDA_ERROR_INVALID_VALUE;
    *found = &function;
    return CUDA_SUCCESS;
}

/* A program that launches works its device until it ends: NVML averages over up to a second, so pauses do not show. */
CUresult cuLaunchKernel(void *launched, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                        unsigned block_y, unsigned block_z, unsigned shared, void *stream, void **parameters,
                        void **extra) {
    (void)shared, (void)stream, (void)parameters, (void)extra;
    if (launched != &function || !grid_x || !grid_y || !grid_z || !block_x || !block_y || !block_z)
        return CUDA_ERROR_INVALID_VALUE;
    return ours.utilization == 100 ? CUDA_SUCCESS : hold((struct sim_load){100, ours.memory_mib});
}

CUresult cuCtxSynchronize(void) {
    struct timespec kernel = {0, 50000000L};
    if (current == NULL) return CUDA_ERROR_INVALID_CONTEXT;
    return nanosleep(&kernel, NULL), CUDA_SUCCESS;
}
