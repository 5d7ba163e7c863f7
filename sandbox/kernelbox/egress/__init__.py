"""The egress proxy: a sandbox's only way out, in a container of its own. It runs squid under a policy and tells each request."""
