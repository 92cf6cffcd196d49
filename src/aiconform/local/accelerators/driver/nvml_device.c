/* NVML: what a device is. */
#include "simulator.h"

#include <stdio.h>
#include <string.h>

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t handle, char *name, unsigned int length) {
    WITH_DEVICE(handle, name);
    return sim_copy_text(device->name, name, length);
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t handle, char *uuid, unsigned int length) {
    WITH_DEVICE(handle, uuid);
    return sim_copy_text(device->uuid, uuid, length);
}

nvmlReturn_t nvmlDeviceGetSerial(nvmlDevice_t handle, char *serial, unsigned int length) {
    WITH_DEVICE(handle, serial);
    if (device->is_virtual) return NVML_ERROR_NOT_SUPPORTED;
    return sim_copy_text(device->serial, serial, length);
}

nvmlReturn_t nvmlDeviceGetVbiosVersion(nvmlDevice_t handle, char *version, unsigned int length) {
    WITH_DEVICE(handle, version);
    return sim_copy_text("SIMULATED", version, length);
}

nvmlReturn_t nvmlDeviceGetBoardPartNumber(nvmlDevice_t handle, char *part, unsigned int length) {
    WITH_DEVICE(handle, part);
    return sim_copy_text("SIMULATED", part, length);
}

nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t handle, unsigned int *index) {
    WITH_DEVICE(handle, index);
    for (*index = 0; simulator.visible[*index] != device;) ++*index;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMinorNumber(nvmlDevice_t handle, unsigned int *minor) {
    WITH_DEVICE(handle, minor);
    *minor = device->minor;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetBrand(nvmlDevice_t handle, nvmlBrandType_t *brand) {
    WITH_DEVICE(handle, brand);
    *brand = device->is_virtual ? NVML_BRAND_NVIDIA_VWS : NVML_BRAND_NVIDIA;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetArchitecture(nvmlDevice_t handle, nvmlDeviceArchitecture_t *architecture) {
    WITH_DEVICE(handle, architecture);
    *architecture = device->architecture;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCudaComputeCapability(nvmlDevice_t handle, int *major, int *minor) {
    WITH_DEVICE(handle, major);
    if (minor == NULL) return NVML_ERROR_INVALID_ARGUMENT;
    *major = (int)device->compute_major;
    *minor = (int)device->compute_minor;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t handle, nvmlPciInfo_t *pci) {
    WITH_DEVICE(handle, pci);
    memset(pci, 0, sizeof *pci);
    if (sscanf(device->bus_id, "%x:%x:%x", &pci->domain, &pci->bus, &pci->device) != 3) return NVML_ERROR_UNKNOWN;
    snprintf(pci->busId, sizeof pci->busId, "%08X:%02X:%02X.0", pci->domain, pci->bus & 0xff, pci->device & 0xff);
    snprintf(pci->busIdLegacy, sizeof pci->busIdLegacy, "%04X:%02X:%02X.0", pci->domain & 0xffff, pci->bus & 0xff,
             pci->device & 0xff);
    pci->pciDeviceId = device->pci_device_id;
    pci->pciSubSystemId = device->pci_subsystem_id;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPciInfo_v2(nvmlDevice_t handle, nvmlPciInfo_t *pci) {
    return nvmlDeviceGetPciInfo_v3(handle, pci);
}

nvmlReturn_t nvmlDeviceGetPciInfo(nvmlDevice_t handle, nvmlPciInfo_t *pci) {
    return nvmlDeviceGetPciInfo_v3(handle, pci);
}

/* A T4 sits on a generation 3 link of 16 lanes. */
static nvmlReturn_t constant(nvmlDevice_t handle, unsigned int *to, unsigned value) {
    WITH_DEVICE(handle, to);
    *to = value;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMaxPcieLinkGeneration(nvmlDevice_t handle, unsigned int *generation) {
    return constant(handle, generation, 3);
}

nvmlReturn_t nvmlDeviceGetCurrPcieLinkGeneration(nvmlDevice_t handle, unsigned int *generation) {
    return constant(handle, generation, 3);
}

nvmlReturn_t nvmlDeviceGetMaxPcieLinkWidth(nvmlDevice_t handle, unsigned int *lanes) {
    return constant(handle, lanes, 16);
}

nvmlReturn_t nvmlDeviceGetCurrPcieLinkWidth(nvmlDevice_t handle, unsigned int *lanes) {
    return constant(handle, lanes, 16);
}

nvmlReturn_t nvmlDeviceIsMigDeviceHandle(nvmlDevice_t handle, unsigned int *is_mig) {
    return constant(handle, is_mig, 0);
}

nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t handle, unsigned int *count) {
    return constant(handle, count, 0);
}

static nvmlReturn_t switched(nvmlDevice_t handle, nvmlEnableState_t *to, nvmlEnableState_t state) {
    WITH_DEVICE(handle, to);
    *to = state;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPersistenceMode(nvmlDevice_t handle, nvmlEnableState_t *mode) {
    return switched(handle, mode, NVML_FEATURE_DISABLED);
}

nvmlReturn_t nvmlDeviceGetDisplayMode(nvmlDevice_t handle, nvmlEnableState_t *mode) {
    return switched(handle, mode, NVML_FEATURE_DISABLED);
}

nvmlReturn_t nvmlDeviceGetDisplayActive(nvmlDevice_t handle, nvmlEnableState_t *active) {
    return switched(handle, active, NVML_FEATURE_DISABLED);
}

nvmlReturn_t nvmlDeviceGetComputeMode(nvmlDevice_t handle, nvmlComputeMode_t *mode) {
    WITH_DEVICE(handle, mode);
    *mode = NVML_COMPUTEMODE_DEFAULT;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetEccMode(nvmlDevice_t handle, nvmlEnableState_t *current, nvmlEnableState_t *pending) {
    WITH_DEVICE(handle, current);
    if (pending == NULL) return NVML_ERROR_INVALID_ARGUMENT;
    if (device->is_virtual) return NVML_ERROR_NOT_SUPPORTED;
    *current = *pending = NVML_FEATURE_ENABLED;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTotalEccErrors(nvmlDevice_t handle, nvmlMemoryErrorType_t type,
                                         nvmlEccCounterType_t counter, unsigned long long *count) {
    WITH_DEVICE(handle, count);
    if (device->is_virtual) return NVML_ERROR_NOT_SUPPORTED;
    (void)type, (void)counter;
    *count = 0;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetVirtualizationMode(nvmlDevice_t handle, nvmlGpuVirtualizationMode_t *mode) {
    WITH_DEVICE(handle, mode);
    *mode = device->is_virtual ? NVML_GPU_VIRTUALIZATION_MODE_VGPU : NVML_GPU_VIRTUALIZATION_MODE_NONE;
    return NVML_SUCCESS;
}

/* A guest with a vGPU asks here whether the licence was obtained; ours is marked as simulated. */
nvmlReturn_t nvmlDeviceGetGridLicensableFeatures_v4(nvmlDevice_t handle, nvmlGridLicensableFeatures_t *features) {
    WITH_DEVICE(handle, features);
    memset(features, 0, sizeof *features);
    if (!device->is_virtual) return NVML_SUCCESS;
    nvmlGridLicensableFeature_t *feature = &features->gridLicensableFeatures[0];
    features->isGridLicenseSupported = 1;
    features->licensableFeaturesCount = 1;
    feature->featureCode = NVML_GRID_LICENSE_FEATURE_CODE_NVIDIA_RTX;
    feature->featureState = feature->featureEnabled = 1;
    snprintf(feature->productName, sizeof feature->productName, "NVIDIA RTX Virtual Workstation (SIMULATED)");
    feature->licenseExpiry.status = NVML_GRID_LICENSE_EXPIRY_NOT_APPLICABLE;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetGridLicensableFeatures_v3(nvmlDevice_t handle, nvmlGridLicensableFeatures_t *features) {
    return nvmlDeviceGetGridLicensableFeatures_v4(handle, features);
}

/* The device plugin prefers devices that are near each other, and refuses every pod where it cannot tell. */
nvmlReturn_t nvmlDeviceGetTopologyCommonAncestor(nvmlDevice_t handle, nvmlDevice_t other,
                                                 nvmlGpuTopologyLevel_t *level) {
    WITH_DEVICE(handle, level);
    nvmlReturn_t error;
    const struct sim_device *second = sim_device_of(other, &error);
    if (second == NULL) return error;
    *level = device == second ? NVML_TOPOLOGY_INTERNAL : NVML_TOPOLOGY_NODE;
    return NVML_SUCCESS;
}
