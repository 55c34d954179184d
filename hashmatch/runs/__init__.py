"""A run of the job: its plan, who looks at which clip, what is recorded, and what is only compared."""
