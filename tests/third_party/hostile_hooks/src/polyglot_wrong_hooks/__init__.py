"""A package with drivers that misread the contract."""
