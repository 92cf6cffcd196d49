/* The simulated devices of one node, read from a plain text file beside the library, and who may see them. */
#ifndef AICONFORM_BOARD_H
#define AICONFORM_BOARD_H

#define SIM_HIDDEN __attribute__((visibility("hidden")))
#define SIM_MAX_DEVICES 16
#define SIM_TEXT 96

struct sim_device {
    char name[SIM_TEXT];    /* "Tesla T4" */
    char uuid[SIM_TEXT];    /* "GPU-...", stable for a node and device */
    char serial[SIM_TEXT];  /* starts with SIMULATED */
    char bus_id[SIM_TEXT];  /* 00000000:00:1E.0 */
    unsigned major, minor;  /* of /dev/nvidia<minor> */
    unsigned memory_mib;
    unsigned compute_major, compute_minor;
    unsigned architecture;  /* NVML_DEVICE_ARCH_* */
    unsigned pci_device_id, pci_subsystem_id;
    unsigned power_limit_watt;
    unsigned is_virtual;    /* 1: a vGPU as seen in a guest */
};

struct sim_board {
    char driver_version[SIM_TEXT];
    unsigned cuda_version;  /* 13000 means 13.0 */
    unsigned count;         /* devices of the node, visible to the caller or not */
    struct sim_device devices[SIM_MAX_DEVICES];
};

/* Opens and reads the board file. Returns its descriptor (kept open for load, see load.h) or -1 with errno set. */
SIM_HIDDEN int sim_board_open(struct sim_board *board);

/* Whether the caller could use /dev/nvidia<minor>: the node is in its mount namespace, is that very device, and the
 * kernel lets it be opened. No driver stands behind it, so a permitted open fails with ENXIO; EPERM is the device
 * cgroup's refusal, EACCES the file mode's. */
SIM_HIDDEN int sim_device_usable(const struct sim_device *device);

/* 0 when /dev/nvidiactl may be opened, else the errno of the refusal. */
SIM_HIDDEN int sim_control_refusal(const struct sim_board *board);

#endif
