/* nvidia-smi --query-gpu: properties by name. */
#include "smi.h"

#include <stdio.h>
#include <string.h>

#define MIB ((unsigned long long)1 << 20)

typedef nvmlReturn_t (*text_getter)(nvmlDevice_t, char *, unsigned int);
typedef nvmlReturn_t (*number_getter)(nvmlDevice_t, unsigned int *);

static nvmlReturn_t driver_version(nvmlDevice_t device, char *text, unsigned int length) {
    return (void)device, nvmlSystemGetDriverVersion(text, length);
}

static nvmlReturn_t bus_id(nvmlDevice_t device, char *text, unsigned int length) {
    nvmlPciInfo_t pci;
    nvmlReturn_t result = nvmlDeviceGetPciInfo_v3(device, &pci);
    if (result == NVML_SUCCESS) snprintf(text, length, "%s", pci.busId);
    return result;
}

static nvmlReturn_t compute_capability(nvmlDevice_t device, char *text, unsigned int length) {
    int major, minor;
    nvmlReturn_t result = nvmlDeviceGetCudaComputeCapability(device, &major, &minor);
    if (result == NVML_SUCCESS) snprintf(text, length, "%d.%d", major, minor);
    return result;
}

static nvmlReturn_t virtualization_mode(nvmlDevice_t device, char *text, unsigned int length) {
    static const char *const names[] = {"None", "Pass-Through", "VGPU", "Host VGPU", "Host VSGA"};
    nvmlGpuVirtualizationMode_t mode;
    nvmlReturn_t result = nvmlDeviceGetVirtualizationMode(device, &mode);
    if (result == NVML_SUCCESS) snprintf(text, length, "%s", names[mode]);
    return result;
}

static nvmlReturn_t performance_state(nvmlDevice_t device, char *text, unsigned int length) {
    nvmlPstates_t state;
    nvmlReturn_t result = nvmlDeviceGetPerformanceState(device, &state);
    if (result == NVML_SUCCESS) snprintf(text, length, "P%d", (int)state);
    return result;
}

static nvmlReturn_t watt(number_getter get, nvmlDevice_t device, char *text, unsigned int length) {
    unsigned int milliwatt;
    nvmlReturn_t result = get(device, &milliwatt);
    if (result == NVML_SUCCESS) snprintf(text, length, "%.2f", milliwatt / 1000.0);
    return result;
}

static nvmlReturn_t power_draw(nvmlDevice_t device, char *text, unsigned int length) {
    return watt(nvmlDeviceGetPowerUsage, device, text, length);
}

static nvmlReturn_t power_limit(nvmlDevice_t device, char *text, unsigned int length) {
    return watt(nvmlDeviceGetEnforcedPowerLimit, device, text, length);
}

static nvmlReturn_t temperature(nvmlDevice_t device, char *text, unsigned int length) {
    nvmlTemperature_t value = {.version = nvmlTemperature_v1, .sensorType = NVML_TEMPERATURE_GPU};
    nvmlReturn_t result = nvmlDeviceGetTemperatureV(device, &value);
    if (result == NVML_SUCCESS) snprintf(text, length, "%d", value.temperature);
    return result;
}

static nvmlReturn_t memory(nvmlDevice_t device, char *text, unsigned int length, size_t field) {
    nvmlMemory_t value;
    nvmlReturn_t result = nvmlDeviceGetMemoryInfo(device, &value);
    unsigned long long bytes = field == 0 ? value.total : field == 1 ? value.used : value.free;
    if (result == NVML_SUCCESS) snprintf(text, length, "%llu", bytes / MIB);
    return result;
}

static nvmlReturn_t memory_total(nvmlDevice_t d, char *text, unsigned int length) { return memory(d, text, length, 0); }
static nvmlReturn_t memory_used(nvmlDevice_t d, char *text, unsigned int length) { return memory(d, text, length, 1); }
static nvmlReturn_t memory_free(nvmlDevice_t d, char *text, unsigned int length) { return memory(d, text, length, 2); }

static nvmlReturn_t utilization_gpu(nvmlDevice_t device, char *text, unsigned int length) {
    nvmlUtilization_t value;
    nvmlReturn_t result = nvmlDeviceGetUtilizationRates(device, &value);
    if (result == NVML_SUCCESS) snprintf(text, length, "%u", value.gpu);
    return result;
}

static nvmlReturn_t utilization_memory(nvmlDevice_t device, char *text, unsigned int length) {
    nvmlUtilization_t value;
    nvmlReturn_t result = nvmlDeviceGetUtilizationRates(device, &value);
    if (result == NVML_SUCCESS) snprintf(text, length, "%u", value.memory);
    return result;
}

static nvmlReturn_t device_index(nvmlDevice_t device, char *text, unsigned int length) {
    unsigned int index;
    nvmlReturn_t result = nvmlDeviceGetIndex(device, &index);
    if (result == NVML_SUCCESS) snprintf(text, length, "%u", index);
    return result;
}

static nvmlReturn_t device_count(nvmlDevice_t device, char *text, unsigned int length) {
    unsigned int count;
    nvmlReturn_t result = nvmlDeviceGetCount_v2(&count);
    if (result == NVML_SUCCESS) snprintf(text, length, "%u", count);
    return (void)device, result;
}

static const struct {
    const char *name, *unit;
    text_getter get;
} properties[] = {
    {"index", "", device_index},
    {"count", "", device_count},
    {"name", "", nvmlDeviceGetName},
    {"gpu_name", "", nvmlDeviceGetName},
    {"uuid", "", nvmlDeviceGetUUID},
    {"gpu_uuid", "", nvmlDeviceGetUUID},
    {"serial", "", nvmlDeviceGetSerial},
    {"gpu_serial", "", nvmlDeviceGetSerial},
    {"vbios_version", "", nvmlDeviceGetVbiosVersion},
    {"driver_version", "", driver_version},
    {"pci.bus_id", "", bus_id},
    {"gpu_bus_id", "", bus_id},
    {"compute_cap", "", compute_capability},
    {"pstate", "", performance_state},
    {"gpu_virtualization_mode", "", virtualization_mode},
    {"memory.total", "MiB", memory_total},
    {"memory.used", "MiB", memory_used},
    {"memory.free", "MiB", memory_free},
    {"utilization.gpu", "%", utilization_gpu},
    {"utilization.memory", "%", utilization_memory},
    {"temperature.gpu", "", temperature},
    {"power.draw", "W", power_draw},
    {"power.limit", "W", power_limit},
};

const char *smi_property(nvmlDevice_t device, const char *name, char text[SMI_TEXT]) {
    for (unsigned i = 0; i < sizeof properties / sizeof *properties; i++) {
        if (strcmp(properties[i].name, name) != 0) continue;
        if (properties[i].get(device, text, SMI_TEXT) != NVML_SUCCESS) return strcpy(text, SMI_NONE), "";
        return properties[i].unit;
    }
    return NULL;
}
