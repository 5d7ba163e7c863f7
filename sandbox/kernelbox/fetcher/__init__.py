"""Gets packages from an index, in a container of its own beside a sandbox: `python -I -m kernelbox.fetcher`. Nothing of a package runs here."""
