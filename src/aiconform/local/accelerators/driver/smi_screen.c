/* nvidia-smi's table, list (-L) and report (-q), in the shape of the real tool's. */
#include "smi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WIDE "-----------------------------------------------------------------------------------------"
#define COLUMNS "+-----------------------------------------+------------------------+----------------------+\n"

static const char *get(nvmlDevice_t device, const char *name, char text[SMI_TEXT]) {
    smi_property(device, name, text);
    return strcmp(text, SMI_NONE) == 0 ? "N/A" : text;
}

static void cuda_version(char text[SMI_TEXT]) {
    int version = 0;
    nvmlSystemGetCudaDriverVersion_v2(&version);
    snprintf(text, SMI_TEXT, "%d.%d", version / 1000, version % 1000 / 10);
}

static void print_head(void) {
    char driver[SMI_TEXT] = "", cuda[SMI_TEXT], now[SMI_TEXT];
    time_t seconds = time(NULL);
    strftime(now, sizeof now, "%a %b %e %H:%M:%S %Y", gmtime(&seconds));
    nvmlSystemGetDriverVersion(driver, sizeof driver);
    cuda_version(cuda);
    printf("%s\n+%s+\n", now, WIDE);
    printf("| %-87s |\n", "SIMULATED by aiconform: no real accelerator stands behind what follows");
    printf("| NVIDIA-SMI %-22s Driver Version: %-14s CUDA Version: %-8s |\n", driver, driver, cuda);
    printf(COLUMNS);
    printf("| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |\n");
    printf("| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |\n");
    printf("|                                         |                        |               MIG M. |\n");
    printf("|=========================================+========================+======================|\n");
}

static void print_device(nvmlDevice_t device) {
    char a[SMI_TEXT], b[SMI_TEXT], c[SMI_TEXT], d[SMI_TEXT];
    nvmlEnableState_t ecc, pending;
    int has_ecc = nvmlDeviceGetEccMode(device, &ecc, &pending) == NVML_SUCCESS;
    printf("| %3s  %-24.24s       Off |   %-16s Off | %20s |\n", get(device, "index", a), get(device, "name", b),
           get(device, "pci.bus_id", c), has_ecc ? "0" : "N/A");
    int is_virtual = strcmp(get(device, "power.draw", a), "N/A") == 0;
    snprintf(b, sizeof b, "%.0fW / %4.0fW", atof(a), atof(get(device, "power.limit", c)));
    snprintf(c, sizeof c, "%dC", atoi(get(device, "temperature.gpu", d)));
    printf("| N/A  %4s   %4s %22s |", is_virtual ? "N/A" : c, get(device, "pstate", d), is_virtual ? "N/A /  N/A" : b);
    printf(" %7sMiB / %6sMiB | %6s%%      Default |\n", get(device, "memory.used", a), get(device, "memory.total", b),
           get(device, "utilization.gpu", c));
    printf("|                                         |                        | %20s |\n", "N/A");
    printf(COLUMNS);
}

static unsigned print_processes(nvmlDevice_t device) {
    nvmlProcessInfo_t processes[64];
    char index[SMI_TEXT];
    unsigned count = 64;
    if (nvmlDeviceGetComputeRunningProcesses_v3(device, &count, processes) != NVML_SUCCESS) return 0;
    for (unsigned i = 0; i < count; i++) {
        char path[64], name[40] = "-";
        snprintf(path, sizeof path, "/proc/%u/comm", processes[i].pid);
        FILE *file = fopen(path, "r");
        if (file != NULL) {
            if (fgets(name, sizeof name, file) != NULL) name[strcspn(name, "\n")] = '\0';
            fclose(file);
        }
        printf("| %4s   N/A  N/A %16u      C   %-35s %6lluMiB |\n", get(device, "index", index), processes[i].pid, name,
               processes[i].usedGpuMemory >> 20);
    }
    return count;
}

