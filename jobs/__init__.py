"""The night: stages in order, their ledger and their report; imports all, imported by none."""
