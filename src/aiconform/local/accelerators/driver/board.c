#define _GNU_SOURCE
#include "board.h"

#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* The board file takes the place of the GSP firmware of a real driver: the container toolkit mounts files matching
 * gsp*.bin of the driver's version into every container that gets a device, at this path. So the same relative path
 * leads from the library to the file in the driver root, in the device plugin and in a workload. */
#define BOARD_FROM_LIBRARY "../../../lib/firmware/nvidia/" DRIVER_VERSION "/gsp_simulated_devices.bin"

static void copy_text(char *to, const char *from) { snprintf(to, SIM_TEXT, "%s", from); }

static char *trim(char *text) {
    while (isspace((unsigned char)*text)) text++;
    char *end = text + strlen(text);
    while (end > text && isspace((unsigned char)end[-1])) *--end = '\0';
    return text;
}

static void set_number(struct sim_device *device, const char *key, unsigned value) {
    const struct { const char *key; unsigned *to; } numbers[] = {
        {"major", &device->major},
        {"minor", &device->minor},
        {"memory_mib", &device->memory_mib},
        {"compute_major", &device->compute_major},
        {"compute_minor", &device->compute_minor},
        {"architecture", &device->architecture},
        {"pci_device_id", &device->pci_device_id},
        {"pci_subsystem_id", &device->pci_subsystem_id},
        {"power_limit_watt", &device->power_limit_watt},
        {"virtual", &device->is_virtual},
    };
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strcmp(numbers[i].key, key) == 0) *numbers[i].to = value;
}

static void set(struct sim_board *board, struct sim_device *device, const char *key, const char *value) {
    if (device == NULL) {
        if (strcmp(key, "driver_version") == 0) copy_text(board->driver_version, value);
        if (strcmp(key, "cuda_version") == 0) board->cuda_version = (unsigned)strtoul(value, NULL, 10);
        return;
    }
    if (strcmp(key, "name") == 0) copy_text(device->name, value);
    else if (strcmp(key, "uuid") == 0) copy_text(device->uuid, value);
    else if (strcmp(key, "serial") == 0) copy_text(device->serial, value);
    else if (strcmp(key, "bus_id") == 0) copy_text(device->bus_id, value);
    else set_number(device, key, (unsigned)strtoul(value, NULL, 0));
}

/* Lines are "key = value"; "[device]" starts the next device; "#" starts a comment. */
static void parse(struct sim_board *board, FILE *file) {
    struct sim_device *device = NULL;
    char line[256];
    while (fgets(line, sizeof line, file) != NULL) {
        char *text = trim(line);
        if (*text == '\0' || *text == '#') continue;
        if (strcmp(text, "[device]") == 0) {
            if (board->count == SIM_MAX_DEVICES) return;
            device = &board->devices[board->count++];
            continue;
        }
        char *equals = strchr(text, '=');
        if (equals == NULL) continue;
        *equals = '\0';
        set(board, device, trim(text), trim(equals + 1));
    }
}

int sim_board_open(struct sim_board *board) {
    Dl_info self;
    char path[4096];
    memset(board, 0, sizeof *board);
    if (dladdr((void *)(size_t)&sim_board_open, &self) == 0) return errno = ENOENT, -1;
    const char *slash = strrchr(self.dli_fname, '/');
    int directory = slash == NULL ? 0 : (int)(slash - self.dli_fname) + 1;
    snprintf(path, sizeof path, "%.*s%s", directory, self.dli_fname, BOARD_FROM_LIBRARY);

    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return -1;
    /* Read through a duplicate's stream; closing any descriptor of a file drops the process's locks on it, so this
     * happens once, before any load is held. */
    int copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
    FILE *file = copy < 0 ? NULL : fdopen(copy, "r");
    if (file == NULL) return close(descriptor), -1;
    parse(board, file);
    fclose(file);
    return descriptor;
}

static int refusal(const char *path, unsigned major_number, unsigned minor_number) {
    struct stat node;
    if (stat(path, &node) != 0) return errno;
    if (!S_ISCHR(node.st_mode) || major(node.st_rdev) != major_number || minor(node.st_rdev) != minor_number)
        return ENODEV;
    int descriptor = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor >= 0) return close(descriptor), 0;
    return errno == ENXIO ? 0 : errno;
}

int sim_device_usable(const struct sim_device *device) {
    char path[64];
    snprintf(path, sizeof path, "/dev/nvidia%u", device->minor);
    return refusal(path, device->major, device->minor) == 0;
}

int sim_control_refusal(const struct sim_board *board) {
    return refusal("/dev/nvidiactl", board->count ? board->devices[0].major : 0, 255);
}
