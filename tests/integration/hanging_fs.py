"""A FUSE file system over /dev/fuse with one file, model.gguf: `hanging_fs.py MOUNT-POINT FILE`.

Says "mounted", or why not. After a line on standard input it answers nothing any more and says
"hangs": whoever asks then is held in the kernel, and outlives even SIGKILL, until this one ends.
"""

import ctypes
import os
import select
import stat
import struct
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE = 1, 2, 3, 14, 15, 17, 18
FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR, ACCESS, BATCH_FORGET = 25, 26, 27, 28, 29, 34, 42
ENOENT, ENOSYS = 2, 38
ROOT, FILE = 1, 2
NAME = b"model.gguf"
REQUEST_MAX = 1 << 20


def attributes(node, size):
    mode = stat.S_IFDIR | 0o755 if node == ROOT else stat.S_IFREG | 0o644
    return struct.pack("<6Q10I", node, size, (size + 511) // 512, 1, 1, 1, 0, 0, 0, mode, 1,
                       os.getuid(), os.getgid(), 0, 4096, 0)


def answer(operation, node, body, content):
    """Data, or an error number; None where nothing is expected."""
    if operation == INIT:
        return struct.pack("<4I2H2I2H", 7, 31, 65536, 0, 12, 10, 65536, 1, 16, 0) + bytes(32)
    if operation == LOOKUP:
        if body.rstrip(b"\0") != NAME:
            return ENOENT
        return struct.pack("<4Q2I", FILE, 0, 0, 0, 0, 0) + attributes(FILE, len(content))
    if operation == GETATTR:
        return struct.pack("<Q2I", 0, 0, 0) + attributes(node, len(content))
    if operation in (OPEN, OPENDIR):
        return struct.pack("<Q2I", 1, 0, 0)
    if operation == READ:
        _, offset, size = struct.unpack("<2QI", body[:20])
        return content[offset:offset + size]
    if operation == READDIR:
        if struct.unpack("<2Q", body[:16])[1] > 0:
            return b""
        return struct.pack("<2Q2I", FILE, 1, len(NAME), 8) + NAME + bytes(-len(NAME) % 8)
    if operation == STATFS:
        return bytes(40) + struct.pack("<4I", 4096, 255, 4096, 0) + bytes(24)
    if operation in (RELEASE, FLUSH, RELEASEDIR, ACCESS):
        return b""
    return None if operation in (FORGET, BATCH_FORGET) else ENOSYS


def main():
    point, backing = sys.argv[1:3]
    with open(backing, "rb") as file:
        content = file.read()
    try:
        device = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        print(error, flush=True)
        return
    options = f"fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()},allow_other"
    if LIBC.mount(b"hanging", point.encode(), b"fuse", 0, options.encode()) != 0:
        print(os.strerror(ctypes.get_errno()), flush=True)
        return
    print("mounted", flush=True)
    hangs = False
    while True:
        ready = select.select([device] if hangs else [device, sys.stdin], [], [])[0]
        if sys.stdin in ready:
            sys.stdin.readline()
            hangs = True
            print("hangs", flush=True)
            continue
        try:
            request = os.read(device, REQUEST_MAX)
        except OSError:
            return  # it was unmounted
        _, operation, unique, node = struct.unpack("<2I2Q", request[:24])
        # A request that was read and is not answered is what cannot be killed.
        if hangs:
            continue
        data = answer(operation, node, request[40:], content)
        if data is None:
            continue
        error = -data if isinstance(data, int) else 0
        data = b"" if isinstance(data, int) else data
        os.write(device, struct.pack("<IiQ", 16 + len(data), error, unique) + data)


main()
