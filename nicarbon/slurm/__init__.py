"""A dataset as arrays of SLURM jobs: pure functions; :mod:`nicarbon.cli.slurm` calls SLURM."""
