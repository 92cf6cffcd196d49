/* What the parts of the simulated NVML share. */
#ifndef AICONFORM_SIMULATOR_H
#define AICONFORM_SIMULATOR_H

/* NVML's own header, from the go-nvml module: there a handle is a struct around a pointer, which is passed alike. */
#define NVML_NO_UNVERSIONED_FUNC_DEFS
#include <nvml.h>

#include "board.h"
#include "load.h"

struct simulator {
    struct sim_board board;
    int board_file;                                   /* -1 until the first nvmlInit; then open for good */
    unsigned users;                                   /* nvmlInit minus nvmlShutdown */
    unsigned count;                                   /* devices the caller may use */
    const struct sim_device *visible[SIM_MAX_DEVICES]; /* in the order of the board; the index NVML counts by */
};

extern SIM_HIDDEN struct simulator simulator;

/* The device behind a handle, or NULL with *error set when NVML is not initialised or the handle is none of ours. */
SIM_HIDDEN const struct sim_device *sim_device_of(nvmlDevice_t handle, nvmlReturn_t *error);

SIM_HIDDEN nvmlReturn_t sim_copy_text(const char *from, char *to, unsigned length);

/* Starts a device function: declares `device`, or returns NVML's error for a bad handle or missing result. */
#define WITH_DEVICE(handle, result)                                   \
    nvmlReturn_t error_;                                              \
    const struct sim_device *device = sim_device_of(handle, &error_); \
    if (device == NULL) return error_;                                \
    if ((result) == NULL) return NVML_ERROR_INVALID_ARGUMENT

#endif
