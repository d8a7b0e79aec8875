"""What the page of compliance tells: the audit log, its chain, the settings that rule, erasure."""
