"""The job: plan, scan, engine, run."""
