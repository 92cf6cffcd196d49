"""Keeps the container's first NVIDIA device busy and takes memory on it.

Usage: loading_nvidia.py MIB END. Prints the device's UUID, ``load=on`` or why there is none, and END. The driver's
library is in every container that holds a device, and the driver compiles kernels itself, so no image of the vendor is
needed. NVIDIA's assembler takes the kernel for architectures 5.0 to 10.0; it has been run on simulated devices only.
"""

from __future__ import annotations

import ctypes
import sys
import time

KERNEL = b"""
.version 6.0
.target sm_50
.address_size 64
.visible .entry spin(.param .u64 cycles)
{
    .reg .u64 %start, %now, %limit;
    .reg .pred %again;
    ld.param.u64 %limit, [cycles];
    mov.u64 %start, %clock64;
more:
    mov.u64 %now, %clock64;
    sub.u64 %now, %now, %start;
    setp.lt.u64 %again, %now, %limit;
    @%again bra more;
    ret;
}
"""
CYCLES = 100_000_000
"""One launch takes some 50 to 100 ms; NVML averages over up to a second."""


class RefusedError(Exception):
    """The driver refused a call."""


class Device:
    """The first device, with a context, memory and the kernel above."""

    def __init__(self, library: ctypes.CDLL, memory_mib: int) -> None:
        self.library = library
        self.call("cuInit", 0)
        device = ctypes.c_int()
        self.call("cuDeviceGet", ctypes.byref(device), 0)
        self.uuid = (ctypes.c_ubyte * 16)()
        self.call("cuDeviceGetUuid", self.uuid, device)
        self.call("cuCtxSetCurrent", self.made("cuDevicePrimaryCtxRetain", device))
        self.call("cuMemAlloc_v2", ctypes.byref(ctypes.c_uint64()), ctypes.c_size_t(memory_mib << 20))
        module = self.made("cuModuleLoadData", KERNEL)
        self.kernel = self.made("cuModuleGetFunction", module, b"spin")

    def call(self, name: str, *arguments: object) -> None:
        """Call the driver."""
        code = getattr(self.library, name)(*arguments)
        if code:
            raise RefusedError(f"{name} answers {code}")

    def made(self, name: str, *arguments: object) -> ctypes.c_void_p:
        """The handle that a call makes."""
        handle = ctypes.c_void_p()
        self.call(name, ctypes.byref(handle), *arguments)
        return handle

    def spin(self) -> None:
        """Run the kernel once."""
        cycles = ctypes.c_uint64(CYCLES)
        parameters = (ctypes.c_void_p * 1)(ctypes.cast(ctypes.byref(cycles), ctypes.c_void_p))
        one = ctypes.c_uint(1)
        self.call("cuLaunchKernel", self.kernel, *[one] * 6, ctypes.c_uint(0), None, parameters, None)
        self.call("cuCtxSynchronize")

    def name(self) -> str:
        """As NVML writes it."""
        text = bytes(self.uuid).hex()
        return "GPU-" + "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Load the device until the pod ends."""
    memory_mib, end = int(sys.argv[1]), sys.argv[2]
    device = None
    try:
        device = Device(ctypes.CDLL("libcuda.so.1"), memory_mib)
        device.spin()
        say("uuid=" + device.name())
        say("load=on")
    except (OSError, AttributeError, RefusedError) as problem:
        say("load=" + str(problem))
    say(end)
    while device:
        device.spin()
    time.sleep(60)


if __name__ == "__main__":
    main()
