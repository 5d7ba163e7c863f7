#!/usr/bin/env bash
# `npm test`: sets everything up, then checks and tests it. Whatever happens, the last line counts: `N passed, N failed, N skipped`.
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

if ! bash scripts/setup.sh; then
  printf '\nThe setup failed after %s s, so nothing was tested.\n0 passed, 1 failed, 0 skipped\n' "$SECONDS"
  exit 1
fi
KERNELBOX_SETUP_SECONDS=$SECONDS node --import tsx scripts/test.ts "$@"
code=$?
# It says its line itself and then ends with 0 or 1; anything else ended it.
if [ "$code" -gt 1 ]; then printf '\n0 passed, 1 failed, 0 skipped\n'; fi
exit "$code"
