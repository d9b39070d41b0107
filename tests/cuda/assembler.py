"""Kernels to PTX and machine code without a driver, and what the machine code takes of a device."""

import re
from types import SimpleNamespace

from cuda.bindings import nvjitlink

from kltools.cuda._compat import cuda, exactly, types

CAPABILITIES = (8, 0), (9, 0)
float64, int64 = types.float64, types.int64
vector = types.Array(float64, 1, "C")


def pretend_device(monkeypatch, capability):
    """Functions called by a kernel are compiled for the current device: pretend that there is one."""
    device = SimpleNamespace(compute_capability=capability)
    monkeypatch.setattr("numba.cuda.dispatcher.get_current_device", lambda: device)


def to_ptx(function, signature, capability):
    with exactly():
        return cuda.compile_ptx(function, types.void(*signature), cc=capability)[0]


def resources(ptx, capability):
    """Registers, bytes of stack, spilled and static shared bytes, by the report of the assembler."""
    options = [f"-arch=sm_{capability[0]}{capability[1]}", "-verbose", "-Xptxas=-v"]
    link = nvjitlink.create(len(options), options)
    data = ptx.encode()
    nvjitlink.add_data(link, nvjitlink.InputType.PTX, data, len(data), "kernel")
    nvjitlink.complete(link)
    text = bytearray(nvjitlink.get_info_log_size(link))
    nvjitlink.get_info_log(link, text)
    size = nvjitlink.get_linked_cubin_size(link)
    nvjitlink.destroy(link)
    assert size > 0
    report = text.decode(errors="replace")
    stack, stores, loads = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes", report).groups()
    shared = re.search(r"(\d+) bytes smem", report)
    return SimpleNamespace(
        registers=int(re.search(r"Used (\d+) registers", report)[1]),
        stack=int(stack),
        spilled=int(stores) + int(loads),
        shared=int(shared[1]) if shared else 0,
        report=report,
    )


def of(function, signature, capability):
    used = resources(to_ptx(function, signature, capability), capability)
    used.kernel, used.capability = function.__name__, "{}.{}".format(*capability)
    return used
