"""Real processes under steady load, broken on purpose: `make faults`."""
