/* NVML: what a device is doing. All figures follow from the load that processes hold on it (load.h). */
#include "simulator.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define MIB ((unsigned long long)1 << 20)
#define MAX_PROCESSES 64

static const unsigned idle_celsius = 32, busy_celsius = 76;
static const unsigned idle_watt = 9;

static struct sim_load load_of(const struct sim_device *device) {
    struct sim_load load = sim_load_total(simulator.board_file, device->minor);
    if (load.memory_mib > device->memory_mib) load.memory_mib = device->memory_mib;
    return load;
}

/* Holds load on a device for as long as the calling process lives; 0 and 0 let go. Not part of NVML. */
nvmlReturn_t simDeviceHoldLoad(nvmlDevice_t handle, unsigned int utilization, unsigned int memory_mib) {
    WITH_DEVICE(handle, handle.handle);
    if (utilization > 100) return NVML_ERROR_INVALID_ARGUMENT;
    struct sim_load ours = {utilization, memory_mib};
    sim_load_hold(simulator.board_file, device->minor, (struct sim_load){0, 0});
    if (memory_mib > device->memory_mib - load_of(device).memory_mib) return NVML_ERROR_MEMORY;
    return sim_load_hold(simulator.board_file, device->minor, ours) == 0 ? NVML_SUCCESS : NVML_ERROR_UNKNOWN;
}

nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t handle, nvmlUtilization_t *utilization) {
    WITH_DEVICE(handle, utilization);
    struct sim_load load = load_of(device);
    utilization->gpu = load.utilization;
    utilization->memory = load.utilization / 2; /* per cent of time in which memory was read or written */
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t handle, nvmlMemory_t *memory) {
    WITH_DEVICE(handle, memory);
    memory->total = device->memory_mib * MIB;
    memory->used = load_of(device).memory_mib * MIB;
    memory->free = memory->total - memory->used;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t handle, nvmlMemory_v2_t *memory) {
    WITH_DEVICE(handle, memory);
    if (memory->version != nvmlMemory_v2) return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    memory->total = device->memory_mib * MIB;
    memory->used = load_of(device).memory_mib * MIB;
    memory->reserved = 0;
    memory->free = memory->total - memory->used;
    return NVML_SUCCESS;
}

static unsigned celsius(const struct sim_device *device) {
    return idle_celsius + (busy_celsius - idle_celsius) * load_of(device).utilization / 100;
}

nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t handle, nvmlTemperatureSensors_t sensor, unsigned int *value) {
    WITH_DEVICE(handle, value);
    if (sensor != NVML_TEMPERATURE_GPU) return NVML_ERROR_INVALID_ARGUMENT;
    if (device->is_virtual) return NVML_ERROR_NOT_SUPPORTED;
    *value = celsius(device);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTemperatureV(nvmlDevice_t handle, nvmlTemperature_t *temperature) {
    WITH_DEVICE(handle, temperature);
    if (temperature->sensorType != NVML_TEMPERATURE_GPU) return NVML_ERROR_INVALID_ARGUMENT;
    if (device->is_virtual) return NVML_ERROR_NOT_SUPPORTED;
    temperature->temperature = (int)celsius(device);
    return NVML_SUCCESS;
}

/* In milliwatts, like the limits below. A guest cannot read the power of its vGPU. */
nvmlReturn_t nvmlDeviceGetPowerUsage(nvmlDevice_t handle, unsigned int *power) {
    WITH_DEVICE(handle, power);
    if (device->is_virtual) return NVML_ERROR_NOT_SUPPORTED;
    *power = idle_watt * 1000 + (device->power_limit_watt - idle_watt) * 10 * load_of(device).utilization;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPowerManagementLimit(nvmlDevice_t handle, unsigned int *limit) {
    WITH_DEVICE(handle, limit);
    if (device->is_virtual) return NVML_ERROR_NOT_SUPPORTED;
    *limit = device->power_limit_watt * 1000;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetEnforcedPowerLimit(nvmlDevice_t handle, unsigned int *limit) {
    return nvmlDeviceGetPowerManagementLimit(handle, limit);
}

nvmlReturn_t nvmlDeviceGetPowerManagementDefaultLimit(nvmlDevice_t handle, unsigned int *limit) {
    return nvmlDeviceGetPowerManagementLimit(handle, limit);
}

nvmlReturn_t nvmlDeviceGetPerformanceState(nvmlDevice_t handle, nvmlPstates_t *state) {
    WITH_DEVICE(handle, state);
    *state = load_of(device).utilization > 0 ? NVML_PSTATE_0 : NVML_PSTATE_8;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPowerState(nvmlDevice_t handle, nvmlPstates_t *state) {
    return nvmlDeviceGetPerformanceState(handle, state);
}

/* A T4's clocks in MHz, idle and at most. */
nvmlReturn_t nvmlDeviceGetMaxClockInfo(nvmlDevice_t handle, nvmlClockType_t type, unsigned int *mhz) {
    WITH_DEVICE(handle, mhz);
    *mhz = type == NVML_CLOCK_MEM ? 5001 : 1590;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t handle, nvmlClockType_t type, unsigned int *mhz) {
    WITH_DEVICE(handle, mhz);
    if (load_of(device).utilization > 0) return nvmlDeviceGetMaxClockInfo(handle, type, mhz);
    *mhz = type == NVML_CLOCK_MEM ? 405 : 300;
    return NVML_SUCCESS;
}

static nvmlReturn_t unused_engine(nvmlDevice_t handle, unsigned int *utilization, unsigned int *period_us) {
    WITH_DEVICE(handle, utilization);
    *utilization = 0;
    if (period_us != NULL) *period_us = 167000;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetEncoderUtilization(nvmlDevice_t handle, unsigned int *utilization, unsigned int *period) {
    return unused_engine(handle, utilization, period);
}

nvmlReturn_t nvmlDeviceGetDecoderUtilization(nvmlDevice_t handle, unsigned int *utilization, unsigned int *period) {
    return unused_engine(handle, utilization, period);
}

/* Like the real library in a container, this lists the processes that the caller's PID namespace shows. */
nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t handle, unsigned int *count,
                                                     nvmlProcessInfo_t *processes) {
    WITH_DEVICE(handle, count);
    struct sim_holder holders[MAX_PROCESSES];
    unsigned found = sim_load_holders(simulator.board_file, device->minor, holders, MAX_PROCESSES);
    unsigned room = *count, listed = 0;
    for (unsigned i = 0; i < found; i++) {
        if (holders[i].pid <= 0) continue;
        if (listed < room && processes != NULL)
            processes[listed] = (nvmlProcessInfo_t){
                .pid = (unsigned)holders[i].pid,
                .usedGpuMemory = holders[i].load.memory_mib * MIB,
                .gpuInstanceId = 0xFFFFFFFF,
                .computeInstanceId = 0xFFFFFFFF,
            };
        listed++;
    }
    *count = listed;
    return listed > room ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v2(nvmlDevice_t handle, unsigned int *count,
                                                     nvmlProcessInfo_v2_t *processes) {
    return nvmlDeviceGetComputeRunningProcesses_v3(handle, count, (nvmlProcessInfo_t *)processes);
}

nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v3(nvmlDevice_t handle, unsigned int *count,
                                                      nvmlProcessInfo_t *processes) {
    WITH_DEVICE(handle, count);
    (void)processes;
    *count = 0;
    return NVML_SUCCESS;
}

/* Every field is answered one by one with "not supported", so a caller that asks for many goes on. */
nvmlReturn_t nvmlDeviceGetFieldValues(nvmlDevice_t handle, int count, nvmlFieldValue_t *values) {
    WITH_DEVICE(handle, values);
    for (int i = 0; i < count; i++) values[i].nvmlReturn = NVML_ERROR_NOT_SUPPORTED;
    return NVML_SUCCESS;
}
