#!/usr/bin/env python3
"""The BIDS App's entry point: ``run.py BIDS_DIR OUT_DIR {participant,group}``."""

from nicarbon.cli import main

if __name__ == '__main__':
    raise SystemExit(main())
