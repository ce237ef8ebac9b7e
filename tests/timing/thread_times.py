#!/usr/bin/env python3
"""Runs a command and appends the processor time of its threads to a file: thread_times.py FILE COMMAND…
One line: seconds of the busiest thread, of all threads. From /proc/PID/task/*/schedstat, read every 2 ms until
the process ends, so that what others do on the machine does not count; a thread's last 2 ms may be missing, and
threads that live for less."""
import os
import subprocess
import sys
import time

times, command = {}, sys.argv[2:]
process = subprocess.Popen(command)
while process.poll() is None:
    folder = f"/proc/{process.pid}/task"
    try:
        for thread in os.listdir(folder):
            with open(f"{folder}/{thread}/schedstat") as f:
                times[thread] = int(f.read().split()[0]) / 1e9
    except (FileNotFoundError, ProcessLookupError, IndexError):
        pass
    time.sleep(0.002)
with open(sys.argv[1], "a") as f:
    f.write(f"{max(times.values(), default=0):.4f} {sum(times.values()):.4f}\n")
sys.exit(process.returncode)
