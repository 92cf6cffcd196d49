/* nvidia-smi simulate-load: a stand-in for work on the devices that the container holds. */
#define _GNU_SOURCE
#include "smi.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

nvmlReturn_t simDeviceHoldLoad(nvmlDevice_t device, unsigned int utilization, unsigned int memory_mib);

static int size_in_mib(const char *text, unsigned *mib) {
    static const struct { const char *unit; unsigned mib; } units[] = {{"MiB", 1}, {"Mi", 1}, {"GiB", 1024}, {"Gi", 1024}};
    char *unit;
    unsigned long number = strtoul(text, &unit, 10);
    for (unsigned i = 0; i < sizeof units / sizeof *units; i++)
        if (unit != text && number < 1u << 18 && strcmp(unit, units[i].unit) == 0)
            return *mib = (unsigned)number * units[i].mib, 1;
    return 0;
}

static int percent(const char *text, unsigned *value) {
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    *value = (unsigned)number;
    return end != text && *end == '\0' && number <= 100;
}

struct request { unsigned utilization, memory_mib, seconds; const char *id; };

static int parse(int argc, char **argv, struct request *request) {
    static const struct option options[] = {
        {"utilization", required_argument, NULL, 'u'}, {"memory", required_argument, NULL, 'm'},
        {"seconds", required_argument, NULL, 's'},     {"id", required_argument, NULL, 'i'},
        {NULL, 0, NULL, 0},
    };
    for (int option; (option = getopt_long(argc, argv, "u:m:s:i:", options, NULL)) != -1;) {
        int good = 1;
        if (option == 'u') good = percent(optarg, &request->utilization);
        else if (option == 'm') good = size_in_mib(optarg, &request->memory_mib);
        else if (option == 's') request->seconds = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'i') request->id = optarg;
        else good = 0;
        if (!good) return fprintf(stderr, "simulate-load: PERCENT is 0 to 100, SIZE like 512MiB or 4GiB\n"), SMI_USAGE;
    }
    return SMI_OK;
}

/* As a container's first process, nothing stops us unless the signals are taken on purpose. */
static void wait_for_the_end(unsigned seconds) {
    sigset_t stop;
    struct timespec limit = {seconds, 0};
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    if (seconds == 0) sigwaitinfo(&stop, NULL);
    else while (sigtimedwait(&stop, NULL, &limit) < 0 && errno == EINTR) continue;
}

int smi_simulate_load(int argc, char **argv) {
    struct request request = {.utilization = 80};
    struct smi_devices devices;
    int result = parse(argc, argv, &request);
    if (result == SMI_OK) result = smi_select(request.id, &devices);
    if (result != SMI_OK) return result;
    for (unsigned i = 0; i < devices.count; i++) {
        nvmlReturn_t error = simDeviceHoldLoad(devices.handles[i], request.utilization, request.memory_mib);
        if (error == NVML_SUCCESS) continue;
        fprintf(stderr, "simulate-load: device %u: %s\n", i,
                error == NVML_ERROR_MEMORY ? "not enough free device memory" : nvmlErrorString(error));
        return 1;
    }
    printf("SIMULATED load on %u device(s): %u %% of the time, %u MiB of memory each\n", devices.count,
           request.utilization, request.memory_mib);
    fflush(stdout);
    wait_for_the_end(request.seconds);
    return SMI_OK;
}
