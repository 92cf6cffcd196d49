/* NVML: library life cycle, versions, device handles, events. */
#define _GNU_SOURCE
#include "simulator.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

struct simulator simulator = {.board_file = -1};
static pthread_mutex_t life_cycle = PTHREAD_MUTEX_INITIALIZER;

static nvmlReturn_t start(void) {
    if (simulator.board_file < 0) simulator.board_file = sim_board_open(&simulator.board);
    if (simulator.board_file < 0) return NVML_ERROR_DRIVER_NOT_LOADED;
    switch (sim_control_refusal(&simulator.board)) {
    case 0: break;
    case EPERM:
    case EACCES: return NVML_ERROR_NO_PERMISSION;
    default: return NVML_ERROR_DRIVER_NOT_LOADED;
    }
    simulator.count = 0;
    for (unsigned i = 0; i < simulator.board.count; i++)
        if (sim_device_usable(&simulator.board.devices[i]))
            simulator.visible[simulator.count++] = &simulator.board.devices[i];
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlInit_v2(void) {
    pthread_mutex_lock(&life_cycle);
    nvmlReturn_t result = simulator.users > 0 ? NVML_SUCCESS : start();
    if (result == NVML_SUCCESS) simulator.users++;
    pthread_mutex_unlock(&life_cycle);
    return result;
}

nvmlReturn_t nvmlInit(void) { return nvmlInit_v2(); }

nvmlReturn_t nvmlInitWithFlags(unsigned int flags) { return (void)flags, nvmlInit_v2(); }

nvmlReturn_t nvmlShutdown(void) {
    pthread_mutex_lock(&life_cycle);
    nvmlReturn_t result = simulator.users > 0 ? NVML_SUCCESS : NVML_ERROR_UNINITIALIZED;
    if (simulator.users > 0) simulator.users--;
    pthread_mutex_unlock(&life_cycle);
    return result;
}

const char *nvmlErrorString(nvmlReturn_t result) {
    switch (result) {
    case NVML_SUCCESS: return "The operation was successful";
    case NVML_ERROR_UNINITIALIZED: return "NVML was not first initialized with nvmlInit()";
    case NVML_ERROR_INVALID_ARGUMENT: return "A supplied argument is invalid";
    case NVML_ERROR_NOT_SUPPORTED: return "The requested operation is not available on target device";
    case NVML_ERROR_NO_PERMISSION: return "The current user does not have permission for operation";
    case NVML_ERROR_NOT_FOUND: return "A query to find an object was unsuccessful";
    case NVML_ERROR_INSUFFICIENT_SIZE: return "An input argument is not large enough";
    case NVML_ERROR_DRIVER_NOT_LOADED: return "NVIDIA driver is not loaded";
    case NVML_ERROR_TIMEOUT: return "User provided timeout passed";
    case NVML_ERROR_ARGUMENT_VERSION_MISMATCH: return "The provided version is invalid/unsupported";
    default: return "An internal driver error occurred";
    }
}

const struct sim_device *sim_device_of(nvmlDevice_t handle, nvmlReturn_t *error) {
    *error = NVML_ERROR_UNINITIALIZED;
    if (simulator.users == 0) return NULL;
    *error = NVML_ERROR_INVALID_ARGUMENT;
    for (unsigned i = 0; i < simulator.count; i++)
        if ((const void *)handle.handle == (const void *)simulator.visible[i]) return simulator.visible[i];
    return NULL;
}

nvmlReturn_t sim_copy_text(const char *from, char *to, unsigned length) {
    if (to == NULL) return NVML_ERROR_INVALID_ARGUMENT;
    if (strlen(from) >= length) return NVML_ERROR_INSUFFICIENT_SIZE;
    strcpy(to, from);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned int length) {
    if (simulator.users == 0) return NVML_ERROR_UNINITIALIZED;
    return sim_copy_text(simulator.board.driver_version, version, length);
}

/* The real library leads its own version with the CUDA major version: 13.580.126.20. */
nvmlReturn_t nvmlSystemGetNVMLVersion(char *version, unsigned int length) {
    char text[2 * SIM_TEXT];
    if (simulator.users == 0) return NVML_ERROR_UNINITIALIZED;
    snprintf(text, sizeof text, "%u.%s", simulator.board.cuda_version / 1000, simulator.board.driver_version);
    return sim_copy_text(text, version, length);
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *version) {
    if (version == NULL) return NVML_ERROR_INVALID_ARGUMENT;
    if (simulator.users == 0) return NVML_ERROR_UNINITIALIZED;
    *version = (int)simulator.board.cuda_version;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion(int *version) { return nvmlSystemGetCudaDriverVersion_v2(version); }

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *count) {
    if (simulator.users == 0) return NVML_ERROR_UNINITIALIZED;
    if (count == NULL) return NVML_ERROR_INVALID_ARGUMENT;
    *count = simulator.count;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCount(unsigned int *count) { return nvmlDeviceGetCount_v2(count); }

static nvmlReturn_t handle_at(unsigned index, nvmlDevice_t *handle) {
    if (simulator.users == 0) return NVML_ERROR_UNINITIALIZED;
    if (handle == NULL || index >= simulator.count) return NVML_ERROR_INVALID_ARGUMENT;
    handle->handle = (void *)(size_t)simulator.visible[index];
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device) {
    return handle_at(index, device);
}

nvmlReturn_t nvmlDeviceGetHandleByIndex(unsigned int index, nvmlDevice_t *device) { return handle_at(index, device); }

static nvmlReturn_t find(const char *wanted, size_t field, nvmlDevice_t *handle) {
    if (simulator.users == 0) return NVML_ERROR_UNINITIALIZED;
    if (wanted == NULL || handle == NULL) return NVML_ERROR_INVALID_ARGUMENT;
    for (unsigned i = 0; i < simulator.count; i++)
        if (strcasecmp((const char *)simulator.visible[i] + field, wanted) == 0) return handle_at(i, handle);
    return NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device) {
    return find(uuid, offsetof(struct sim_device, uuid), device);
}

nvmlReturn_t nvmlDeviceGetHandleBySerial(const char *serial, nvmlDevice_t *device) {
    return find(serial, offsetof(struct sim_device, serial), device);
}

nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, nvmlDevice_t *device) {
    char full[SIM_TEXT];
    if (bus_id == NULL) return NVML_ERROR_INVALID_ARGUMENT;
    /* Callers leave out the domain, or give it the four digits of sysfs. */
    const char *missing = strlen(bus_id) == 7 ? "00000000:" : strlen(bus_id) == 12 ? "0000" : "";
    snprintf(full, sizeof full, "%s%s", missing, bus_id);
    return find(full, offsetof(struct sim_device, bus_id), device);
}

nvmlReturn_t nvmlDeviceGetHandleByPciBusId(const char *bus_id, nvmlDevice_t *device) {
    return nvmlDeviceGetHandleByPciBusId_v2(bus_id, device);
}

/* Simulated devices never fail, so an event set only waits. */
static char event_set;

nvmlReturn_t nvmlEventSetCreate(nvmlEventSet_t *set) {
    if (simulator.users == 0) return NVML_ERROR_UNINITIALIZED;
    if (set == NULL) return NVML_ERROR_INVALID_ARGUMENT;
    set->handle = (void *)&event_set;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlEventSetFree(nvmlEventSet_t set) { return (void)set, NVML_SUCCESS; }

nvmlReturn_t nvmlDeviceGetSupportedEventTypes(nvmlDevice_t handle, unsigned long long *types) {
    WITH_DEVICE(handle, types);
    *types = nvmlEventTypeXidCriticalError | nvmlEventTypeDoubleBitEccError | nvmlEventTypeSingleBitEccError;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t handle, unsigned long long types, nvmlEventSet_t set) {
    WITH_DEVICE(handle, set.handle);
    return (void)types, NVML_SUCCESS;
}

nvmlReturn_t nvmlEventSetWait_v2(nvmlEventSet_t set, nvmlEventData_t *data, unsigned int timeout_ms) {
    if (set.handle == NULL || data == NULL) return NVML_ERROR_INVALID_ARGUMENT;
    struct timespec rest = {timeout_ms / 1000, (long)(timeout_ms % 1000) * 1000000L};
    while (nanosleep(&rest, &rest) != 0 && errno == EINTR) continue;
    return NVML_ERROR_TIMEOUT;
}

nvmlReturn_t nvmlEventSetWait(nvmlEventSet_t set, nvmlEventData_t *data, unsigned int timeout_ms) {
    return nvmlEventSetWait_v2(set, data, timeout_ms);
}
