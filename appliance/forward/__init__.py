"""Everything towards the hospital, and the ledger of what is stored and committed."""
