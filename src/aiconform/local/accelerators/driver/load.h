/* Load on simulated devices, told through byte-range locks on the board file.
 *
 * A process that works a device holds one shared lock whose place says which device and whose length says how much.
 * The kernel keeps the record: it is seen from every mount and PID namespace that has the file (a node's containers
 * with a device, an exporter on the host), needs no write access, and ends with the process, however that ends.
 */
#ifndef AICONFORM_LOAD_H
#define AICONFORM_LOAD_H

#include "board.h"

struct sim_load {
    unsigned utilization;  /* per cent of the device, 0 to 100 */
    unsigned memory_mib;
};

struct sim_holder {
    int pid;  /* in the caller's PID namespace; 0 when it is not visible from there */
    struct sim_load load;
};

/* Makes the calling process load a device until it exits or calls again; {0, 0} lets go. 0 or -1 with errno set. */
SIM_HIDDEN int sim_load_hold(int board, unsigned minor, struct sim_load load);

/* Lists at most max holders and returns how many there are. */
SIM_HIDDEN unsigned sim_load_holders(int board, unsigned minor, struct sim_holder *holders, unsigned max);

/* What all holders of a device ask together; utilization stops at 100. */
SIM_HIDDEN struct sim_load sim_load_total(int board, unsigned minor);

#endif
