"""Discovery, checks and binding of drivers."""
