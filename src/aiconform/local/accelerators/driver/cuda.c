/* libcuda: versions and a device count, for programs that ask whether CUDA is there. It runs no kernels. */
#include "board.h"

#include <stddef.h>

typedef int CUresult;
enum { CUDA_SUCCESS = 0, CUDA_ERROR_INVALID_VALUE = 1, CUDA_ERROR_NOT_INITIALIZED = 3, CUDA_ERROR_NO_DEVICE = 100 };

static struct sim_board board;
static int opened = -1, usable;

CUresult cuInit(unsigned int flags) {
    (void)flags;
    if (opened < 0) opened = sim_board_open(&board);
    if (opened < 0 || sim_control_refusal(&board) != 0) return CUDA_ERROR_NO_DEVICE;
    usable = 0;
    for (unsigned i = 0; i < board.count; i++) usable += sim_device_usable(&board.devices[i]);
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