int smi_table(const struct smi_devices *devices) {
    unsigned processes = 0;
    print_head();
    for (unsigned i = 0; i < devices->count; i++) print_device(devices->handles[i]);
    printf("\n+%s+\n", WIDE);
    printf("| Processes:                                                                              |\n");
    printf("|  GPU   GI   CI              PID   Type   Process name                        GPU Memory |\n");
    printf("|        ID   ID                                                               Usage      |\n");
    printf("|=========================================================================================|\n");
    for (unsigned i = 0; i < devices->count; i++) processes += print_processes(devices->handles[i]);
    if (processes == 0) printf("|  %-86s |\n", "No running processes found");
    printf("+%s+\n", WIDE);
    return SMI_OK;
}

int smi_list(const struct smi_devices *devices) {
    char index[SMI_TEXT], name[SMI_TEXT], uuid[SMI_TEXT];
    for (unsigned i = 0; i < devices->count; i++)
        printf("GPU %s: %s (UUID: %s)\n", get(devices->handles[i], "index", index),
               get(devices->handles[i], "name", name), get(devices->handles[i], "uuid", uuid));
    return SMI_OK;
}

static void print_licence(nvmlDevice_t device) {
    nvmlGridLicensableFeatures_t features;
    if (nvmlDeviceGetGridLicensableFeatures_v4(device, &features) != NVML_SUCCESS) return;
    if (!features.isGridLicenseSupported) return;
    printf("    vGPU Software Licensed Product\n");
    printf("        Product Name                          : %s\n", features.gridLicensableFeatures[0].productName);
    printf("        License Status                        : %s\n",
           features.gridLicensableFeatures[0].featureState ? "Licensed" : "Unlicensed");
}

static void print_properties(nvmlDevice_t device) {
    static const struct { const char *label, *property, *unit; } lines[] = {
        {"    Product Name                              ", "name", ""},
        {"    GPU UUID                                  ", "uuid", ""},
        {"    Serial Number                             ", "serial", ""},
        {"    VBIOS Version                             ", "vbios_version", ""},
        {"    GPU Virtualization Mode\n        Virtualization Mode                   ", "gpu_virtualization_mode", ""},
        {"    Performance State                         ", "pstate", ""},
        {"    FB Memory Usage\n        Total                                 ", "memory.total", " MiB"},
        {"        Used                                  ", "memory.used", " MiB"},
        {"        Free                                  ", "memory.free", " MiB"},
        {"    Utilization\n        GPU                                   ", "utilization.gpu", " %"},
        {"        Memory                                ", "utilization.memory", " %"},
        {"    Temperature\n        GPU Current Temp                      ", "temperature.gpu", " C"},
        {"    GPU Power Readings\n        Instantaneous Power Draw              ", "power.draw", " W"},
        {"        Current Power Limit                   ", "power.limit", " W"},
    };
    char text[SMI_TEXT];
    for (unsigned i = 0; i < sizeof lines / sizeof *lines; i++) {
        const char *value = get(device, lines[i].property, text);
        printf("%s: %s%s\n", lines[i].label, value, value == text ? lines[i].unit : "");
    }
}

int smi_report(const struct smi_devices *devices) {
    char driver[SMI_TEXT] = "", cuda[SMI_TEXT], text[SMI_TEXT];
    nvmlSystemGetDriverVersion(driver, sizeof driver);
    cuda_version(cuda);
    printf("\n==============NVSMI LOG==============\n\n");
    printf("Simulated                                     : Yes, by aiconform\n");
    printf("Driver Version                                : %s\n", driver);
    printf("CUDA Version                                  : %s\n\n", cuda);
    printf("Attached GPUs                                 : %u\n", devices->count);
    for (unsigned i = 0; i < devices->count; i++) {
        printf("GPU %s\n", get(devices->handles[i], "pci.bus_id", text));
        print_properties(devices->handles[i]);
        print_licence(devices->handles[i]);
    }
    return SMI_OK;
}
