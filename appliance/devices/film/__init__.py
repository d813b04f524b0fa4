"""Films through a digitizer that SANE drives."""
