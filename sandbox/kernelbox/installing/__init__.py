"""What installs packages into /home/user/.local: a worker process (worker.py) that lives for one request. Nothing of a package runs in it."""
