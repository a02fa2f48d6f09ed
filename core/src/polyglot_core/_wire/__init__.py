"""Response bodies to chunks, and providers' error bodies to errors."""
