/* nvidia-smi: arguments, device selection, errors in the real tool's words and exit codes. */
#define _GNU_SOURCE
#include "smi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const usage =
    "nvidia-smi of aiconform's SIMULATED NVIDIA driver\n\n"
    "  nvidia-smi [-i ID]                    table\n"
    "  nvidia-smi -L                         list of devices with UUID\n"
    "  nvidia-smi -q [-i ID]                 report\n"
    "  nvidia-smi --query-gpu=FIELD,... --format=csv[,noheader][,nounits] [-i ID]\n"
    "  nvidia-smi --version\n"
    "  nvidia-smi simulate-load [--utilization PERCENT] [--memory SIZE] [--seconds N] [-i ID]\n"
    "                                        load the container's devices until it is stopped\n";

static nvmlReturn_t find(const char *id, nvmlDevice_t *device) {
    char *end;
    unsigned long index = strtoul(id, &end, 10);
    if (*id != '\0' && *end == '\0') return nvmlDeviceGetHandleByIndex_v2((unsigned)index, device);
    if (strncmp(id, "GPU-", 4) == 0) return nvmlDeviceGetHandleByUUID(id, device);
    return nvmlDeviceGetHandleByPciBusId_v2(id, device);
}

static int select_all(struct smi_devices *devices) {
    nvmlDeviceGetCount_v2(&devices->count);
    for (unsigned i = 0; i < devices->count; i++) nvmlDeviceGetHandleByIndex_v2(i, &devices->handles[i]);
    if (devices->count > 0) return SMI_OK;
    printf("No devices were found\n");
    return SMI_NO_DEVICES;
}

int smi_select(const char *ids, struct smi_devices *devices) {
    devices->count = 0;
    if (ids == NULL) return select_all(devices);
    char *copy = strdup(ids);
    for (char *id = strtok(copy, ","); id != NULL; id = strtok(NULL, ",")) {
        if (find(id, &devices->handles[devices->count]) != NVML_SUCCESS) {
            printf("No devices were found\n");
            return free(copy), SMI_NO_DEVICES;
        }
        devices->count++;
    }
    return free(copy), SMI_OK;
}

static int print_version(void) {
    char driver[SMI_TEXT] = "", nvml[SMI_TEXT] = "";
    int cuda = 0;
    nvmlSystemGetDriverVersion(driver, sizeof driver);
    nvmlSystemGetNVMLVersion(nvml, sizeof nvml);
    nvmlSystemGetCudaDriverVersion_v2(&cuda);
    printf("NVIDIA-SMI version  : %s (SIMULATED by aiconform)\n", driver);
    printf("NVML version        : %s\n", nvml);
    printf("DRIVER version      : %s\n", driver);
    printf("CUDA Version        : %d.%d\n", cuda / 1000, cuda % 1000 / 10);
    return SMI_OK;
}

struct arguments {
    const char *id, *query, *format;
    enum { TABLE, LIST, REPORT, QUERY, VERSION } what;
};

/* The value of --name=value or --name value, or NULL when the argument is another one. */
static const char *value_of(const char *name, int *position, int argc, char **argv) {
    size_t length = strlen(name);
    if (strncmp(argv[*position], name, length) != 0) return NULL;
    if (argv[*position][length] == '=') return argv[*position] + length + 1;
    return argv[*position][length] == '\0' && *position + 1 < argc ? argv[++*position] : NULL;
}

static int parse(int argc, char **argv, struct arguments *arguments) {
    for (int i = 1; i < argc; i++) {
        const char *value;
        if (strcmp(argv[i], "-L") == 0 || strcmp(argv[i], "--list-gpus") == 0) arguments->what = LIST;
        else if (strcmp(argv[i], "-q") == 0 || strcmp(argv[i], "--query") == 0) arguments->what = REPORT;
        else if (strcmp(argv[i], "--version") == 0) arguments->what = VERSION;
        else if ((value = value_of("-i", &i, argc, argv)) != NULL) arguments->id = value;
        else if ((value = value_of("--id", &i, argc, argv)) != NULL) arguments->id = value;
        else if ((value = value_of("--format", &i, argc, argv)) != NULL) arguments->format = value;
        else if ((value = value_of("--query-gpu", &i, argc, argv)) != NULL) arguments->what = QUERY, arguments->query = value;
        else return printf("Invalid combination of input arguments. Please run 'nvidia-smi -h' for help.\n\n"), SMI_USAGE;
    }
    return SMI_OK;
}

static int show(const struct arguments *arguments) {
    struct smi_devices devices;
    if (arguments->what == VERSION) return print_version();
    int result = smi_select(arguments->id, &devices);
    if (result != SMI_OK) return result;
    switch (arguments->what) {
    case LIST: return smi_list(&devices);
    case REPORT: return smi_report(&devices);
    case QUERY: return smi_query(&devices, arguments->query, arguments->format);
    default: return smi_table(&devices);
    }
}

int main(int argc, char **argv) {
    struct arguments arguments = {.format = ""};
    if (argc > 1 && (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)) return fputs(usage, stdout), SMI_OK;
    int loading = argc > 1 && strcmp(argv[1], "simulate-load") == 0;
    int result = loading ? SMI_OK : parse(argc, argv, &arguments);
    if (result != SMI_OK) return result;
    nvmlReturn_t start = nvmlInit_v2();
    if (start != NVML_SUCCESS) {
        printf("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver: %s. "
               "(SIMULATED driver of aiconform)\n\n", nvmlErrorString(start));
        return SMI_NO_DRIVER;
    }
    return loading ? smi_simulate_load(argc - 1, argv + 1) : show(&arguments);
}
