/* nvidia-smi --query-gpu=... --format=csv[,noheader][,nounits] */
#define _GNU_SOURCE
#include "smi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FIELDS 32

static unsigned split(char *fields, char *names[MAX_FIELDS]) {
    unsigned count = 0;
    for (char *name = strtok(fields, ", "); name != NULL && count < MAX_FIELDS; name = strtok(NULL, ", "))
        names[count++] = name;
    return count;
}

static void print_row(nvmlDevice_t device, char *names[], unsigned count, int with_units) {
    char text[SMI_TEXT];
    for (unsigned i = 0; i < count; i++) {
        const char *unit = smi_property(device, names[i], text);
        int show_unit = with_units && *unit != '\0';
        printf("%s%s%s%s", i ? ", " : "", text, show_unit ? " " : "", show_unit ? unit : "");
    }
    putchar('\n');
}

static void print_header(nvmlDevice_t device, char *names[], unsigned count) {
    char text[SMI_TEXT];
    for (unsigned i = 0; i < count; i++) {
        const char *unit = smi_property(device, names[i], text);
        printf(*unit ? "%s%s [%s]" : "%s%s", i ? ", " : "", names[i], unit);
    }
    putchar('\n');
}

int smi_query(const struct smi_devices *devices, const char *fields, const char *format) {
    char text[SMI_TEXT], *names[MAX_FIELDS], *copy = strdup(fields);
    unsigned count = copy == NULL ? 0 : split(copy, names);
    if (strncmp(format, "csv", 3) != 0) return fprintf(stderr, "\"--format=\" must be csv here.\n"), free(copy), SMI_USAGE;
    for (unsigned i = 0; i < count; i++) {
        if (smi_property(devices->handles[0], names[i], text) != NULL) continue;
        printf("Field \"%s\" is not a valid field to query.\n\n", names[i]);
        return free(copy), SMI_USAGE;
    }
    if (strstr(format, "noheader") == NULL) print_header(devices->handles[0], names, count);
    for (unsigned i = 0; i < devices->count; i++)
        print_row(devices->handles[i], names, count, strstr(format, "nounits") == NULL);
    return free(copy), SMI_OK;
}
