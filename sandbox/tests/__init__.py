"""Tests of the supervisor's parts. They run inside the image: test/sandbox/supervisor.test.ts sends them there."""
