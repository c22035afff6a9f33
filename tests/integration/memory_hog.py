"""A program that takes memory and gives it back, over and over.

  memory_hog.py PEAK_MIB RATE_MIB_S HOLD_S    until its standard input closes

Prints "grown" and "shrunk" as it goes.
"""

import contextlib
import mmap
import select
import sys

STEP_MIB = 4
MIB = 1 << 20


def rest(seconds):
    """False once nobody wants it to go on."""
    return not select.select([sys.stdin], [], [], seconds)[0]


def main():
    peak, rate, hold = (float(word) for word in sys.argv[1:4])
    # Where the kernel lets it, somebody else is killed: it stands for the work that matters most.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as f:
        f.write("-1000")
    pages = b"\xa5" * (STEP_MIB * MIB)
    going = True
    while going:
        held = []
        while going and len(held) * STEP_MIB < peak:
            block = mmap.mmap(-1, STEP_MIB * MIB)
            block.write(pages)
            held.append(block)
            going = rest(STEP_MIB / rate)
        print("grown", flush=True)
        going = going and rest(hold)
        while held:
            held.pop().close()
        print("shrunk", flush=True)
        going = going and rest(hold)


main()
