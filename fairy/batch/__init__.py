"""Many edits from a list: one after another, or shared among workers on any number of machines."""
