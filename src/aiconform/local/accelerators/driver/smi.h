/* nvidia-smi look-alike: asks the simulated NVML and nothing else. */
#ifndef AICONFORM_SMI_H
#define AICONFORM_SMI_H

#define NVML_NO_UNVERSIONED_FUNC_DEFS
#include <nvml.h>

#define SMI_TEXT 128
#define SMI_NONE "[N/A]"

/* Exit codes of the real tool that ours shares. */
enum { SMI_OK = 0, SMI_USAGE = 2, SMI_NO_DEVICES = 6, SMI_NO_DRIVER = 9 };

struct smi_devices {
    unsigned count;
    nvmlDevice_t handles[64];
};

/* Fills in the devices that --id selects ("0", "0,1", a UUID or a PCI bus id; NULL selects all). */
int smi_select(const char *id, struct smi_devices *devices);

/* Writes one property, as --query-gpu names it, without unit; returns its unit ("" when it has none), NULL if unknown. */
const char *smi_property(nvmlDevice_t device, const char *name, char text[SMI_TEXT]);

int smi_query(const struct smi_devices *devices, const char *fields, const char *format);
int smi_table(const struct smi_devices *devices);
int smi_list(const struct smi_devices *devices);
int smi_report(const struct smi_devices *devices);
int smi_simulate_load(int argc, char **argv);

#endif
